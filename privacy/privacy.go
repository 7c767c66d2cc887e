// Package privacy hides mail addresses in events before they are published:
// replaced by a keyed hash, or dropped. Domains stay, because deliverability is
// judged by them. It must see every event before it is encoded, and nothing
// else: ids are computed from the log line and reveal no address.
package privacy

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"

	"mtatap/config"
	"mtatap/event"
)

// Mask hides the addresses of events. Safe for concurrent use.
type Mask struct {
	replace func(addr string) string
}

const minKey = 16

// New returns the mask of cfg, or nil where addresses are published plain.
func New(cfg config.Privacy) (*Mask, error) {
	switch cfg.Addresses {
	case "", "plain":
		return nil, nil
	case "drop":
		return &Mask{replace: func(string) string { return "" }}, nil
	case "hmac":
		key, err := os.ReadFile(cfg.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("read privacy key: %w", err)
		}
		key = []byte(strings.TrimSpace(string(key)))
		if len(key) < minKey {
			return nil, fmt.Errorf("read privacy key: %s holds %d bytes, at least %d are needed", cfg.KeyFile, len(key), minKey)
		}
		return &Mask{replace: hasher(key)}, nil
	}
	return nil, fmt.Errorf("unknown privacy.addresses %q", cfg.Addresses)
}

// hasher returns the HMAC-SHA256 of the lower-cased address, cut to 16 bytes, in
// hex: the same address gives the same hash.
func hasher(key []byte) func(string) string {
	return func(addr string) string {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(strings.ToLower(addr)))
		return hex.EncodeToString(mac.Sum(nil)[:16])
	}
}

// Apply hides sender, recipient and original recipient of e, and the addresses
// in its diagnostic.
func (m *Mask) Apply(e *event.Event) {
	e.Diagnostic = m.Text(e.Diagnostic, e.Recipient, e.OriginalRecipient, e.Sender)
	hidden := e.Recipient != "" || e.OriginalRecipient != ""
	for _, addr := range []*string{&e.Recipient, &e.OriginalRecipient, &e.Sender} {
		if *addr != "" {
			if *addr = m.replace(*addr); *addr == "" && addr == &e.Sender {
				e.SenderKnown = false
			}
		}
	}
	if hidden && e.Recipient == "" {
		e.RecipientSource = event.RecipientUnknown
	}
}

// Text hides the given addresses, and whatever else looks like one, in s.
func (m *Mask) Text(s string, known ...string) string {
	for _, addr := range known {
		if strings.Contains(addr, "@") {
			s = strings.ReplaceAll(s, addr, m.shown(addr))
		}
	}
	if !strings.Contains(s, "@") {
		return s
	}
	var out strings.Builder
	for {
		at := strings.IndexByte(s, '@')
		if at < 0 {
			out.WriteString(s)
			return out.String()
		}
		start, end := at, at+1
		for start > 0 && !strings.ContainsRune(" \t<>()[]{},;:\"'=", rune(s[start-1])) {
			start--
		}
		for end < len(s) && isDomainByte(s[end]) {
			end++
		}
		out.WriteString(s[:start])
		if start < at && end > at+1 {
			out.WriteString(m.shown(strings.TrimRight(s[start:end], ".")))
		} else {
			out.WriteString(s[start:end])
		}
		s = s[end:]
	}
}

// shown is what stands in a text for addr.
func (m *Mask) shown(addr string) string {
	if r := m.replace(addr); r != "" {
		return r
	}
	return "[address]"
}

func isDomainByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c >= 0x80
}
