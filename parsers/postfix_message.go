package parsers

import (
	"encoding/binary"
	"slices"

	"mtatap/event"
)

// postfixMessage is what is remembered of a message in the queue.
type postfixMessage struct {
	sender      []byte
	messageID   []byte
	senderKnown bool
	fromStart   bool // the log was read from the message's first line on
	ownNotice   bool // a bounce or delay notice made by this host
	overflow    bool // not all recipients still deferred are in deferred
	deferred    []postfixDeferral
}

// postfixDeferral is a recipient still to be delivered to and its last outcome.
type postfixDeferral struct {
	text     []byte    // the strings below, one after the other
	ends     [7]uint16 // of recipient, original recipient, DSN, enhanced code, relay host, relay address, diagnostic
	port     uint16
	code     uint16
	phase    event.Phase
	source   event.RecipientSource
	attempts uint32
}

const (
	maxPostfixDeferred      = 1000     // recipients of one message
	maxPostfixDeferredBytes = 32 << 20 // of all messages
	maxPostfixBuffer        = 256      // that a forgotten message leaves to the next
)

// remember returns what is remembered of message id, which may be new. It is
// valid until the next call.
func (p *postfix) remember(id string) *postfixMessage {
	m, isNew := p.messages.put(id)
	if isNew {
		p.reset(m)
	}
	return m
}

func (p *postfix) forget(id string) {
	if m := p.messages.drop(id); m != nil {
		p.reset(m)
	}
}

// reset empties m and keeps its smaller buffers.
func (p *postfix) reset(m *postfixMessage) {
	for i := range m.deferred {
		p.deferred -= m.deferred[i].size()
	}
	sender, messageID := m.sender, m.messageID
	*m = postfixMessage{}
	if cap(sender) <= maxPostfixBuffer {
		m.sender = sender[:0]
	}
	if cap(messageID) <= maxPostfixBuffer {
		m.messageID = messageID[:0]
	}
}

func (m *postfixMessage) setSender(sender string) {
	m.senderKnown = true
	m.sender = append(m.sender[:0], clip(sender)...)
}

// join sets what m knows of d's message; joined holds sender and message id.
func (m *postfixMessage) join(d *event.Delivery, joined string) {
	if m == nil {
		return
	}
	d.SenderKnown = m.senderKnown
	d.Sender, d.MessageID = joined[:len(m.sender)], joined[len(m.sender):]
}

// defers notes that d's recipient was deferred.
func (m *postfixMessage) defers(p *postfix, d *event.Delivery) {
	if len(d.Recipient) > maxRememberedField || d.Recipient == "" {
		m.overflow = true
		return
	}
	i := m.find(d.Recipient)
	if i < 0 {
		if len(m.deferred) == maxPostfixDeferred {
			m.overflow = true
			return
		}
		i = len(m.deferred)
		m.deferred = append(m.deferred, postfixDeferral{})
	} else {
		p.deferred -= m.deferred[i].size()
	}
	r := &m.deferred[i]
	r.set(d)
	if p.deferred += r.size(); p.deferred > maxPostfixDeferredBytes {
		defer p.shrink()
	}
	if !d.NotAttempted {
		r.attempts++
		if m.fromStart && !m.overflow {
			d.Attempt = int(r.attempts)
		}
	}
}

// settles notes that d's recipient is done with.
func (m *postfixMessage) settles(p *postfix, d *event.Delivery) {
	if m == nil {
		return
	}
	attempts := 0
	if i := m.find(d.Recipient); i >= 0 {
		attempts = int(m.deferred[i].attempts)
		p.deferred -= m.deferred[i].size()
		m.deferred = slices.Delete(m.deferred, i, i+1)
	}
	if m.fromStart && !m.overflow && !d.NotAttempted {
		d.Attempt = attempts + 1
	}
}

func (m *postfixMessage) find(recipient string) int {
	for i := range m.deferred {
		r := &m.deferred[i]
		if int(r.ends[0]) == len(recipient) && string(r.text[:r.ends[0]]) == recipient {
			return i
		}
	}
	return -1
}

// shrink forgets messages until deferred recipients are within their bound.
func (p *postfix) shrink() {
	for p.deferred > maxPostfixDeferredBytes && p.messages.len() > 1 {
		p.reset(p.messages.evict())
	}
}

// expire appends an event for each recipient of m that is still deferred. Where
// not all of them are known, one without recipient stands for the others.
func (p *postfix) expire(dst []event.Delivery, line Line, m *postfixMessage) []event.Delivery {
	raw, joined, e, ok := p.retain(line.Text, m)
	if !ok {
		return dst
	}
	base := event.Delivery{Status: event.Expired, Phase: event.PhaseQueue}
	p.fill(&base, line, raw, e)
	base.QueueID, _, _ = cutPostfixID(e.message)
	m.join(&base, joined)
	for i := range m.deferred {
		r := &m.deferred[i]
		dst = append(dst, base)
		r.fill(&dst[len(dst)-1])
		if m.fromStart && !m.overflow {
			dst[len(dst)-1].Attempt = int(r.attempts)
		}
		p.deferred -= r.size()
	}
	if len(m.deferred) == 0 || m.overflow {
		dst = append(dst, base)
	}
	m.deferred, m.overflow = nil, false
	return dst
}

