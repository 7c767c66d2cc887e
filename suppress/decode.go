package suppress

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"mtatap/event"
)

var errNoEvent = errors.New("read event: not a JSON object of schema version 1")

// Decoder reads what an event in JSON says of its recipient, and nothing else of
// it. The zero value is ready; one goroutine owns it.
type Decoder struct {
	event event.Event
	words words
}

// words are what only failures need. They are part of the value, so that deliveries,
// which are most events, cost no strings.
type words struct{ host, queueID, messageID, enhancedCode, diagnostic, category, bounceType, action, reason []byte }

// Decode returns the recipient, lower-cased, and what value, an event of the
// published schema, says about it. Unknown members are passed over; of repeated
// ones the last counts. It keeps nothing of value. An error means that value is no
// event; a value that names no recipient, or an address longer than any can be, is
// Nothing about "".
func (d *Decoder) Decode(value []byte) (recipient string, o Outcome, err error) {
	d.event, d.words = event.Event{}, words{}
	defer func() { d.words = words{} }()
	s := scanner{rest: value}
	version := 0
	for first := true; ; first = false {
		name, more := s.member(first)
		if !more {
			break
		}
		if string(name) == "schema_version" {
			version = s.number()
		} else {
			d.field(name, &s)
		}
		if s.bad {
			return "", Outcome{}, errNoEvent
		}
	}
	if s.bad || !s.atEnd() || version != event.SchemaVersion {
		return "", Outcome{}, errNoEvent
	}
	if d.event.Status != event.Delivered {
		d.words.copyTo(&d.event)
	}
	o = OutcomeOf(&d.event)
	if o.Kind == Nothing {
		return "", o, nil
	}
	return d.event.Key(), o, nil
}

func (w *words) copyTo(e *event.Event) {
	e.Host, e.QueueID, e.MessageID = string(w.host), string(w.queueID), string(w.messageID)
	e.EnhancedCode, e.Diagnostic, e.Reason = string(w.enhancedCode), string(w.diagnostic), string(w.reason)
	e.Category, e.BounceType, e.Action = event.Category(w.category), event.BounceType(w.bounceType), event.Action(w.action)
}

// field reads the member name, if it matters.
func (d *Decoder) field(name []byte, s *scanner) {
	e, w := &d.event, &d.words
	switch string(name) { // does not allocate
	case "id":
		if text := s.text(); len(text) == 2*len(e.ID) {
			if _, err := hex.Decode(e.ID[:], text); err != nil {
				s.bad = true
			}
		} else {
			s.bad = true
		}
	case "time":
		e.Time = s.time()
	case "observed_time":
		e.Observed = s.time()
	case "host":
		w.host = s.text()
	case "queue_id":
		w.queueID = s.text()
	case "message_id":
		w.messageID = s.text()
	case "recipient":
		e.Recipient = string(s.text())
	case "status":
		e.Status = event.StatusUnknown
		text := s.text()
		for _, known := range event.Statuses() {
			if string(text) == known.String() {
				e.Status = known
			}
		}
	case "attempted":
		e.NotAttempted = s.literal() == 'f'
	case "smtp_code":
		e.SMTPCode = s.number()
	case "enhanced_code":
		w.enhancedCode = s.text()
	case "diagnostic":
		w.diagnostic = s.text()
	case "category":
		w.category = s.text()
	case "bounce_type":
		w.bounceType = s.text()
	case "action":
		w.action = s.text()
	case "reason":
		w.reason = s.text()
	default:
		s.skip()
	}
}

// scanner reads JSON (RFC 8259) from left to right. After a mistake bad is set and
// all else is empty.
type scanner struct {
	rest []byte
	bad  bool
}

func (s *scanner) fail() []byte {
	s.bad, s.rest = true, nil
	return nil
}

func (s *scanner) space() {
	for len(s.rest) > 0 && (s.rest[0] == ' ' || s.rest[0] == '\n' || s.rest[0] == '\t' || s.rest[0] == '\r') {
		s.rest = s.rest[1:]
	}
}

// take takes c, which may follow white space.
func (s *scanner) take(c byte) bool {
	s.space()
	if len(s.rest) == 0 || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

// member returns the name of the next member and stops before its value, or
// reports that the object ends.
func (s *scanner) member(first bool) (name []byte, more bool) {
	if first && !s.take('{') {
		return s.fail(), false
	}
	if s.take('}') {
		return nil, false
	}
	if !first && !s.take(',') {
		return s.fail(), false
	}
	name = s.text()
	if !s.take(':') {
		return s.fail(), false
	}
	s.space()
	return name, !s.bad
}

func (s *scanner) atEnd() bool {
	s.space()
	return len(s.rest) == 0
}

// text returns the content of the string that comes next. It is part of the value
// where nothing in it is escaped.
func (s *scanner) text() []byte {
	if !s.take('"') {
		return s.fail()
	}
	for i, c := range s.rest {
		switch {
		case c == '"':
			text := s.rest[:i]
			s.rest = s.rest[i+1:]
			return text
		case c == '\\' || c >= 0x80:
			return s.escaped(i)
		case c < ' ':
			return s.fail()
		}
	}
	return s.fail()
}

// escaped reads a string that has escapes, or bytes that may be no UTF-8, from the
// i-th byte on.
func (s *scanner) escaped(i int) []byte {
	for ; i < len(s.rest); i++ {
		switch s.rest[i] {
		case '\\':
			i++
		case '"':
			quoted := make([]byte, 0, i+2)
			quoted = append(append(append(quoted, '"'), s.rest[:i]...), '"')
			var text string
			if json.Unmarshal(quoted, &text) != nil {
				return s.fail()
			}
			s.rest = s.rest[i+1:]
			return []byte(text)
		}
	}
	return s.fail()
}

// bare returns a number or a word.
func (s *scanner) bare() []byte {
	s.space()
	n := 0
	for n < len(s.rest) && s.rest[n] != ',' && s.rest[n] != '}' && s.rest[n] != ']' && s.rest[n] > ' ' {
		n++
	}
	text := s.rest[:n]
	s.rest = s.rest[n:]
	if !json.Valid(text) || len(text) > 0 && (text[0] == '"' || text[0] == '[' || text[0] == '{') {
		return s.fail()
	}
	return text
}

func (s *scanner) number() int {
	n, err := strconv.Atoi(string(s.bare()))
	s.bad = s.bad || err != nil
	return n
}

// literal returns the first letter of true or false.
func (s *scanner) literal() byte {
	if text := s.bare(); string(text) == "true" || string(text) == "false" {
		return text[0]
	}
	s.fail()
	return 0
}

func (s *scanner) time() time.Time {
	t, err := time.Parse(time.RFC3339Nano, string(s.text()))
	s.bad = s.bad || err != nil
	return t.UTC()
}

// skip passes over any value.
func (s *scanner) skip() {
	s.space()
	if len(s.rest) == 0 {
		s.fail()
		return
	}
	switch s.rest[0] {
	case '"':
		s.text()
	case '{', '[':
		end, err := nested(s.rest)
		if err != nil {
			s.fail()
			return
		}
		s.rest = s.rest[end:]
	default:
		s.bare()
	}
}

// nested returns where the object or list at the head of text ends.
func nested(text []byte) (int, error) {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth--; depth == 0 {
				if !json.Valid(text[:i+1]) {
					return 0, fmt.Errorf("read value: no JSON")
				}
				return i + 1, nil
			}
		}
	}
	return 0, fmt.Errorf("read value: no end")
}
