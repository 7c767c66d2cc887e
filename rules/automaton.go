package rules

import (
	"errors"
	"slices"
)

// automaton finds all patterns of a set in one pass over a text (Aho and
// Corasick, 1975), with one look-up for each byte whatever the patterns are.
//
// Nearly all transitions lead to a state whose depth is at most two, and those
// follow from the last two bytes alone: they are in pairs. The others are in
// table, where the rows of all states lie over each other, each entry in a gap
// of the others (Tarjan and Yao, 1979). No two rows start at the same place, so
// an entry that names the byte that leads to it can belong to one row only.
// Transitions to depth three are only in the rows of the states of depth two,
// which pairs leads to in any case: else every state would have those of its
// suffix, half of the table.
//
// A state is its entry: where its row starts, whether it has hits, and the
// class of the byte that leads to it. The root is 0.
type automaton struct {
	class [256]uint8 // bytes that no pattern tells apart share one; 0: in no pattern
	width uint32     // number of classes
	pairs []uint32   // by classes of the last byte and the next one
	table []uint32   // at the start of a row: where the hits of its state start

	// hits holds, for each state that has some, the targets of all patterns that
	// end there, the last of them marked.
	hits []target
}

// An entry has the class in its lowest byte, then a bit for hits, then the start
// of the row. No class is 0xff: some bytes are in no UTF-8.
const (
	entryClass = 0xff
	entryHits  = 1 << 8
	entryShift = 9
	maxTable   = 1 << (32 - entryShift)
)

// errTooManyPatterns is returned for more patterns than a table can hold, some
// millions of bytes.
var errTooManyPatterns = errors.New("the patterns of all rules together are too many: leave some out")

// pattern is a text to look for and what it means where it is found.
type pattern struct {
	text string // not empty
	target
}

// next returns the state that follows on state. short is what pairs has for the
// last two bytes, and two for the last and the next, whose class is given.
func (a *automaton) next(state, short, two, class uint32) uint32 {
	if next := a.table[state>>entryShift+class]; next&entryClass == class {
		return next
	}
	if next := a.table[short>>entryShift+class]; next&entryClass == class {
		return next
	}
	return two
}

// found returns the hits of a state that has some; others may follow the one
// that is marked as the last.
func (a *automaton) found(state uint32) []target {
	return a.hits[a.table[state>>entryShift]>>8:]
}

// newAutomaton builds the automaton of the patterns, which are in the order of
// their texts. What it needs for the given texts, normalised, lies close together.
func newAutomaton(patterns []pattern, texts [][]byte) (*automaton, error) {
	a := &automaton{width: 1}
	for _, p := range patterns {
		for _, b := range []byte(p.text) {
			if a.class[b] == 0 {
				a.class[b] = uint8(a.width)
				a.width++
			}
		}
	}
	t := newTrie(patterns, &a.class, a.width)
	t.link()
	a.hits = make([]target, 0, 3*len(patterns))
	for _, at := range t.ordered {
		a.list(t, at)
	}
	for _, text := range texts {
		t.warm(text, &a.class)
	}
	if err := t.place(); err != nil {
		return nil, err
	}
	a.fill(t)
	return a, nil
}

// list notes the hits of a node: those of its own patterns, and those of the
// longest suffix, which is nearer to the root and so is done.
func (a *automaton) list(t *trie, at uint32) {
	n := &t.nodes[at]
	suffix := &t.nodes[n.fail]
	if n.own == 0 {
		n.hit, n.hits = suffix.hit, suffix.hits
		return
	}
	n.hit, n.hits = true, uint32(len(a.hits))
	for own := t.patterns[n.own-1:]; len(own) > 0 && own[0].text == t.patterns[n.own-1].text; own = own[1:] {
		a.hits = append(a.hits, own[0].target)
	}
	if suffix.hit {
		for i := suffix.hits; ; i++ {
			a.hits = append(a.hits, a.hits[i])
			if a.hits[i].last {
				return
			}
		}
	}
	a.hits[len(a.hits)-1].last = true
}

