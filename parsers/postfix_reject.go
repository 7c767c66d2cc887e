package parsers

import (
	"strings"

	"mtatap/event"
)

// isPostfixReject reports whether s, what follows the queue id or its lack, is a
// refusal: not a warning, hold, discard or the like.
func isPostfixReject(s string) bool {
	return strings.HasPrefix(strings.TrimPrefix(s, "milter-"), "reject: ")
}

// reject reads a refusal of smtpd (of its own or of a filter before the queue),
// cleanup (milters) or postscreen:
//
//	NOQUEUE|QID: [milter-]reject: STAGE from host[ip]: [CODE ][X.Y.Z ]TEXT; from=<S> to=<R> proto=P helo=<H>
//	proxy-reject: STAGE: CODE [X.Y.Z ]TEXT; from=<S> to=<R> proto=P helo=<H>
//
// postscreen has commas between the fields. There is no recipient before RCPT,
// and after it where the message has several; without one there is no event, as
// no recipient's mail was refused. Neither is there one for header and body
// checks, whose lines hold the header as the sender wrote it. The client is no
// relay: it gave no reply.
func (p *postfix) reject(dst []event.Delivery, line Line) ([]event.Delivery, error) {
	raw, _, e, ok := p.retain(line.Text, nil)
	if !ok {
		return dst, nil
	}
	id, _, _ := cutPostfixID(e.message)
	_, rest, _ := strings.Cut(e.message, "reject: ")
	stage, _, _ := strings.Cut(rest, " ")
	said := rest[len(stage):]
	stage, byProxy := strings.CutSuffix(stage, ":")
	phase, ok := postfixStagePhase(stage)
	if !ok {
		return dst, nil
	}
	text, s, ok := readPostfixReject(strings.TrimSuffix(said, "\r"), byProxy)
	if !ok {
		return dst, p.unparsed(e.tag)
	}
	if s.to == "" {
		return dst, nil
	}
	dst = append(dst, event.Delivery{})
	d := &dst[len(dst)-1]
	p.fill(d, line, raw, e)
	d.QueueID, d.Status, d.Phase = id, event.Rejected, phase
	d.Sender, d.SenderKnown = s.from, true
	d.Recipient, d.RecipientSource = s.to, event.RecipientFromLog
	setPostfixReply(d, text)
	if d.SMTPCode == 0 { // from a milter after the message
		d.EnhancedCode, _ = event.CutEnhanced(text)
	}
	d.DSN = d.EnhancedCode
	return dst, nil
}

// postfixStagePhase knows the stages that may have a recipient.
func postfixStagePhase(stage string) (event.Phase, bool) {
	switch stage {
	case "RCPT":
		return event.PhaseRcpt, true
	case "DATA", "BDAT":
		return event.PhaseData, true
	case "END-OF-MESSAGE":
		return event.PhaseDot, true
	}
	return event.PhaseUnknown, false
}

// maxPostfixRejects bounds the places of a line where the fields may start.
const maxPostfixRejects = 16

type postfixEnvelope struct{ from, to string }

// readPostfixReject reads " from host[ip]: TEXT; FIELDS", or " TEXT; FIELDS" if a
// filter before the queue refused. The client chose
// addresses and HELO name, and parts of the text repeat them, so several places
// may look like the start of the fields. Where more than one of them follows
// the grammar to the end of the line, none is believed.
func readPostfixReject(s string, byProxy bool) (text string, env postfixEnvelope, ok bool) {
	if s, ok = strings.CutPrefix(s, " "); ok && !byProxy {
		s, ok = cutPostfixClient(s)
	}
	if !ok {
		return "", env, false
	}
	found := 0
	for from, places := 0, 0; found < 2; places++ {
		if places == maxPostfixRejects {
			return "", env, false
		}
		i := strings.Index(s[from:], "; from=<")
		if i < 0 {
			break
		}
		from += i + len("; from=<")
		if e, ok := readPostfixEnvelope(s[from:]); ok {
			text, env = s[:from-len("; from=<")], e
			found++
		}
	}
	return text, env, found == 1
}

// cutPostfixClient cuts "from host[ip]: ", of postscreen "from [ip]:port: ", off
// the head of s.
func cutPostfixClient(s string) (rest string, ok bool) {
	s, ok = strings.CutPrefix(s, "from ")
	end := strings.Index(s, "]: ")
	if i := strings.Index(s, "]:"); i >= 0 && i != end {
		end = strings.Index(s[i+2:], ": ") + i + 1
	}
	if !ok || end < 0 || end+3 > len(s) {
		return "", false
	}
	return s[end+3:], true
}

// readPostfixEnvelope reads "S>[[,] to=<R>][,] proto=P[[,] helo=<H>]" and the
// end of the line.
func readPostfixEnvelope(s string) (env postfixEnvelope, ok bool) {
	return env, eachPostfixEnd(s, func(addr, rest string) bool {
		env.from, env.to = addr, ""
		rest = strings.TrimPrefix(rest, ",")
		if isPostfixProtocol(rest) {
			return true
		}
		rest, ok := strings.CutPrefix(rest, " to=<")
		return ok && eachPostfixEnd(rest, func(addr, rest string) bool {
			env.to = addr
			return isPostfixProtocol(strings.TrimPrefix(rest, ","))
		})
	})
}

func isPostfixProtocol(s string) bool {
	for _, proto := range [...]string{" proto=ESMTP", " proto=SMTP"} {
		if rest, ok := strings.CutPrefix(s, proto); ok {
			if rest == "" {
				return true
			}
			rest = strings.TrimPrefix(rest, ",")
			return strings.HasPrefix(rest, " helo=<") && strings.HasSuffix(rest, ">") || strings.HasPrefix(rest, " sasl_username=<")
		}
	}
	return false
}
