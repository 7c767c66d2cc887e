package parsers

import "strings"

// eximMaxCandidates bounds the places where an address part may end that are
// looked at, so that a hostile line costs no more than a long one.
const eximMaxCandidates = 64

// cutEximAddress cuts the address part off s, what follows the flag of a status
// line: "ADDRESS[ (parent, ...)][ <original>]". ADDRESS is dequoted, or a local
// part, a command or a path, so it may hold anything; original is in the form of
// the envelope. original is "" where the line has none.
func cutEximAddress(s string) (address, original, rest string, ok bool) {
	if address, original, rest, ok = cutEximQuotedOriginal(s); ok {
		return address, original, rest, true
	}
	shortest, seen := -1, 0
	for i := 0; i <= len(s) && seen < eximMaxCandidates; i++ {
		if i < len(s) && (s[i] != ' ' && s[i] != ':' || !startsEximFields(s[i:])) {
			continue
		}
		seen++
		if address, original, ok = splitEximAddress(s[:i]); ok {
			return address, original, s[i:], true
		}
		if shortest < 0 {
			shortest = i
		}
	}
	// An address that was never qualified has no "@".
	if shortest > 0 && strings.IndexByte(s[:shortest], ' ') < 0 {
		return s[:shortest], "", s[shortest:], true
	}
	return "", "", "", false
}

// cutEximQuotedOriginal cuts "ADDRESS <"quoted"@domain>" where ADDRESS is the
// dequoted form of the other: only so is an address safe that looks like fields.
func cutEximQuotedOriginal(s string) (address, original, rest string, ok bool) {
	for from, seen := 0, 0; seen < eximMaxCandidates; seen++ {
		i := strings.Index(s[from:], ` <"`)
		if i < 0 {
			break
		}
		i += from
		tail := s[i+2:]
		if end := eximClosing(tail); end > 0 && tail[end] == '>' && sameEximAddress(s[:i], tail[:end]) {
			return s[:i], tail[:end], tail[end+1:], true
		}
		from = i + 1
	}
	return "", "", "", false
}

// startsEximFields reports whether s starts with what can follow an address.
func startsEximFields(s string) bool {
	if s[0] == ':' {
		return len(s) == 1 || s[1] == ' '
	}
	if s[0] != ' ' || len(s) < 3 {
		return false
	}
	switch s[1] {
	case 'R', 'T', 'Q', 'D': // D= is what Exim 3 calls a router of local parts
		return s[2] == '='
	case 'F', 'P', 'S':
		return strings.HasPrefix(s, " F=<") || strings.HasPrefix(s, " P=<") || strings.HasPrefix(s, " SRS=<")
	case 'd', 'r', 't', 'm':
		return isEximWrapper(s[1:]) || strings.HasPrefix(s, " defer (") || strings.HasPrefix(s, " routing defer (") || strings.HasPrefix(s, " transporting defer (")
	case ':':
		return s[2] == ' '
	}
	return false
}

// isEximWrapper reports whether s starts with what Exim says of a failure when it
// runs as the wrapper of a mail program, without a colon in front.
func isEximWrapper(s string) bool {
	return strings.HasPrefix(s, "routing yielded a ") || strings.HasPrefix(s, "mua_wrapper ")
}

// splitEximAddress splits an address part; ok is false if s is none.
func splitEximAddress(s string) (address, original string, ok bool) {
	if !strings.HasSuffix(s, ">") {
		return s, "", strings.IndexByte(s, '@') > 0 && isEximAddress(s)
	}
	for from, seen := 0, 0; seen < eximMaxCandidates; seen++ {
		i := strings.Index(s[from:], " <")
		if i < 0 {
			break
		}
		i += from
		if inner := s[i+2 : len(s)-1]; i > 0 && isEximAddress(inner) {
			return cutEximParents(s[:i]), inner, true
		}
		from = i + 1
	}
	return "", "", false
}

// cutEximParents cuts " (parent, ...)" off the end of an address.
func cutEximParents(s string) string {
	if strings.HasSuffix(s, ")") {
		if i := strings.Index(s, " ("); i > 0 && isEximAddress(s[:i]) {
			return s[:i]
		}
	}
	return s
}

// isEximAddress reports whether s is one word, apart from what is quoted in it.
func isEximAddress(s string) bool {
	return s != "" && quotedTokenLen(s) == len(s) && eximClosing(s) < 0
}

// quotedTokenLen returns the length of the word at the head of s: up to the
// first space that is not in double quotes, or the first one at all if a quote
// is not closed.
func quotedTokenLen(s string) int {
	i, open := indexUnquoted(s, ' ', ' ')
	if open {
		i = strings.IndexByte(s, ' ')
	}
	if i < 0 {
		return len(s)
	}
	return i
}

// eximClosing returns where in s the first angle bracket stands that is not in
// double quotes, -1 if there is none.
func eximClosing(s string) int {
	i, _ := indexUnquoted(s, '<', '>')
	return i
}

// indexUnquoted returns where in s the first a or b stands that is not in double
// quotes, -1 if there is none; open says that a quote is not closed then.
func indexUnquoted(s string, a, b byte) (i int, open bool) {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			open = !open
		case open:
			if c == '\\' {
				i++
			}
		case c == a || c == b:
			return i, false
		}
	}
	return -1, open
}

// sameEximAddress reports whether printed is the dequoted form of the address
// original, or of its local part, letter case aside.
func sameEximAddress(printed, original string) bool {
	i, quoted, local := 0, false, true
	for j := 0; j < len(original); j++ {
		c := original[j]
		switch {
		case c == '"' && local:
			quoted = !quoted
			continue
		case c == '\\' && quoted && j+1 < len(original):
			j++
			c = original[j]
		case c == '@' && !quoted:
			if i == len(printed) {
				return true
			}
			local = false
		}
		if i >= len(printed) || !sameLetter(printed[i], c) {
			return false
		}
		i++
	}
	return i == len(printed)
}

func sameLetter(a, b byte) bool {
	return a == b || a|0x20 == b|0x20 && a|0x20 >= 'a' && a|0x20 <= 'z'
}

// isEximPseudo reports whether an address is a command, path, reply or keyword
// instead of a mail address, or the bare local part of a local delivery.
func isEximPseudo(address string) bool {
	if address == "" {
		return true
	}
	switch address[0] {
	case '|', '/', ':', '>':
		return true
	}
	return strings.HasPrefix(address, "save ") || strings.IndexByte(address, '@') < 1
}
