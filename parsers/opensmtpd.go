package parsers

import (
	"strings"

	"mtatap/event"
)

const openSMTPDMTA event.MTA = "opensmtpd"

// openSMTPD reads the log of OpenSMTPD 6 and 7: through syslog, as "smtpd -d"
// writes it to standard error, and as records of journald. Of its lines (mta_log
// of mta.c, mda_log of mda.c, queue_log of queue.c)
//
//	SESSION mta delivery evpid=ID from=<S> to=<R> rcpt=<O|-> source="IP|-" relay="IP (NAME)|DOMAIN" delay=D result="Ok|TempFail|PermFail" stat="TEXT"
//	SESSION mda delivery evpid=ID from=<S> to=<R> [rcpt=<O> ]user=U delay=D result=Ok|TempFail|PermFail stat=TEXT
//	relay|delivery: Expire|Remove for ID: from=<S>, to=<R>, rcpt=<O|->, delay=D, stat=TEXT
//
// tell of an envelope, which is one recipient of one message, and end it unless
// the result is TempFail. SESSION and ID have 16 hexadecimal digits. Up to 6.4
// "event=" stands before the third word.
//
// Nothing is escaped, and TEXT is what the remote side said. So fields are read
// from the left, where nobody but OpenSMTPD has a say: it takes no address with a
// space, a quote or an angle bracket, and NAME is a host name. TEXT reaches to
// the end of the line.
//
// What else is read (smtp_session.c):
//
//	SESSION smtp connected address=local host=NAME
//	SESSION smtp envelope evpid=ID from=<S> to=<R>
//	SESSION smtp failed-command command="RCPT TO:<R> ..." result="TEXT"
//	SESSION smtp disconnected ...
//
// Its own notices to senders come in as mail that was sent on this host.
type openSMTPD struct {
	opts     Options
	reader   envelopeReader
	stamps   stamps
	verp     verp
	messages *memory[openSMTPDEnvelope] // by envelope id; senders on this host by session
	deferred deferralPool
}

// openSMTPDEnvelope is what is remembered of an envelope in the queue.
type openSMTPDEnvelope struct {
	fromStart bool      // the log was read from where it came in
	local     bool      // it was sent on this host, perhaps by OpenSMTPD itself
	deferred  deferrals // at most one
}

func newOpenSMTPD(opts Options) *openSMTPD {
	p := &openSMTPD{opts: opts, stamps: stamps{zone: opts.zone()}, verp: newVERP(opts.VERP)}
	p.clear()
	return p
}

// Parse implements Parser.
func (p *openSMTPD) Parse(dst []event.Delivery, line Line) ([]event.Delivery, error) {
	text := view(line.Text)
	message, ok := p.reader.message(text)
	if !ok {
		message = text
	}
	session, rest, ok := cutOpenSMTPDID(message)
	switch {
	case !ok:
		if isOpenSMTPDEnd(message) {
			return p.end(dst, line)
		}
	case strings.HasPrefix(rest, " smtp "):
		return p.incoming(dst, line, session, openSMTPDEvent(rest[len(" smtp "):]))
	case isOpenSMTPDDelivery(rest):
		return p.delivery(dst, line)
	}
	return dst, nil
}

// Flush implements Parser. Every line stands for itself.
func (p *openSMTPD) Flush(dst []event.Delivery) []event.Delivery { return dst }

// cutOpenSMTPDID cuts the id of a session or an envelope off the head of s.
func cutOpenSMTPDID(s string) (id, rest string, ok bool) {
	const n = 16
	if len(s) < n {
		return "", s, false
	}
	for i := range n {
		if c := s[i]; !isDigit(c) && (c < 'a' || c > 'f') {
			return "", s, false
		}
	}
	return s[:n], s[n:], true
}

func isOpenSMTPDID(s string) bool {
	_, rest, ok := cutOpenSMTPDID(s)
	return ok && rest == ""
}

