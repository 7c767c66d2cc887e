package parsers

import (
	"strconv"
	"strings"

	"mtatap/event"
)

// eximFields are the fields between the address of a status line and its end.
type eximFields struct {
	sender, returnPath   string
	hasSender, hasReturn bool
	router, transport    string
	relay                event.Relay
	confirmation         string // of C="...", its quoting undone
	hasConfirmation      bool
	deferred             bool
	errno                int
	strerror             string
	message              string
	hasMessage           bool
	commanded            string // recipient in the RCPT TO that the message is about
	reply                string // that the message holds, as logged
	gaveUp               bool   // the message says only that Exim tries no longer
	queued               event.Seconds
}

// deliver makes the delivery that a status or refusal record tells of.
func (p *exim) deliver(dst []event.Delivery, kind eximKind, r *eximRecord, src *eximSource) ([]event.Delivery, error) {
	if kind == eximRefusal {
		return p.refuse(dst, r, src), nil
	}
	flag, s := r.rest[:2], r.rest[3:]
	d := p.start(r, src)
	switch flag {
	case "**":
		d.Status = event.Bounced
	case "==":
		d.Status = event.Deferred
	default:
		d.Status = event.Delivered
	}
	if d.Status == event.Delivered && strings.HasPrefix(s, "blackhole (") || d.Status == event.Bounced && isEximWrapper(s) {
		// An ACL discarded every recipient, or all failed; the line names none.
		p.messages.get(d.QueueID).join(&d)
		d.Phase, d.Diagnostic = event.PhaseLocal, s
		p.verp.recoverRecipient(&d)
		return append(dst, d), nil
	}
	address, original, rest, ok := cutEximAddress(s)
	if !ok {
		return dst, eximNoAddress
	}
	var f eximFields
	f.read(rest)
	switch {
	case d.Status == event.Deferred && !f.deferred:
		return dst, eximNoDefer
	case f.router == "" && f.transport == "" && !f.hasMessage && !f.deferred:
		return dst, eximNoFields
	}
	d.NotAttempted = flag == "*>" || f.notAttempted()
	setEximRecipient(&d, address, original)
	m := p.messages.get(d.QueueID)
	m.join(&d)
	if f.hasSender {
		d.Sender, d.SenderKnown = f.sender, true
	} else if f.hasReturn && !d.SenderKnown {
		d.Sender, d.SenderKnown = f.returnPath, true
	}
	d.Program = f.transport
	d.Relay = f.relay
	d.Delay = f.queued
	if d.Status == event.Delivered {
		f.confirm(&d)
	} else {
		f.explain(&d, m.lastOutcome(d.Recipient))
	}
	p.follow(m, &d, f.gaveUp)
	p.recover(m, &d, &f, address, original)
	return append(dst, d), nil
}

// setEximRecipient chooses between the two addresses of a status line. The
// original is the envelope recipient; where an alias or a forward made another
// mail address of it, that one was delivered to.
func setEximRecipient(d *event.Delivery, address, original string) {
	d.Recipient = address
	if original != "" {
		if isEximPseudo(address) || sameEximAddress(address, original) {
			d.Recipient = original
		} else {
			d.OriginalRecipient = original
		}
	}
	d.RecipientSource = event.RecipientFromLog
}

// isEximTooEarly reports whether s, what follows "== ", says that the retry time
// is not reached: close to half of all deferrals, so they are sorted out first.
func isEximTooEarly(s string) bool {
	if !strings.Contains(s, " defer (-5") {
		return false
	}
	_, _, rest, ok := cutEximAddress(s)
	if !ok {
		return false
	}
	var f eximFields
	f.read(rest)
	return f.tooEarly()
}

// tooEarly reports whether the retry time of the domain, the recipient or all
// hosts is not reached. Older versions count from -51, which is something else
// today.
func (f *eximFields) tooEarly() bool {
	const tainted, domain, hosts = -51, -52, -54
	return f.deferred && (f.errno <= domain && f.errno >= hosts ||
		f.errno == tainted && strings.HasPrefix(f.message, "retry time not reached"))
}

// eximNotTried are the heads of reasons to leave a delivery to a queue run.
var eximNotTried = [...]string{
	"SMTP delivery explicitly queued",
	"first-pass only routing due to ",
	"domain matches queue_smtp_domains",
}

// notAttempted reports whether Exim says that it did not try: too early, the
// domain is held, or it is left to a queue run.
func (f *eximFields) notAttempted() bool {
	const held, localOnly, concurrency = -23, -55, -57
	if !f.deferred {
		return false
	}
	for _, head := range eximNotTried {
		if strings.HasPrefix(f.message, head) {
			return true
		}
	}
	return f.errno == held || f.errno <= localOnly && f.errno >= concurrency || f.tooEarly()
}

// read reads " K=value", " defer (n)[: strerror]", bare flags, and at last
// ": message" from left to right.
func (f *eximFields) read(s string) {
	for s != "" {
		switch {
		case s[0] == ':':
			f.setMessage(s[1:])
			return
		case strings.HasPrefix(s, " : "):
			f.setMessage(s[2:])
			return
		}
		if s = strings.TrimPrefix(s, " "); isEximWrapper(s) {
			f.setMessage(s)
			return
		}
		if rest, ok := strings.CutPrefix(s, "defer ("); ok && !f.deferred {
			if s, ok = f.readErrno(rest); ok {
				continue
			}
		}
		name := eximFieldName(s)
		if name == "" {
			s = s[eximTokenLen(s):]
			continue
		}
		s = f.readField(name, s[len(name)+1:])
	}
}

