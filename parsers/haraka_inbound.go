package parsers

import (
	"strings"

	"mtatap/event"
)

// inbound reads what the SMTP server logs of a transaction: its recipients, its
// message id, and what it refused.
func (p *haraka) inbound(dst []event.Delivery, line Line, rec *harakaRecord) ([]event.Delivery, error) {
	if strings.HasPrefix(rec.message, "recipient <") {
		return p.recipient(dst, line, rec)
	}
	if p.opts.Rejects && strings.HasPrefix(rec.message, "sender <") {
		return p.refusedSender(dst, line, rec)
	}
	if fields, ok := rec.after("message"); ok {
		return p.message(dst, line, rec, fields)
	}
	if fields, ok := rec.after("queue"); ok {
		return p.queue(dst, line, rec, fields)
	}
	return dst, nil
}

// address reads "<address>" behind name in the message, and the fields of the
// record. The address is valid until the next call.
func (p *haraka) address(rec *harakaRecord, name string) (addr string, fields harakaFields, ok bool) {
	m := rec.message
	fields = harakaFields{json: rec.format == harakaJSON, rest: rec.fields}
	if rec.format != harakaDefault && strings.IndexByte(m, '\\') >= 0 {
		p.scratch = appendUnescaped(p.scratch[:0], m)
		m = view(p.scratch)
	}
	addr, rest, ok := cutHarakaAddress(strings.TrimPrefix(m, name))
	if rec.format == harakaDefault {
		fields.rest = rest
	} else {
		ok = ok && rest == ""
	}
	return addr, fields, ok
}

// recipient reads "recipient <R> code=OK msg="" sender=S".
func (p *haraka) recipient(dst []event.Delivery, line Line, rec *harakaRecord) ([]event.Delivery, error) {
	addr, fields, ok := p.address(rec, "recipient ")
	code, _ := fields.find("code")
	if !ok || strings.IndexByte(rec.uuid, '.') < 0 {
		return dst, nil
	}
	if strings.HasPrefix(code, "DENY") {
		if !p.opts.Rejects {
			return dst, nil
		}
		return append(dst, p.rejected(line, "recipient ", event.PhaseRcpt)), nil
	}
	if code != "OK" && code != "CONT" {
		return dst, nil
	}
	t, isNew := p.remember(rec.uuid)
	before := t.size
	if isNew {
		t.whole = true
	}
	if !t.senderKnown {
		if sender, ok := fields.find("sender"); ok {
			t.sender, t.senderKnown = appendUnescaped(t.sender[:0], clip(sender)), true
			t.size += len(t.sender)
		}
	}
	t.add(addr)
	p.bytes += t.size - before
	return dst, nil
}

// rejected makes the delivery of a refusal that names an address.
func (p *haraka) rejected(line Line, name string, phase event.Phase) event.Delivery {
	l := p.retain(line)
	addr, fields, _ := p.address(&l.harakaRecord, name)
	d := l.delivery
	if l.format != harakaDefault {
		addr = strings.Clone(addr) // it may be in the scratch space
	}
	if d.Phase = phase; phase == event.PhaseRcpt {
		d.Recipient, d.RecipientSource = addr, event.RecipientFromLog
		if sender, ok := fields.find("sender"); ok {
			d.Sender, d.SenderKnown = unescapeHaraka(sender), true
		}
	} else {
		d.Sender, d.SenderKnown = addr, true
	}
	d.Status = event.Rejected
	d.Diagnostic = harakaMessage(fields)
	return d
}

// refusedSender reads "sender <S> code=DENY msg=".."".
func (p *haraka) refusedSender(dst []event.Delivery, line Line, rec *harakaRecord) ([]event.Delivery, error) {
	_, fields, ok := p.address(rec, "sender ")
	if code, _ := fields.find("code"); !ok || !strings.HasPrefix(code, "DENY") {
		return dst, nil
	}
	return append(dst, p.rejected(line, "sender ", event.PhaseMail)), nil
}

// message reads "message mid=<id> size=N rcpts=a/t/r delay=D code=CONT msg=""",
// the verdict after the end of data.
func (p *haraka) message(dst []event.Delivery, line Line, rec *harakaRecord, fields harakaFields) ([]event.Delivery, error) {
	t := p.memory.get(rec.uuid)
	if code, _ := fields.find("code"); strings.HasPrefix(code, "DENY") {
		return p.refusedMessage(dst, line, rec.uuid, t), nil
	}
	if mid, ok := fields.find("mid"); ok && t != nil {
		before := len(t.mid)
		t.mid = appendUnescaped(t.mid[:0], clip(mid))
		t.mid = trimMessageID(t.mid)
		t.size += len(t.mid) - before
		p.bytes += len(t.mid) - before
	}
	return dst, nil
}