// openSMTPDEvent is s without what versions up to 6.4 put before the event.
func openSMTPDEvent(s string) string { return strings.TrimPrefix(s, "event=") }

func isOpenSMTPDDelivery(s string) bool {
	return (strings.HasPrefix(s, " mta ") || strings.HasPrefix(s, " mda ")) &&
		strings.HasPrefix(openSMTPDEvent(s[len(" mta "):]), "delivery ")
}

func isOpenSMTPDEnd(s string) bool {
	rest, ok := strings.CutPrefix(s, "relay: ")
	if !ok {
		rest, ok = strings.CutPrefix(s, "delivery: ")
	}
	return ok && (strings.HasPrefix(rest, "Expire for ") || strings.HasPrefix(rest, "Remove for "))
}

// begin returns a delivery with what the envelope around the message of line
// says, and the message, which is part of it.
func (p *openSMTPD) begin(line Line) (d event.Delivery, message string) {
	raw := string(line.Text)
	e, ok := p.reader.readKept(raw)
	if !ok {
		e = envelope{message: raw}
	}
	d = event.Delivery{MTA: openSMTPDMTA, Host: e.host, Instance: e.tag, Origin: line.Origin, Offset: line.Offset, Raw: raw}
	if e.stamp != "" {
		d.Time, _ = p.stamps.time(e.stamp, line.Reference)
	}
	return d, strings.TrimSuffix(e.message, "\r")
}

func openSMTPDUnparsed(program string) *UnparsedError {
	return &UnparsedError{MTA: openSMTPDMTA, Program: program, Problem: "the fields do not follow the grammar"}
}

var (
	errOpenSMTPDRelay   = openSMTPDUnparsed("mta")
	errOpenSMTPDLocal   = openSMTPDUnparsed("mda")
	errOpenSMTPDEnd     = openSMTPDUnparsed("queue")
	errOpenSMTPDRefusal = openSMTPDUnparsed("smtp")
)

// What stands in front of each field.
var (
	openSMTPDRelayMarks  = []string{"delivery evpid=", " from=<", "> to=<", "> rcpt=<", `> source="`, `" relay="`, `" delay=`, ` result="`, `" stat="`}
	openSMTPDLocalMarks  = []string{"delivery evpid=", " from=<", "> to=<", "> rcpt=<", "> user=", " delay=", " result=", " stat="}
	openSMTPDNoRcptMarks = []string{"delivery evpid=", " from=<", "> to=<", "> user=", " delay=", " result=", " stat="}
	openSMTPDEndMarks    = []string{" for ", ": from=<", ">, to=<", ">, rcpt=<", ">, delay=", ", stat="}
)

// cutMarked cuts s, which starts with the first of marks, at the first place of
// each next one, and sets as many fields; the last one is the rest.
func cutMarked(s string, marks []string, fields ...*string) bool {
	s, ok := strings.CutPrefix(s, marks[0])
	for i, field := range fields {
		if *field = s; ok && i+1 < len(fields) {
			*field, s, ok = strings.Cut(s, marks[i+1])
		}
	}
	return ok
}

