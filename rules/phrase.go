package rules

import (
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"strings"
)

// maxOrdered is how much of a text phrases and expressions are looked for in, in
// bytes: more than any reply says in earnest, and little enough that a text made
// to be slow is not.
const maxOrdered = 2 << 10

// The bytes that may lie between two parts of a phrase, at most.
const (
	wideGap   = 60 // "*"
	narrowGap = 20 // "+"
)

// The bounds of a phrase.
const (
	maxParts  = 4
	maxPieces = 500 // of one part, alternatives multiplied out
)

// phrase is a pattern of words: its parts follow each other in the text. gaps
// has the most bytes that may lie between a part and the next.
type phrase struct {
	source string
	parts  []part
	gaps   []int32
}

// size returns how many bytes the pieces have.
func (p *phrase) size() (n int) {
	for _, one := range p.parts {
		for _, piece := range one {
			n += len(piece.text)
		}
	}
	return n
}

// part is a set of pieces any of which may stand in its place.
type part []piece

// piece is a literal in normalised form.
type piece struct {
	text  string
	edges edges
}

// edges says at which ends a piece must not run on into an ASCII letter, digit
// or underscore.
type edges uint8

const (
	leftEdge edges = 1 << iota
	rightEdge
)

// What stands for \b and for a digit while alternatives are multiplied out.
const (
	edgeMark  = "\x00"
	digitMark = "\x01"
)

var meta = strings.NewReplacer(`\b`, edgeMark, "#", digitMark)

// words are the named groups of alternatives that phrases refer to.
type words map[string][]string

// phrase parses source. "*" and "+" separate parts, (a|b) are alternatives,
// {name} is a group of words, # a digit, \b the edge of a word at the end of a
// part, and a backslash takes away the meaning of the character behind it.
func (w words) phrase(source string) (phrase, error) {
	p := phrase{source: source}
	expansions := [][]string{{""}}
	for rest := source; rest != ""; {
		last := len(expansions) - 1
		var alternatives []string
		var err error
		if gap := map[byte]int32{'*': wideGap, '+': narrowGap}[rest[0]]; gap > 0 {
			p.gaps = append(p.gaps, gap)
			expansions, rest = append(expansions, []string{""}), rest[1:]
			continue
		}
		if alternatives, rest, err = w.atom(rest); err != nil {
			return p, err
		}
		if len(expansions[last])*len(alternatives) > maxPieces {
			return p, fmt.Errorf("a part stands for more than %d alternatives: split the phrase", maxPieces)
		}
		expansions[last] = product(expansions[last], alternatives)
	}
	if len(expansions) > maxParts {
		return p, fmt.Errorf("%d parts are too many: at most %d", len(expansions), maxParts)
	}
	for _, texts := range expansions {
		one, err := newPart(texts)
		if err != nil {
			return p, err
		}
		p.parts = append(p.parts, one)
	}
	return p, nil
}

