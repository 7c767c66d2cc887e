package parsers

import (
	"strconv"
	"strings"

	"mtatap/event"
)

const harakaMTA event.MTA = "haraka"

// haraka reads the log of Haraka (2.8 and 3) in its three formats, with or
// without time stamps, from standard output or through syslog.
//
// A "delivered" line names no recipient, so the recipients of a message are
// remembered when it comes in ("recipient <a> code=OK") and joined by the item's
// number and domain. An item is named uuid.transaction.number. A recipient line
// of an item ("deferred:", "rejected:") is an outcome at once; a line about the
// whole item goes to each of its recipients that had no outcome in this attempt.
//
// Attempt is the number of failed attempts that the queue file's name carries,
// plus one. Haraka counts anew for the recipients that it splits off after a
// partial failure.
type haraka struct {
	opts     Options
	envelope envelopeReader
	stamps   stamps
	memory   *memory[harakaTransaction]
	bytes    int // held by all transactions
	maxBytes int
	verp     verp
	loose    []byte // the failed connection that the line before told of, without an item
	torn     int    // lines that a value with line breaks may still have
	scratch  []byte
	split    bool // the log is of a server with always_split
	detailed bool // the log has INFO lines, thus every failed attempt
	window   harakaWindow
}

func newHaraka(opts Options) *haraka {
	p := &haraka{opts: opts, stamps: stamps{zone: opts.zone()}, verp: newVERP(opts.VERP), maxBytes: maxHarakaBytes}
	p.clear()
	return p
}

// Parse implements Parser.
func (p *haraka) Parse(dst []event.Delivery, line Line) ([]event.Delivery, error) {
	if p.torn > 0 {
		p.mend(line.Text)
		return dst, nil
	}
	body, _, _ := harakaBody(p.envelope.read, view(line.Text))
	rec, ok := readHaraka(body)
	if !ok {
		return dst, nil
	}
	p.detailed = p.detailed || rec.level == "INFO"
	loose := p.loose
	if !rec.leadsToDeferral() {
		p.loose = p.loose[:0]
	}
	switch {
	case rec.origin == "core":
		return p.inbound(dst, line, &rec)
	case rec.origin != "outbound":
		return dst, nil
	case rec.uuid == "-":
		if isHarakaFailure(rec.message) {
			return p.unjoined(dst, line)
		}
		p.window.outbound(rec.message)
		if strings.HasPrefix(rec.message, "Failed to get ") {
			p.loose = appendHarakaTrouble(p.loose, &rec)
		}
		return dst, nil
	}
	return p.outbound(dst, line, &rec, loose)
}

// Flush implements Parser. Nothing is ever held back.
func (p *haraka) Flush(dst []event.Delivery) []event.Delivery { return dst }

// outbound reads a line of a queue item; loose is what the line before left.
func (p *haraka) outbound(dst []event.Delivery, line Line, rec *harakaRecord, loose []byte) ([]event.Delivery, error) {
	id, number, ok := cutHarakaItem(rec.uuid)
	if !ok {
		return dst, nil
	}
	if _, ok := rec.delivered(); ok {
		return p.delivered(dst, line, id, number)
	}
	switch m := rec.message; {
	case strings.HasPrefix(m, "recipient <"):
		return p.refused(dst, line, id, number)
	case isHarakaFailure(m):
		return p.failed(dst, line, id, number, loose)
	case isHarakaDropped(m):
		return p.dropped(dst, line, id, number)
	case !p.detailed && isHarakaFault(rec):
		return p.faulted(dst, line, id, number)
	default:
		p.progress(rec, id, number)
		return dst, nil
	}
}

// isHarakaFailure reports whether m is about the failure of a whole item.
func isHarakaFailure(m string) bool {
	return hasHarakaPrefix(m, "Temp failing ", "bouncing mail: ", "Bouncing mail: ")
}

// cutHarakaItem splits the uuid of an item into its transaction and its number.
func cutHarakaItem(uuid string) (id string, number int32, ok bool) {
	dot := strings.LastIndexByte(uuid, '.')
	if dot < 1 {
		return "", 0, false
	}
	n, ok := harakaNumber(uuid[dot+1:])
	return uuid[:dot], n, ok && n > 0
}

// harakaNumber reads a decimal number of at most eight digits.
func harakaNumber(s string) (int32, bool) {
	if len(s) > 8 || !allDigits(s) {
		return 0, false
	}
	n := int32(0)
	for i := 0; i < len(s); i++ {
		n = n*10 + int32(s[i]-'0')
	}
	return n, true
}

// harakaLine is a status line, read from a copy of its own.
type harakaLine struct {
	harakaRecord
	delivery event.Delivery // what all deliveries of the line share
}