// delivery reads a line of mta or mda.
func (p *openSMTPD) delivery(dst []event.Delivery, line Line) ([]event.Delivery, error) {
	d, message := p.begin(line)
	_, s, _ := cutOpenSMTPDID(message)
	d.Program, s = s[1:4], openSMTPDEvent(s[len(" mta "):])
	var rcpt, source, user, relay, delay, result, said string
	var ok bool
	err := errOpenSMTPDRelay
	if d.Program == "mta" {
		ok = cutMarked(s, openSMTPDRelayMarks, &d.QueueID, &d.Sender, &d.Recipient, &rcpt, &source, &relay, &delay, &result, &said)
		if source != "-" { // else there was no connection, and relay is a domain
			d.Relay = openSMTPDRelay(relay)
		}
		said = strings.TrimSuffix(said, `"`)
	} else {
		err = errOpenSMTPDLocal
		ok = cutMarked(s, openSMTPDLocalMarks, &d.QueueID, &d.Sender, &d.Recipient, &rcpt, &user, &delay, &result, &said) ||
			cutMarked(s, openSMTPDNoRcptMarks, &d.QueueID, &d.Sender, &d.Recipient, &user, &delay, &result, &said)
		d.Phase = event.PhaseLocal
		said = openSMTPDCommandSaid(said)
	}
	switch result {
	case "Ok":
		d.Status = event.Delivered
	case "TempFail":
		d.Status = event.Deferred
	case "PermFail":
		d.Status = event.Bounced
	}
	if !ok || d.Status == event.StatusUnknown || !isOpenSMTPDID(d.QueueID) {
		return dst, err
	}
	setOpenSMTPDEnvelope(&d, rcpt, delay)
	setOpenSMTPDReason(&d, said)
	p.remember(&d)
	return append(dst, d), nil
}

// setOpenSMTPDEnvelope sets what is said the same way in every line about an
// envelope; d has the addresses already.
func setOpenSMTPDEnvelope(d *event.Delivery, rcpt, delay string) {
	d.SenderKnown, d.RecipientSource = true, event.RecipientFromLog
	if rcpt != "-" && rcpt != d.Recipient {
		d.OriginalRecipient = rcpt
	}
	d.Delay = openSMTPDDelay(delay)
}

// openSMTPDRelay reads "IP (NAME)", or "IP" where it has no name.
func openSMTPDRelay(s string) event.Relay {
	ip, name, _ := strings.Cut(s, " (")
	if name = strings.TrimSuffix(name, ")"); name == ip || name == "<unknown>" {
		name = ""
	}
	return event.Relay{Host: name, IP: strings.Trim(ip, "[]")}
}

// openSMTPDDelay reads a duration such as "4d13h9s".
func openSMTPDDelay(s string) event.Seconds {
	total := 0
	for s != "" {
		n, end := smallNumber(s, 0)
		if end == 0 || end == len(s) {
			return event.Seconds{}
		}
		switch s[end] {
		case 'd':
			n *= 24 * 60 * 60
		case 'h':
			n *= 60 * 60
		case 'm':
			n *= 60
		case 's':
		default:
			return event.Seconds{}
		}
		total += n
		s = s[end+1:]
	}
	return event.KnownSeconds(float64(total))
}

// openSMTPDCommandSaid takes the wrapping off the status of a local delivery:
// Error ([name of the exit code: ]"last line that the command wrote").
func openSMTPDCommandSaid(s string) string {
	inner, ok := strings.CutPrefix(s, "Error (")
	if !ok {
		return s
	}
	inner = strings.TrimSuffix(inner, ")")
	if _, said, ok := strings.Cut(inner, `"`); ok {
		return strings.TrimSuffix(said, `"`)
	}
	return inner
}

// openSMTPDStages stand in front of a reply.
var openSMTPDStages = []phaseHead{
	{"BANNER rejected: ", event.PhaseBanner},
	{"EHLO rejected: ", event.PhaseHelo},
	{"HELO rejected: ", event.PhaseHelo},
	{"LHLO rejected: ", event.PhaseHelo},
	{"STARTTLS rejected: ", event.PhaseStartTLS},
	{"AUTH rejected: ", event.PhaseAuth},
}

// openSMTPDCauses are in OpenSMTPD's own words, as there was no reply.
var openSMTPDCauses = []phaseHead{
	{"Network error on destination MXs", event.PhaseConnect},
	{"TLS required but not supported by remote host", event.PhaseStartTLS},
	{"Temporary failure in MX lookup", event.PhaseDNS},
	{"Invalid domain name", event.PhaseDNS},
	{"Domain does not exist", event.PhaseDNS},
	{"Domain does not accept mail", event.PhaseDNS},
	{"Host not found", event.PhaseDNS},
	{"No MX found for ", event.PhaseDNS},
}

