package cli

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

// question is one reply to classify. It is valid as long as the line that it was
// read from, which it shares.
type question struct {
	ID        json.RawMessage `json:"id"`
	Text      string          `json:"text"`
	Provider  string          `json:"provider"`
	RelayHost string          `json:"relay_host"`
	Status    string          `json:"status"`
}

// readQuestion reads a JSON object; keys that are not known are ignored. Lines
// as programs write them are scanned here, several times as quickly as
// encoding/json does; it reads all others and finds the words for what is wrong.
func readQuestion(line []byte) (question, error) {
	var q question
	if scanQuestion(line, &q) {
		return q, nil
	}
	return decodeQuestion(line)
}

// decodeQuestion is apart so that only here a question is on the heap.
func decodeQuestion(line []byte) (question, error) {
	var q question
	err := json.Unmarshal(line, &q)
	return q, err
}

// scanQuestion reports whether it could read line into q. If so, encoding/json
// reads the same.
func scanQuestion(line []byte, q *question) bool {
	s := scanner{line: line}
	if !s.take('{') {
		return false
	}
	if s.take('}') {
		return s.end()
	}
	for {
		s.space()
		key, escaped, ok := s.quoted()
		if !ok || escaped || !s.take(':') {
			return false
		}
		s.space()
		start := s.at
		switch string(key) {
		case "id":
			ok = s.skip(maxNesting)
			q.ID = line[start:s.at]
		case "text":
			q.Text, ok = s.text()
		case "provider":
			q.Provider, ok = s.text()
		case "relay_host":
			q.RelayHost, ok = s.text()
		case "status":
			q.Status, ok = s.text()
		default:
			ok = !resemblesKey(key) && s.skip(maxNesting)
		}
		if !ok {
			return false
		}
		if !s.take(',') {
			return s.take('}') && s.end()
		}
	}
}

// resemblesKey reports whether encoding/json takes key, which is spelled in
// another way, for a known one.
func resemblesKey(key []byte) bool {
	for _, known := range [...]string{"id", "text", "provider", "relay_host", "status"} {
		if strings.EqualFold(string(key), known) {
			return true
		}
	}
	return false
}

// maxNesting bounds arrays and objects in each other; deeper ones are left to
// encoding/json.
const maxNesting = 16

// scanner reads JSON (RFC 8259) from the left. Its methods report whether what
// they are asked for stands there.
type scanner struct {
	line []byte
	at   int
}

func (s *scanner) space() {
	for s.at < len(s.line) {
		switch s.line[s.at] {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return
		}
	}
}

// take skips white space and then c.
func (s *scanner) take(c byte) bool {
	s.space()
	if s.at < len(s.line) && s.line[s.at] == c {
		s.at++
		return true
	}
	return false
}

func (s *scanner) end() bool {
	s.space()
	return s.at == len(s.line)
}

// quoted reads a string and returns what stands between its quotes, and whether
// that has escapes.
func (s *scanner) quoted() (raw []byte, escaped, ok bool) {
	if s.at == len(s.line) || s.line[s.at] != '"' {
		return nil, false, false
	}
	rest := s.line[s.at+1:]
	for n := 0; n < len(rest); n++ {
		for n < len(rest) && ordinary[rest[n]] {
			n++
		}
		if n == len(rest) {
			break
		}
		if rest[n] == '"' {
			s.at += n + 2
			return rest[:n], escaped, true
		}
		_, size := unescape(rest[n:])
		if size == 0 {
			break
		}
		escaped, n = true, n+size-1
	}
	return nil, false, false
}

// ordinary tells the bytes that mean themselves in a string.
var ordinary = func() (t [256]bool) {
	for c := ' '; c < 256; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return
}()

// text reads a string of valid UTF-8.
func (s *scanner) text() (string, bool) {
	raw, escaped, ok := s.quoted()
	if !ok || !utf8.Valid(raw) {
		return "", false
	}
	if !escaped {
		return unsafe.String(unsafe.SliceData(raw), len(raw)), true
	}
	plain := make([]byte, 0, len(raw))
	for len(raw) > 0 {
		i := bytes.IndexByte(raw, '\\')
		if i < 0 {
			plain = append(plain, raw...)
			break
		}
		plain = append(plain, raw[:i]...)
		r, size := unescape(raw[i:])
		raw = raw[i+size:]
		if utf16.IsSurrogate(r) {
			low, size := unescape(raw)
			if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
				return "", false
			}
			raw = raw[size:]
		}
		plain = utf8.AppendRune(plain, r)
	}
	return string(plain), true
}

// unescape reads the escape that b starts with; size 0 means that there is none.
func unescape(b []byte) (r rune, size int) {
	if len(b) < 2 || b[0] != '\\' {
		return 0, 0
	}
	if b[1] == 'u' {
		for i := 2; i < 6; i++ {
			if i == len(b) {
				return 0, 0
			}
			digit := strings.IndexByte("0123456789abcdef", b[i]|0x20)
			if digit < 0 || b[i] < '0' {
				return 0, 0
			}
			r = r<<4 | rune(digit)
		}
		return r, 6
	}
	i := strings.IndexByte(`"\/bfnrt`, b[1])
	if i < 0 {
		return 0, 0
	}
	return rune("\"\\/\b\f\n\r\t"[i]), 2
}

// skip reads any value that has at most depth others around each other in it.
func (s *scanner) skip(depth int) bool {
	s.space()
	if s.at == len(s.line) || depth == 0 {
		return false
	}
	switch c := s.line[s.at]; c {
	case '"':
		_, _, ok := s.quoted()
		return ok
	case '{':
		return s.skipAll('}', func() bool {
			s.space()
			_, _, ok := s.quoted()
			return ok && s.take(':') && s.skip(depth-1)
		})
	case '[':
		return s.skipAll(']', func() bool { return s.skip(depth - 1) })
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	}
	return s.number()
}

// skipAll reads the items of an array or object, of which the first byte is
// known, up to its end.
func (s *scanner) skipAll(end byte, item func() bool) bool {
	s.at++
	if s.take(end) {
		return true
	}
	for item() {
		if !s.take(',') {
			return s.take(end)
		}
	}
	return false
}

func (s *scanner) word(w string) bool {
	ok := bytes.HasPrefix(s.line[s.at:], []byte(w))
	s.at += len(w)
	return ok
}

func (s *scanner) number() bool {
	s.one("-")
	if !s.one("0") && !s.digits() {
		return false
	}
	if s.one(".") && !s.digits() {
		return false
	}
	if s.one("eE") {
		s.one("+-")
		return s.digits()
	}
	return true
}

// one reads one byte of set.
func (s *scanner) one(set string) bool {
	ok := s.at < len(s.line) && strings.IndexByte(set, s.line[s.at]) >= 0
	if ok {
		s.at++
	}
	return ok
}

func (s *scanner) digits() bool {
	start := s.at
	for s.at < len(s.line) && s.line[s.at] >= '0' && s.line[s.at] <= '9' {
		s.at++
	}
	return s.at > start
}
