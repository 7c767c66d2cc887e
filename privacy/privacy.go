// Package privacy hides mail addresses in events before they are published:
// replaced by a keyed hash, or dropped. Domains stay, because deliverability is
// judged by them.
//
// Its input are events with verdict and id, and pieces of log lines; it changes
// them in place. It must see every event before it is encoded, and must never
// touch an id: ids are computed from the log line and reveal no address.
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

// Apply hides sender, recipient, original recipient and message id of e, and
// the addresses in its diagnostic. A message id is made by the sender's software,
// some of which puts the recipient's address in it, so it counts as an address.
func (m *Mask) Apply(e *event.Event) {
	e.Diagnostic = m.Text(e.Diagnostic, e.Recipient, e.OriginalRecipient, e.Sender)
	hidden := e.Recipient != "" || e.OriginalRecipient != ""
	for _, addr := range []*string{&e.Recipient, &e.OriginalRecipient, &e.Sender, &e.MessageID} {
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

// Text hides the known addresses in s, also where only their local part stands
// as a word of its own ("no such user: ann"), and whatever else looks like an
// address.
func (m *Mask) Text(s string, known ...string) string {
	var out strings.Builder
	for {
		start, end := firstAddress(s, known)
		if start < 0 {
			break
		}
		out.WriteString(m.words(s[:start], known))
		out.WriteString(m.shown(s[start:end]))
		s = s[end:]
	}
	if out.Len() == 0 {
		return m.words(s, known)
	}
	out.WriteString(m.words(s, known))
	return out.String()
}

// firstAddress returns where the first address of s stands, -1 if there is none:
// one of the known, of which some have a form that nobody would take for one, or
// what looks like one.
func firstAddress(s string, known []string) (start, end int) {
	start, end = event.FindAddress(s)
	for _, addr := range known {
		if !strings.Contains(addr, "@") {
			continue
		}
		before := s
		if start >= 0 { // only what begins earlier matters
			before = s[:min(len(s), start+len(addr)-1)]
		}
		if i := indexFold(before, addr); i >= 0 {
			start, end = i, i+len(addr)
		}
	}
	return start, end
}

// words hides the local parts of known addresses in s, which has no address.
func (m *Mask) words(s string, known []string) string {
	for _, addr := range known {
		local := addr
		if at := strings.LastIndexByte(addr, '@'); at >= 0 {
			local = addr[:at]
		}
		local = strings.Trim(local, `"`)
		for from := 0; local != ""; {
			i := indexFold(s[from:], local)
			if i < 0 {
				break
			}
			i += from
			if from = i + len(local); isWord(s, i, from) {
				shown := m.shown(addr)
				s, from = s[:i]+shown+s[from:], i+len(shown)
			}
		}
	}
	return s
}

// isWord reports whether s[start:end] is not a part of a longer word.
func isWord(s string, start, end int) bool {
	return (start == 0 || !wordByte(s[start-1])) && (end == len(s) || !wordByte(s[end]) ||
		s[end] == '.' && (end+1 == len(s) || s[end+1] == ' '))
}

// wordByte tells what may stand inside a local part or a status code.
func wordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c >= 0x80 || strings.IndexByte("._+-=", c) >= 0
}

// indexFold is strings.Index without regard to the case of ASCII letters.
func indexFold(s, sub string) int {
	for i := 0; len(sub) > 0 && i+len(sub) <= len(s); i++ {
		if s[i]|0x20 == sub[0]|0x20 && strings.EqualFold(s[i:i+len(sub)], sub) {
			return i
		}
	}
	return -1
}

// shown is what stands in a text for addr.
func (m *Mask) shown(addr string) string {
	if r := m.replace(addr); r != "" {
		return r
	}
	return hiddenAddress
}

// hiddenAddress stands for an address that is dropped.
const hiddenAddress = "[address]"
