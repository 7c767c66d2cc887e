package event

import (
	"iter"
	"slices"
	"strings"
)

// Reply is an SMTP or LMTP reply (RFC 5321 section 4.2) taken from a log.
type Reply struct {
	Code     int    // reply code of the last line, 200 to 599; 0 if the text has none
	Enhanced string // enhanced status code (RFC 3463) of the last line; "" if none
	// Text is the whole reply folded to one line: code and enhanced code once,
	// in front, then the words of every line joined by one space.
	Text string
}

// ParseReply reads a reply as logs keep it: its lines separated by newlines
// or, as Postfix writes them, by a single space with the code of each line in
// place ("550-5.1.1 No such 550 5.1.1 user"). Text without a reply code is
// returned as it is, with its white space at the ends removed and newlines
// turned into spaces. A reply of one line costs no allocation.
func ParseReply(s string) Reply {
	s = strings.TrimSpace(s)
	code, sep := replyCode(s)
	if code == 0 {
		if strings.IndexByte(s, '\n') < 0 {
			return Reply{Text: s}
		}
		return Reply{Text: strings.Join(slices.Collect(splitLines(s)), " ")}
	}
	if sep != '-' && strings.IndexByte(s, '\n') < 0 {
		enhanced, _ := CutEnhanced(afterCode(s))
		return Reply{Code: code, Enhanced: enhanced, Text: s}
	}
	return foldReply(s)
}

// foldReply folds a reply of several lines; s starts with a reply code.
func foldReply(s string) Reply {
	var few [16]string
	lines := few[:0]
	for l := range splitLines(s) {
		lines = splitContinued(lines, l)
	}
	var r Reply
	for _, l := range lines {
		if code, _ := replyCode(l); code != 0 {
			r.Code = code
			r.Enhanced, _ = CutEnhanced(afterCode(l))
		}
	}
	var text strings.Builder
	text.Grow(len(s) + len(" ") + len(r.Enhanced))
	for _, digit := range [...]int{r.Code / 100, r.Code / 10 % 10, r.Code % 10} {
		text.WriteByte(byte('0' + digit))
	}
	if r.Enhanced != "" {
		text.WriteByte(' ')
		text.WriteString(r.Enhanced)
	}
	for _, l := range lines {
		words := l
		if code, _ := replyCode(l); code != 0 {
			_, words = CutEnhanced(afterCode(l))
		}
		if words = strings.TrimSpace(words); words != "" {
			text.WriteByte(' ')
			text.WriteString(words)
		}
	}
	r.Text = text.String()
	return r
}

// splitContinued appends the lines that Postfix joined with spaces in s. Only
// a continued line ("550-") can be followed by another. The next line carries
// the same code; where none does, a reply that changes its mind ("450-" and
// then "550 ") is cut at the last other code of class 2, 4 or 5.
func splitContinued(lines []string, s string) []string {
	for {
		code, sep := replyCode(s)
		if code == 0 || sep != '-' {
			return append(lines, s)
		}
		cut := nextLine(s[4:], s[:3])
		if cut < 0 {
			if cut = lastOtherCode(s[4:]); cut < 0 {
				return append(lines, s)
			}
		}
		lines = append(lines, s[:4+cut])
		s = s[4+cut+1:]
	}
}

// nextLine returns where in s a space is followed by code and a separator.
func nextLine(s, code string) int {
	for from := 0; ; {
		i := strings.IndexByte(s[from:], ' ')
		if i < 0 {
			return -1
		}
		from += i
		rest := s[from+1:]
		if strings.HasPrefix(rest, code) && (len(rest) == 3 || rest[3] == '-' || rest[3] == ' ') {
			return from
		}
		from++
	}
}

func lastOtherCode(s string) int {
	for i := len(s) - 4; i >= 0; i-- {
		if s[i] != ' ' {
			continue
		}
		if code, sep := replyCode(s[i+1:]); code != 0 && code/100 != 3 && sep != '-' {
			return i
		}
	}
	return -1
}

// replyCode returns the reply code that s starts with and what separates it
// from the text: ' ', '-' or 0 at the end of s. Code 0 means that there is none.
func replyCode(s string) (code int, sep byte) {
	if len(s) < 3 || s[0] < '2' || s[0] > '5' || !digit(s[1]) || !digit(s[2]) {
		return 0, 0
	}
	if len(s) > 3 {
		sep = s[3]
		if sep != ' ' && sep != '-' {
			return 0, 0
		}
	}
	return int(s[0]-'0')*100 + int(s[1]-'0')*10 + int(s[2]-'0'), sep
}

func afterCode(s string) string {
	if len(s) <= 4 {
		return ""
	}
	return s[4:]
}

// CutEnhanced splits an enhanced status code (RFC 3463: class 2, 4 or 5, then
// subject and detail of one to three digits) off the front of s, past leading
// spaces and a "#", and returns the code ("" if there is none) and the rest.
func CutEnhanced(s string) (enhanced, rest string) {
	t := strings.TrimLeft(s, " ")
	t = strings.TrimPrefix(t, "#")
	n := EnhancedLen(t)
	if n == 0 {
		return "", s
	}
	return t[:n], t[n:]
}

// EnhancedLen returns the length of the enhanced status code that s starts
// with, 0 if it does not start with one. The code must not run on into a
// letter, a digit or a further dot and digit.
func EnhancedLen(s string) int {
	if len(s) < 5 || (s[0] != '2' && s[0] != '4' && s[0] != '5') || s[1] != '.' {
		return 0
	}
	i := 2
	for part := 0; part < 2; part++ {
		n := 0
		for i < len(s) && digit(s[i]) {
			i, n = i+1, n+1
		}
		if n == 0 || n > 3 {
			return 0
		}
		if part == 0 {
			if i >= len(s) || s[i] != '.' {
				return 0
			}
			i++
		}
	}
	if i < len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' {
			return 0
		}
		if c == '.' && i+1 < len(s) && digit(s[i+1]) {
			return 0
		}
	}
	return i
}

// splitLines yields the lines of s that hold something, without their ends.
func splitLines(s string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for l := range strings.SplitSeq(s, "\n") {
			if l = strings.TrimRight(l, "\r"); l != "" && !yield(l) {
				return
			}
		}
	}
}

func digit(c byte) bool { return c >= '0' && c <= '9' }
