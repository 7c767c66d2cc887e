package parsers

import (
	"bytes"
	"strings"
	"time"

	"mtatap/event"
)

// journal gives a parser the records of journald, as "journalctl -o json" writes
// them, as the syslog lines that rsyslog would have made of them. Other lines pass
// as they are.
//
// A delivery of a record carries its cursor, and as Raw the message alone: the
// fields of a record come in another order whenever it is read.
type journal struct {
	Parser
	line    []byte // the syslog line of a record
	scratch []byte // values without their escapes
	cursor  []byte // of the last record
}

func newJournal(p Parser) Parser { return &journal{Parser: p} }

// Parse implements Parser.
func (j *journal) Parse(dst []event.Delivery, line Line) ([]event.Delivery, error) {
	if len(line.Text) == 0 || line.Text[0] != '{' || !j.read(line.Text) {
		return j.Parser.Parse(dst, line)
	}
	line.Text = j.line
	before := len(dst)
	dst, err := j.Parser.Parse(dst, line)
	j.mark(dst[before:])
	if err != nil {
		err = &RecordError{Err: err, Line: string(j.line), Cursor: string(j.cursor)}
	}
	return dst, err
}

// RecordError is the error of a record of journald, which has the UnparsedError.
type RecordError struct {
	Err    error
	Line   string // what was read, in the form of syslog
	Cursor string // of the record
}

func (e *RecordError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *RecordError) Unwrap() error { return e.Err }

// Flush implements Parser. What was held back has the cursor of the last record.
func (j *journal) Flush(dst []event.Delivery) []event.Delivery {
	before := len(dst)
	dst = j.Parser.Flush(dst)
	if len(j.cursor) > 0 {
		j.mark(dst[before:])
	}
	return dst
}

// mark says of deliveries that they come from the last record.
func (j *journal) mark(deliveries []event.Delivery) {
	if len(deliveries) == 0 {
		return
	}
	cursor := string(j.cursor)
	for i := range deliveries {
		d := &deliveries[i]
		d.Cursor = cursor
		if _, message, ok := strings.Cut(d.Raw, ": "); ok { // behind "stamp host tag[pid]"
			d.Raw = message
		}
	}
}

// journalRecord holds the fields of a record that matter, still escaped.
type journalRecord struct {
	cursor, message         journalValue
	host, tag, command      journalValue
	pid, process            journalValue
	sourceTime, journalTime journalValue
}

// journalValue is the value of a field: a string, or an array where a field is
// there several times or is no printable UTF-8.
type journalValue struct {
	text string
	kind jsonKind
}

// field returns where the field of that name belongs, nil if it does not matter.
func (r *journalRecord) field(name string) *journalValue {
	switch name {
	case "__CURSOR":
		return &r.cursor
	case "MESSAGE":
		return &r.message
	case "_HOSTNAME":
		return &r.host
	case "SYSLOG_IDENTIFIER":
		return &r.tag
	case "_COMM":
		return &r.command
	case "SYSLOG_PID":
		return &r.pid
	case "_PID":
		return &r.process
	case "_SOURCE_REALTIME_TIMESTAMP":
		return &r.sourceTime
	case "__REALTIME_TIMESTAMP":
		return &r.journalTime
	}
	return nil
}

// read sets line and cursor to those of the record that text is. It returns false
// where text is no record with a message, or not one of syslog's kind.
func (j *journal) read(text []byte) bool {
	if !bytes.Contains(text, journalMark) {
		return false
	}
	var r journalRecord
	if !eachValue(view(text), func(key, value string, kind jsonKind) bool {
		if v := r.field(key); v != nil {
			*v = journalValue{value, kind}
		}
		return true
	}) {
		return false
	}
	stamp, ok := journalTime(r.sourceTime.text)
	if !ok {
		if stamp, ok = journalTime(r.journalTime.text); !ok {
			return false
		}
	}
	if r.tag.text == "" {
		r.tag = r.command
	}
	if r.pid.text == "" {
		r.pid = r.process
	}
	cursor := j.value(r.cursor)
	if len(cursor) == 0 || len(cursor) > maxRememberedField || r.tag.text == "" || r.message.kind != jsonString && r.message.kind != jsonArray {
		return false
	}
	j.cursor = append(j.cursor[:0], cursor...)

	b := stamp.AppendFormat(j.line[:0], "2006-01-02T15:04:05.000000Z ")
	b = appendPlain(b, j.value(r.host))
	b = append(b, ' ')
	b = appendPlain(b, j.value(r.tag))
	if pid := j.value(r.pid); len(pid) > 0 && len(pid) <= 20 && allDigits(view(pid)) {
		b = append(b, '[')
		b = append(b, pid...)
		b = append(b, ']')
	}
	b = append(b, ": "...)
	b = append(b, j.value(r.message)...)
	j.line = bytes.TrimRight(b, "\r\n")
	return true
}

// journalMark is in every record: a quote within a value is escaped.
var journalMark = []byte(`"__CURSOR"`)

// journalTime reads microseconds since 1970.
func journalTime(s string) (time.Time, bool) {
	const beyond = 253_402_300_800_000_000 // the year 10000
	if len(s) == 0 || len(s) > 18 || !allDigits(s) {
		return time.Time{}, false
	}
	n := int64(0)
	for i := 0; i < len(s); i++ {
		n = n*10 + int64(s[i]-'0')
	}
	return time.UnixMicro(n).UTC(), n < beyond
}

// value returns the bytes that v stands for, valid until the next call. Of a
// field that is there several times it is the first that has any.
func (j *journal) value(v journalValue) []byte {
	switch v.kind {
	case jsonString:
		j.scratch = appendUnescaped(j.scratch[:0], v.text)
	case jsonArray:
		j.scratch = appendJournalArray(j.scratch[:0], v.text)
	default:
		j.scratch = j.scratch[:0]
	}
	return j.scratch
}

// appendJournalArray appends the bytes that an array lists, or the first string
// or array of bytes in it.
func appendJournalArray(b []byte, s string) []byte {
	s = skipSpace(s[1:])
	for s != "" && s[0] != ']' {
		value, rest, kind, ok := cutValue(s)
		if !ok {
			return b
		}
		switch kind {
		case jsonString:
			return appendUnescaped(b, value)
		case jsonArray:
			return appendBytesOf(b, value[1:])
		}
		if n, ok := journalByte(value); ok {
			return appendBytesOf(append(b, n), rest)
		}
		s = skipSpace(strings.TrimPrefix(rest, ",")) // null
	}
	return b
}

// appendBytesOf appends the numbers that follow, up to the end of their array.
func appendBytesOf(b []byte, s string) []byte {
	for {
		s = skipSpace(strings.TrimPrefix(skipSpace(s), ","))
		end := 0
		for end < len(s) && isDigit(s[end]) {
			end++
		}
		n, ok := journalByte(s[:end])
		if !ok {
			return b
		}
		b = append(b, n)
		s = s[end:]
	}
}

func journalByte(s string) (byte, bool) {
	if len(s) == 0 || len(s) > 3 || !allDigits(s) {
		return 0, false
	}
	n := 0
	for i := 0; i < len(s); i++ {
		n = n*10 + int(s[i]-'0')
	}
	return byte(n), n < 256
}

// appendPlain appends a host or tag so that it ends where the next space or colon
// of the line is.
func appendPlain(b, s []byte) []byte {
	for _, c := range clip(s) {
		if c <= ' ' || c == ':' || c == '[' || c == ']' || c == 0x7f {
			c = '_'
		}
		b = append(b, c)
	}
	return b
}