// fill writes the tables from t, whose rows have their places.
func (a *automaton) fill(t *trie) {
	a.pairs = make([]uint32, len(t.two))
	for i, to := range t.two {
		a.pairs[i] = t.entry(to)
	}
	size := a.width
	for i := range t.nodes {
		size = max(size, t.nodes[i].start+a.width)
	}
	a.table = make([]uint32, size)
	for i := range t.nodes {
		n := &t.nodes[i]
		for _, to := range t.moves[n.from:n.to] {
			a.table[n.start+uint32(t.nodes[to].class)] = t.entry(to)
		}
		if n.hit {
			a.table[n.start] = n.hits<<8 | entryClass
		}
	}
}

// trie is the automaton while it is built: nodes in the order of the texts that
// they stand for, the root first.
type trie struct {
	patterns []pattern
	width    uint32
	nodes    []node
	two      []uint32 // the node that two bytes lead to, by their classes as in pairs
	ordered  []uint32 // nearest to the root first
	moves    []uint32 // the nodes that transitions lead to
}

type node struct {
	class       uint8
	depth       uint8  // deep at most
	hit         bool   // a pattern ends here
	warm        bool   // see warm
	first, next uint32 // child and sibling; 0: none
	fail        uint32
	from, to    uint32 // range of the transitions to deep nodes in moves
	own         uint32 // number of its first pattern, from 1; 0 if it has none
	hits        uint32 // start of the hits
	start       uint32 // of the row
}

// deep is the depth from which on a transition is in the table.
const deep = 3

func newTrie(patterns []pattern, class *[256]uint8, width uint32) *trie {
	t := &trie{patterns: patterns, width: width}
	size, last := 1, ""
	for _, p := range patterns {
		size += len(p.text) - commonPrefix(last, p.text)
		last = p.text
	}
	t.nodes = append(make([]node, 0, size), node{})
	path := []uint32{0} // the nodes of the last text
	last = ""
	for i, p := range patterns {
		if i > 0 && p.text == last {
			continue
		}
		path = path[:1+commonPrefix(last, p.text)]
		for n := len(path) - 1; n < len(p.text); n++ {
			parent := &t.nodes[path[n]]
			child := uint32(len(t.nodes))
			path = append(path, child)
			added := node{class: class[p.text[n]], depth: uint8(min(n+1, deep)), next: parent.first}
			parent.first = child
			t.nodes = append(t.nodes, added)
		}
		t.nodes[path[len(p.text)]].own = uint32(i + 1)
		last = p.text
	}
	t.two = make([]uint32, width*width)
	for one := t.nodes[0].first; one != 0; one = t.nodes[one].next {
		for last := range width {
			t.two[last*width+uint32(t.nodes[one].class)] = one
		}
	}
	for one := t.nodes[0].first; one != 0; one = t.nodes[one].next {
		for two := t.nodes[one].first; two != 0; two = t.nodes[two].next {
			t.two[uint32(t.nodes[one].class)*width+uint32(t.nodes[two].class)] = two
		}
	}
	return t
}

