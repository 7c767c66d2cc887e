package review

import (
	"fmt"
	"slices"
	"strings"

	"mtatap/event"
	"mtatap/rules"
)

// Suggestions finds the replies that no rule knows: those that a code table or
// the default has decided.
type Suggestions struct {
	set       *rules.Set
	templates *templates[suggestionKey]
	details   map[*Template[suggestionKey]]*detail

	Replies   int // replies seen; those that were delivered are not counted
	Undecided int // decided by no rule
}

// suggestionKey is what the replies of one suggestion have in common.
type suggestionKey struct {
	rule     string
	category event.Category
	reason   string
}

type detail struct{ statuses, providers map[string]int }

// Suggestion is a template of replies that no rule knows.
type Suggestion struct {
	Template  string
	Count     int
	Rule      string // what decided: a row of a code table, or the default
	Category  event.Category
	Reason    string
	Statuses  map[string]int
	Providers map[string]int
	Samples   []string // without addresses
	// Stub is a rule in YAML that knows the replies, as an item of the list
	// under "rules"; "" where there is none, and Why says why.
	Stub string
	Why  string
}

// YAML returns the stub, or why there is none, below comments that say what it
// is about. Every line is the stub's own or a comment.
func (g *Suggestion) YAML() string {
	var b strings.Builder
	replies := "replies"
	if g.Count == 1 {
		replies = "reply"
	}
	fmt.Fprintf(&b, "# %d %s", g.Count, replies)
	for _, counts := range []map[string]int{g.Statuses, g.Providers} {
		if len(counts) > 0 {
			fmt.Fprintf(&b, "; %s", listCounts(counts))
		}
	}
	fmt.Fprintf(&b, "\n# %s\n", g.Template)
	if g.Stub == "" {
		fmt.Fprintf(&b, "# %s, now %s by %s\n", g.Why, g.Category, g.Rule)
	}
	return b.String() + g.Stub
}

func listCounts(counts map[string]int) string {
	var all []string
	for _, name := range byCount(counts) {
		all = append(all, fmt.Sprint(name, " ", counts[name]))
	}
	return strings.Join(all, ", ")
}

// NewSuggestions returns suggestions of rules to add to set.
func NewSuggestions(set *rules.Set) *Suggestions {
	return &Suggestions{set: set, templates: newTemplates[suggestionKey](), details: map[*Template[suggestionKey]]*detail{}}
}

// Add notes r if no rule decides it.
func (s *Suggestions) Add(r *Reply) {
	v := r.Verdict(s.set)
	if v.Category == event.CategoryDelivered {
		return
	}
	s.Replies++
	if rules.ByText(v.Rule) {
		return
	}
	s.Undecided++
	text := clean(r.Shown)
	if text == "" {
		return
	}
	t := s.templates.add(suggestionKey{v.Rule, v.Category, v.Reason}, text)
	if len(s.details) > 2*maxTemplates {
		s.forgetDropped()
	}
	d := s.details[t]
	if d == nil {
		d = &detail{statuses: map[string]int{}, providers: map[string]int{}}
		s.details[t] = d
	}
	if status := r.Input.Status.String(); status != "" {
		d.statuses[status]++
	}
	provider := r.Input.Provider
	if provider == "" {
		provider = s.set.Provider(r.RelayHost, r.RecipientDomain)
	}
	if slices.Contains(s.set.Providers(), provider) || provider == rules.OtherProvider {
		d.providers[provider]++
	}
}

// forgetDropped lets go of the details of templates that are gone.
func (s *Suggestions) forgetDropped() {
	kept := make(map[*Template[suggestionKey]]*detail, s.templates.count)
	for _, all := range s.templates.leaves {
		for _, t := range all {
			if d := s.details[t]; d != nil {
				kept[t] = d
			}
		}
	}
	s.details = kept
}

// Top returns at most n suggestions, the most frequent first.
func (s *Suggestions) Top(n int) []Suggestion {
	var all []Suggestion
	w := stubWriter{known: s.set.Rules(), taken: map[string]bool{}}
	for _, u := range w.known {
		w.taken[u.ID] = true
	}
	for _, t := range s.templates.all() {
		if len(all) == n {
			break
		}
		d := s.details[t]
		g := Suggestion{
			Template: t.String(), Count: t.Count, Rule: t.Key.rule, Category: t.Key.category, Reason: t.Key.reason,
			Statuses: d.statuses, Providers: d.providers,
		}
		for _, text := range t.Samples {
			g.Samples = append(g.Samples, withoutAddresses(text))
		}
		g.Stub, g.Why = w.stub(&g, t)
		all = append(all, g)
	}
	return all
}
