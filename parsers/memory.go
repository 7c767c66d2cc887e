package parsers

import "hash/maphash"

// memory remembers a value for each message id in bounded space; the message
// that was not touched for longest is forgotten first. Values are recycled with
// their buffers, so that remembering costs no allocation in the long run.
type memory[V any] struct {
	max     int
	evicted func()   // may be nil
	reset   func(*V) // empties the value of a forgotten message, keeping its buffers
	seed    maphash.Seed
	index   map[uint64]int32
	slots   []slot[V]
	free    []int32
	oldest  int32 // ends of the list by last use; -1 if empty
	newest  int32
}

type slot[V any] struct {
	hash         uint64
	id           []byte
	older, newer int32
	value        V
}

const none = int32(-1)

func newMemory[V any](max int, evicted func(), reset func(*V)) *memory[V] {
	return &memory[V]{max: max, evicted: evicted, reset: reset, seed: maphash.MakeSeed(), index: map[uint64]int32{}, oldest: none, newest: none}
}

// get returns the value of id, nil if it is not remembered. It is valid until
// the next put.
func (m *memory[V]) get(id string) *V {
	i, ok := m.find(id)
	if !ok {
		return nil
	}
	m.touch(i)
	return &m.slots[i].value
}

// put returns the value of id, empty if it is new. It is valid until the next
// put.
func (m *memory[V]) put(id string) *V {
	h := maphash.String(m.seed, id)
	if i, ok := m.index[h]; ok {
		if string(m.slots[i].id) == id {
			m.touch(i)
			return &m.slots[i].value
		}
		m.forget(i) // another id of the same hash: practically never
	}
	if len(m.index) >= m.max {
		m.evict()
	}
	var i int32
	if n := len(m.free); n > 0 {
		i, m.free = m.free[n-1], m.free[:n-1]
	} else {
		i = int32(len(m.slots))
		m.slots = append(m.slots, slot[V]{})
	}
	s := &m.slots[i]
	s.hash, s.id = h, append(s.id[:0], id...)
	m.index[h] = i
	m.link(i)
	return &s.value
}

// drop forgets id.
func (m *memory[V]) drop(id string) {
	if i, ok := m.find(id); ok {
		m.forget(i)
	}
}

// evict forgets the message that was not touched for longest, of which there
// must be one.
func (m *memory[V]) evict() {
	m.forget(m.oldest)
	if m.evicted != nil {
		m.evicted()
	}
}

// each calls f for each message, the longest untouched first. f must not call
// other methods.
func (m *memory[V]) each(f func(id []byte, v *V)) {
	for i := m.oldest; i != none; i = m.slots[i].newer {
		f(m.slots[i].id, &m.slots[i].value)
	}
}

func (m *memory[V]) len() int { return len(m.index) }

func (m *memory[V]) find(id string) (int32, bool) {
	i, ok := m.index[maphash.String(m.seed, id)]
	if !ok || string(m.slots[i].id) != id {
		return none, false
	}
	return i, true
}

func (m *memory[V]) forget(i int32) {
	delete(m.index, m.slots[i].hash)
	m.unlink(i)
	m.free = append(m.free, i)
	m.reset(&m.slots[i].value)
}

func (m *memory[V]) touch(i int32) {
	if m.newest != i {
		m.unlink(i)
		m.link(i)
	}
}

func (m *memory[V]) link(i int32) {
	s := &m.slots[i]
	s.older, s.newer = m.newest, none
	if m.newest != none {
		m.slots[m.newest].newer = i
	} else {
		m.oldest = i
	}
	m.newest = i
}

func (m *memory[V]) unlink(i int32) {
	s := &m.slots[i]
	if s.older != none {
		m.slots[s.older].newer = s.newer
	} else {
		m.oldest = s.newer
	}
	if s.newer != none {
		m.slots[s.newer].older = s.older
	} else {
		m.newest = s.older
	}
}