func (f *eximFields) setMessage(s string) {
	f.message, f.hasMessage = strings.TrimPrefix(s, " "), true
}

// eximUnknownErrno stands for an error number of the system, which differ, where
// something else than a number is written.
const eximUnknownErrno = 1 << 16

// readErrno reads "n)[: strerror]", the latter only behind a positive number.
func (f *eximFields) readErrno(s string) (rest string, ok bool) {
	number, rest, ok := strings.Cut(s, ")")
	if !ok {
		return s, false
	}
	n, err := strconv.Atoi(number)
	if err != nil {
		if !isEximWord(number) {
			return s, false
		}
		n = eximUnknownErrno
	}
	f.deferred, f.errno = true, n
	if n > 0 && strings.HasPrefix(rest, ": ") {
		rest = rest[2:]
		end := len(rest)
		for _, next := range [...]string{": ", " H=", " DT=", " QT="} {
			if i := strings.Index(rest[:end], next); i >= 0 {
				end = i
			}
		}
		f.strerror, rest = rest[:end], rest[end:]
	}
	return rest, true
}

// readField takes the value of a field off s and returns what follows.
func (f *eximFields) readField(name, s string) string {
	switch name {
	case "C":
		if strings.HasPrefix(s, `"`) {
			f.confirmation, s = cutEximQuoted(s)
			f.hasConfirmation = true
			return s
		}
	case "H":
		f.relay, s = cutEximHost(s)
		return s
	}
	if strings.HasPrefix(s, "<") {
		if end := eximClosing(s[1:]); end >= 0 {
			f.setAddress(name, s[1:1+end])
			return s[end+2:]
		}
	}
	if strings.HasPrefix(s, `"`) { // DN="...", written without escapes
		for i := 1; i < len(s); i++ {
			if s[i] == '"' && (i+1 == len(s) || s[i+1] == ' ' || s[i+1] == ':') {
				return s[i+1:]
			}
		}
	}
	n := eximTokenLen(s)
	switch value := s[:n]; name {
	case "R":
		f.router = value
	case "T":
		f.transport = value
	case "QT":
		f.queued = eximDuration(value)
	}
	return s[n:]
}

func (f *eximFields) setAddress(name, value string) {
	switch name {
	case "F":
		f.sender, f.hasSender = value, true
	case "P":
		f.returnPath, f.hasReturn = value, true
	}
}

// eximFieldName returns the capitals before "=" at the head of s, "" if there
// are none.
func eximFieldName(s string) string {
	for i := 0; i < len(s) && i < 8; i++ {
		switch c := s[i]; {
		case c == '=':
			return s[:i]
		case c < 'A' || c > 'Z':
			return ""
		}
	}
	return ""
}

// isEximWord reports whether s consists of letters, digits and dots.
func isEximWord(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isAlnum(s[i]) && s[i] != '.' {
			return false
		}
	}
	return s != ""
}

// eximTokenLen returns the length of the value at the head of s: up to a space,
// or to a colon before a space or the end.
func eximTokenLen(s string) int {
	for i := 0; i < len(s); i++ {
		if s[i] == ' ' || s[i] == ':' && (i+1 == len(s) || s[i+1] == ' ') {
			return max(i, 0)
		}
	}
	return len(s)
}

// cutEximQuoted cuts `"text"` off the head of s, up to the first quote that has
// no backslash before it, and undoes the backslashes.
func cutEximQuoted(s string) (text, rest string) {
	escaped := false
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			escaped = true
			i++
		case '"':
			return undoBackslashes(s[1:i], escaped), s[i+1:]
		}
	}
	return undoBackslashes(s[1:], escaped), ""
}

func undoBackslashes(s string, escaped bool) string {
	if !escaped {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b = append(b, s[i])
	}
	return string(b)
}

// cutEximHost cuts "name[ DS] [ip][:port][*]" off the head of s.
func cutEximHost(s string) (event.Relay, string) {
	n := eximTokenLen(s)
	relay := event.Relay{Host: s[:n]}
	rest := s[n:]
	t := strings.TrimPrefix(rest, " DS")
	if !strings.HasPrefix(t, " [") {
		return relay, rest
	}
	end := strings.IndexByte(t, ']')
	if end < 0 {
		return relay, rest
	}
	relay.IP, t = t[2:end], t[end+1:]
	if relay.Host == "["+relay.IP+"]" {
		relay.Host = relay.IP
	}
	if relay.Port, t = cutPort(t); len(t) > 1 && t[0] == ':' && t[1] != ' ' {
		t = t[eximTokenLen(t):] // no number
	}
	return relay, strings.TrimPrefix(t, "*")
}

// eximDuration reads "0.016s", "1m3s" or "2d4h".
func eximDuration(s string) event.Seconds {
	total, any := 0.0, false
	for s != "" {
		i := 0
		for i < len(s) && (isDigit(s[i]) || s[i] == '.') {
			i++
		}
		v, err := strconv.ParseFloat(s[:i], 64)
		if err != nil || i == len(s) {
			return event.Seconds{}
		}
		switch s[i] {
		case 'w':
			v *= 7 * 24 * 3600
		case 'd':
			v *= 24 * 3600
		case 'h':
			v *= 3600
		case 'm':
			v *= 60
		case 's':
		default:
			return event.Seconds{}
		}
		total, any, s = total+v, true, s[i+1:]
	}
	if !any {
		return event.Seconds{}
	}
	return event.KnownSeconds(total)
}