// setOpenSMTPDReason sets what the line says of why. A reply to MAIL, RCPT, DATA
// or the message has no phase: it does not say to which of them.
func setOpenSMTPDReason(d *event.Delivery, said string) {
	if phase, reply, ok := cutPhaseHead(said, openSMTPDStages); ok {
		d.Phase, said = phase, reply
	} else if phase, _, ok := cutPhaseHead(said, openSMTPDCauses); ok {
		d.Phase = phase
	}
	// Of several lines it keeps the codes of the first and the words of all.
	if len(said) > 4 && said[3] == '-' && allDigits(said[:3]) {
		said = said[:3] + " " + said[4:]
	}
	reply := event.ParseReply(said)
	d.SMTPCode, d.EnhancedCode, d.Diagnostic = reply.Code, reply.Enhanced, reply.Text
	d.NotAttempted = said == "Too many consecutive errors, closing connection"
}

// remember keeps why d was deferred, or forgets an envelope that is done with.
func (p *openSMTPD) remember(d *event.Delivery) {
	if d.Status == event.Deferred {
		m := p.messages.put(d.QueueID)
		if r := m.deferred.note(&p.deferred, d); r != nil && !d.NotAttempted {
			if r.attempts++; m.fromStart {
				d.Attempt = int(r.attempts)
			}
		}
		shrink(p.messages, &p.deferred)
		return
	}
	m := p.messages.get(d.QueueID)
	if m == nil {
		return
	}
	if attempts := m.deferred.drop(&p.deferred, d.Recipient); m.fromStart {
		d.Attempt = attempts + 1
	}
	if d.Status == event.Delivered && d.Program == "mda" && d.Sender == "" && m.fromStart && !m.local {
		p.verp.asynchronousBounce(d, "", d.OriginalRecipient, d.Recipient)
	}
	p.messages.drop(d.QueueID)
}

// end reads the line of an envelope that was not delivered in time, which is told
// with the last deferral's cause, or that an administrator removed, which gives no
// event.
func (p *openSMTPD) end(dst []event.Delivery, line Line) ([]event.Delivery, error) {
	d, message := p.begin(line)
	var rcpt, delay string
	_, s, _ := strings.Cut(message, ": ")
	s, expired := strings.CutPrefix(s, "Expire")
	s = strings.TrimPrefix(s, "Remove")
	if !cutMarked(s, openSMTPDEndMarks, &d.QueueID, &d.Sender, &d.Recipient, &rcpt, &delay, &d.Diagnostic) || !isOpenSMTPDID(d.QueueID) {
		return dst, errOpenSMTPDEnd
	}
	m := p.messages.get(d.QueueID)
	if expired {
		if d.Sender == "@" {
			d.Sender = ""
		}
		d.Program, d.Status, d.Phase = "queue", event.Expired, event.PhaseQueue
		setOpenSMTPDEnvelope(&d, rcpt, delay)
		if m != nil {
			if r := m.deferred.find(d.Recipient); r != nil {
				if r.explain(&d); m.fromStart {
					d.Attempt = int(r.attempts)
				}
			}
		}
		dst = append(dst, d)
	}
	p.messages.drop(d.QueueID)
	return dst, nil
}

// incoming reads a line of a session in which mail comes in; s is what follows
// "smtp ".
func (p *openSMTPD) incoming(dst []event.Delivery, line Line, session, s string) ([]event.Delivery, error) {
	switch {
	case strings.HasPrefix(s, "connected address=local "):
		p.messages.put(session).local = true
	case strings.HasPrefix(s, "disconnected "):
		p.messages.drop(session)
	case strings.HasPrefix(s, "envelope evpid="):
		if id, _, ok := cutOpenSMTPDID(s[len("envelope evpid="):]); ok {
			local := p.messages.get(session) != nil
			m := p.messages.put(id)
			p.reset(m)
			m.fromStart, m.local = true, local
		}
	case p.opts.Rejects && strings.HasPrefix(s, `failed-command command="`):
		return p.refusal(dst, line)
	}
	return dst, nil
}

