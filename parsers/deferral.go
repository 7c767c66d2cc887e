package parsers

import (
	"encoding/binary"
	"math"
	"slices"

	"mtatap/event"
)

// deferral is a recipient still to be delivered to and its last outcome, so that
// an expiry can tell what the log does not repeat.
type deferral struct {
	text     []byte    // the strings below, one after the other
	ends     [7]uint16 // of recipient, original recipient, DSN, enhanced code, relay host, relay address, diagnostic
	port     uint16
	code     uint16
	phase    event.Phase
	source   event.RecipientSource
	attempts uint32 // as the parser counts them
}

// deferrals are those of one message, in the order of the first deferral.
type deferrals []deferral

// deferralPool counts what the deferrals of all messages hold and hands the
// buffers of old ones to new ones.
type deferralPool struct {
	bytes int
	free  [][]byte
}

const (
	maxDeferrals      = 1000     // of one message
	maxDeferralBytes  = 32 << 20 // of all messages
	maxFreeDeferrals  = 1024     // buffers that wait for use
	maxDeferralBuffer = 1024     // bytes of one that does
	keptDeferrals     = 4        // that a list has room for when its message is forgotten
)

// shrink forgets messages until the deferrals are within their bound.
func shrink[V any](messages *memory[V], p *deferralPool) {
	for p.bytes > maxDeferralBytes && messages.len() > 1 {
		messages.evict()
	}
}

// note remembers that d's recipient was deferred, and why. It returns nil where
// there is no room for one more recipient, or none is named.
func (l *deferrals) note(p *deferralPool, d *event.Delivery) *deferral {
	if d.Recipient == "" || len(d.Recipient) > maxRememberedField {
		return nil
	}
	r := l.find(d.Recipient)
	if r == nil {
		if len(*l) == maxDeferrals {
			return nil
		}
		*l = append(*l, deferral{text: p.take()})
		r = &(*l)[len(*l)-1]
	} else {
		p.bytes -= r.size()
	}
	r.set(d)
	p.bytes += r.size()
	return r
}

// find returns the deferral of that recipient, nil if there is none. It is valid
// until the list changes.
func (l deferrals) find(recipient string) *deferral {
	if i := l.index(recipient); i >= 0 {
		return &l[i]
	}
	return nil
}

func (l deferrals) index(recipient string) int {
	for i := range l {
		r := &l[i]
		if int(r.ends[0]) == len(recipient) && string(r.text[:r.ends[0]]) == recipient {
			return i
		}
	}
	return -1
}

// drop forgets a recipient that is done with and returns how often it was
// deferred.
func (l *deferrals) drop(p *deferralPool, recipient string) (attempts int) {
	i := l.index(recipient)
	if i < 0 {
		return 0
	}
	r := &(*l)[i]
	attempts = int(r.attempts)
	p.give(r)
	*l = slices.Delete(*l, i, i+1)
	return attempts
}

// clear forgets all recipients.
func (l *deferrals) clear(p *deferralPool) {
	for i := range *l {
		p.give(&(*l)[i])
	}
	if clear(*l); cap(*l) > keptDeferrals {
		*l = nil
	}
	*l = (*l)[:0]
}

func (p *deferralPool) take() []byte {
	n := len(p.free)
	if n == 0 {
		return nil
	}
	b := p.free[n-1]
	p.free = p.free[:n-1]
	return b
}

func (p *deferralPool) give(r *deferral) {
	p.bytes -= r.size()
	if len(p.free) < maxFreeDeferrals && cap(r.text) <= maxDeferralBuffer {
		p.free = append(p.free, r.text)
	}
}

func (r *deferral) size() int { return cap(r.text) + 64 }

func (r *deferral) set(d *event.Delivery) {
	fields, n := [...]string{d.Recipient, d.OriginalRecipient, d.DSN, d.EnhancedCode, d.Relay.Host, d.Relay.IP, d.Diagnostic}, 0
	for i, s := range fields {
		if len(s) > maxRememberedField {
			fields[i] = trimCutRune(clip(s))
		}
		n += len(fields[i])
	}
	r.text = slices.Grow(r.text[:0], n)
	for i, s := range fields {
		r.text = append(r.text, s...)
		r.ends[i] = uint16(len(r.text))
	}
	r.port, r.code = uint16(d.Relay.Port), uint16(d.SMTPCode)
	r.phase, r.source = d.Phase, d.RecipientSource
}

// fill sets the recipient of d and why it was deferred.
func (r *deferral) fill(d *event.Delivery) {
	r.strings(0, &d.Recipient, &d.OriginalRecipient)
	d.RecipientSource = r.source
	r.explain(d)
}

// explain sets why d's recipient was deferred, and the relay that said so where
// d has none.
func (r *deferral) explain(d *event.Delivery) {
	relay := event.Relay{Port: int(r.port)}
	r.strings(2, &d.DSN, &d.EnhancedCode, &relay.Host, &relay.IP, &d.Diagnostic)
	if !d.Relay.Known() {
		d.Relay = relay
	}
	d.SMTPCode, d.Phase = int(r.code), r.phase
}

// strings sets to to the strings of r from that one on.
func (r *deferral) strings(first int, to ...*string) {
	start := 0
	if first > 0 {
		start = int(r.ends[first-1])
	}
	text, from := string(r.text[start:r.ends[first+len(to)-1]]), 0
	for i, s := range to {
		end := int(r.ends[first+i]) - start
		*s, from = text[from:end], end
	}
}

func (l deferrals) appendSnapshot(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(l)))
	for i := range l {
		r := &l[i]
		dst = appendBytes(dst, r.text)
		for _, end := range r.ends {
			dst = binary.AppendUvarint(dst, uint64(end))
		}
		for _, v := range [...]uint64{uint64(r.port), uint64(r.code), uint64(r.phase), uint64(r.source), uint64(r.attempts)} {
			dst = binary.AppendUvarint(dst, v)
		}
	}
	return dst
}

// restore replaces an empty list by the one of a snapshot.
func (l *deferrals) restore(p *deferralPool, s *snapshotReader) {
	for n := s.number(maxDeferrals); n > 0 && s.err == nil; n-- {
		if r := readDeferral(s); s.err == nil {
			*l = append(*l, r)
			p.bytes += r.size()
		}
	}
}

func readDeferral(s *snapshotReader) deferral {
	r := deferral{text: slices.Clone(s.bytes())}
	last := uint64(0)
	for i := range r.ends {
		end := s.number(uint64(min(len(r.text), math.MaxUint16)))
		if end < last {
			s.fail()
		}
		r.ends[i], last = uint16(end), end
	}
	r.port, r.code = uint16(s.number(math.MaxUint16)), uint16(s.number(599))
	if r.code > 0 && r.code < 200 {
		s.fail()
	}
	r.phase = event.Phase(s.number(uint64(event.PhaseQueue)))
	r.source = event.RecipientSource(s.number(uint64(event.RecipientFromDiagnostic)))
	r.attempts = uint32(s.number(math.MaxInt32))
	return r
}
