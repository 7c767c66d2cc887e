package parsers

import (
	"encoding/binary"
	"strings"

	"mtatap/event"
)

// eximMessage is what is remembered of a message: its sender and its Message-ID,
// one after the other, and the recipients that are still to be delivered to.
type eximMessage struct {
	text      []byte
	senderLen int
	arrived   bool   // its arrival line was read
	ownNotice bool   // it is about another message, a bounce or reply that this host made
	overflow  bool   // not all recipients still deferred are in deferred
	said      []byte // by the command that is about to have taken it; of bounces only
	deferred  deferrals
}

// reset empties m and keeps its buffers.
func (p *exim) reset(m *eximMessage) {
	m.deferred.clear(&p.deferred)
	*m = eximMessage{text: m.text[:0], said: m.said[:0], deferred: m.deferred}
}

// note takes notice of a record that gives no delivery.
func (p *exim) note(kind eximKind, r *eximRecord) {
	switch kind {
	case eximArrival:
		p.arrive(r)
	case eximUntried:
		if p.opts.Counts.NotTried != nil {
			p.opts.Counts.NotTried()
		}
	case eximCompleted:
		p.messages.drop(r.id)
	case eximOutput:
		if m := p.messages.get(r.id); m.isBounce() {
			m.said = append(m.said[:0], clip(eximCommandOutput(r.rest))...)
		}
	}
}

// eximCommandOutput returns the text of "<address>: NAME transport output: TEXT",
// what the first line was that a command wrote.
func eximCommandOutput(s string) string {
	end := eximClosing(s[1:])
	if end < 0 || !strings.HasPrefix(s[1+end:], ">: ") {
		return ""
	}
	transport, text, ok := strings.Cut(s[end+4:], " transport output: ")
	if !ok || strings.IndexByte(transport, ' ') >= 0 {
		return ""
	}
	return text
}

// arrive keeps sender and Message-ID of an arrival line:
// "<= sender [R=message][fields] S=size [fields][id=message-id] ...". R= is the
// message that this one is about; other hosts can't set it.
func (p *exim) arrive(r *eximRecord) {
	s := r.rest[3:]
	n := quotedTokenLen(s)
	sender, fields := s[:n], s[n:]
	m := p.messages.put(r.id)
	p.reset(m)
	if m.arrived = true; sender != "<>" {
		m.text = append(m.text, clip(sender)...)
	}
	m.senderLen = len(m.text)
	m.text = append(m.text, clip(eximMessageID(fields))...)
	m.ownNotice = strings.HasPrefix(fields, " R=")
}

// isBounce reports whether the message came from the null sender and was not
// made here. m may be nil.
func (m *eximMessage) isBounce() bool {
	return m != nil && m.arrived && !m.ownNotice && m.senderLen == 0
}

// eximMessageID returns the value of the first id= field behind the size in the
// fields of an arrival line. What follows it, a subject, comes from strangers.
func eximMessageID(fields string) string {
	sized := false
	for len(fields) > 1 {
		s := fields[1:]
		switch {
		case strings.HasPrefix(s, "S=") && len(s) > 2 && s[2] != ' ':
			sized = true
		case sized && (strings.HasPrefix(s, "id=") || strings.HasPrefix(s, "id*=")):
			s = s[strings.IndexByte(s, '=')+1:]
			return s[:quotedTokenLen(s)]
		case strings.HasPrefix(s, `DN="`), strings.HasPrefix(s, `T="`):
			_, rest := cutEximQuoted(s[strings.IndexByte(s, '"'):])
			fields = rest
			continue
		}
		n := strings.IndexByte(s, ' ')
		if n < 0 {
			return ""
		}
		fields = s[n:]
	}
	return ""
}

// join sets sender and Message-ID of d from what is remembered of its message,
// which may be nil.
func (m *eximMessage) join(d *event.Delivery) {
	if m == nil || !m.arrived {
		return
	}
	text := string(m.text)
	d.MessageID = text[m.senderLen:]
	d.Sender, d.SenderKnown = text[:m.senderLen], true
}

// lastOutcome returns how the last attempt for the recipient ended, nil if that
// is not known. m may be nil.
func (m *eximMessage) lastOutcome(recipient string) *deferral {
	if m == nil {
		return nil
	}
	return m.deferred.find(recipient)
}

// follow keeps track of the recipients that are still to be delivered to: of the
// last attempt, because what comes between attempts gives no reason. It counts
// the attempts where the log was read from the message's arrival on. m is what is
// remembered of d's message; it may be nil. gaveUp says that d's line tells of no
// attempt of its own.
func (p *exim) follow(m *eximMessage, d *event.Delivery, gaveUp bool) {
	attempts := 0
	switch {
	case d.Status == event.Deferred && d.NotAttempted:
		return
	case d.Status == event.Deferred:
		if m == nil {
			m = p.messages.put(d.QueueID)
		}
		if r := m.deferred.note(&p.deferred, d); r != nil {
			r.attempts++
			attempts = int(r.attempts)
		} else {
			m.overflow = true
		}
	case m != nil:
		if attempts = m.deferred.drop(&p.deferred, d.Recipient); !gaveUp {
			attempts++
		}
	}
	if m != nil && m.arrived && !m.overflow && !d.NotAttempted {
		d.Attempt = attempts
	}
	shrink(p.messages, &p.deferred)
}

const eximSnapshotVersion = 3

// Snapshot implements Parser.
func (p *exim) Snapshot(dst []byte) []byte {
	dst = p.messages.appendSnapshot(append(dst, eximSnapshotVersion), func(dst []byte, m *eximMessage) []byte {
		dst = appendFlags(dst, m.arrived, m.ownNotice, m.overflow)
		dst = appendBytes(appendBytes(dst, m.text[:m.senderLen]), m.text[m.senderLen:])
		dst = appendBytes(dst, m.said)
		return m.deferred.appendSnapshot(dst)
	})
	for _, h := range p.refusals.hashes {
		dst = binary.AppendUvarint(dst, h)
	}
	return p.splits.appendSnapshot(dst)
}

// Restore implements Parser.
func (p *exim) Restore(snapshot []byte) error {
	return restoreSnapshot(snapshot, eximSnapshotVersion, p.clear, func(r *snapshotReader) {
		r.messages(func(id string) {
			m := p.messages.put(id)
			p.reset(m)
			r.flags(&m.arrived, &m.ownNotice, &m.overflow)
			m.text = append(m.text, clip(r.bytes())...)
			m.senderLen = len(m.text)
			m.text = append(m.text, clip(r.bytes())...)
			m.said = append(m.said, clip(r.bytes())...)
			m.deferred.restore(&p.deferred, r)
			shrink(p.messages, &p.deferred)
		})
		for i := range p.refusals.hashes {
			p.refusals.hashes[i] = r.uvarint()
		}
		p.splits.restore(r)
	})
}

// clear forgets everything.
func (p *exim) clear() {
	p.messages, p.deferred = newMemory(p.opts.maxRemembered(), p.opts.Counts.Evicted, p.reset), deferralPool{}
	p.refusals, p.splits = eximRefusals{}, eximSplits{}
}
