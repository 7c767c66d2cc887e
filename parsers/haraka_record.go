package parsers

import "strings"

// harakaFormat is one of the three formats of Haraka's logger.
type harakaFormat uint8

const (
	harakaDefault harakaFormat = iota // [LEVEL] [uuid] [origin] message key=value ...
	harakaLogfmt                      // level=.. uuid=.. origin=.. message=".." key=value ...
	harakaJSON                        // {"level":"..","uuid":"..","origin":"..","message":"..", ...}
)

// harakaRecord is one record of Haraka's logger, split at its head. Its strings
// are parts of the line, so that values of logfmt and JSON are still escaped.
type harakaRecord struct {
	format  harakaFormat
	level   string // NOTICE, INFO, ...
	uuid    string // connection, connection.transaction or item; "-" for none
	origin  string // core, outbound or the name of a plugin
	message string
	// fields follow the message in logfmt and JSON. In the default format they
	// are part of the message, because nothing marks where it ends.
	fields string
}

// readHaraka reads the head that Haraka's logger.js writes. The origin of
// versions before 3.1, which write "[core] [outbound] text", is that in the text.
func readHaraka(s string) (harakaRecord, bool) {
	r, ok := harakaRecord{}, false
	switch {
	case strings.HasPrefix(s, "["):
		r, ok = readHarakaDefault(s)
	case strings.HasPrefix(s, "level="):
		r, ok = readHarakaFields(harakaLogfmt, harakaFields{rest: s})
	case strings.HasPrefix(s, `{"level":"`):
		r, ok = readHarakaFields(harakaJSON, harakaFields{json: true, rest: s[1:]})
	}
	if !ok || !isHarakaLevel(r.level) {
		return harakaRecord{}, false
	}
	if r.origin == "core" && r.uuid == "-" {
		if text, found := strings.CutPrefix(r.message, "[outbound] "); found {
			r.origin, r.message = "outbound", text
		}
	}
	return r, true
}

func readHarakaDefault(s string) (harakaRecord, bool) {
	r := harakaRecord{format: harakaDefault}
	for _, part := range [...]*string{&r.level, &r.uuid, &r.origin} {
		if s == "" || s[0] != '[' {
			return r, false
		}
		end := strings.IndexByte(s, ']')
		if end < 0 || end+1 < len(s) && s[end+1] != ' ' {
			return r, false
		}
		*part = s[1:end]
		s = s[min(end+2, len(s)):]
	}
	r.message = s
	return r, true
}

// readHarakaFields reads the head of a record that is all fields.
func readHarakaFields(format harakaFormat, f harakaFields) (harakaRecord, bool) {
	r := harakaRecord{format: format}
	for _, part := range [...]struct {
		name string
		to   *string
	}{{"level", &r.level}, {"uuid", &r.uuid}, {"origin", &r.origin}, {"message", &r.message}} {
		key, value, ok := f.next()
		if !ok || key != part.name {
			return r, false
		}
		*part.to = value
	}
	r.fields = f.rest
	return r, true
}

func isHarakaLevel(s string) bool {
	switch s {
	case "NOTICE", "INFO", "PROTOCOL", "DEBUG", "DATA", "WARN", "ERROR", "CRIT", "ALERT", "EMERG":
		return true
	}
	return false
}

// leadsToDeferral reports whether, at DEBUG level, r may stand between a failed
// connection and the line that gives the item up for it.
func (r *harakaRecord) leadsToDeferral() bool {
	return r.level == "DEBUG" && hasHarakaPrefix(r.message, "Temp fail for: ", "running deferred hooks")
}

// after returns the fields behind text in the message, or those that follow the
// message in logfmt and JSON, where nothing may stand behind text.
func (r *harakaRecord) after(text string) (harakaFields, bool) {
	if r.format == harakaDefault {
		rest, ok := strings.CutPrefix(r.message, text)
		return harakaFields{rest: rest}, ok && (rest == "" || rest[0] == ' ')
	}
	return harakaFields{json: r.format == harakaJSON, rest: r.fields}, r.message == text
}

// delivered returns the fields of a "delivered file" record, the first of which
// is "delivered file" itself. In the default format it is only there where the
// message starts with it: remote text may contain it further on.
func (r *harakaRecord) delivered() (harakaFields, bool) {
	f := harakaFields{json: r.format == harakaJSON, rest: r.fields}
	if r.format == harakaDefault {
		f.rest = strings.TrimLeft(r.message, " ")
	} else if r.message != "" {
		return f, false
	}
	look := f
	key, _, ok := look.next()
	return f, ok && key == "delivered file"
}

