package rules

import (
	"errors"
	"fmt"
	"strings"
)

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
		if expansions[last] = product(expansions[last], alternatives); len(expansions[last]) > maxPieces {
			return p, fmt.Errorf("a part stands for more than %d alternatives: split the phrase", maxPieces)
		}
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
			return nil, "", fmt.Errorf("unknown group of words %q%s", name, didYouMean(name, w.names()))
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

func (w words) names() (all []string) {
	for name := range w {
		all = append(all, name)
	}
	return all
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
	var all part
	texts, err := withDigits(texts)
	if err != nil {
		return nil, err
	}
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
		p.text = string(normalise(nil, t))
		if len(p.text) < 2 {
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

// fits reports whether text[s.start:s.end] is bounded as e asks.
func (s span) fits(text []byte, e edges) bool {
	return (e&leftEdge == 0 || s.start == 0 || !wordByte(text[s.start-1])) &&
		(e&rightEdge == 0 || int(s.end) == len(text) || !wordByte(text[s.end]))
}

// hotPhrase is a phrase with its parts by number.
type hotPhrase struct {
	parts []int32
	gaps  []int32
}

// find returns from where to where the phrase stands, given where its parts
// stand, each list sorted by end.
func (p *hotPhrase) find(spans [][]span) (span, bool) {
	last := len(p.parts) - 1
	list := spans[p.parts[last]]
	for i := len(list) - 1; i >= 0; i-- {
		if start, ok := p.before(spans, last, list[i].start); ok {
			return span{start, list[i].end}, true
		}
	}
	return span{}, false
}

// before returns where the parts before part n start if they stand, in order
// and with no gap too wide, before limit.
func (p *hotPhrase) before(spans [][]span, n int, limit int32) (int32, bool) {
	if n == 0 {
		return limit, true
	}
	list := spans[p.parts[n-1]]
	low, high := 0, len(list) // low: how many end at or before limit
	for low < high {
		middle := (low + high) / 2
		if list[middle].end <= limit {
			low = middle + 1
		} else {
			high = middle
		}
	}
	for i := low - 1; i >= 0 && limit-list[i].end <= p.gaps[n-1]; i-- {
		if start, ok := p.before(spans, n-1, list[i].start); ok {
			return start, true
		}
	}
	return 0, false
}
