package rules

// automaton finds all patterns of a set in one pass over a text (Aho and
// Corasick, 1975), as a dense table: a row for each state, a column for each
// class of bytes that no pattern tells apart.
type automaton struct {
	class [256]uint32
	// next holds the rows. A state is the index of its row, so that the next
	// state is next[state+class]; column 0 is where the state's hits start in
	// hits. The lowest bit of a transition says that its target has hits.
	next []uint32
	// hits holds, for each state that has some, the targets of all patterns that
	// end there, closed by one of kind endOfHits.
	hits []target
}

// pattern is a text to look for and what it means where it is found.
type pattern struct {
	text    string // not empty
	targets []target
}

// newAutomaton builds the automaton of the patterns, whose texts all differ.
func newAutomaton(patterns []pattern) *automaton {
	a := &automaton{}
	classes := uint32(1) // class 0 would be column 0, which holds the hits
	for _, p := range patterns {
		for _, b := range []byte(p.text) {
			if a.class[b] == 0 {
				classes++
				a.class[b] = classes
			}
		}
	}
	for b, c := range a.class {
		if c == 0 {
			a.class[b] = 1 // bytes that no pattern has
		}
	}
	t := newTrie(int(classes)+1, a.class[:], patterns)
	a.next, a.hits = t.table()
	return a
}

// trie is the automaton while it is built: states are numbers, 0 the root.
type trie struct {
	width   int
	child   []uint32   // by state and class, 0 where there is none
	ends    [][]target // by state, of the patterns that end there
	class   []uint32
	fail    []uint32
	ordered []uint32 // states, nearest to the root first
}

func newTrie(width int, class []uint32, patterns []pattern) *trie {
	t := &trie{width: width, class: class}
	t.add()
	for _, p := range patterns {
		s := uint32(0)
		for _, b := range []byte(p.text) {
			at := int(s)*t.width + int(class[b])
			if t.child[at] == 0 {
				t.child[at] = t.add()
			}
			s = t.child[at]
		}
		t.ends[s] = append(t.ends[s], p.targets...)
	}
	return t
}

func (t *trie) add() uint32 {
	t.child = append(t.child, make([]uint32, t.width)...)
	t.ends = append(t.ends, nil)
	return uint32(len(t.ends) - 1)
}

// table completes every missing transition with that of the longest suffix
// that is also a prefix of a pattern, and encodes the result.
func (t *trie) table() (next []uint32, hits []target) {
	t.fail = make([]uint32, len(t.ends))
	queue := []uint32{0}
	for len(queue) > 0 {
		s := queue[0]
		queue = queue[1:]
		t.ordered = append(t.ordered, s)
		f := t.fail[s]
		if s != 0 {
			t.ends[s] = append(t.ends[s], t.ends[f]...)
		}
		row, failRow := t.row(s), t.row(f)
		for c := 1; c < t.width; c++ {
			switch {
			case row[c] == 0:
				row[c] = failRow[c]
			case s == 0:
				queue = append(queue, row[c])
			default:
				t.fail[row[c]] = failRow[c]
				queue = append(queue, row[c])
			}
		}
	}
	return t.encode()
}

func (t *trie) row(s uint32) []uint32 { return t.child[int(s)*t.width : (int(s)+1)*t.width] }

// encode lays the rows out nearest to the root first, where most texts stay,
// on even indexes so that the lowest bit is free.
func (t *trie) encode() (next []uint32, hits []target) {
	width := t.width + t.width%2
	place := make([]uint32, len(t.ends))
	for i, s := range t.ordered {
		place[s] = uint32(i * width)
	}
	next = make([]uint32, len(t.ends)*width)
	for _, s := range t.ordered {
		row := next[place[s] : place[s]+uint32(width)]
		for c := 1; c < t.width; c++ {
			to := t.row(s)[c]
			row[c] = place[to]
			if len(t.ends[to]) > 0 {
				row[c] |= 1
			}
		}
		if len(t.ends[s]) > 0 {
			row[0] = uint32(len(hits))
			hits = append(append(hits, t.ends[s]...), target{kind: endOfHits})
		}
	}
	return next, hits
}
