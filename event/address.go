package event

import "strings"

// FindAddress returns where in s the first mail address stands, also one with a
// quoted local part ("ann smith"@shop.example), a domain literal
// (ann@[192.0.2.1]) or its "@" percent-encoded as in URLs (ann%40shop.example).
// What is glued to the local part counts as part of it: the bounce address
// news+ann=shop.example@list.example is one address. start is -1 if there is none.
//
// It is meant for hiding addresses: where a text leaves doubt, it takes more
// rather than less.
func FindAddress(s string) (start, end int) {
	for from := 0; ; {
		at, width := nextAt(s[from:])
		if at < 0 {
			return -1, -1
		}
		at += from
		low := max(0, at-maxLocal)
		start, end = low+startOfLocal(s[low:at]), endOfDomain(s, at+width)
		if start < at && end > at+width {
			return start, end
		}
		from = at + width
	}
}

// maxLocal is how far back the local part is looked for, in bytes: RFC 5321
// allows 64, and a text of nothing but "@" must not cost the square of its length.
const maxLocal = 512

// nextAt returns where the first "@" of s stands and how long it is.
func nextAt(s string) (at, width int) {
	at, width = strings.IndexByte(s, '@'), 1
	for i := 0; ; i++ {
		p := strings.IndexByte(s[i:], '%')
		if i += p; p < 0 || at >= 0 && i > at {
			return at, width
		}
		if strings.HasPrefix(s[i:], "%40") {
			return i, len("%40")
		}
	}
}

// startOfLocal returns where the local part at the end of s starts.
func startOfLocal(s string) int {
	if inner, ok := strings.CutSuffix(s, `\"`); ok { // quoted once more, as in a JSON log
		if i := strings.LastIndex(inner, `\"`); i >= 0 {
			return i
		}
		return len(s)
	}
	if inner, ok := strings.CutSuffix(s, `"`); ok {
		for i := strings.LastIndexByte(inner, '"'); i >= 0; i = strings.LastIndexByte(inner[:i], '"') {
			if i == 0 || inner[i-1] != '\\' {
				return i
			}
		}
		return len(s)
	}
	i := len(s)
	for i > 0 && !separates(s[i-1]) {
		i--
	}
	for i < len(s) && s[i] == '\'' { // a quotation mark, not a part of O'Brien
		i++
	}
	return i
}

// separates tells the bytes that stand between an address and what is before it.
func separates(c byte) bool {
	return c <= ' ' || c == 0x7f || strings.IndexByte(`<>()[]{},;:"|`, c) >= 0
}

// endOfDomain returns where the domain that starts at i ends.
func endOfDomain(s string, i int) int {
	if i < len(s) && s[i] == '[' {
		if n := strings.IndexAny(s[i:], "] \t<>()"); n > 1 && s[i+n] == ']' {
			return i + n + 1
		}
		return i
	}
	start := i
	for i < len(s) && domainByte(s[i]) {
		i++
	}
	for i > start && s[i-1] == '.' { // the end of a sentence
		i--
	}
	return i
}

func domainByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '.' || c == '_' || c >= 0x80 || digit(c)
}
