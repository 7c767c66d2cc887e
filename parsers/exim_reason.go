package parsers

import (
	"strings"
	"unicode/utf8"

	"mtatap/event"
)

// confirm sets what C="..." tells of a delivery that worked, or that option -N
// suppressed.
func (f *eximFields) confirm(d *event.Delivery) {
	if d.NotAttempted {
		d.Phase, d.Diagnostic = event.PhaseQueue, f.confirmation
	} else if f.hasConfirmation {
		setEximReply(d, f.confirmation)
	} else if !f.relay.Known() {
		d.Phase = event.PhaseLocal
	}
}

// explain sets what the reason of a deferral or failure tells: expiry, phase,
// reply and diagnostic. An expiry that gives no reason has that of the last
// attempt, if it is known.
func (f *eximFields) explain(d *event.Delivery, last *deferral) {
	s := f.message
	if d.Status == event.Bounced {
		s = f.cutTimes(d, s)
		if reason, ok := f.cutExpiry(s); ok {
			d.Status = event.Expired
			if f.gaveUp = reason == ""; f.gaveUp {
				if d.Phase = event.PhaseQueue; last != nil {
					last.explain(d)
				}
				if d.Diagnostic == "" {
					d.Diagnostic = s
				}
				return
			}
			s = reason
		}
	}
	if f.explainDialogue(d, s) {
		return
	}
	if strerror, rest, ok := strings.Cut(s, ": "); ok && f.strerror == "" {
		f.strerror = strerror // in front of the message, where a delivery failed at once
		if f.explainDialogue(d, rest) {
			return
		}
		f.strerror = ""
	}
	d.Phase = f.ownPhase(s)
	switch {
	case s == "":
		s = f.strerror
	case f.strerror != "":
		s += ": " + f.strerror
	}
	d.Diagnostic = event.ParseReply(unescapeExim(s)).Text
}

// cutTimes cuts " QT=time" and " DT=time" off the end of a failure's message,
// where delivery-time selectors put them. Logs with their times blotted out are
// read as well.
func (f *eximFields) cutTimes(d *event.Delivery, s string) string {
	for range 2 {
		i := strings.LastIndexByte(s, ' ')
		if i < 0 {
			break
		}
		name, value, ok := strings.Cut(s[i+1:], "=")
		if !ok || name != "DT" && name != "QT" {
			break
		}
		if !strings.HasSuffix(value, "s") || !isEximWord(value) {
			break
		}
		if s = s[:i]; name == "QT" {
			d.Delay = eximDuration(value)
		}
	}
	return s
}

// cutExpiry reports whether a failure's message says that Exim gave up after
// deferrals, and returns the earlier error in front of that, "" if there is none.
// What a peer refused for good was not deferred, whatever its reply ends in.
func (f *eximFields) cutExpiry(s string) (reason string, ok bool) {
	const gaveUp = "retry timeout exceeded"
	if s == gaveUp {
		return "", true
	}
	if reason, ok = strings.CutSuffix(s, ": "+gaveUp); ok {
		var d event.Delivery
		if !f.explainDialogue(&d, reason) || !strings.HasPrefix(f.reply, "5") {
			return reason, true // the first line of a reply is what Exim goes by
		}
		switch d.Phase {
		case event.PhaseMail, event.PhaseRcpt, event.PhaseData, event.PhaseDot:
			return s, false
		}
		return reason, true
	}
	if strings.HasPrefix(s, "all hosts") && strings.Contains(s, "have been failing for a long time") ||
		strings.HasPrefix(s, "retry time not reached for any host after a long failure period") ||
		strings.HasPrefix(s, "delivery cancelled; message timed out") {
		return "", true
	}
	return s, false
}

// eximDialogues are the heads of messages about an SMTP or LMTP dialogue; the
// stage follows.
var eximDialogues = [...]struct {
	head  string
	link  string // old versions name the peer before this, "host [ip]"
	reply bool   // what follows the stage is the peer's reply
	final bool   // a reply for one recipient after the data
}{
	{"SMTP error from remote mail server after ", "", true, false},
	{"SMTP error from remote mailer after ", "", true, false}, // before 4.80
	{"LMTP error after ", "", true, true},
	{"PRDR error after ", "", true, true},
	{"Malformed SMTP reply in response to ", "", true, false},
	{"Malformed SMTP reply from ", " in response to ", true, false},
	{"Malformed SMTP reply (an empty line) in response to ", "", false, false},
	{"Malformed LMTP reply in response to ", "", true, false},
	{"Malformed LMTP reply after ", "", true, false},
	{"Remote host closed connection in response to ", "", false, false},
	{"Remote host ", " closed connection in response to ", false, false},
	{"LMTP connection closed after ", "", false, false},
	{"SMTP timeout after ", "", false, false},
	{"SMTP timeout while connected to ", " after ", false, false},
	{"LMTP timeout after ", "", false, false},
}