// harakaFields reads key=value pairs, or the members of a JSON object, one after
// the other.
type harakaFields struct {
	json bool
	torn bool // next came to a value that goes on in the next line
	rest string
}

// next returns the next field, its value without quotes but with its escapes.
func (f *harakaFields) next() (key, value string, ok bool) {
	if f.json {
		return f.nextMember()
	}
	s := strings.TrimLeft(f.rest, " ")
	eq := strings.IndexByte(s, '=')
	if eq < 1 {
		return "", "", false
	}
	key, s = s[:eq], s[eq+1:]
	if strings.HasPrefix(s, `"`) {
		if value, rest, ok := cutString(s); ok {
			f.rest = rest
			return key, value, true
		}
		// Before 3.1 a line break in a value was written as it is and cuts the record.
		f.rest, f.torn = "", true
		return key, s[1:], true
	}
	value, f.rest, _ = strings.Cut(s, " ")
	return key, value, true
}

// nextMember returns the next member; an object or array as its JSON text.
func (f *harakaFields) nextMember() (key, value string, ok bool) {
	s := strings.TrimPrefix(f.rest, ",")
	if key, s, ok = cutString(s); !ok || !strings.HasPrefix(s, ":") {
		return "", "", false
	}
	s = s[1:]
	if strings.HasPrefix(s, `"`) {
		value, f.rest, ok = cutString(s)
		return key, value, ok
	}
	n := harakaValueLen(s)
	if n == 0 {
		return "", "", false
	}
	value, f.rest = s[:n], s[n:]
	if value == "null" {
		value = ""
	}
	return key, value, true
}

// harakaValueLen returns the length of the JSON value without a string's quotes
// at the head of s: up to the comma or brace that ends it on its own level.
func harakaValueLen(s string) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			_, rest, ok := cutString(s[i:])
			if !ok {
				return 0
			}
			i = len(s) - len(rest) - 1
		case '[', '{':
			depth++
		case ']', '}':
			if depth == 0 {
				return i
			}
			depth--
		case ',':
			if depth == 0 {
				return i
			}
		}
	}
	return 0
}

// find returns the value of the first field named key.
func (f harakaFields) find(key string) (string, bool) {
	for {
		k, v, ok := f.next()
		if !ok {
			return "", false
		}
		if k == key {
			return v, true
		}
	}
}

// cutHarakaAddress cuts "<address>" off the head of s. The local part may be a
// quoted string with anything in it.
func cutHarakaAddress(s string) (addr, rest string, ok bool) {
	if !strings.HasPrefix(s, "<") {
		return "", s, false
	}
	from := 1
	if strings.HasPrefix(s[1:], `"`) {
		_, tail, ok := cutString(s[1:])
		if !ok {
			return "", s, false
		}
		from = len(s) - len(tail)
	}
	end := strings.IndexByte(s[from:], '>')
	if end < 0 {
		return "", s, false
	}
	return s[1 : from+end], s[from+end+1:], true
}

// recognizeHaraka reports whether line surely is of a Haraka log: with or
// without a time stamp or a syslog envelope, in any of the three formats.
func recognizeHaraka(line string) bool {
	if strings.HasPrefix(line, "Starting up Haraka version ") {
		return true
	}
	body, _, _ := harakaBody(new(envelopeReader).read, line)
	r, ok := readHaraka(body)
	return ok && (r.uuid == "-" || isHarakaID(r.uuid)) && r.origin != ""
}

// isHarakaID reports whether s starts with a UUID that ends there or at a dot.
func isHarakaID(s string) bool {
	if len(s) < 36 || len(s) > 36 && s[36] != '.' {
		return false
	}
	for i := 0; i < 36; i++ {
		c := s[i]
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return false
			}
		} else if !isDigit(c) && (c|0x20 < 'a' || c|0x20 > 'f') {
			return false
		}
	}
	return true
}

// harakaBody takes a time stamp and a syslog envelope, which read reads, off line.
func harakaBody(read func(line string) (envelope, bool), line string) (body, stamp, host string) {
	if stamp, body = cutHarakaStamp(line); isHarakaHead(body) {
		return body, stamp, ""
	}
	e, ok := read(line)
	if !ok {
		return "", "", ""
	}
	stamp, body = cutHarakaStamp(e.message)
	if stamp == "" {
		stamp = e.stamp
	}
	return body, stamp, e.host
}

func cutHarakaStamp(s string) (stamp, rest string) {
	if n := stamp3339Len(s); n > 0 && n < len(s) && s[n] == ' ' {
		return s[:n], s[n+1:]
	}
	return "", s
}

func isHarakaHead(s string) bool {
	return strings.HasPrefix(s, "[") || strings.HasPrefix(s, "level=") || strings.HasPrefix(s, `{"level":"`)
}
