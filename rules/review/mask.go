package review

import (
	"net/netip"
	"strings"
	"unicode"

	"mtatap/event"
)

// maxShown is how much of a reply is kept, in bytes.
const maxShown = 600

// clean returns the head of text fit for a terminal, a line and a YAML file:
// whatever controls one of them, and what is no UTF-8, becomes a space.
func clean(text string) string {
	if len(text) > maxShown {
		text = text[:maxShown]
	}
	text = strings.ToValidUTF8(text, " ")
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	return strings.Join(strings.Fields(text), " ")
}

// withoutAddresses returns text with <address> for each mail address, those that
// privacy has hidden before included.
func withoutAddresses(text string) string {
	text = hidden.Replace(text)
	var out strings.Builder
	for {
		start, end := event.FindAddress(text)
		if start < 0 {
			break
		}
		out.WriteString(text[:start])
		if start > 0 && text[start-1] == '<' && strings.HasPrefix(text[end:], ">") {
			out.WriteString("address")
		} else {
			out.WriteString("<address>")
		}
		text = text[end:]
	}
	out.WriteString(text)
	return out.String()
}

var hidden = strings.NewReplacer("<[address]>", "<address>", "[address]", "<address>")

// maxTokens is how many words of a reply make its template.
const maxTokens = 50

// tokens splits a clean reply into words in which what differs from one reply to
// the next is masked: addresses, URLs, IP addresses, host names, ids and numbers.
// more says that there were more words.
func tokens(text string) (all []string, more bool) {
	words := strings.Fields(withoutAddresses(text))
	if more = len(words) > maxTokens; more {
		words = words[:maxTokens]
	}
	for _, w := range words {
		all = append(all, maskWord(w))
	}
	return all, more
}

// maskWord masks what stands between the delimiters of a word.
func maskWord(w string) string {
	if i := strings.Index(w, "://"); i >= 0 {
		for i > 0 && letter(w[i-1]) {
			i--
		}
		return w[:i] + "<url>" + trailing(w, ".,;:)>]\"'!")
	}
	var out strings.Builder
	for w != "" {
		n := strings.IndexAny(w, `<>()[]{},;"'=|`)
		if n < 0 {
			n = len(w)
		}
		out.WriteString(maskSegment(w[:n]))
		if n < len(w) {
			out.WriteByte(w[n])
			n++
		}
		w = w[n:]
	}
	return out.String()
}

// trailing returns the bytes at the end of w that are all in set.
func trailing(w, set string) string { return w[len(strings.TrimRight(w, set)):] }

func maskSegment(s string) string {
	if strings.HasPrefix(s, ":") && s != "::" {
		return ":" + maskSegment(s[1:])
	}
	end := trailing(s, ".:!?")
	core := s[:len(s)-len(end)]
	switch {
	case core == "" || event.EnhancedLen(core) == len(core):
		return s
	case isIP(core):
		return "<ip>" + end
	case isHost(core):
		return "<host>" + end
	case strings.HasPrefix(core, "www."):
		return "<url>" + end
	}
	if host, port, ok := strings.Cut(core, ":"); ok && strings.Trim(port, "0123456789") == "" && (isHost(host) || isIP(host)) {
		return maskSegment(host) + ":<number>" + end
	}
	return maskNumbers(core) + end
}

func isIP(s string) bool {
	_, err := netip.ParseAddr(strings.TrimPrefix(strings.ToLower(s), "ipv6:"))
	return err == nil
}

// isHost reports whether s looks like a host name: labels joined by dots, the
// last of letters.
func isHost(s string) bool {
	dot := strings.LastIndexByte(s, '.')
	if dot <= 0 || len(s)-dot < 3 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !letter(c) && c < 0x80 && !(i <= dot && (digit(c) || c == '-' || c == '_' || c == '.')) {
			return false
		}
	}
	return s[0] != '.' && !strings.Contains(s, "..")
}

// maskNumbers masks s if it is a number, a date or time, a size, or an id. Short
// codes such as S3150 or AUP#1310 stay: receivers give reasons by them.
func maskNumbers(s string) string {
	letters, digits := 0, 0
	for i := range len(s) {
		switch {
		case digit(s[i]):
			digits++
		case letter(s[i]):
			letters++
		case s[i] >= 0x80:
			return s
		}
	}
	unit := strings.TrimLeft(s, "0123456789")
	switch {
	case digits == 0:
		return s
	case letters == 0:
		return "<number>"
	case len(unit) == letters && len(unit) < len(s) && letters <= 7:
		return "<number>" + unit
	case len(s) >= 8 && !isReasonCode(s):
		return "<id>"
	}
	return s
}

// isReasonCode reports whether s is capitals, perhaps a sign, and up to five
// digits.
func isReasonCode(s string) bool {
	rest := strings.TrimLeft(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
	rest = strings.TrimLeft(rest, "#-_:")
	return len(rest) < len(s) && len(rest) <= 5 && strings.Trim(rest, "0123456789") == ""
}

func letter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
func digit(c byte) bool  { return c >= '0' && c <= '9' }
