package parsers

import (
	"encoding/binary"
	"math"
	"strings"
)

// Bounds of what is remembered of one transaction, and of all of them. What is
// beyond is not joined.
const (
	maxHarakaRecipients  = 500
	maxHarakaItems       = 500
	maxHarakaTransaction = 64 << 10
	maxHarakaBytes       = 64 << 20
	maxHarakaTrouble     = 256
	maxHarakaSaid        = 24
)

// harakaTransaction is a message that Haraka accepted: the recipients that its
// "delivered" lines do not name, and what is known of its items.
type harakaTransaction struct {
	sender      []byte
	senderKnown bool
	mid         []byte
	whole       bool // seen from its first recipient on, none left out
	doubtful    bool // some of its recipients were refused, nobody knows which
	arrived     bool // a plugin took it in for this host's own users
	queued      bool // handed to the outbound queue
	domains     int32
	seq         uint32 // counts the reports on recipients
	size        int
	recipients  []harakaRecipient
	items       []harakaItem
}

type harakaState uint8

const (
	harakaOpen     harakaState = iota // no outcome in this attempt
	harakaDeferred                    // reported deferred in this attempt
	harakaRejected                    // reported rejected in this attempt
	harakaClosed                      // final
)

type harakaRecipient struct {
	addr   []byte
	reply  []byte // of the deferral that was reported last
	item   int32  // the item that named it; 0 before one did
	domain int32  // its domain's order of appearance, from 1
	seq    uint32
	state  harakaState
	twice  bool // the same address came before
}

// harakaItem is a queue item: the recipients of one domain, or with
// always_split one recipient.
type harakaItem struct {
	number  int32
	fails   int32 // attempts that failed, as its queue file says
	phase   uint8 // event.Phase of the last command; protocol level only
	lost    uint8 // event.Phase in which the last connection failed
	peer    []byte
	trouble []byte // the last connection that failed in this attempt
	said    []byte // head of the reply to the message's end; protocol level only
}

// add remembers a recipient and returns it, nil if there are too many.
func (t *harakaTransaction) add(addr string) *harakaRecipient {
	if len(t.recipients) >= maxHarakaRecipients || t.size+len(addr) > maxHarakaTransaction || len(addr) > maxRememberedField {
		t.whole = false
		return nil
	}
	domain, twice := t.domains+1, false
	for i := range t.recipients {
		r := &t.recipients[i]
		if strings.EqualFold(harakaDomain(view(r.addr)), harakaDomain(addr)) {
			domain = r.domain
			twice = twice || string(r.addr) == addr
		}
	}
	t.domains = max(t.domains, domain)
	r := extendHaraka(&t.recipients)
	*r = harakaRecipient{addr: append(r.addr[:0], addr...), reply: r.reply[:0], domain: domain, twice: twice}
	t.size += len(addr) + 64
	return r
}

// find returns the recipient addr of that item.
func (t *harakaTransaction) find(addr string, item int32) *harakaRecipient {
	var found *harakaRecipient
	for i := range t.recipients {
		if r := &t.recipients[i]; string(r.addr) == addr {
			if r.item == item {
				return r
			}
			if found == nil && r.item == 0 {
				found = r
			}
		}
	}
	return found
}

// item returns the item of that number, nil if there are too many.
func (t *harakaTransaction) item(number int32) *harakaItem {
	if i := t.known(number); i != nil {
		return i
	}
	if len(t.items) >= maxHarakaItems {
		return nil
	}
	i := extendHaraka(&t.items)
	*i = harakaItem{number: number, peer: i.peer[:0], trouble: i.trouble[:0], said: i.said[:0]}
	t.size += 64
	return i
}

// known returns the item of that number, nil if nothing is known of it.
func (t *harakaTransaction) known(number int32) *harakaItem {
	for i := range t.items {
		if t.items[i].number == number {
			return &t.items[i]
		}
	}
	return nil
}

// itemOf returns the number of the item that recipient i belongs to, 0 if
// nobody can tell.
func (t *harakaTransaction) itemOf(i int, split bool) int32 {
	switch r := &t.recipients[i]; {
	case r.item != 0 || t.doubtful:
		return r.item
	case split:
		return int32(i) + 1
	default:
		return r.domain
	}
}

// finished reports whether no recipient waits for an outcome.
func (t *harakaTransaction) finished() bool {
	for i := range t.recipients {
		if r := &t.recipients[i]; !r.twice && (r.state == harakaOpen || r.state == harakaDeferred) {
			return false
		}
	}
	return true
}

// closed reports whether no line about any recipient can follow.
func (t *harakaTransaction) closed() bool {
	for i := range t.recipients {
		if r := &t.recipients[i]; !r.twice && r.state != harakaClosed {
			return false
		}
	}
	return true
}

// extendHaraka lengthens s by one element, reusing what is behind its end.
func extendHaraka[T any](s *[]T) *T {
	if n := len(*s); n < cap(*s) {
		*s = (*s)[:n+1]
	} else {
		var zero T
		*s = append(*s, zero)
	}
	return &(*s)[len(*s)-1]
}

// harakaDomain returns the part of addr after its last "@".
func harakaDomain(addr string) string { return addr[strings.LastIndexByte(addr, '@')+1:] }

