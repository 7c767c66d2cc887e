package rules

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// foundIn returns what the automaton finds in text: pairs of an end and the
// number of a pattern.
func foundIn(a *automaton, text string) (all [][2]int) {
	state, short, last := uint32(0), uint32(0), uint32(0)
	for i, b := range []byte(text) {
		class := uint32(a.class[b])
		two := a.pairs[last*a.width+class]
		state, short, last = a.next(state, short, two, class), two, class
		if state&entryHits == 0 {
			continue
		}
		for _, t := range a.found(state) {
			all = append(all, [2]int{i + 1, int(t.bunch)})
			if t.last {
				break
			}
		}
	}
	slices.SortFunc(all, func(a, b [2]int) int { return slices.Compare(a[:], b[:]) })
	return all
}

func automatonOf(t *testing.T, texts []string, warm [][]byte) *automaton {
	t.Helper()
	var all []pattern
	for i, text := range texts {
		all = append(all, pattern{text: text, target: target{bunch: int32(i)}})
	}
	a, err := newAutomaton(all, warm)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestTheAutomatonFindsAllPatterns(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		alphabet := pick(r, []string{"ab", "abc", "ab \x00\xff", "aé\u0436 1"})
		word := func(n int) string {
			var b strings.Builder
			for range n {
				b.WriteByte(alphabet[r.IntN(len(alphabet))])
			}
			return b.String()
		}
		var texts []string
		for range 1 + r.IntN(40) {
			texts = append(texts, word(1+r.IntN(8)))
		}
		slices.Sort(texts)
		texts = slices.Compact(texts)
		a := automatonOf(t, texts, [][]byte{[]byte(word(30))})
		for range 5 {
			text := word(60) + "-" + word(20)
			var want [][2]int
			for end := 1; end <= len(text); end++ {
				for i, p := range texts {
					if strings.HasSuffix(text[:end], p) {
						want = append(want, [2]int{end, i})
					}
				}
			}
			if got := foundIn(a, text); !slices.Equal(got, want) {
				t.Fatalf("in %q, of %q: found %v, want %v", text, texts, got, want)
			}
		}
	}
}

func TestAnAutomatonWithoutPatternsFindsNothing(t *testing.T) {
	if got := foundIn(automatonOf(t, nil, nil), "any text"); got != nil {
		t.Errorf("found %v", got)
	}
}

// The process keeps the tables as long as it lives, and caches are small.
func TestTheAutomatonStaysSmall(t *testing.T) {
	s := loadDefault(t)
	literals := map[string]bool{}
	for _, u := range s.rules {
		for _, l := range u.literals {
			literals[l] = true
		}
		for _, ph := range u.phrases {
			for _, pieces := range ph.parts {
				for _, p := range pieces {
					literals[p.text] = true
				}
			}
		}
	}
	a := s.automaton
	size := 4*(len(a.table)+len(a.pairs)) + 12*len(a.hits)
	if each := size / len(literals); each > 110 {
		t.Errorf("%d bytes for %d literals, %d each: want at most 110", size, len(literals), each)
	}
	if size > 2<<20 {
		t.Errorf("%d bytes: want at most 2 MiB", size)
	}
	used := 0
	for _, e := range a.table {
		if e != 0 {
			used++
		}
	}
	if 10*used < 8*len(a.table) {
		t.Errorf("%d of %d entries are used: want at least 8 of 10", used, len(a.table))
	}
}
