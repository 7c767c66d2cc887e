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
	if len(p.verp) > 0 {
		p.hook(rec)
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
	var l harakaLine
	p.retain(&l, line, nil)
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
	if fields.cut() {
		p.torn = maxHarakaTorn
	}
	if code, _ := fields.find("code"); strings.HasPrefix(code, "DENY") {
		return p.refusedMessage(dst, line, rec.uuid, t), nil
	}
	if t != nil {
		// Haraka logs "code=OK" of a recipient for whom no plugin wanted to take
		// mail, and refuses it.
		s, _ := fields.find("rcpts")
		counts, ok := harakaCounts(s)
		t.doubtful = ok && counts.delivered < len(t.recipients)
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

// maxHarakaTorn bounds the lines that a value with line breaks may have: as many
// as Haraka takes header lines.
const maxHarakaTorn = 1000

// cut reports whether the last value goes on in the next line. Versions before 3.1
// write line breaks as they are, and whoever sends a message chooses its Message-ID.
func (f harakaFields) cut() bool {
	for {
		if _, _, ok := f.next(); !ok {
			return f.torn
		}
	}
}

// mend skips a line that belongs to a value with line breaks, whatever it looks
// like. The value ends at its quote.
func (p *haraka) mend(line []byte) {
	p.torn--
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case '\\':
			i++
		case '"':
			p.torn = 0
			return
		}
	}
}

// hook notes that a plugin took the message in, for users of this host. Mail of
// clients that may relay, bounces of theirs included, goes to other plugins.
func (p *haraka) hook(rec *harakaRecord) {
	f := harakaFields{json: rec.format == harakaJSON, rest: rec.fields}
	if rec.format == harakaDefault {
		f.rest = rec.message
	} else if rec.message != "" {
		return
	}
	if key, value, ok := f.next(); !ok || key != "hook" || value != "queue" {
		return
	}
	if retval, _ := f.find("retval"); retval != "OK" {
		return
	}
	if t := p.memory.get(rec.uuid); t != nil {
		t.arrived = true
	}
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
	case code == "CONT" && isHarakaDecline(fields):
		return p.refusedMessage(dst, line, rec.uuid, t), nil
	case code == "CONT" && !t.queued:
		t.queued = true
		p.window.begin(t)
	case code == "OK" && t.queued:
		p.split = p.window.end(p.split)
	case code == "OK" && t.arrived:
		return p.bounces(dst, line, t), nil
	}
	return dst, nil
}

// isHarakaDecline reports whether no plugin took a message that may not be
// relayed. It is then refused for now, and nothing is said but its uuid.
func isHarakaDecline(fields harakaFields) bool {
	msg, _ := fields.find("msg")
	return strings.HasPrefix(msg, " (")
}

// bounces appends what a message from the null sender says that came in for
// bounce addresses: that their recipients bounced.
func (p *haraka) bounces(dst []event.Delivery, line Line, t *harakaTransaction) []event.Delivery {
	if t.arrived = false; !t.senderKnown || len(t.sender) > 0 || t.doubtful {
		return dst
	}
	before := len(dst)
	var l harakaLine
	for i := range t.recipients {
		addr := view(t.recipients[i].addr)
		if _, _, ok := p.verp.recipient(addr); !ok {
			continue
		}
		if l.delivery.Raw == "" {
			p.retain(&l, line, t)
		}
		d := l.delivery
		p.verp.asynchronousBounce(&d, "", strings.Clone(addr))
		dst = appendHarakaOnce(dst, before, d)
	}
	return dst
}

// refusedMessage gives a refusal after the end of data to all recipients.
func (p *haraka) refusedMessage(dst []event.Delivery, line Line, id string, t *harakaTransaction) []event.Delivery {
	if p.opts.Rejects {
		before := len(dst)
		var l harakaLine
		p.retain(&l, line, t)
		fields, ok := l.after("message")
		if !ok {
			fields, _ = l.after("queue")
		}
		d := &l.delivery
		d.Status, d.Phase = event.Rejected, event.PhaseDot
		d.Diagnostic = strings.TrimSpace(strings.TrimSuffix(harakaMessage(fields), "("+l.uuid+")"))
		if t == nil || len(t.recipients) == 0 {
			dst = append(dst, *d)
		} else {
			for i := range t.recipients {
				if r := &t.recipients[i]; !r.twice {
					dst = l.give(dst, before, string(r.addr))
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