// retain reads line from a copy of its own into l, with what t, which may be nil,
// remembers of the message.
func (p *haraka) retain(l *harakaLine, line Line, t *harakaTransaction) {
	var b strings.Builder
	if t != nil {
		b.Grow(len(line.Text) + len(t.sender) + len(t.mid))
		b.Write(line.Text)
		b.Write(t.sender)
		b.Write(t.mid)
	} else {
		b.Write(line.Text)
	}
	raw, joined := b.String()[:len(line.Text)], b.String()[len(line.Text):]
	body, stamp, host := harakaBody(p.envelope.readKept, raw)
	l.harakaRecord, _ = readHaraka(body)
	d := &l.delivery
	d.MTA, d.Host, d.Program, d.QueueID = harakaMTA, host, "outbound", l.uuid
	d.Origin, d.Offset, d.Raw = line.Origin, line.Offset, raw
	if stamp != "" {
		d.Time, _ = p.stamps.time(stamp, line.Reference)
	}
	if t != nil {
		d.Sender, d.MessageID, d.SenderKnown = joined[:len(t.sender)], joined[len(t.sender):], t.senderKnown
	}
}

// text returns a value of the line without its escapes.
func (l *harakaLine) text(s string) string {
	if l.format == harakaDefault {
		return s
	}
	return unescapeHaraka(s)
}

func unescapeHaraka(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	return string(appendUnescaped(nil, s))
}

// to returns the delivery for a recipient as the transaction named it.
func (l *harakaLine) to(addr string) event.Delivery {
	d := l.delivery
	d.Recipient, d.RecipientSource = addr, event.RecipientFromLog
	return d
}

// give appends the delivery for the recipient addr, unless the deliveries from
// start on, which are those of the same line, have it.
func (l *harakaLine) give(dst []event.Delivery, start int, addr string) []event.Delivery {
	if givenHaraka(dst[start:], addr) {
		return dst
	}
	dst = append(dst, l.delivery)
	d := &dst[len(dst)-1]
	d.Recipient, d.RecipientSource = addr, event.RecipientFromLog
	return dst
}

func givenHaraka(given []event.Delivery, addr string) bool {
	for i := range given {
		if given[i].Recipient == addr {
			return true
		}
	}
	return false
}

// appendHarakaOnce appends d unless the deliveries from start on have its
// recipient.
func appendHarakaOnce(dst []event.Delivery, start int, d event.Delivery) []event.Delivery {
	if givenHaraka(dst[start:], d.Recipient) {
		return dst
	}
	return append(dst, d)
}

var (
	errHarakaDelivered = &UnparsedError{MTA: harakaMTA, Program: "outbound", Problem: "delivered line without its fields"}
	errHarakaRecipient = &UnparsedError{MTA: harakaMTA, Program: "outbound", Problem: "recipient line without an outcome"}
	errHarakaDeferral  = &UnparsedError{MTA: harakaMTA, Program: "outbound", Problem: "deferral without a reason"}
)

// delivered reads "delivered file=QF domain=D host=H ip=IP ... rcpts=ok/fail/bounce".
func (p *haraka) delivered(dst []event.Delivery, line Line, id string, number int32) ([]event.Delivery, error) {
	t := p.memory.get(id)
	if t == nil {
		return dst, nil // a bounce of Haraka's own: its recipient is not logged
	}
	var l harakaLine
	p.retain(&l, line, t)
	fields, _ := l.harakaRecord.delivered()
	var domain, ip, rcpts string
	d := &l.delivery
	d.Status = event.Delivered
	for {
		key, value, ok := fields.next()
		if !ok {
			break
		}
		switch key {
		case "domain":
			domain = unescapeHaraka(value)
		case "host":
			d.Relay.Host = unescapeHaraka(value)
		case "ip":
			ip = unescapeHaraka(value)
		case "port":
			d.Relay.Port = harakaPort(value)
		case "response":
			d.Diagnostic = strings.TrimSpace(unescapeHaraka(value))
		case "delay":
			if s, err := strconv.ParseFloat(value, 64); err == nil && s >= 0 && s < 1e9 {
				d.Delay = event.KnownSeconds(s)
			}
		case "fails":
			if n, ok := harakaNumber(value); ok {
				d.Attempt = int(n) + 1
			}
		case "rcpts":
			rcpts = value
		}
	}
	counts, ok := harakaCounts(rcpts)
	if domain == "" || !ok {
		return dst, errHarakaDelivered
	}
	if isHarakaIP(ip) {
		d.Relay.IP = ip
	} else if ip != "" {
		d.Relay = event.Relay{Host: ip} // the path of a socket
	}
	d.EnhancedCode, _ = event.CutEnhanced(d.Diagnostic)
	t.known(number).giveReply(d)
	p.learn(t, number, counts)
	m := harakaMatch{item: number, domain: domain, split: p.split, deferred: counts.deferred}
	open := t.waiting(m)
	if open == 0 { // a plugin changed the recipients, so that numbers do not fit
		m.anyItem = true
		open = t.waiting(m)
	}
	before := len(dst)
	// More than were delivered: lines are missing, so nobody knows which.
	for i := range t.recipients {
		if r := &t.recipients[i]; open <= counts.delivered && t.waits(i, m) {
			dst = l.give(dst, before, string(r.addr))
			r.item, r.state = number, harakaClosed
		}
	}
	if it := t.known(number); it != nil {
		it.attemptEnds()
	}
	p.forgetClosed(id, t)
	return dst, nil
}