func (r *postfixDeferral) size() int { return cap(r.text) + 64 }

func (r *postfixDeferral) set(d *event.Delivery) {
	r.text = r.text[:0]
	for i, s := range [...]string{d.Recipient, d.OriginalRecipient, d.DSN, d.EnhancedCode, d.Relay.Host, d.Relay.IP, d.Diagnostic} {
		if len(s) > maxRememberedField {
			s = trimCutRune(clip(s))
		}
		r.text = append(r.text, s...)
		r.ends[i] = uint16(len(r.text))
	}
	r.port, r.code = uint16(d.Relay.Port), uint16(d.SMTPCode)
	r.phase, r.source = d.Phase, d.RecipientSource
}

func (r *postfixDeferral) fill(d *event.Delivery) {
	text, from := string(r.text), 0
	for i, s := range [...]*string{&d.Recipient, &d.OriginalRecipient, &d.DSN, &d.EnhancedCode, &d.Relay.Host, &d.Relay.IP, &d.Diagnostic} {
		*s = text[from:r.ends[i]]
		from = int(r.ends[i])
	}
	d.Relay.Port, d.SMTPCode = int(r.port), int(r.code)
	d.Phase, d.RecipientSource = r.phase, r.source
}

const postfixSnapshotVersion = 1

// Snapshot implements Parser.
func (p *postfix) Snapshot(dst []byte) []byte {
	dst = append(dst, postfixSnapshotVersion)
	dst = binary.AppendUvarint(dst, uint64(p.messages.len()))
	p.messages.each(func(id []byte, m *postfixMessage) {
		dst = appendBytes(dst, id)
		flags := byte(0)
		for i, set := range [...]bool{m.senderKnown, m.fromStart, m.ownNotice, m.overflow} {
			if set {
				flags |= 1 << i
			}
		}
		dst = append(dst, flags)
		dst = appendBytes(dst, m.sender)
		dst = appendBytes(dst, m.messageID)
		dst = binary.AppendUvarint(dst, uint64(len(m.deferred)))
		for i := range m.deferred {
			dst = m.deferred[i].appendSnapshot(dst)
		}
	})
	return dst
}

// Restore implements Parser.
func (p *postfix) Restore(snapshot []byte) error {
	p.messages, p.deferred = newMemory[postfixMessage](p.opts.maxRemembered(), p.opts.Evicted), 0
	r := snapshotReader{rest: snapshot}
	if r.uvarint() != postfixSnapshotVersion {
		r.fail()
	}
	for n := r.uvarint(); n > 0 && r.err == nil; n-- {
		p.restoreMessage(&r)
	}
	if r.err != nil || len(r.rest) > 0 {
		p.messages, p.deferred = newMemory[postfixMessage](p.opts.maxRemembered(), p.opts.Evicted), 0
		return errSnapshot
	}
	return nil
}

func (p *postfix) restoreMessage(r *snapshotReader) {
	id, flags := r.bytes(), r.uvarint()
	sender, messageID := r.bytes(), r.bytes()
	n := r.uvarint()
	if r.err != nil || len(id) == 0 || n > maxPostfixDeferred {
		r.fail()
		return
	}
	m := p.remember(string(id))
	p.reset(m)
	for i, flag := range [...]*bool{&m.senderKnown, &m.fromStart, &m.ownNotice, &m.overflow} {
		*flag = flags&(1<<i) != 0
	}
	m.sender, m.messageID = append(m.sender, clip(sender)...), append(m.messageID, clip(messageID)...)
	for ; n > 0 && r.err == nil; n-- {
		var d postfixDeferral
		d.restore(r)
		if r.err == nil {
			m.deferred = append(m.deferred, d)
			p.deferred += d.size()
		}
	}
	p.shrink()
}

func (r *postfixDeferral) appendSnapshot(dst []byte) []byte {
	dst = appendBytes(dst, r.text)
	for _, end := range r.ends {
		dst = binary.AppendUvarint(dst, uint64(end))
	}
	for _, v := range [...]uint64{uint64(r.port), uint64(r.code), uint64(r.phase), uint64(r.source), uint64(r.attempts)} {
		dst = binary.AppendUvarint(dst, v)
	}
	return dst
}

func (r *postfixDeferral) restore(s *snapshotReader) {
	r.text = slices.Clone(s.bytes())
	last := uint64(0)
	for i := range r.ends {
		end := s.uvarint()
		if end < last || end > uint64(len(r.text)) || end > 1<<16-1 {
			s.fail()
			return
		}
		r.ends[i], last = uint16(end), end
	}
	port, code, phase, source, attempts := s.uvarint(), s.uvarint(), s.uvarint(), s.uvarint(), s.uvarint()
	if port > 1<<16-1 || code > 599 || code > 0 && code < 200 || phase > uint64(event.PhaseQueue) || source > uint64(event.RecipientFromDiagnostic) || attempts > 1<<31 {
		s.fail()
		return
	}
	r.port, r.code, r.phase, r.source = uint16(port), uint16(code), event.Phase(phase), event.RecipientSource(source)
	r.attempts = uint32(attempts)
}
