package review

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"mtatap/event"
	"mtatap/rules"
)

// stubWriter writes rules that do not get in each other's way.
type stubWriter struct {
	known   []rules.RuleInfo
	taken   map[string]bool // ids
	written []*rules.Set    // for each rule written, a set of nothing else
}

// stub returns a rule for g in YAML, or why there is none.
func (w *stubWriter) stub(g *Suggestion, t *Template[suggestionKey]) (stub, why string) {
	for _, before := range w.written {
		if decides(before, g.Samples[0]) {
			return "", "a rule above knows these too"
		}
	}
	runs := constantRuns(t.tokens)
	why = "too few words of their own for a rule"
	for _, c := range conditionsOf(t, runs) {
		set := trial(c, g.Samples)
		if set == nil {
			continue
		}
		if rule := w.robbed(set); rule != "" {
			why = fmt.Sprintf("their words are also in an example of rule %s", rule)
			continue
		}
		w.written = append(w.written, set)
		return w.write(g, c, runs), ""
	}
	return "", why
}

// robbed returns a rule that has an example which the rule of set would take
// from it.
func (w *stubWriter) robbed(set *rules.Set) string {
	for _, u := range w.known {
		for _, example := range u.Examples {
			if decides(set, example) {
				return u.ID
			}
		}
	}
	return ""
}

// decides reports whether the one rule of a trial set decides text.
func decides(set *rules.Set, text string) bool {
	in := rules.ParseText(text)
	in.Status = event.Bounced
	return set.Classify(&in).Rule == trialRule
}

// maxRun is how long a run of words in a pattern may get, in bytes.
const maxRun = 150

// constantRuns returns the runs of words that all replies of a template share.
func constantRuns(tokens []string) (runs []string) {
	run := ""
	end := func() {
		if run = strings.Trim(run, ` .,;:!?-'"()[]`); len(run) > 2 && strings.ContainsFunc(run, isWordRune) {
			runs = append(runs, run)
		}
		run = ""
	}
	for _, t := range tokens {
		if strings.ContainsAny(t, "<>@") || len(run)+len(t) > maxRun {
			end()
		}
		if !strings.ContainsAny(t, "<>@") && len(t) <= maxRun {
			run += " " + t
		}
	}
	end()
	return runs
}

func isWordRune(r rune) bool { return r >= 0x80 || r < 0x80 && letter(byte(r)) }

// meaningful reports whether runs have enough words to tell replies apart.
func meaningful(runs []string) bool {
	letters, words := 0, 0
	for _, run := range runs {
		words += len(strings.Fields(run))
		for _, r := range run {
			switch {
			case r >= 0x80:
				letters, words = letters+3, words+1 // there may be no spaces
			case letter(byte(r)):
				letters++
			}
		}
	}
	return letters >= 10 && words >= 2
}

// longest returns the n longest runs in the order in which they stand.
func longest(runs []string, n int) []string {
	if len(runs) <= n {
		return runs
	}
	order := make([]int, len(runs))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return len(runs[b]) - len(runs[a]) })
	order = order[:n]
	slices.Sort(order)
	var some []string
	for _, i := range order {
		some = append(some, runs[i])
	}
	return some
}

// condition is the pattern of a stub.
type condition struct {
	Match  string `yaml:"match,omitempty"`
	Phrase string `yaml:"phrase,omitempty"`
	Regex  string `yaml:"regex,omitempty"`
}

// line returns the condition in YAML.
func (c condition) line() string {
	switch {
	case c.Match != "":
		return "match: " + scalar(c.Match)
	case c.Phrase != "":
		return "phrase: " + scalar(c.Phrase)
	}
	return "regex: " + scalar(c.Regex)
}

