package review

import (
	"cmp"
	"slices"
	"strings"

	"mtatap/event"
)

// Template is a group of replies that say the same in the same words, apart from
// addresses, ids and the like.
type Template[K comparable] struct {
	Key     K
	Count   int
	Samples []string // some of the replies, fit for a terminal; at least one

	code   string // the reply and the enhanced code, as the replies begin with
	tokens []string
	more   bool // the replies go on behind the tokens
	number int  // in the order of their first replies
}

// String returns the words with <address>, <ip>, <number> and the like where
// replies differ, <*> where they differ otherwise.
func (t *Template[K]) String() string {
	words := strings.Join(t.tokens, " ")
	if t.more {
		words += " ..."
	}
	return strings.TrimSpace(t.code + " " + words)
}

// The bounds of templates, each small enough that a log made to be hard to sum
// up costs neither memory nor time.
const (
	maxTemplates = 4000
	maxAlike     = 50 // templates of the same length, first word and key
	maxSamples   = 3
)

// templates sorts replies into templates, in the way of Drain (He et al., 2017):
// replies of the same number of words and with the same first word are compared
// word by word. Replies with different keys never share a template.
type templates[K comparable] struct {
	leaves map[leaf[K]][]*Template[K]
	count  int
	made   int // those that had to go included
	// dropped is how many replies were in templates that had to go, because
	// there were too many: the rarest go first.
	dropped int
}

type leaf[K comparable] struct {
	key    K
	code   string
	first  string
	length int
}

func newTemplates[K comparable]() *templates[K] {
	return &templates[K]{leaves: map[leaf[K]][]*Template[K]{}}
}

// add puts a clean reply into its template.
func (g *templates[K]) add(key K, text string) *Template[K] {
	code, rest := cutCodes(text)
	words, more := tokens(rest)
	l := leaf[K]{key: key, code: code, length: len(words)}
	if len(words) > 0 {
		l.first = words[0]
	}
	t := nearest(g.leaves[l], words)
	if t == nil {
		t = &Template[K]{Key: key, code: code, tokens: words, more: more, number: g.made}
		g.made++
		g.makeRoom(l)
		g.leaves[l] = append(g.leaves[l], t)
		g.count++
	}
	t.Count++
	for i := range words {
		if t.tokens[i] != words[i] {
			t.tokens[i] = anything
		}
	}
	if len(t.Samples) < maxSamples && !slices.Contains(t.Samples, text) {
		t.Samples = append(t.Samples, text)
	}
	return t
}

// anything stands for a word in which replies of one template differ.
const anything = "<*>"

// cutCodes splits the codes off the front of a reply.
func cutCodes(text string) (code, rest string) {
	if len(text) < 3 || text[0] < '2' || text[0] > '5' || !digit(text[1]) || !digit(text[2]) || len(text) > 3 && text[3] != ' ' {
		return "", text
	}
	code, rest = text[:3], text[3:]
	if enhanced, after := event.CutEnhanced(rest); enhanced != "" {
		return code + " " + enhanced, after
	}
	return code, rest
}

// nearest returns the template that differs from words in the fewest places, nil
// if all differ in more than a quarter of them.
func nearest[K comparable](all []*Template[K], words []string) *Template[K] {
	var best *Template[K]
	fewest := len(words)/4 + 1
	for _, t := range all {
		differ := 0
		for i, w := range words {
			if t.tokens[i] != w {
				differ++
			}
		}
		if differ < fewest {
			best, fewest = t, differ
		}
	}
	return best
}

// makeRoom drops the rarest templates if there are too many.
func (g *templates[K]) makeRoom(l leaf[K]) {
	if alike := g.leaves[l]; len(alike) >= maxAlike {
		rarest := slices.MinFunc(alike, func(a, b *Template[K]) int { return cmp.Compare(a.Count, b.Count) })
		g.drop(l, func(t *Template[K]) bool { return t == rarest })
	}
	if g.count < maxTemplates {
		return
	}
	least := 0
	for _, all := range g.leaves {
		for _, t := range all {
			if least == 0 || t.Count < least {
				least = t.Count
			}
		}
	}
	for l := range g.leaves {
		g.drop(l, func(t *Template[K]) bool { return t.Count == least })
	}
}

func (g *templates[K]) drop(l leaf[K], unwanted func(*Template[K]) bool) {
	kept := slices.DeleteFunc(g.leaves[l], func(t *Template[K]) bool {
		if !unwanted(t) {
			return false
		}
		g.count--
		g.dropped += t.Count
		return true
	})
	if g.leaves[l] = kept; len(kept) == 0 {
		delete(g.leaves, l)
	}
}

// all returns the templates, the most frequent first.
func (g *templates[K]) all() []*Template[K] {
	var all []*Template[K]
	for _, some := range g.leaves {
		all = append(all, some...)
	}
	slices.SortFunc(all, func(a, b *Template[K]) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.String(), b.String()), cmp.Compare(a.number, b.number))
	})
	return all
}