// explainDialogue reads a message about a dialogue; false means it is none.
func (f *eximFields) explainDialogue(d *event.Delivery, s string) bool {
	for _, form := range &eximDialogues {
		rest, ok := strings.CutPrefix(s, form.head)
		if !ok {
			continue
		}
		if form.link != "" {
			var relay event.Relay
			relay, rest = cutEximHost(rest)
			if rest, ok = strings.CutPrefix(rest, form.link); !ok || relay.IP == "" {
				continue
			}
			if !d.Relay.Known() {
				d.Relay = relay
			}
		}
		phase, recipient, reply := cutEximStage(rest)
		f.commanded = recipient
		if d.Phase = phase; form.final && phase == event.PhaseData && f.relay.Known() {
			d.Phase = event.PhaseDot // the smtp transport still names its last command
		}
		if form.reply {
			f.reply = f.cutHostOfReply(d, reply)
			setEximReply(d, f.reply)
			if d.SMTPCode != 0 || form.final || strings.HasPrefix(form.head, "SMTP error") {
				return true
			}
		} else if _, reply, ok := strings.Cut(rest, " (EHLO response was: "); ok {
			setEximReply(d, strings.TrimSuffix(reply, ")"))
			return true
		}
		if f.strerror != "" && !form.reply {
			s += ": " + f.strerror
		}
		d.Diagnostic = event.ParseReply(unescapeExim(s)).Text
		return true
	}
	return false
}

// setEximReply reads a reply as Exim prints it.
func setEximReply(d *event.Delivery, s string) {
	r := event.ParseReply(unescapeExim(s))
	d.SMTPCode, d.EnhancedCode, d.Diagnostic = r.Code, r.Enhanced, r.Text
}

// cutHostOfReply cuts "host name [ip]: " off a reply, which old versions put in
// front of it instead of a field.
func (f *eximFields) cutHostOfReply(d *event.Delivery, s string) string {
	rest, ok := strings.CutPrefix(s, "host ")
	if !ok {
		return s
	}
	relay, rest := cutEximHost(rest)
	if relay.IP == "" || !strings.HasPrefix(rest, ": ") {
		return s
	}
	if !d.Relay.Known() {
		d.Relay = relay
	}
	return rest[2:]
}

// eximStages are the heads of stages: commands as sent, and Exim's own words.
var eximStages = []phaseHead{
	{"MAIL FROM:", event.PhaseMail},
	{"RCPT TO:", event.PhaseRcpt},
	{"initial connection", event.PhaseBanner},
	{"EHLO", event.PhaseHelo},
	{"HELO", event.PhaseHelo},
	{"LHLO", event.PhaseHelo},
	{"XCLIENT", event.PhaseHelo},
	{"STARTTLS", event.PhaseStartTLS},
	{"AUTH", event.PhaseAuth},
	{"DATA", event.PhaseData},
	{"BDAT", event.PhaseDot},
	{"end of data", event.PhaseDot},
	{"sending data block", event.PhaseDot},
	{"data block", event.PhaseDot},
	{"final dot", event.PhaseDot},
}

// cutEximStage cuts "[pipelined ]STAGE: " off the head of s. Addresses in a
// stage may hold anything in quotes. recipient is that of a RCPT command.
func cutEximStage(s string) (phase event.Phase, recipient, rest string) {
	phase, s, ok := cutPhaseHead(strings.TrimPrefix(s, "pipelined "), eximStages)
	if ok && strings.HasPrefix(s, "<") {
		end := eximClosing(s[1:])
		if end < 0 || s[1+end] != '>' {
			end = strings.Index(s, ">: ") - 1
		}
		if end >= 0 {
			if phase == event.PhaseRcpt {
				recipient = s[1 : 1+end]
			}
			s = s[end+2:]
		}
	}
	if _, reply, ok := strings.Cut(s, ": "); ok {
		return phase, recipient, reply
	}
	if strings.HasSuffix(s, ":") {
		return phase, recipient, ""
	}
	return phase, recipient, s
}

