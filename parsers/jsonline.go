package parsers

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// readJSON reads a line of rsyslog's JSON template (jsonf): an object of
// strings. The tag is taken from "tag" or "syslogtag", because "program" is cut
// at the first slash. Bytes that are no UTF-8 pass. An object without any of
// these may hold a whole line, as container logs do.
func (r *envelopeReader) readJSON(line string) (envelope, bool) {
	var e envelope
	var tag, message string
	r.scratch = r.scratch[:0]
	ok := eachMember(line, func(key, value string) {
		switch key {
		case "timestamp", "@timestamp", "time", "timereported":
			e.stamp = value
		case "host", "hostname", "HOSTNAME":
			e.host = value
		case "tag", "syslogtag":
			tag = value
		case "procid", "pid":
			e.pid = value
		case "message", "msg", "log":
			message = value
		case "program", "programname", "app-name":
			if e.tag == "" {
				e.tag = value
			}
		}
	})
	if !ok || message == "" {
		return envelope{}, false
	}
	if tag != "" {
		pid := e.pid
		if tag, e.copied = r.unescape(tag); !e.readTag(tag) {
			e.tag = strings.TrimRight(tag, ": ")
		}
		if e.pid == "" {
			e.pid = pid
		}
		if e.copied { // rare: a tag with escapes would not outlive the scratch space
			e.tag, e.pid = strings.Clone(e.tag), strings.Clone(e.pid)
		}
	}
	if tag == "" && e.tag == "" {
		return r.readInner(message)
	}
	e.message, e.copied = r.unescape(message)
	e.message = strings.TrimPrefix(e.message, " ")
	return e, e.tag != ""
}

// readInner reads the line that is the value of a member.
func (r *envelopeReader) readInner(value string) (envelope, bool) {
	line, copied := r.unescape(value)
	line = strings.TrimRight(line, "\r\n")
	if strings.HasPrefix(line, "{") || strings.HasPrefix(line, "<") || strings.IndexByte(line, '\n') >= 0 {
		return envelope{}, false
	}
	e, ok := r.read(line)
	e.copied, e.inner = copied, copied
	return e, ok
}

// eachMember calls f with the name and the still escaped value of each string
// member of the JSON object that line is; other members are skipped. It returns
// false where line is no JSON object on one level or is cut.
func eachMember(line string, f func(key, value string)) bool {
	return eachValue(line, func(key, value string, kind jsonKind) bool {
		if kind != jsonArray {
			f(key, value)
		}
		return kind != jsonArray
	})
}

// jsonKind is what a member of a JSON object is.
type jsonKind uint8

const (
	jsonAbsent jsonKind = iota
	jsonString          // without its quotes, still escaped
	jsonArray           // with its brackets
	jsonOther           // a number, true, false or null
)

// eachValue calls f with each member of the JSON object that line is, until f
// returns false. It returns false then, and where line is cut, no JSON object or
// has an object in it.
func eachValue(line string, f func(key, value string, kind jsonKind) bool) bool {
	s := strings.TrimLeft(line, " \t")
	if !strings.HasPrefix(s, "{") {
		return false
	}
	s = skipSpace(s[1:])
	for {
		if strings.HasPrefix(s, "}") {
			return true
		}
		key, rest, ok := cutString(s)
		if !ok {
			return false
		}
		s = skipSpace(rest)
		if !strings.HasPrefix(s, ":") {
			return false
		}
		value, rest, kind, ok := cutValue(skipSpace(s[1:]))
		if !ok || !f(key, value, kind) {
			return false
		}
		s = skipSpace(rest)
		if strings.HasPrefix(s, ",") {
			s = skipSpace(s[1:])
		}
	}
}

// cutValue cuts a JSON value that is no object off the head of s. A plain one
// ends at the "," or bracket that must follow it.
func cutValue(s string) (value, rest string, kind jsonKind, ok bool) {
	switch {
	case strings.HasPrefix(s, `"`):
		value, rest, ok = cutString(s)
		return value, rest, jsonString, ok
	case strings.HasPrefix(s, "["):
		value, rest, ok = cutArray(s)
		return value, rest, jsonArray, ok
	}
	n := strings.IndexAny(s, ",}{][\"")
	if n < 1 || s[n] != ',' && s[n] != '}' && s[n] != ']' {
		return "", s, jsonOther, false
	}
	return strings.TrimRight(s[:n], " \t"), s[n:], jsonOther, true
}

// cutArray cuts a JSON array without objects off the head of s.
func cutArray(s string) (value, rest string, ok bool) {
	depth := 0
	for i := 0; i < len(s); {
		n := strings.IndexAny(s[i:], `[]"{`)
		if n < 0 {
			break
		}
		i += n
		switch s[i] {
		case '[':
			depth++
		case ']':
			if depth--; depth == 0 {
				return s[:i+1], s[i+1:], true
			}
		case '"':
			_, after, ok := cutString(s[i:])
			if !ok {
				return "", s, false
			}
			i = len(s) - len(after)
			continue
		case '{':
			return "", s, false
		}
		i++
	}
	return "", s, false
}

func skipSpace(s string) string { return strings.TrimLeft(s, " \t\r") }

// cutString cuts a JSON string off the head of s and returns it without quotes,
// its escapes in place.
func cutString(s string) (value, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		return "", s, false
	}
	end := 1
	for {
		n := strings.IndexByte(s[end:], '"')
		if n < 0 {
			return "", s, false
		}
		escape := strings.IndexByte(s[end:end+n], '\\')
		if escape < 0 {
			end += n
			return s[1:end], s[end+1:], true
		}
		if end += escape + 2; end > len(s) {
			return "", s, false
		}
	}
}

// unescape undoes JSON escapes. Text without any is returned as it is; other
// text is put into the scratch space.
func (r *envelopeReader) unescape(s string) (text string, copied bool) {
	if strings.IndexByte(s, '\\') < 0 {
		return s, false
	}
	start := len(r.scratch)
	r.scratch = appendUnescaped(r.scratch, s)
	return view(r.scratch[start:]), true
}

// appendUnescaped appends s with its JSON escapes undone.
func appendUnescaped(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b = append(b, s[i])
			continue
		}
		i++
		switch s[i] {
		case 'n':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 't':
			b = append(b, '\t')
		case 'b':
			b = append(b, '\b')
		case 'f':
			b = append(b, '\f')
		case 'u':
			r, n := unescapeRune(s[i-1:])
			b = utf8.AppendRune(b, r)
			i += n - 2
		default:
			b = append(b, s[i])
		}
	}
	return b
}

// unescapeRune reads \uXXXX, or a surrogate pair of them, at the head of s and
// returns the length read; what is damaged reads as U+FFFD.
func unescapeRune(s string) (rune, int) {
	high, ok := hex4(s)
	if !ok {
		return utf8.RuneError, 2
	}
	if !utf16.IsSurrogate(high) {
		return high, 6
	}
	if low, ok := hex4(s[6:]); ok {
		if r := utf16.DecodeRune(high, low); r != utf8.RuneError {
			return r, 12
		}
	}
	return utf8.RuneError, 6
}

func hex4(s string) (rune, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range []byte(s[2:6]) {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}