// refusal reads what this host refused. The client chose the command, and so what
// may look like a result in it: the last one is OpenSMTPD's. Only RCPT has a
// recipient; without one no recipient's mail was refused.
func (p *openSMTPD) refusal(dst []event.Delivery, line Line) ([]event.Delivery, error) {
	d, message := p.begin(line)
	_, s, _ := strings.Cut(message, `failed-command command="`)
	i := strings.LastIndex(s, `" result="`)
	if i < 0 {
		return dst, errOpenSMTPDRefusal
	}
	var ok bool
	d.Recipient, ok = openSMTPDCommanded(s[:i])
	setOpenSMTPDReason(&d, strings.TrimSuffix(s[i+len(`" result="`):], `"`))
	if !ok || d.SMTPCode < 400 {
		return dst, nil
	}
	d.Program, d.Status, d.Phase = "smtp", event.Rejected, event.PhaseRcpt
	d.RecipientSource, d.DSN = event.RecipientFromLog, d.EnhancedCode
	return append(dst, d), nil
}

// openSMTPDCommanded returns the recipient of a RCPT command.
func openSMTPDCommanded(command string) (recipient string, ok bool) {
	const head = "RCPT TO:"
	if len(command) < len(head) || !strings.EqualFold(command[:len(head)], head) {
		return "", false
	}
	s, ok := strings.CutPrefix(strings.TrimLeft(command[len(head):], " "), "<")
	recipient, _, closed := strings.Cut(s, ">")
	return recipient, ok && closed && strings.IndexByte(recipient, '@') > 0 && !strings.ContainsAny(recipient, ` "<`)
}

const openSMTPDSnapshotVersion = 1

// Snapshot implements Parser.
func (p *openSMTPD) Snapshot(dst []byte) []byte {
	return p.messages.appendSnapshot(append(dst, openSMTPDSnapshotVersion), func(dst []byte, m *openSMTPDEnvelope) []byte {
		return m.deferred.appendSnapshot(appendFlags(dst, m.fromStart, m.local))
	})
}

// Restore implements Parser.
func (p *openSMTPD) Restore(snapshot []byte) error {
	return restoreSnapshot(snapshot, openSMTPDSnapshotVersion, p.clear, func(r *snapshotReader) {
		r.messages(func(id string) {
			m := p.messages.put(id)
			p.reset(m)
			r.flags(&m.fromStart, &m.local)
			m.deferred.restore(&p.deferred, r)
			shrink(p.messages, &p.deferred)
		})
	})
}

// clear forgets everything.
func (p *openSMTPD) clear() {
	p.messages, p.deferred = newMemory(p.opts.maxRemembered(), p.opts.Counts.Evicted, p.reset), deferralPool{}
}

// reset empties m.
func (p *openSMTPD) reset(m *openSMTPDEnvelope) {
	m.deferred.clear(&p.deferred)
	*m = openSMTPDEnvelope{deferred: m.deferred}
}

// recognizeOpenSMTPD reports whether line surely is of an OpenSMTPD log.
func recognizeOpenSMTPD(line string) bool {
	var r envelopeReader
	e, ok := r.read(line)
	if !ok {
		e.message = line
	} else if e.tag != "smtpd" {
		return false
	}
	if _, rest, ok := cutOpenSMTPDID(e.message); ok {
		return strings.HasPrefix(rest, " smtp ") || strings.HasPrefix(rest, " mta ") || strings.HasPrefix(rest, " mda ")
	}
	return strings.HasPrefix(e.message, "info: OpenSMTPD ") || isOpenSMTPDEnd(e.message)
}
