package rules

import (
	"slices"
	"time"

	"gopkg.in/yaml.v3"

	"mtatap/event"
)

// Suppression says which verdicts on one recipient, beside conversions, take it
// off the lists, and for how long.
type Suppression struct {
	// Expires is how long a suppression lasts; 0 is for ever.
	Expires time.Duration
	After   []SuppressAfter
}

// SuppressAfter is how often a category must come for one recipient, with no
// delivery in between.
type SuppressAfter struct {
	Category event.Category
	Messages int           // different messages, at least
	Spread   time.Duration // between the first and the last of them, at least
	Window   time.Duration // only what is not older counts; 0 is without limit
}

// MaxConversionMessages bounds how many messages a threshold may ask for, so that
// what must be remembered of a recipient is bounded too.
const MaxConversionMessages = 32

// suppression is what one file says.
type suppression struct {
	expires *time.Duration
	after   []suppressAfter
}

type suppressAfter struct {
	SuppressAfter
	line int
}

func (r *reader) suppression(n *yaml.Node) (s suppression) {
	r.pairs(n, "suppression: ", func(key, value *yaml.Node) {
		what := "suppression: " + key.Value + ": "
		if key.Value == "expires" {
			d := r.duration(value, what)
			s.expires = &d
			return
		}
		a := suppressAfter{SuppressAfter{Category: event.Category(key.Value), Messages: -1}, key.Line}
		r.mapping(value, what,
			field{"messages", func(n *yaml.Node) { a.Messages = r.number(n, what+"messages: ", 0, MaxConversionMessages) }},
			field{"spread", func(n *yaml.Node) { a.Spread = r.duration(n, what+"spread: ") }},
			field{"window", func(n *yaml.Node) { a.Window = r.duration(n, what+"window: ") }},
		)
		if value.Kind == yaml.MappingNode {
			switch {
			case a.Messages < 0:
				r.fail(key.Line, "%smessages is needed; 0 turns it off", what)
			case a.Messages == 1 && a.Spread > 0:
				r.fail(key.Line, "%sone message has no spread: ask for more or leave spread out", what)
			case a.Window > 0 && a.Spread > a.Window:
				r.fail(key.Line, "%sspread is longer than window: nothing could ever suppress", what)
			}
		}
		s.after = append(s.after, a)
	})
	return s
}

// joinSuppression puts what f says on top of base and checks it against the
// categories and conversions of s.
func (r *reader) joinSuppression(f *file, base, s *Set) Suppression {
	out := Suppression{Expires: base.suppression.Expires, After: slices.Clone(base.suppression.After)}
	if f.suppression.expires != nil {
		out.Expires = *f.suppression.expires
	}
	lines := map[event.Category]int{} // where a mistake is to be mended
	for _, c := range f.categories {
		lines[c.name] = c.line
	}
	for _, c := range f.conversions {
		lines[c.From] = c.line
	}
	for _, a := range f.suppression.after {
		lines[a.Category] = a.line
		out.After = overlay(out.After, []SuppressAfter{a.SuppressAfter}, func(a SuppressAfter) event.Category { return a.Category })
	}
	out.After = slices.DeleteFunc(out.After, func(a SuppressAfter) bool { return a.Messages == 0 })
	for _, a := range out.After {
		line, touched := lines[a.Category]
		if !touched {
			continue // checked with the base
		}
		c, known := s.category(string(a.Category))
		switch {
		case !known:
			r.fail(line, "suppression: unknown category %q%s", a.Category, didYouMean(string(a.Category), names(s.categories)))
		case a.Category.NeverSuppresses() || c.action != event.Suppress && c.action != event.Watch:
			r.fail(line, "suppression: %s says nothing about the recipient and must never suppress: remove it", a.Category)
		case slices.ContainsFunc(s.conversions, func(v Conversion) bool { return v.From == a.Category }):
			r.fail(line, "suppression: %s has a conversion already: change the numbers there", a.Category)
		}
	}
	return out
}

func names(all []category) []string {
	out := make([]string, len(all))
	for i, c := range all {
		out[i] = string(c.name)
	}
	return out
}

// Suppression returns what suppresses beside conversions.
func (s *Set) Suppression() Suppression {
	return Suppression{Expires: s.suppression.Expires, After: slices.Clone(s.suppression.After)}
}

// Reasons returns every reason that a verdict of the set can have, sorted.
func (s *Set) Reasons() []string {
	var all []string
	for _, u := range s.rules {
		all = append(all, u.reason)
	}
	for _, o := range s.enhanced {
		all = append(all, o.row.reason)
	}
	for _, o := range s.reply {
		all = append(all, o.row.reason)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	return slices.DeleteFunc(all, func(reason string) bool { return reason == "" })
}