// commonPrefix returns how many bytes a and b begin with alike.
func commonPrefix(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// child returns the child of a node by class, 0 if there is none.
func (t *trie) child(at uint32, class uint8) uint32 {
	c := t.nodes[at].first
	for c != 0 && t.nodes[c].class != class {
		c = t.nodes[c].next
	}
	return c
}

// link orders the nodes and gives each the failure link to the longest suffix
// that also starts a pattern, and its transitions to deep nodes: those to its
// children, and, where that suffix is deep, those of it that they don't replace.
func (t *trie) link() {
	t.ordered = append(make([]uint32, 0, len(t.nodes)), 0)
	t.moves = make([]uint32, 0, 2*len(t.nodes))
	for i := 0; i < len(t.ordered); i++ {
		n := &t.nodes[t.ordered[i]]
		n.from = uint32(len(t.moves))
		for c := n.first; c != 0; c = t.nodes[c].next {
			t.ordered = append(t.ordered, c)
			child := &t.nodes[c]
			switch child.depth {
			case 2:
				child.fail = t.two[child.class]
			case deep:
				t.moves = append(t.moves, c)
				child.fail = t.follow(n.fail, n.class, child.class)
			}
		}
		own, suffix := t.moves[n.from:], &t.nodes[n.fail]
		if suffix.depth == deep {
			for _, m := range t.moves[suffix.from:suffix.to] {
				if !slices.ContainsFunc(own, func(o uint32) bool { return t.nodes[o].class == t.nodes[m].class }) {
					t.moves = append(t.moves, m)
				}
			}
		}
		n.to = uint32(len(t.moves))
	}
}

// follow returns the node of the longest suffix of what at and then class stand
// for; last is the class of the byte before.
func (t *trie) follow(at uint32, last, class uint8) uint32 {
	for ; t.nodes[at].depth >= deep-1; at = t.nodes[at].fail {
		if c := t.child(at, class); c != 0 {
			return c
		}
	}
	return t.two[uint32(last)*t.width+uint32(class)]
}

// warm marks the nodes that text leads to.
func (t *trie) warm(text []byte, class *[256]uint8) {
	at, last := uint32(0), uint8(0)
	for _, b := range text {
		at, last = t.follow(at, last, class[b]), class[b]
		t.nodes[at].warm = true
	}
}

// entry returns how the automaton writes a node.
func (t *trie) entry(at uint32) uint32 {
	n := &t.nodes[at]
	e := n.start<<entryShift | uint32(n.class)
	if n.hit {
		e |= entryHits
	}
	return e
}

// place gives each row that is not empty a place where its entries meet no
// others. The empty ones share that of the root.
func (t *trie) place() error {
	width := t.width
	room := 2*int(width) + len(t.nodes) + len(t.moves) // more is seldom needed
	p := placing{used: make([]bool, room), starts: make([]bool, room)}
	for i := range p.next {
		p.next[i] = width // the row of the root stays empty
	}
	var classes []uint32
	for i := range 2 * len(t.nodes) { // the warm ones first
		n := &t.nodes[i%len(t.nodes)]
		if n.warm != (i < len(t.nodes)) {
			continue
		}
		classes = classes[:0]
		if n.hit {
			classes = append(classes, 0)
		}
		for _, to := range t.moves[n.from:n.to] {
			classes = append(classes, uint32(t.nodes[to].class))
		}
		if len(classes) > 0 {
			n.start = p.row(classes, width)
		}
		if n.start+width > maxTable {
			return errTooManyPatterns
		}
	}
	return nil
}

// placing is what is known of the table while rows are placed.
type placing struct {
	used   []bool
	starts []bool
	next   [8]uint32 // by size of row, the larger ones together: where to look
}

// row finds a place for a row with entries of the given classes and returns its
// start. What it passes over is left to smaller rows, so that the time for all
// of them is linear.
func (p *placing) row(classes []uint32, width uint32) uint32 {
	next := &p.next[min(len(classes), len(p.next))-1]
	for at := *next; ; at++ {
		if missing := int(at+2*width) - len(p.used); missing > 0 {
			missing += len(p.used) / 2
			p.used = append(p.used, make([]bool, missing)...)
			p.starts = append(p.starts, make([]bool, missing)...)
		}
		if p.used[at] {
			continue
		}
		start := at - classes[0]
		if start < width || p.starts[start] || slices.ContainsFunc(classes[1:], func(c uint32) bool { return p.used[start+c] }) {
			continue
		}
		p.starts[start] = true
		for _, c := range classes {
			p.used[start+c] = true
		}
		*next = at
		return start
	}
}
