package parsers

import (
	"strings"
	"unsafe"
)

// envelope is a log line split at the head that syslog put before the message.
// Its strings are parts of the line or of the reader's scratch space.
type envelope struct {
	stamp   string // time as written, see stamps.time
	host    string
	tag     string // program as logged, without pid: postfix/smtp, exim, haraka
	pid     string
	message string
	copied  bool // message is in the scratch space, not part of the line
	inner   bool // then all other fields are in the scratch space as well
}

// envelopeReader takes syslog envelopes off lines: RFC 3164 as rsyslog and
// postlogd write it to files, the same with an RFC 3339 stamp, RFC 5424, and
// rsyslog's JSON template. A priority in front ("<22>") is skipped.
type envelopeReader struct{ scratch []byte }

// view returns b as a string without copying it. The string must not outlive
// the call that b was given to.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// read splits line. The result is valid until the next read, or longer if line
// outlives it and copied is false.
func (r *envelopeReader) read(line string) (e envelope, ok bool) {
	if isStamp3164(line) {
		e.stamp = line[:15]
		ok = e.readHostTag(line[16:])
		return e, ok
	}
	if n := stampSyslogLen(line); n > 0 {
		e.stamp = line[:n]
		ok = e.readHostTag(line[n+1:])
		return e, ok
	}
	if len(line) == 0 {
		return envelope{}, false
	}
	switch line[0] {
	case '<':
		end := strings.IndexByte(line, '>')
		if end < 2 || end > 4 || !allDigits(line[1:end]) {
			return envelope{}, false
		}
		if rest, ok := strings.CutPrefix(line[end+1:], "1 "); ok {
			return read5424(rest)
		}
		if rest := line[end+1:]; rest != "" && rest[0] != '<' && rest[0] != '{' {
			return r.read(rest)
		}
	case '{':
		return r.readJSON(line)
	}
	return envelope{}, false
}

// message returns the message of line and nothing else, as a cheap way to see
// whether a line is of interest: where it returns one, read returns the same or
// refuses the line.
func (r *envelopeReader) message(line string) (string, bool) {
	n := 15
	if !isStamp3164(line) {
		n = stampSyslogLen(line)
	}
	if n > 0 {
		// The first colon ends "host tag[pid]:" unless host, tag or pid are odd.
		rest := line[n+1:]
		i := strings.IndexByte(rest, ':')
		if i > 0 && rest[i-1] == ']' && rest[0] != ' ' && i+1 < len(rest) && rest[i+1] == ' ' && strings.IndexByte(rest[:i], ' ') >= 0 {
			return rest[i+2:], true
		}
	}
	e, ok := r.read(line)
	return e.message, ok
}

// retain reads line again from a copy of its own and returns that copy too:
// all strings of the result stay valid.
func (r *envelopeReader) retain(line []byte) (raw string, e envelope) {
	raw = string(line)
	e, _ = r.readKept(raw)
	return raw, e
}

// readKept reads line so that all strings of the result stay valid with it.
func (r *envelopeReader) readKept(line string) (e envelope, ok bool) {
	e, ok = r.read(line)
	if e.copied {
		if e.inner {
			e.stamp, e.host, e.tag, e.pid = strings.Clone(e.stamp), strings.Clone(e.host), strings.Clone(e.tag), strings.Clone(e.pid)
		}
		e.message, e.copied = strings.Clone(e.message), false
	}
	return e, ok
}

// isStamp3164 reports whether s starts with "Mmm dd hh:mm:ss ".
func isStamp3164(s string) bool {
	return len(s) > 16 && s[3] == ' ' && s[6] == ' ' && s[9] == ':' && s[12] == ':' && s[15] == ' ' &&
		s[0] >= 'A' && s[0] <= 'S'
}

// stampSyslogLen returns the length of what has the shape of a stamp
// "2026-11-23T18:43:06[.frac][zone]" and a space behind it, 0 if there is none.
// Whether it is a time is for stamps.time to say.
func stampSyslogLen(s string) int {
	if len(s) < 21 || s[4] != '-' || s[7] != '-' || s[10] != 'T' || s[13] != ':' || s[16] != ':' || !isDigit(s[0]) {
		return 0
	}
	return 19 + max(strings.IndexByte(s[19:min(len(s), 40)], ' '), -19)
}