// atom reads the first element of s, which is no separator, and returns what it
// may stand for.
func (w words) atom(s string) (alternatives []string, rest string, err error) {
	switch s[0] {
	case '(':
		end := strings.IndexByte(s, ')')
		if end < 0 {
			return nil, "", errors.New(`"(" without ")": close it, or write "\("`)
		}
		for _, a := range strings.Split(s[1:end], "|") {
			alternatives = append(alternatives, meta.Replace(a))
		}
		return alternatives, s[end+1:], nil
	case '{':
		end := strings.IndexByte(s, '}')
		if end < 0 {
			return nil, "", errors.New(`"{" without "}": close it, or write "\{"`)
		}
		name := s[1:end]
		group, ok := w[name]
		if !ok {
			return nil, "", fmt.Errorf("unknown group of words %q%s", name, didYouMean(name, slices.Sorted(maps.Keys(w))))
		}
		for _, a := range group {
			alternatives = append(alternatives, meta.Replace(a))
		}
		return alternatives, s[end+1:], nil
	case ')', '}', '|':
		return nil, "", fmt.Errorf(`%q without its beginning: write "\%c"`, s[:1], s[0])
	case '\\':
		if len(s) == 1 {
			return nil, "", errors.New(`nothing behind "\"`)
		}
		if s[1] == 'b' {
			return []string{edgeMark}, s[2:], nil
		}
		return []string{s[1:2]}, s[2:], nil
	}
	end := strings.IndexAny(s, `*+(){}|\`)
	if end < 0 {
		end = len(s)
	}
	return []string{meta.Replace(s[:end])}, s[end:], nil
}

func product(a, b []string) []string {
	all := make([]string, 0, len(a)*len(b))
	for _, x := range a {
		for _, y := range b {
			all = append(all, x+y)
		}
	}
	return all
}

func newPart(texts []string) (part, error) {
	texts, err := withDigits(texts)
	if err != nil {
		return nil, err
	}
	all := make(part, 0, len(texts))
	var normal []byte
	for _, t := range texts {
		p := piece{}
		t = strings.TrimSpace(t)
		if cut, ok := strings.CutPrefix(t, edgeMark); ok {
			t, p.edges = cut, p.edges|leftEdge
		}
		if cut, ok := strings.CutSuffix(t, edgeMark); ok {
			t, p.edges = cut, p.edges|rightEdge
		}
		t, ok := withoutInnerEdges(t)
		if !ok {
			return nil, errors.New(`\b in the middle of a word can never match: remove it`)
		}
		p.text = t
		if normal = normalise(normal[:0], t); string(normal) != t {
			p.text = string(normal)
		}
		if len(p.text) < 2 && p.text != "@" {
			return nil, fmt.Errorf("%q is too short for a part: give at least 2 characters", t)
		}
		if p.edges&leftEdge != 0 && !wordByte(p.text[0]) || p.edges&rightEdge != 0 && !wordByte(p.text[len(p.text)-1]) {
			return nil, fmt.Errorf(`\b beside %q: it stands only beside ASCII letters and digits`, t)
		}
		all = append(all, p)
	}
	return all, nil
}

// withoutInnerEdges drops the edges that are true anyway, beside a space say.
func withoutInnerEdges(t string) (string, bool) {
	for {
		i := strings.Index(t, edgeMark)
		if i < 0 {
			return t, true
		}
		if i == 0 || i+1 == len(t) || wordByte(asciiFold[t[i-1]]) == wordByte(asciiFold[t[i+1]]) {
			return "", false
		}
		t = t[:i] + t[i+1:]
	}
}

// withDigits multiplies the digits out.
func withDigits(texts []string) ([]string, error) {
	for i := 0; i < len(texts); i++ {
		before, after, ok := strings.Cut(texts[i], digitMark)
		if !ok {
			continue
		}
		if len(texts)+9 > maxPieces {
			return nil, fmt.Errorf("a part stands for more than %d alternatives: split the phrase", maxPieces)
		}
		for d := '1'; d <= '9'; d++ {
			texts = append(texts, before+string(d)+after)
		}
		texts[i] = before + "0" + after
		i-- // there may be a second digit
	}
	return texts, nil
}

func wordByte(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= '0' && b <= '9' || b == '_'
}

// span is where a piece stands in a text.
type span struct{ start, end int32 }

// fits reports whether text[s.start:s.end] is bounded as e asks. Which words stand
// in a reply can't be foreseen, so there are few branches.
func (s span) fits(text []byte, e edges) bool {
	var runsOn edges
	if s.start > 0 {
		runsOn = leftEdge & inWord[text[s.start-1]]
	}
	if int(s.end) < len(text) {
		runsOn |= rightEdge & inWord[text[s.end]]
	}
	return e&runsOn == 0
}

// inWord has both edges for the bytes of words, none for the others.
var inWord = func() (t [256]edges) {
	for c := range t {
		if wordByte(byte(c)) {
			t[c] = leftEdge | rightEdge
		}
	}
	return t
}()

// sightings are the spans of all pieces in a text, in the order of their ends.
type sightings struct {
	bunches [][]int32 // by part: the bunches that its pieces are in
	all     []sighting
	last    []int32 // by bunch: the number of its last sighting, from 1; 0 if it has none
	chains  [2]chains
}

type sighting struct {
	span
	bunch    int32
	previous int32 // sighting of the same bunch, as in last
}

func (g *sightings) forget() {
	for i := range g.all {
		g.last[g.all[i].bunch] = 0
	}
	g.all = g.all[:0]
}

// add notes that a piece of bunch stands at where and reports whether that is
// news.
func (g *sightings) add(bunch int32, where span) bool {
	previous := g.last[bunch]
	g.all = append(g.all, sighting{where, bunch, previous})
	g.last[bunch] = int32(len(g.all))
	return previous == 0
}

// has reports whether a piece of part was seen.
func (g *sightings) has(part int32) bool {
	for _, b := range g.bunches[part] {
		if g.last[b] != 0 {
			return true
		}
	}
	return false
}

// find returns from where to where the phrase p stands. Its time is linear in
// the number of sightings.
func (g *sightings) find(p *hotPattern) (span, bool) {
	if len(g.all) == 0 {
		return span{}, false
	}
	end := g.all[len(g.all)-1].end
	from, to := &g.chains[0], &g.chains[1]
	for n, part := range p.parts {
		to.forget(end)
		for _, b := range g.bunches[part] {
			for i := g.last[b]; i != 0; i = g.all[i-1].previous {
				at, ok := g.all[i-1].span, true
				if n > 0 {
					at.start, ok = from.before(at.start, p.gaps[n-1])
				}
				if ok && n == len(p.gaps) {
					return at, true
				}
				if ok {
					to.add(at)
				}
			}
		}
		from, to = to, from
	}
	return span{}, false
}

// chains are where the parts of a phrase up to some part stand in order, none
// too far from the one before.
type chains struct {
	ends   [maxOrdered/64 + 1]uint64 // bit set of the positions where one ends
	starts [maxOrdered + 1]int32     // where the one that ends here starts
}

func (c *chains) forget(end int32) { clear(c.ends[:min(end, maxOrdered)/64+1]) }

func (c *chains) add(at span) {
	c.ends[at.end/64] |= 1 << (at.end % 64)
	c.starts[at.end] = at.start
}

// before returns the start of the chain that ends nearest before limit, with no
// more than gap bytes between, which is less than a word has bits.
func (c *chains) before(limit, gap int32) (start int32, ok bool) {
	word, bit := limit/64, limit%64
	near := c.ends[word] << (63 - bit)
	if word > 0 && bit < 63 {
		near |= c.ends[word-1] >> (bit + 1)
	}
	distance := int32(bits.LeadingZeros64(near))
	if distance > gap || near == 0 {
		return 0, false
	}
	return c.starts[limit-distance], true
}
