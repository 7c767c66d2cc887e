package parsers

import (
	"strings"

	"mtatap/event"
)

// status reads the delivery status line of message id.
func (p *postfix) status(dst []event.Delivery, line Line, id string) ([]event.Delivery, error) {
	m := p.messages.get(id)
	raw, joined, e, ok := p.retain(line.Text, m)
	if !ok {
		return dst, nil
	}
	id, rest, _ := cutPostfixID(e.message)
	s, ok := readPostfixStatus(strings.TrimSuffix(strings.TrimPrefix(rest, "to=<"), "\r"))
	if !ok {
		return dst, p.unparsed(e.tag)
	}
	var status event.Status
	switch s.word {
	case "sent":
		status = event.Delivered
	case "deferred", "SOFTBOUNCE": // the latter is a bounce that soft_bounce=yes made temporary
		status = event.Deferred
	case "bounced":
		status = event.Bounced
	case "deliverable", "undeliverable": // an address probe
		return dst, nil
	default:
		return dst, p.unparsed(e.tag)
	}
	dst = append(dst, event.Delivery{})
	d := &dst[len(dst)-1]
	p.fill(d, line, raw, e)
	d.QueueID, d.Status, d.DSN = id, status, s.dsn
	m.join(d, joined)
	d.Recipient, d.OriginalRecipient, d.RecipientSource = postfixRecipient(s.to, s.origTo)
	if s.delay >= 0 {
		d.Delay = event.KnownSeconds(s.delay)
	}
	readPostfixReason(d, &s)
	if status == event.Deferred {
		p.defers(p.messages.put(id), d)
		return dst, nil
	}
	p.settles(m, d)
	p.verp.recoverRecipient(d)
	if status == event.Delivered {
		if p.isFilterHop(d.Relay) && strings.Contains(s.reason, "queued as") {
			return dst[:len(dst)-1], nil
		}
		p.asynchronousBounce(d, m, &s)
	}
	return dst, nil
}

// retain copies text, and what m remembers for its events, into one string and
// reads the envelope from there. ok is false where there is none.
func (p *postfix) retain(text []byte, m *postfixMessage) (raw, joined string, e envelope, ok bool) {
	var b strings.Builder
	if m != nil {
		b.Grow(len(text) + len(m.sender) + len(m.messageID))
		b.Write(text)
		b.Write(m.sender)
		b.Write(m.messageID)
	} else {
		b.Write(text)
	}
	raw, joined = b.String()[:len(text)], b.String()[len(text):]
	e, ok = p.read(raw)
	return raw, joined, e, ok
}

// fill sets what the envelope says.
func (p *postfix) fill(d *event.Delivery, line Line, raw string, e envelope) {
	d.MTA, d.Host = postfixMTA, e.host
	d.Instance, d.Program = splitPostfixTag(e.tag)
	d.Time, _ = p.stamps.time(e.stamp, line.Reference)
	d.Origin, d.Offset, d.Raw = line.Origin, line.Offset, raw
}

func (p *postfix) isFilterHop(r event.Relay) bool {
	for _, hop := range p.hops {
		if hop.Port == r.Port && (hop.Host == r.IP || hop.Host == r.Host) {
			return true
		}
	}
	return false
}

// postfixRecipient chooses the envelope recipient: to=, unless that is a bare
// local name and the original recipient is an address.
func postfixRecipient(to, origTo string) (recipient, original string, source event.RecipientSource) {
	switch {
	case strings.IndexByte(to, '@') < 0 && strings.IndexByte(origTo, '@') >= 0:
		return origTo, "", event.RecipientFromOriginal
	case to == "":
		return "", origTo, event.RecipientUnknown
	case origTo == to:
		origTo = ""
	}
	return to, origTo, event.RecipientFromLog
}

// postfixStatus holds the fields of a delivery status line.
type postfixStatus struct {
	to, origTo string
	relay      string
	peer       event.Relay // the relay, if it is a peer and no service
	isPeer     bool
	delay      float64
	dsn        string // absent before Postfix 2.3
	word       string // status
	reason     string // up to the end of the line, without its last ")"
	cut        bool   // there is no last ")"
}

// Bounds on what a hostile line can make us try.
const (
	maxPostfixEnds   = 64 // places where an address may end
	maxPostfixFields = 24
)

