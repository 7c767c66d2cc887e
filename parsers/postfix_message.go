package parsers

import "mtatap/event"

// postfixMessage is what is remembered of a message in the queue.
type postfixMessage struct {
	sender      []byte
	messageID   []byte
	senderKnown bool
	fromStart   bool // the log was read from the message's first line on
	ownNotice   bool // a bounce or delay notice made by this host
	overflow    bool // not all recipients still deferred are in deferred
	deferred    deferrals
}

// maxPostfixBuffer is what a forgotten message leaves to the next.
const maxPostfixBuffer = 256

// reset empties m and keeps its smaller buffers.
func (p *postfix) reset(m *postfixMessage) {
	m.deferred.clear(&p.deferred)
	sender, messageID := m.sender, m.messageID
	*m = postfixMessage{deferred: m.deferred}
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
func (p *postfix) defers(m *postfixMessage, d *event.Delivery) {
	r := m.deferred.note(&p.deferred, d)
	if r == nil {
		m.overflow = true
		return
	}
	if !d.NotAttempted {
		r.attempts++
		if m.fromStart && !m.overflow {
			d.Attempt = int(r.attempts)
		}
	}
	shrink(p.messages, &p.deferred)
}

// settles notes that d's recipient is done with. m may be nil.
func (p *postfix) settles(m *postfixMessage, d *event.Delivery) {
	if m == nil {
		return
	}
	attempts := m.deferred.drop(&p.deferred, d.Recipient)
	if m.fromStart && !m.overflow && !d.NotAttempted {
		d.Attempt = attempts + 1
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
	}
	if len(m.deferred) == 0 || m.overflow {
		if len(m.deferred) == 0 {
			p.verp.recoverRecipient(&base)
		}
		dst = append(dst, base)
	}
	m.deferred.clear(&p.deferred)
	m.overflow = false
	return dst
}

const postfixSnapshotVersion = 1

// Snapshot implements Parser.
func (p *postfix) Snapshot(dst []byte) []byte {
	return p.messages.appendSnapshot(append(dst, postfixSnapshotVersion), func(dst []byte, m *postfixMessage) []byte {
		dst = appendFlags(dst, m.senderKnown, m.fromStart, m.ownNotice, m.overflow)
		dst = appendBytes(appendBytes(dst, m.sender), m.messageID)
		return m.deferred.appendSnapshot(dst)
	})
}

// Restore implements Parser.
func (p *postfix) Restore(snapshot []byte) error {
	return restoreSnapshot(snapshot, postfixSnapshotVersion, p.clear, func(r *snapshotReader) {
		r.messages(func(id string) {
			m := p.messages.put(id)
			p.reset(m)
			r.flags(&m.senderKnown, &m.fromStart, &m.ownNotice, &m.overflow)
			m.sender, m.messageID = append(m.sender, clip(r.bytes())...), append(m.messageID, clip(r.bytes())...)
			m.deferred.restore(&p.deferred, r)
			shrink(p.messages, &p.deferred)
		})
	})
}

// clear forgets everything.
func (p *postfix) clear() {
	p.messages, p.deferred = newMemory(p.opts.maxRemembered(), p.opts.Counts.Evicted, p.reset), deferralPool{}
}