// harakaTally is "rcpts=ok/fail/bounce" of a delivered line.
type harakaTally struct{ delivered, deferred, bounced int }

func harakaCounts(s string) (harakaTally, bool) {
	var n [3]int
	for i := range n {
		part, rest, found := strings.Cut(s, "/")
		v, ok := harakaNumber(part)
		if !ok || found != (i < 2) {
			return harakaTally{}, false
		}
		n[i], s = int(v), rest
	}
	return harakaTally{n[0], n[1], n[2]}, true
}

// harakaMatch says which recipients a delivered line may be about.
type harakaMatch struct {
	item     int32
	domain   string
	split    bool
	anyItem  bool // also those whose order speaks for another item
	deferred int  // recipients that the attempt deferred
}

// waiting counts the recipients that m matches.
func (t *harakaTransaction) waiting(m harakaMatch) int {
	n := 0
	for i := range t.recipients {
		if t.waits(i, m) {
			n++
		}
	}
	return n
}

// waits reports whether recipient i belongs to the item and had no outcome in
// the attempt that delivered it. Of those reported deferred only the last
// m.deferred were so in this attempt: without INFO lines nothing else tells
// where the attempt before ended.
func (t *harakaTransaction) waits(i int, m harakaMatch) bool {
	r := &t.recipients[i]
	if r.twice && !m.split || t.itemOf(i, m.split) != m.item && (r.item != 0 || !m.anyItem) || !sameHarakaDomain(harakaDomain(view(r.addr)), m.domain) {
		return false
	}
	if r.state != harakaDeferred {
		return r.state == harakaOpen
	}
	later := 0
	for j := range t.recipients {
		if o := &t.recipients[j]; o.state == harakaDeferred && o.item == m.item && o.seq > r.seq {
			later++
		}
	}
	return later >= m.deferred
}

// sameHarakaDomain compares the domain of a recipient with that of an item, which
// is punycode where the address has Unicode.
func sameHarakaDomain(addr, item string) bool {
	if strings.EqualFold(addr, item) {
		return true
	}
	for i := 0; i < len(addr); i++ {
		if addr[i] >= 0x80 {
			return true
		}
	}
	return false
}

// refused reads "recipient <R> deferred: REPLY" and "recipient <R> rejected: REPLY".
func (p *haraka) refused(dst []event.Delivery, line Line, id string, number int32) ([]event.Delivery, error) {
	var l harakaLine
	p.retain(&l, line, p.memory.get(id))
	rest, _ := strings.CutPrefix(l.text(l.message), "recipient ")
	addr, rest, ok := cutHarakaAddress(rest)
	if !ok {
		return dst, errHarakaRecipient
	}
	state := harakaDeferred
	l.delivery.Status = event.Deferred
	reply, ok := strings.CutPrefix(rest, " deferred: ")
	if !ok {
		state, l.delivery.Status = harakaRejected, event.Bounced
		if reply, ok = strings.CutPrefix(rest, " rejected: "); !ok {
			return dst, errHarakaRecipient
		}
	}
	t, isNew := p.remember(id)
	it := t.known(number)
	d := l.to(addr)
	setHarakaReply(&d, reply)
	d.Phase = event.PhaseRcpt
	if it != nil {
		d.Relay = harakaPeer(it.peer)
		if it.phase != 0 {
			d.Phase = event.Phase(it.phase)
		}
	}
	d.Attempt = p.attempt(t, it, isNew)
	before := t.size
	r := t.find(addr, number)
	if r == nil {
		r = t.add(addr)
	}
	if r != nil {
		p.learnFrom(t, r, number)
		t.seq++
		r.item, r.state, r.seq = number, state, t.seq
		if state == harakaDeferred {
			t.size += len(clip(reply)) - len(r.reply)
			r.reply = append(r.reply[:0], clip(reply)...)
		}
	}
	p.bytes += t.size - before
	return append(dst, d), nil
}

// attempt returns the number of this attempt, 0 where the log does not tell
// about every failed one.
func (p *haraka) attempt(t *harakaTransaction, it *harakaItem, isNew bool) int {
	if it != nil && it.fails > 0 {
		return int(it.fails) + 1
	}
	if isNew || !t.whole || !p.detailed {
		return 0
	}
	return 1
}
