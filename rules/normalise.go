package rules

import (
	"slices"
	"unicode"
	"unicode/utf8"
)

// maxText is how much of a reply is looked at, in bytes. No server needs more
// to say why it refuses; one that sends more wants to keep us busy.
const maxText = 16 << 10

// asciiFold maps an ASCII byte to its lower case, white space and control
// characters to a space, and what needs a closer look to 0: "@" and all bytes
// that are not ASCII.
var asciiFold = func() (t [256]byte) {
	for c := range 0x80 {
		switch {
		case c <= ' ' || c == 0x7f:
			t[c] = ' '
		case c >= 'A' && c <= 'Z':
			t[c] = byte(c) + 'a' - 'A'
		case c == '@':
		default:
			t[c] = byte(c)
		}
	}
	return t
}()

// normalise appends to dst the form of text that patterns are compared with:
// case folded, each run of white space and control characters one space, none
// at the ends, a typographic apostrophe plain, bytes that are not UTF-8 a "?".
// The local parts of addresses are left out: whoever sends mail or takes it
// chooses their words, and these must not decide anything.
func normalise(dst []byte, text string) []byte {
	if len(text) > maxText {
		text = text[:maxText]
	}
	start, last := len(dst), byte(' ') // as if after a space: none at the start
	for i := 0; i < len(text); {
		var ascii int
		dst, last, ascii = appendASCII(dst, last, text[i:])
		if i += ascii; i == len(text) {
			break
		}
		r, n := utf8.DecodeRuneInString(text[i:])
		i += n
		if r == '@' {
			dst, last = append(cutLocalPart(dst, start), '@'), '@'
		} else if !unicode.IsSpace(r) && r != zeroWidthSpace {
			dst, last = appendFolded(dst, r, n), 0
		} else if last != ' ' {
			dst, last = append(dst, ' '), ' '
		}
	}
	if last == ' ' && len(dst) > start {
		dst = dst[:len(dst)-1]
	}
	return dst
}

const zeroWidthSpace = '\u200b'

// appendASCII appends the folded ASCII bytes that text starts with and returns
// the last byte and how many there were. A byte that is not kept is overwritten
// by the next, which saves a branch for each.
func appendASCII(dst []byte, last byte, text string) ([]byte, byte, int) {
	n := len(dst)
	dst = slices.Grow(dst, len(text))[:n+len(text)]
	i := 0
	for ; i < len(text); i++ {
		c := asciiFold[text[i]]
		if c == 0 {
			break
		}
		dst[n] = c
		if c != ' ' || last != ' ' {
			n++
		}
		last = c
	}
	return dst[:n], last, i
}

// cutLocalPart removes what stands before an "@" in dst, back to a space or
// another byte that delimits addresses.
func cutLocalPart(dst []byte, start int) []byte {
	n := len(dst)
	for n > start && !delimiter[dst[n-1]] {
		n--
	}
	return dst[:n]
}

// delimiter tells the bytes that stand around addresses.
var delimiter = func() (t [256]bool) {
	for _, c := range []byte(" <>()[]{},;:\"@|\\") {
		t[c] = true
	}
	return t
}()

func appendFolded(dst []byte, r rune, size int) []byte {
	switch {
	case r == utf8.RuneError && size == 1:
		return append(dst, '?')
	case r == '\u2019' || r == '\u2018':
		return append(dst, '\'')
	}
	return utf8.AppendRune(dst, foldRune(r))
}

// foldRune returns the one rune that stands for all that are equal to r under
// Unicode simple folding: the lower case of the smallest.
func foldRune(r rune) rune {
	least := r
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		least = min(least, f)
	}
	if least == r && unicode.SimpleFold(r) == r {
		return r
	}
	return unicode.ToLower(least)
}
