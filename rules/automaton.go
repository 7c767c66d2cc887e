package rules

// automaton finds all patterns of a set in one pass over a text (Aho and
// Corasick, 1975). States near the root, where texts spend most of their time,
// have a dense row of transitions: a column for each class of bytes that no
// pattern tells apart. The many states further on have only the edges of the
// trie and a failure link, so that the tables stay small enough for the cache.
//
// A state is its number, nearest to the root first, shifted left by one; the
// lowest bit says that it has hits. The root is 0.
type automaton struct {
	class [256]uint8 // 0: in no pattern

	width   uint32
	dense   []uint32 // rows of the states below shallow
	shallow uint32   // number of the first state without a row

	// By number of state, less shallow: where its edges start in edgeClass and
	// edgeTo (they end where the next one's start), and its failure link.
	edges     []uint32
	edgeClass []uint8
	edgeTo    []uint32
	fail      []uint32

	hitsAt []uint32 // by number of state, where its hits start
	// hits holds, for each state that has some, the targets of all patterns that
	// end there, closed by one of kind endOfHits.
	hits []target
}

// pattern is a text to look for and what it means where it is found.
type pattern struct {
	text    string // not empty
	targets []target
}

// step returns the state after b.
func (a *automaton) step(state uint32, b byte) uint32 {
	class := a.class[b]
	for {
		n := state >> 1
		if n < a.shallow {
			return a.dense[n*a.width+uint32(class)]
		}
		n -= a.shallow
		for e, end := a.edges[n], a.edges[n+1]; e < end; e++ {
			if a.edgeClass[e] == class {
				return a.edgeTo[e]
			}
		}
		state = a.fail[n]
	}
}

// found returns the hits of a state that has some.
func (a *automaton) found(state uint32) []target { return a.hits[a.hitsAt[state>>1]:] }

// denseDepth is the depth of the last states with a dense row.
const denseDepth = 3

// newAutomaton builds the automaton of the patterns, whose texts all differ.
func newAutomaton(patterns []pattern) *automaton {
	a := &automaton{}
	classes := 1
	for _, p := range patterns {
		for _, b := range []byte(p.text) {
			if a.class[b] == 0 {
				a.class[b] = uint8(classes)
				classes++
			}
		}
	}
	a.width = uint32(classes)
	t := &trie{nodes: []node{{}}}
	for _, p := range patterns {
		t.add(p, &a.class)
	}
	t.link()
	a.lay(t)
	return a
}

// trie is the automaton while it is built: nodes in the order of their making,
// the root first.
type trie struct {
	nodes   []node
	ordered []uint32 // nearest to the root first
}

type node struct {
	class       uint8
	depth       uint16
	first, next uint32 // child and sibling; 0: none
	fail        uint32
	number      uint32 // place in ordered
	ends        []target
}

func (t *trie) add(p pattern, class *[256]uint8) {
	at := uint32(0)
	for _, b := range []byte(p.text) {
		child := t.child(at, class[b])
		if child == 0 {
			child = uint32(len(t.nodes))
			depth := min(t.nodes[at].depth, denseDepth) + 1 // further on it does not matter
			t.nodes = append(t.nodes, node{class: class[b], depth: depth, next: t.nodes[at].first})
			t.nodes[at].first = child
		}
		at = child
	}
	t.nodes[at].ends = append(t.nodes[at].ends, p.targets...)
}

// child returns the child of a node by class, 0 if there is none.
func (t *trie) child(at uint32, class uint8) uint32 {
	c := t.nodes[at].first
	for c != 0 && t.nodes[c].class != class {
		c = t.nodes[c].next
	}
	return c
}

// link orders the nodes, gives each the failure link to the longest suffix that
// also starts a pattern, and adds the hits of that suffix to its own.
func (t *trie) link() {
	t.ordered = append(make([]uint32, 0, len(t.nodes)), 0)
	for i := 0; i < len(t.ordered); i++ {
		at := t.ordered[i]
		t.nodes[at].number = uint32(i)
		for c := t.nodes[at].first; c != 0; c = t.nodes[c].next {
			t.ordered = append(t.ordered, c)
			if at == 0 {
				continue
			}
			f := t.nodes[at].fail
			for f != 0 && t.child(f, t.nodes[c].class) == 0 {
				f = t.nodes[f].fail
			}
			f = t.child(f, t.nodes[c].class)
			t.nodes[c].fail = f
			t.nodes[c].ends = append(t.nodes[c].ends, t.nodes[f].ends...)
		}
	}
}

// state returns how the automaton writes a node.
func (t *trie) state(at uint32) uint32 {
	s := t.nodes[at].number << 1
	if len(t.nodes[at].ends) > 0 {
		s |= 1
	}
	return s
}

// lay fills the tables from t.
func (a *automaton) lay(t *trie) {
	for _, n := range t.nodes {
		if n.depth <= denseDepth {
			a.shallow++
		}
	}
	a.dense = make([]uint32, a.shallow*a.width)
	a.hitsAt = make([]uint32, len(t.nodes))
	deep := len(t.nodes) - int(a.shallow)
	a.edges, a.fail = make([]uint32, 0, deep+1), make([]uint32, 0, deep)
	a.edgeClass, a.edgeTo = make([]uint8, 0, deep), make([]uint32, 0, deep)
	for i, at := range t.ordered {
		n := &t.nodes[at]
		if uint32(i) < a.shallow {
			row := a.row(uint32(i))
			if i > 0 {
				copy(row, a.row(t.nodes[n.fail].number)) // nearer to the root, so done
			}
			for c := n.first; c != 0; c = t.nodes[c].next {
				row[t.nodes[c].class] = t.state(c)
			}
		} else {
			a.edges = append(a.edges, uint32(len(a.edgeTo)))
			a.fail = append(a.fail, t.state(n.fail))
			for c := n.first; c != 0; c = t.nodes[c].next {
				a.edgeClass, a.edgeTo = append(a.edgeClass, t.nodes[c].class), append(a.edgeTo, t.state(c))
			}
		}
		if len(n.ends) > 0 {
			a.hitsAt[i] = uint32(len(a.hits))
			a.hits = append(append(a.hits, n.ends...), target{kind: endOfHits})
		}
	}
	a.edges = append(a.edges, uint32(len(a.edgeTo)))
}

func (a *automaton) row(n uint32) []uint32 { return a.dense[n*a.width : (n+1)*a.width] }