// trimMessageID removes angle brackets and what folding left.
func trimMessageID(b []byte) []byte {
	s := strings.TrimSpace(view(b))
	if strings.HasPrefix(s, "<") && strings.HasSuffix(s, ">") && len(s) > 1 {
		s = s[1 : len(s)-1]
	}
	return append(b[:0], s...)
}

// queue reads "queue code=CONT msg=".."" (the message goes to the outbound
// queue), "queue code=OK" (it is there, or a plugin took it) and refusals.
func (p *haraka) queue(dst []event.Delivery, line Line, rec *harakaRecord, fields harakaFields) ([]event.Delivery, error) {
	t := p.memory.get(rec.uuid)
	code, _ := fields.find("code")
	switch {
	case strings.HasPrefix(code, "DENY"):
		return p.refusedMessage(dst, line, rec.uuid, t), nil
	case t == nil:
	case code == "CONT" && !t.queued:
		t.queued = true
		p.window.begin(t)
	case code == "OK" && t.queued:
		p.split = p.window.end(p.split)
	}
	return dst, nil
}

// refusedMessage gives a refusal after the end of data to all recipients.
func (p *haraka) refusedMessage(dst []event.Delivery, line Line, id string, t *harakaTransaction) []event.Delivery {
	if p.opts.Rejects {
		before := len(dst)
		l := p.retain(line)
		fields, ok := l.after("message")
		if !ok {
			fields, _ = l.after("queue")
		}
		d := &l.delivery
		d.Status, d.Phase = event.Rejected, event.PhaseDot
		d.Diagnostic = strings.TrimSuffix(harakaMessage(fields), " ("+l.uuid+")")
		l.from(t)
		if t == nil || len(t.recipients) == 0 {
			dst = append(dst, *d)
		} else {
			for i := range t.recipients {
				if r := &t.recipients[i]; !r.twice {
					dst = appendHarakaOnce(dst, before, l.to(string(r.addr)))
				}
			}
		}
	}
	if t != nil {
		p.memory.drop(id)
	}
	return dst
}

// harakaMessage returns the field msg as one line. A plugin may give several
// lines: an array in JSON, joined by commas in the other formats.
func harakaMessage(fields harakaFields) string {
	msg, _ := fields.find("msg")
	if fields.json && strings.HasPrefix(msg, `["`) {
		msg = strings.ReplaceAll(strings.TrimSuffix(msg[2:], `"]`), `","`, ",")
	}
	return strings.Join(strings.Fields(unescapeHaraka(msg)), " ")
}

// harakaWindow counts between the moment when a message goes to the outbound
// queue and the moment when it is there. One "Transaction delivery" line for
// each recipient instead of each domain shows that always_split is on.
type harakaWindow struct{ open, items, domains, recipients int }

func (w *harakaWindow) begin(t *harakaTransaction) {
	if w.open >= 64 { // ends went missing
		*w = harakaWindow{}
	}
	w.open++
	w.domains += int(t.domains)
	w.recipients += len(t.recipients)
}

func (w *harakaWindow) outbound(m string) {
	switch {
	case w.open == 0:
	case hasHarakaPrefix(m, "Transaction delivery for domain: ", "Processing delivery for domain: "):
		w.items++
	case strings.HasPrefix(m, "Created transaction: "):
		w.domains++
		w.recipients++
	}
}

// end returns whether always_split is on, was where it cannot tell.
func (w *harakaWindow) end(was bool) bool {
	if w.open--; w.open > 0 {
		return was
	}
	seen := *w
	*w = harakaWindow{}
	switch {
	case seen.domains == seen.recipients:
		return was
	case seen.items == seen.recipients:
		return true
	case seen.items == seen.domains:
		return false
	}
	return was
}

// learn draws from a delivered line whether always_split is on.
func (p *haraka) learn(t *harakaTransaction, number int32, counts harakaTally) {
	switch total := counts.delivered + counts.deferred + counts.bounced; {
	case !t.whole:
	case total > 1:
		p.split = false
	case t.untouched(number) > 1:
		p.split = true
	default:
		p.learnIndex(t, number)
	}
}

// untouched returns how many recipients of a domain had no outcome yet.
func (t *harakaTransaction) untouched(domain int32) int {
	n := 0
	for i := range t.recipients {
		if r := &t.recipients[i]; r.domain == domain && r.item == 0 && !r.twice {
			n++
		}
	}
	return n
}

// learnIndex draws it from the number of an item: more than there are domains.
func (p *haraka) learnIndex(t *harakaTransaction, number int32) {
	if t.whole && number > t.domains && int(number) <= len(t.recipients) {
		p.split = true
	}
}

// learnFrom draws it from an item that names its recipient.
func (p *haraka) learnFrom(t *harakaTransaction, r *harakaRecipient, number int32) {
	if !t.whole {
		return
	}
	at := int32(0)
	for i := range t.recipients {
		if &t.recipients[i] == r {
			at = int32(i) + 1
		}
	}
	if byIndex, byDomain := at == number, r.domain == number; byIndex != byDomain {
		p.split = byIndex
	}
}