// eximReasons are the heads of reasons of Exim's own that tell a phase.
var eximReasons = []phaseHead{
	{"Unrouteable address", event.PhaseDNS},
	{"host lookup did not complete", event.PhaseDNS},
	{"an MX or SRV record indicated no SMTP service", event.PhaseDNS},
	{"all relevant MX records point to", event.PhaseDNS},
	{"lowest numbered MX record points to local host", event.PhaseDNS},
	{"all host address lookups failed", event.PhaseDNS},
	{"remote host address is the local host", event.PhaseDNS},
	{"smtp transport found host", event.PhaseDNS}, // ... to be local
	{"missing MX", event.PhaseDNS},
	{"lookup of host", event.PhaseDNS},
	{"no host found", event.PhaseDNS},
	{"unknown mail domain", event.PhaseDNS},
	{"domain missing or malformed", event.PhaseDNS},
	{"host not found", event.PhaseDNS},
	{"DNS lookup", event.PhaseDNS},
	{"a TLS session is required", event.PhaseStartTLS},
	{"TLS session", event.PhaseStartTLS},
	{"TLS error", event.PhaseStartTLS},
	{"failure while setting up TLS session", event.PhaseStartTLS},
	{"bad first read from TLS conn", event.PhaseStartTLS},
	{"DANE error", event.PhaseStartTLS},
	{"authentication is required", event.PhaseAuth},
	{"authentication", event.PhaseAuth},
	{"retry time not reached", event.PhaseQueue},
	{"Retry time not yet reached", event.PhaseQueue},
	{"domain is held", event.PhaseQueue},
	{"failed to write a data block", event.PhaseDot},
	{"utf8 support required", event.PhaseMail},
	{"Failed to connect to socket", event.PhaseConnect},
	{"Connection timed out", event.PhaseConnect},
	{"Connection refused", event.PhaseConnect},
	{"No route to host", event.PhaseConnect},
	{"Network is unreachable", event.PhaseConnect},
}

// ownPhase tells the phase of a reason of Exim's own, by its text, its error
// number, or, where no peer is named, by having been decided on this host.
func (f *eximFields) ownPhase(s string) event.Phase {
	if s == "" {
		s = f.strerror
	}
	if phase, _, ok := cutPhaseHead(s, eximReasons); ok {
		return phase
	}
	switch f.errno {
	case -32, -36: // host unknown, DNS lookup deferred
		return event.PhaseDNS
	case -37, -38: // TLS failed, TLS required
		return event.PhaseStartTLS
	case -42, -48: // authentication failed
		return event.PhaseAuth
	}
	switch {
	case f.notAttempted():
		return event.PhaseQueue
	case f.errno > 0 && f.transport != "" && f.message == "":
		return event.PhaseConnect
	case !f.relay.Known():
		return event.PhaseLocal
	}
	return event.PhaseUnknown
}

// unescapeExim undoes what string_printing did to text of several lines: "\n"
// where a line of a reply follows, and the octal escapes of UTF-8. Backslashes
// are not escaped, so other escapes stay as they are: they may be the text's own.
func unescapeExim(s string) string {
	i := strings.IndexByte(s, '\\')
	if i < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for ; i >= 0; i = strings.IndexByte(s, '\\') {
		b = append(b, s[:i]...)
		s = s[i:]
		n := eximOctalLen(s)
		switch {
		case n > 0:
			b = appendEximOctal(b, s[:n], n == len(s))
		case strings.HasPrefix(s, `\n`) && continuesReply(s[2:]):
			b, n = append(b, '\n'), 2
		default:
			b, n = append(b, '\\'), 1
		}
		s = s[n:]
	}
	return string(append(b, s...))
}

// continuesReply reports whether s starts with a line of a reply, or with what
// is left of one at the end of cut text.
func continuesReply(s string) bool {
	n := 0
	for n < len(s) && n < 3 && isDigit(s[n]) {
		n++
	}
	if n > 0 && (s[0] < '2' || s[0] > '5') {
		return false
	}
	if n == len(s) {
		return true
	}
	return n == 3 && (s[3] == '-' || s[3] == ' ' || s[3] == '\\')
}

// eximOctalLen returns the length of the run of octal escapes of bytes beyond
// ASCII at the head of s, such as "\303\251".
func eximOctalLen(s string) int {
	n := 0
	for len(s)-n >= 4 {
		e := s[n : n+4]
		if e[0] != '\\' || e[1] != '2' && e[1] != '3' || e[2] < '0' || e[2] > '7' || e[3] < '0' || e[3] > '7' {
			break
		}
		n += 4
	}
	return n
}

// appendEximOctal appends what a run of octal escapes stands for if that is
// UTF-8, its last character possibly cut, or else the run itself.
func appendEximOctal(b []byte, run string, mayBeCut bool) []byte {
	start := len(b)
	for i := 0; i < len(run); i += 4 {
		b = append(b, (run[i+1]-'0')<<6|(run[i+2]-'0')<<3|(run[i+3]-'0'))
	}
	text := b[start:]
	if utf8.Valid(text) {
		return b
	}
	for cut := 1; mayBeCut && cut < utf8.UTFMax && cut < len(text); cut++ {
		if last := text[len(text)-cut:]; utf8.RuneStart(last[0]) {
			if whole := text[:len(text)-cut]; !utf8.FullRune(last) && utf8.Valid(whole) {
				return b[:len(b)-cut]
			}
			break
		}
	}
	return append(b[:start], run...)
}