var phraseMeta = strings.NewReplacer(`*`, `\*`, `+`, `\+`, `(`, `\(`, `)`, `\)`, `{`, `\{`, `}`, `\}`, `|`, `\|`, `\`, `\\`, `#`, `\#`)

// conditionsOf returns patterns for a template whose constant runs are given, the
// broadest last but one: the last matches nothing but the whole reply.
func conditionsOf[K comparable](t *Template[K], runs []string) (all []condition) {
	for _, parts := range [][]string{longest(runs, 4), longest(runs, 2), longest(runs, 1)} {
		if !meaningful(parts) {
			continue
		}
		if len(parts) == 1 {
			all = append(all, condition{Match: strings.ToLower(parts[0])})
			continue
		}
		var escaped []string
		for _, p := range parts {
			escaped = append(escaped, phraseMeta.Replace(strings.ToLower(p)))
		}
		all = append(all, condition{Phrase: strings.Join(escaped, " * ")})
	}
	if len(runs) > 0 {
		all = append(all, condition{Regex: wholeReply(t)})
	}
	return all
}

// wholeReply returns an expression for replies of all words of a template.
func wholeReply[K comparable](t *Template[K]) string {
	var words []string
	if t.code != "" {
		words = append(words, regexp.QuoteMeta(t.code))
	}
	for _, w := range t.tokens {
		if strings.ContainsAny(w, "<>@") {
			words = append(words, `\S+`)
		} else {
			words = append(words, regexp.QuoteMeta(rules.Fold(w)))
		}
	}
	end := "$"
	if t.more {
		end = " "
	}
	return "^" + strings.Join(words, " ") + end
}

const trialRule = "trial"

// trial returns a set of one rule with that condition, nil if it would not
// decide every one of texts.
func trial(c condition, texts []string) *rules.Set {
	type item struct {
		ID        string `yaml:"id"`
		Category  string `yaml:"category"`
		condition `yaml:",inline"`
		Examples  []string `yaml:"examples"`
	}
	type category struct {
		Type   string `yaml:"type"`
		Compat int    `yaml:"compat"`
		Action string `yaml:"action"`
	}
	data, err := yaml.Marshal(map[string]any{
		"schema": 1, "version": "1",
		"categories": map[event.Category]category{
			event.CategoryGeneral: {"soft", 20, "watch"}, event.CategoryTransient: {"soft", 70, "retry"}, event.CategoryDelivered: {"none", 1, "none"},
		},
		"rules": []item{{trialRule, string(event.CategoryGeneral), c, texts}},
	})
	if err != nil {
		return nil
	}
	set, err := rules.Parse("stub", data, nil)
	if err != nil {
		return nil
	}
	return set
}

func (w *stubWriter) write(g *Suggestion, c condition, runs []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "- id: %s\n  %s\n", w.id(runs), c.line())
	fmt.Fprintf(&b, "  category: %s # what %s says: choose by what the words mean\n", g.Category, g.Rule)
	reason := g.Reason
	if reason == "" {
		reason = "unnamed"
	}
	fmt.Fprintf(&b, "  reason: %s # name it\n  examples:\n", reason)
	for _, text := range g.Samples {
		fmt.Fprintf(&b, "    - %s\n", scalar(text))
	}
	return b.String()
}

// scalar returns s as YAML writes it on one line.
func scalar(s string) string {
	data, err := yaml.Marshal(s)
	if err != nil {
		return `""`
	}
	return strings.TrimSpace(string(data))
}

// id returns an id made of the first words of a pattern that no rule has yet.
func (w *stubWriter) id(parts []string) string {
	var words []string
	for _, word := range strings.FieldsFunc(strings.ToLower(strings.Join(parts, " ")), func(r rune) bool {
		return r >= 0x80 || !letter(byte(r)) && !digit(byte(r))
	}) {
		if words = append(words, word); len(words) == 4 {
			break
		}
	}
	id := "new-" + strings.Join(words, "-")
	if len(words) == 0 {
		id = "new-reply"
	}
	base := id
	for n := 2; w.taken[id]; n++ {
		id = fmt.Sprint(base, "-", n)
	}
	w.taken[id] = true
	return id
}