// remember returns what is known of the transaction id, making room for it.
func (p *haraka) remember(id string) (t *harakaTransaction, isNew bool) {
	if t := p.memory.get(id); t != nil {
		return t, false
	}
	for p.memory.len() > 0 && (p.memory.len() >= p.memory.max || p.bytes > p.maxBytes) {
		p.forgetOldest()
	}
	return p.memory.put(id), true
}

func (p *haraka) forgetOldest() {
	s := &p.memory.slots[p.memory.oldest]
	if s.value.queued && !s.value.doubtful && !s.value.finished() && p.opts.Counts.Evicted != nil {
		p.opts.Counts.Evicted()
	}
	p.memory.evict()
}

// reset empties t. Big buffers are not kept.
func (p *haraka) reset(t *harakaTransaction) {
	p.bytes -= t.size
	old := *t
	*t = harakaTransaction{sender: old.sender[:0], mid: old.mid[:0]}
	if cap(old.recipients) <= 16 && old.size < 4096 {
		t.recipients, t.items = old.recipients[:0], old.items[:0]
	}
}

// forgetClosed forgets the transaction if no line about it can follow.
func (p *haraka) forgetClosed(id string, t *harakaTransaction) {
	if t.closed() {
		p.memory.drop(id)
	}
}

const harakaSnapshotVersion = 2

// Snapshot implements Parser.
func (p *haraka) Snapshot(dst []byte) []byte {
	dst = appendFlags(append(dst, harakaSnapshotVersion), p.split, p.detailed)
	dst = binary.AppendUvarint(dst, uint64(p.torn))
	return p.memory.appendSnapshot(appendBytes(dst, p.loose), func(dst []byte, t *harakaTransaction) []byte {
		dst = appendFlags(dst, t.senderKnown, t.whole, t.queued, t.doubtful, t.arrived)
		dst = appendBytes(appendBytes(dst, t.sender), t.mid)
		dst = binary.AppendUvarint(dst, uint64(t.seq))
		dst = binary.AppendUvarint(dst, uint64(len(t.recipients)))
		for i := range t.recipients {
			r := &t.recipients[i]
			dst = appendBytes(appendBytes(dst, r.addr), r.reply)
			dst = binary.AppendUvarint(dst, uint64(r.item))
			dst = binary.AppendUvarint(dst, uint64(r.seq))
			dst = append(dst, byte(r.state))
		}
		dst = binary.AppendUvarint(dst, uint64(len(t.items)))
		for i := range t.items {
			it := &t.items[i]
			dst = binary.AppendUvarint(dst, uint64(it.number))
			dst = binary.AppendUvarint(dst, uint64(it.fails))
			dst = append(dst, it.phase, it.lost)
			dst = appendBytes(appendBytes(appendBytes(dst, it.peer), it.trouble), it.said)
		}
		return dst
	})
}

// Restore implements Parser.
func (p *haraka) Restore(snapshot []byte) error {
	return restoreSnapshot(snapshot, harakaSnapshotVersion, p.clear, func(r *snapshotReader) {
		r.flags(&p.split, &p.detailed)
		p.torn = int(r.number(maxHarakaTorn))
		p.loose = append(p.loose, clip(r.bytes())...)
		r.messages(func(id string) { p.restoreTransaction(r, id) })
	})
}

func (p *haraka) restoreTransaction(r *snapshotReader, id string) {
	t, isNew := p.remember(id)
	if !isNew {
		r.fail()
		return
	}
	var whole bool
	r.flags(&t.senderKnown, &whole, &t.queued, &t.doubtful, &t.arrived)
	t.sender, t.mid = append(t.sender, clip(r.bytes())...), append(t.mid, clip(r.bytes())...)
	t.size = len(t.sender) + len(t.mid)
	t.seq = uint32(r.uvarint())
	t.whole = true
	for n := r.uvarint(); n > 0 && r.err == nil; n-- {
		addr, reply := r.bytes(), clip(r.bytes())
		item, seq, state := int32(r.number(math.MaxInt32)), uint32(r.uvarint()), harakaState(r.byte())
		if rcpt := t.add(string(addr)); rcpt == nil || state > harakaClosed {
			r.fail()
		} else {
			rcpt.reply, rcpt.item, rcpt.seq, rcpt.state = append(rcpt.reply, reply...), item, seq, state
			t.size += len(reply)
		}
	}
	t.whole = whole
	for n := r.uvarint(); n > 0 && r.err == nil; n-- {
		number, fails, phase, lost := int32(r.number(math.MaxInt32)), int32(r.number(math.MaxInt32)), r.byte(), r.byte()
		peer, trouble, said := clip(r.bytes()), clip(r.bytes()), clip(r.bytes())
		if t.known(number) != nil || len(t.items) >= maxHarakaItems || max(phase, lost) > lastHarakaPhase {
			r.fail()
			break
		}
		it := t.item(number)
		it.fails, it.phase, it.lost = fails, phase, lost
		it.peer, it.trouble, it.said = append(it.peer, peer...), append(it.trouble, trouble...), append(it.said, said...)
	}
	p.bytes += t.size
}

// clear forgets everything.
func (p *haraka) clear() {
	p.memory = newMemory(p.opts.maxRemembered(), nil, p.reset)
	p.bytes, p.loose, p.torn, p.split, p.detailed, p.window = 0, p.loose[:0], 0, false, false, harakaWindow{}
}