// readPostfixStatus reads what follows "to=<" (log_adhoc.c of Postfix):
//
//	ADDR>[, orig_to=<ADDR>], relay=RELAY[, conn_use=N], delay=D[, delays=a/b/c/d][, key=value ...][, dsn=X.Y.Z], status=WORD (REASON)
//
// Of the fields only the status has to be there; excerpts leave out others. An
// address is in external form (local part quoted where need be) or in internal
// form, where anything may be inside. So its end is the first ">" that is
// followed by the rest of the grammar.
func readPostfixStatus(s string) (f postfixStatus, ok bool) {
	return f, eachPostfixEnd(s, func(addr, rest string) bool {
		f.to, f.origTo = addr, ""
		rest, ok := strings.CutPrefix(rest, ", ")
		if !ok {
			return false
		}
		orig, ok := strings.CutPrefix(rest, "orig_to=<")
		if !ok {
			return f.readFields(rest)
		}
		return eachPostfixEnd(orig, func(addr, rest string) bool {
			f.origTo = addr
			rest, ok := strings.CutPrefix(rest, ", ")
			return ok && f.readFields(rest)
		})
	})
}

// eachPostfixEnd calls f with the address that s starts with and what follows
// it, for each ">" that may be its end, until f accepts one.
func eachPostfixEnd(s string, f func(addr, rest string) bool) bool {
	from := postfixQuotedLen(s)
	for range maxPostfixEnds {
		i := strings.IndexByte(s[from:], '>')
		if i < 0 {
			return false
		}
		from += i + 1
		if f(s[:from-1], s[from:]) {
			return true
		}
	}
	return false
}

// postfixQuotedLen returns the length of the quoted local part that s starts
// with, 0 if there is none.
func postfixQuotedLen(s string) int {
	if s == "" || s[0] != '"' {
		return 0
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			if i+1 < len(s) && s[i+1] == '@' {
				return i + 1
			}
			return 0
		}
	}
	return 0
}

// readFields reads the fields after the addresses, to the end of the line.
func (f *postfixStatus) readFields(s string) bool {
	f.relay, f.peer, f.isPeer, f.delay, f.dsn = "", event.Relay{}, false, -1, ""
	for range maxPostfixFields {
		i := strings.IndexByte(s, '=')
		if i < 0 || !isPostfixKey(s[:i]) {
			return false
		}
		key, rest, ok := s[:i], s[i+1:], true
		if key == "status" {
			f.word, rest, ok = strings.Cut(rest, " (")
			if !ok || !isPostfixWord(f.word) {
				return false
			}
			f.reason, ok = strings.CutSuffix(rest, ")")
			f.cut = !ok
			return true
		}
		var value string
		if value, s = cutPostfixValue(rest); value == "" {
			return false
		}
		switch key {
		case "relay":
			if f.relay != "" { // the one before was part of the address
				return false
			}
			f.relay = value
			ok = f.readRelay()
		case "delay":
			f.delay, ok = parsePostfixDelay(value)
		case "dsn":
			f.dsn = value
		case "to", "orig_to": // so was all before
			ok = false
		}
		if !ok {
			return false
		}
	}
	return false
}

// cutPostfixValue cuts a value and the ", " after it off the head of s.
func cutPostfixValue(s string) (value, rest string) {
	for from := 0; ; {
		i := strings.IndexByte(s[from:], ',')
		if i < 0 {
			return "", ""
		}
		from += i + 1
		if from < len(s) && s[from] == ' ' {
			return s[:from-1], s[from+1:]
		}
	}
}

// readRelay reads the relay, which is a peer or the name of a service.
func (f *postfixStatus) readRelay() bool {
	var rest string
	if f.peer, rest, f.isPeer = cutPostfixPeer(f.relay); f.isPeer {
		return rest == "" && strings.IndexByte(f.peer.Host, '>') < 0
	}
	return f.relay != "" && !strings.ContainsAny(f.relay, "[>@")
}

func isPostfixKey(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < 'a' || c > 'z') && c != '_' {
			return false
		}
	}
	return s != "" && len(s) <= 24
}

func isPostfixWord(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i] | 0x20; (c < 'a' || c > 'z') && s[i] != '-' {
			return false
		}
	}
	return s != "" && len(s) <= 24
}

// parsePostfixDelay reads a number of seconds; a clock set back gives less
// than 0, which reads as 0.
func parsePostfixDelay(s string) (float64, bool) {
	if len(s) > 15 {
		return 0, false
	}
	digits, negative := strings.CutPrefix(s, "-")
	var mantissa, scale uint64 = 0, 1
	point := false
	for i := 0; i < len(digits); i++ {
		switch c := digits[i]; {
		case isDigit(c):
			mantissa = mantissa*10 + uint64(c-'0')
			if point {
				scale *= 10
			}
		case c == '.' && !point && i > 0:
			point = true
		default:
			return 0, false
		}
	}
	if negative {
		mantissa = 0
	}
	return float64(mantissa) / float64(scale), digits != ""
}
