package review

import (
	"cmp"
	"maps"
	"slices"

	"mtatap/event"
	"mtatap/rules"
)

// Reply is a reply, or an MTA's own reason, and what is known about it.
type Reply struct {
	// Input is what verdicts are made from. Its Provider, where empty, follows
	// from the next two, by each set's own provider groups.
	Input           rules.Input
	RelayHost       string
	RecipientDomain string
	Shown           string // the text as it may be shown to people
}

// ReplyOf returns the reply of e, to be shown as shown says.
func ReplyOf(e *event.Event, shown string) Reply {
	return Reply{Input: rules.InputOf(&e.Delivery, ""), RelayHost: e.Relay.Host, RecipientDomain: event.Domain(e.Recipient), Shown: shown}
}

// Verdict returns what s decides.
func (r *Reply) Verdict(s *rules.Set) event.Verdict {
	in := r.Input
	if in.Provider == "" {
		in.Provider = s.Provider(r.RelayHost, r.RecipientDomain)
	}
	return s.Classify(&in)
}

// Change is a group of replies that one set decides in one way and another set
// in another.
type Change struct {
	Key       ChangeKey
	Count     int
	Templates []*Template[ChangeKey] // the most frequent first
}

// ChangeKey is what the replies of a change have in common. The verdicts have
// no bounce type and no compat: these follow from the category.
type ChangeKey struct{ Old, New event.Verdict }

// Comparison finds what would change if one set took the place of another. The
// zero value is not ready, see NewComparison.
type Comparison struct {
	old, new  *rules.Set
	templates *templates[ChangeKey]
	counts    map[ChangeKey]int

	Replies int // replies seen; those that were delivered are not counted
	Changed int // decided in another way
	// SameByOther are decided in the same way, but by another rule.
	SameByOther int
}

// NewComparison returns a comparison that has seen nothing.
func NewComparison(old, new *rules.Set) *Comparison {
	return &Comparison{old: old, new: new, templates: newTemplates[ChangeKey](), counts: map[ChangeKey]int{}}
}

// Add notes what both sets decide about r.
func (c *Comparison) Add(r *Reply) {
	before := r.Verdict(c.old)
	if before.Category == event.CategoryDelivered {
		return
	}
	c.Replies++
	key := ChangeKey{outcome(before), outcome(r.Verdict(c.new))}
	if key.Old == key.New {
		return
	}
	if sameButRule(key) {
		c.SameByOther++
		return
	}
	c.Changed++
	c.counts[key]++
	c.templates.add(key, clean(r.Shown))
}

func outcome(v event.Verdict) event.Verdict {
	v.BounceType, v.Compat = "", 0
	return v
}

func sameButRule(key ChangeKey) bool {
	key.Old.Rule = key.New.Rule
	return key.Old == key.New
}

// Changes returns the groups, the largest first.
func (c *Comparison) Changes() []Change {
	by := map[ChangeKey][]*Template[ChangeKey]{}
	for _, t := range c.templates.all() {
		by[t.Key] = append(by[t.Key], t)
	}
	var all []Change
	for key, n := range c.counts {
		all = append(all, Change{Key: key, Count: n, Templates: by[key]})
	}
	slices.SortFunc(all, func(a, b Change) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Key.sortKey(), b.Key.sortKey()))
	})
	return all
}

func (k ChangeKey) sortKey() string {
	return string(k.Old.Category+" "+k.New.Category) + " " + k.Old.Rule + " " + k.New.Rule + " " + k.Old.Reason + " " + k.New.Reason
}

// byCount returns the keys of m, the most frequent first, then by name.
func byCount(m map[string]int) []string {
	return slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		return cmp.Or(cmp.Compare(m[b], m[a]), cmp.Compare(a, b))
	})
}
