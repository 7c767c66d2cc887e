package review

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"mtatap/event"
	"mtatap/rules"
)

// builtIn are the default rules: immutable, and slow to load.
var builtIn = sync.OnceValues(func() (*rules.Set, error) {
	data, err := os.ReadFile("../../rules.yaml")
	if err != nil {
		return nil, err
	}
	return rules.Parse("rules.yaml", data, nil)
})

func defaultRules(t testing.TB) *rules.Set {
	t.Helper()
	set, err := builtIn()
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// extended returns base with more rules in front.
func extended(t testing.TB, base *rules.Set, more string) *rules.Set {
	t.Helper()
	set, err := rules.Parse("mine.yaml", []byte("schema: 1\nversion: x\nextends: default\nrules:\n"+more), base)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func bounced(text string) *Reply {
	r := &Reply{Input: rules.ParseText(text), Shown: text}
	r.Input.Status = event.Bounced
	return r
}

func TestComparisonGroupsWhatChanges(t *testing.T) {
	after := extended(t, defaultRules(t), `
  - {id: parked, category: general, reason: parked, match: [recipient domain is parked], examples: ["550 5.1.1 recipient domain is parked"]}
  - {id: same, category: hard, reason: user-unknown, match: [no such purple user], examples: ["no such purple user"]}
  - {id: louder, provider: google, category: transient, match: [plain words], examples: ["plain words"]}
`)
	c := NewComparison(defaultRules(t), after)
	for i := range 3 {
		c.Add(bounced(fmt.Sprintf("550 5.1.1 <u%d@b.example> recipient domain is parked", i)))
	}
	c.Add(bounced("550 recipient domain is parked"))
	c.Add(bounced("550 5.1.1 no such purple user"))
	c.Add(bounced("550 5.1.1 User unknown"))
	delivered := bounced("250 recipient domain is parked")
	delivered.Input.Status = event.Delivered
	c.Add(delivered)
	plain := bounced("550 plain words")
	plain.RelayHost = "mx.google.com"
	c.Add(plain)
	if c.Replies != 7 || c.Changed != 5 || c.SameByOther != 1 {
		t.Errorf("%d replies, %d changed, %d the same by another rule; want 7, 5, 1", c.Replies, c.Changed, c.SameByOther)
	}
	var got []string
	for _, change := range c.Changes() {
		got = append(got, fmt.Sprint(change.Count, " ", change.Key.Old.Category, " ", change.Key.Old.Rule, " ", change.Key.New.Category, " ", change.Key.New.Rule, " ", change.Templates[0]))
	}
	want := []string{
		"3 hard enhanced:5.1.1 general parked 550 5.1.1 <address> recipient domain is parked",
		"1 general reply:550 general parked 550 recipient domain is parked",
		"1 general reply:550 transient louder 550 plain words",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestStubsLoadAndDecideTheirReplies(t *testing.T) {
	texts := []string{
		"550 5.7.1 <ann%d@b.example>: your message of %d bytes cannot cross the purple gate (rule #%d)",
		"554 Zugang fuer Elefanten nicht gestattet: 'mx%d.b.example' \"sagt\" {nein} * | [%d] \\o/ %d",
		"550 xyzzy%d%d%d",
		"554 5.0.0 プロバイダーの都合により象は通れません %d %d %d",
		"550 Requested action not taken", // part of a default rule's example
		"450 4.0.0 come \x1b[31mback\u202e for tea\u0085- id: %d%d%d",
		"x%d%d%d",
		"yes: {no: [maybe]} & *anchor !tag %%%d @%d `%d",
		"the quick brown fox\u200bjumps over %d lazy dogs of 192.0.2.%d at mx%d.b.example",
		"over %d lazy dogs of 192.0.2.%d at mx%d.b.example", // the one above has these words
	}
	s := NewSuggestions(defaultRules(t))
	for i, text := range texts {
		for n := range 20 - i {
			if strings.Contains(text, "%d") {
				s.Add(bounced(fmt.Sprintf(text, n, 100+n, n)))
			} else {
				s.Add(bounced(text))
			}
		}
	}
	s.Add(bounced("550 5.1.1 User unknown")) // a rule knows it
	if s.Replies != 156 || s.Undecided != 155 {
		t.Errorf("%d replies, %d undecided, want 156 and 155", s.Replies, s.Undecided)
	}
	var all strings.Builder
	stubs := 0
	for _, g := range s.Top(20) {
		if g.Stub != "" {
			stubs++
		}
		all.WriteString("\n" + g.YAML())
	}
	if strings.ContainsAny(all.String(), "\x1b\u202e\u0085") || strings.Contains(all.String(), "@b.example") {
		t.Errorf("controls or addresses are left in\n%s", all.String())
	}
	set := extended(t, defaultRules(t), "  "+strings.ReplaceAll(all.String(), "\n", "\n  "))
	if stubs < 7 {
		t.Errorf("%d stubs of %d templates\n%s", stubs, len(texts), all.String())
	}
	for _, u := range set.Rules() {
		if strings.HasPrefix(u.Where, "mine.yaml") && len(u.Examples) == 0 {
			t.Errorf("stub %s has no example", u.ID)
		}
	}
	for _, d := range set.Doubts() {
		t.Error(d)
	}
	for i, text := range []string{fmt.Sprintf(texts[0], 77, 1, 78), texts[4], fmt.Sprintf(texts[3], 1, 2, 3)} {
		if v := bounced(text).Verdict(set); !strings.HasPrefix(v.Rule, "new-") {
			t.Errorf("%d: %q is decided by %s", i, text, v.Rule)
		}
	}
}

// Whatever remote servers say, what is suggested loads.
func FuzzSuggest(f *testing.F) {
	f.Add("550 5.7.1 <a@b.c>: it's \"not\" {a} * | [b] \\ # & nice: - day", "x y z")
	small, err := rules.Parse("base.yaml", []byte(`{schema: 1, version: x, categories: {general: {type: soft, compat: 20, action: watch},
		transient: {type: soft, compat: 70, action: retry}, delivered: {type: none, compat: 1, action: none}}}`), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, one, two string) {
		s := NewSuggestions(small)
		s.Add(bounced(one))
		s.Add(bounced(two))
		yaml := "  # none\n"
		for _, g := range s.Top(2) {
			yaml += "  " + strings.ReplaceAll(g.YAML(), "\n", "\n  ") + "\n"
		}
		if strings.Contains(yaml, "- id:") {
			extended(t, small, yaml)
		}
	})
}

func BenchmarkSuggest(b *testing.B) {
	s := NewSuggestions(defaultRules(b))
	var replies []*Reply
	for i := range 1000 {
		replies = append(replies, bounced(fmt.Sprintf("550 5.7.1 <u%d@b.example> your message from [192.0.2.%d] was held by the purple gate w%d", i, i%250, i%37)))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s.Add(replies[i%len(replies)])
	}
}