// stamp3339Len returns the length of the stamp "2026-11-23T18:43:06[.frac][zone]"
// (or with a space for the T) at the head of s, 0 if there is none.
func stamp3339Len(s string) int {
	if len(s) < 19 || s[4] != '-' || s[7] != '-' || s[10] != 'T' && s[10] != ' ' || s[13] != ':' || s[16] != ':' {
		return 0
	}
	if !digits2(s) || !digits2(s[2:]) || !digits2(s[5:]) || !digits2(s[8:]) || !digits2(s[11:]) || !digits2(s[14:]) || !digits2(s[17:]) {
		return 0
	}
	i := 19
	if i < len(s) && (s[i] == '.' || s[i] == ',') {
		for i++; i < len(s) && isDigit(s[i]); i++ {
		}
	}
	if i < len(s) && s[i] == 'Z' {
		return i + 1
	}
	if n := zoneLen(s[i:]); n > 0 {
		return i + n
	}
	return i
}

// zoneLen returns the length of "+hh:mm" or "+hhmm" at the head of s, or 0.
func zoneLen(s string) int {
	if len(s) < 5 || s[0] != '+' && s[0] != '-' || !isDigit(s[1]) || !isDigit(s[2]) {
		return 0
	}
	if s[3] == ':' && len(s) >= 6 && isDigit(s[4]) && isDigit(s[5]) {
		return 6
	}
	if isDigit(s[3]) && isDigit(s[4]) {
		return 5
	}
	return 0
}

// readHostTag reads "host tag[pid]: message", or "tag[pid]: message" as programs
// send it to the logging daemon of their own host.
func (e *envelope) readHostTag(s string) bool {
	i := strings.IndexByte(s, ' ')
	if i == 0 {
		s = strings.TrimLeft(s, " ")
		i = strings.IndexByte(s, ' ')
	}
	if i <= 0 {
		return false
	}
	if s[i-1] == ':' && isTag(s[:i-1]) {
		return e.readTag(s)
	}
	if s[0] == '[' { // "[tag]", as other loggers write it
		return false
	}
	e.host, s = s[:i], s[i+1:]
	if s != "" && s[0] == ' ' {
		s = strings.TrimLeft(s, " ")
	}
	return e.readTag(s)
}

// isTag reports whether s is a tag, with a pid or without, rather than a host.
func isTag(s string) bool {
	name, pid, ok := strings.Cut(s, "[")
	if ok {
		return name != "" && strings.HasSuffix(pid, "]") && allDigits(pid[:len(pid)-1])
	}
	return s != "" && !strings.ContainsAny(s, ":]")
}

// readTag reads "tag[pid]: message" or "tag: message".
func (e *envelope) readTag(s string) bool {
	end := strings.IndexByte(s, ':')
	if end < 0 {
		return false
	}
	e.tag = s[:end]
	if i := strings.IndexByte(e.tag, '['); i >= 0 {
		if s[end-1] != ']' { // the colon is part of the pid
			n := strings.Index(s[i:], "]:")
			if n < 0 {
				return false
			}
			end = i + n + 1
		}
		e.tag, e.pid = s[:i], s[i+1:end-1]
	}
	if e.tag == "" || strings.IndexByte(e.tag, ' ') >= 0 {
		return false
	}
	if s = s[end+1:]; s != "" && s[0] == ' ' {
		s = s[1:]
	}
	e.message = s
	return true
}

// read5424 reads what follows "<PRI>1 " in RFC 5424 section 6: stamp, host,
// app-name, procid, msgid, structured data and message; "-" is absent.
func read5424(s string) (envelope, bool) {
	var f [5]string
	for i := range f {
		var ok bool
		if f[i], s, ok = strings.Cut(s, " "); !ok {
			return envelope{}, false
		}
		if f[i] == "-" {
			f[i] = ""
		}
	}
	n := structuredDataLen(s)
	if n == 0 {
		return envelope{}, false
	}
	message := strings.TrimPrefix(strings.TrimLeft(s[n:], " "), "\ufeff")
	return envelope{stamp: f[0], host: f[1], tag: f[2], pid: f[3], message: message}, f[2] != ""
}

// structuredDataLen returns the length of "-" or of "[id k="v"]..." at the head
// of s, 0 if neither is there.
func structuredDataLen(s string) int {
	if strings.HasPrefix(s, "-") {
		return 1
	}
	i := 0
	for i < len(s) && s[i] == '[' {
		quoted := false
		for i++; ; i++ {
			if i >= len(s) {
				return 0
			}
			if s[i] == '\\' && quoted {
				i++
			} else if s[i] == '"' {
				quoted = !quoted
			} else if s[i] == ']' && !quoted {
				i++
				break
			}
		}
	}
	return i
}
