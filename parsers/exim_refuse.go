package parsers

import (
	"strings"

	"mtatap/event"
)

// eximRefused is what a record says that this host refused at SMTP time.
type eximRefused struct {
	phase     event.Phase
	sender    string
	hasSender bool
	recipient string
	text      string // behind the first ": "
}

// refuse makes the delivery that a refusal record tells of.
func (p *exim) refuse(dst []event.Delivery, r *eximRecord, src *eximSource) []event.Delivery {
	record, _, _ := strings.Cut(r.rest, "\n") // the reject log adds the headers
	refused, ok := readEximRefusal(record)
	if !ok || src.envelope.tag != "" && p.refusals.seen(src.envelope.host, src.envelope.pid, r.id, record) {
		return dst
	}
	d := p.start(r, src)
	p.messages.get(d.QueueID).join(&d)
	d.Status, d.Phase = event.Rejected, refused.phase
	if refused.hasSender {
		d.Sender, d.SenderKnown = refused.sender, true
	}
	if refused.recipient != "" {
		d.Recipient, d.RecipientSource = refused.recipient, event.RecipientFromLog
	}
	setEximReply(&d, cutEximCallout(refused.text))
	return append(dst, d)
}

// cutEximCallout returns what the next host replied when it was asked for the
// recipient, if that is what text tells, or else text.
func cutEximCallout(text string) string {
	const callout = "SMTP error from remote mail server after "
	if i := strings.Index(text, callout); i >= 0 {
		_, _, reply := cutEximStage(text[i+len(callout):])
		return reply
	}
	if strings.HasPrefix(text, `response to "`) { // older versions
		if _, reply, ok := strings.Cut(text, "] was: "); ok {
			return reply
		}
	}
	return text
}

// isEximRefusal reports whether a record says that this host refused something.
func isEximRefusal(s string) bool {
	if !strings.Contains(s, "rejected") && !strings.Contains(s, "refused") {
		return false
	}
	s, _, _ = strings.Cut(s, "\n")
	_, ok := readEximRefusal(s)
	return ok
}

// readEximRefusal reads "[H=host ...][U=user] [F=<sender>] [temporarily ]rejected
// COMMAND ...[: text]" from left to right.
func readEximRefusal(s string) (r eximRefused, ok bool) {
	if r, ok = readEximDropped(s); ok {
		return r, true
	}
	for s != "" {
		s = strings.TrimPrefix(s, " ")
		if rest, ok := strings.CutPrefix(strings.TrimPrefix(s, "temporarily "), "rejected "); ok {
			return r, r.readCommand(rest)
		}
		if rest, ok := strings.CutPrefix(s, "unqualified recipient rejected: "); ok {
			return r, r.readCommand("RCPT " + rest)
		}
		switch name := eximFieldName(s); {
		case name == "F" && strings.HasPrefix(s, "F=<"):
			end := eximClosing(s[3:])
			if end < 0 || s[3+end] != '>' {
				return r, false
			}
			r.sender, r.hasSender = s[3:3+end], true
			s = s[3+end+1:]
		case name == "DN" && strings.HasPrefix(s, `DN="`):
			_, s = cutEximQuoted(s[3:])
		case name != "" || strings.HasPrefix(s, "(") || strings.HasPrefix(s, "["):
			s = s[quotedTokenLen(s):]
		default:
			n := quotedTokenLen(s)
			if r.recipient != "" || strings.IndexByte(s[:n], '@') < 1 || !strings.HasPrefix(s[n:], " F=<") {
				return r, false
			}
			r.recipient, s = s[:n], s[n:] // refused by the next host of a cut-through delivery
		}
	}
	return r, false
}

// readEximDropped reads what Exim says where it refuses a client without an ACL:
// "refused connection from host (reason)", "Connection from host refused:
// reason" and "SMTP protocol synchronization error (reason): rejected ...".
func readEximDropped(s string) (r eximRefused, ok bool) {
	r.phase = event.PhaseConnect
	if rest, ok := strings.CutPrefix(s, "refused connection from "); ok {
		if i := strings.LastIndex(rest, " ("); i >= 0 {
			r.text = strings.TrimSuffix(rest[i+2:], ")")
		}
		return r, true
	}
	if rest, ok := strings.CutPrefix(s, "Connection from "); ok {
		_, r.text, ok = strings.Cut(rest, " refused: ")
		return r, ok
	}
	const unsynchronized = "SMTP protocol synchronization error"
	rest, ok := strings.CutPrefix(s, unsynchronized+" (")
	if !ok {
		return r, false
	}
	reason, rest, ok := strings.Cut(rest, "): rejected ")
	if !ok {
		return r, false
	}
	r.text = unsynchronized + " (" + reason + ")"
	if quoted, ok := strings.CutPrefix(rest, `"`); ok {
		verb := quoted[:min(len(quoted), 4)]
		r.phase = commandPhase(strings.ToUpper(verb))
	}
	return r, true
}

// eximRefusedCommands are what can be refused. ETRN, VRFY and EXPN are no mail.
var eximRefusedCommands = []phaseHead{
	{"RCPT ", event.PhaseRcpt},
	{"MAIL FROM:", event.PhaseMail},
	{"MAIL ", event.PhaseMail},
	{"EHLO", event.PhaseHelo},
	{"HELO", event.PhaseHelo},
	{"connection", event.PhaseConnect},
	{"from ", event.PhaseDot},
	{"DATA", event.PhaseData},
	{"after DATA", event.PhaseDot},
	{"during MIME ACL checks", event.PhaseDot},
	{"by local_scan()", event.PhaseDot},
	{"by non-SMTP ACL", event.PhaseLocal},
	{"AUTH", event.PhaseAuth},
	{"STARTTLS", event.PhaseStartTLS},
}

func (r *eximRefused) readCommand(s string) bool {
	var ok bool
	if r.phase, s, ok = cutPhaseHead(s, eximRefusedCommands); !ok {
		return false
	}
	if strings.HasPrefix(s, "<") {
		end := eximClosing(s[1:])
		if end < 0 || s[1+end] != '>' {
			return false
		}
		switch address := s[1 : 1+end]; r.phase {
		case event.PhaseRcpt:
			r.recipient = address
		case event.PhaseMail, event.PhaseDot:
			r.sender, r.hasSender = address, true
		}
		s = s[end+2:]
	}
	if strings.HasPrefix(s, ": R=") || strings.HasPrefix(s, ": T=") {
		var f eximFields
		f.read(s[1:])
		r.text = f.confirmation
		return true
	}
	_, r.text, _ = strings.Cut(s, ": ")
	return true
}

// eximRefusals remembers the last refusals through syslog: Exim writes each
// twice, for the main log and for the reject log.
type eximRefusals struct {
	hashes [16]uint64
	next   int
}

// seen reports whether these words came once before, and forgets them then, or
// remembers them.
func (r *eximRefusals) seen(words ...string) bool {
	const offset, prime = 14695981039346656037, 1099511628211 // FNV-1a
	h := uint64(offset)
	for _, w := range words {
		for i := 0; i < len(w); i++ {
			h = (h ^ uint64(w[i])) * prime
		}
		h *= prime
	}
	for i, seen := range r.hashes {
		if seen == h {
			r.hashes[i] = 0
			return true
		}
	}
	r.hashes[r.next] = h
	r.next = (r.next + 1) % len(r.hashes)
	return false
}
