package suppress

import (
	"fmt"
	"os"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"mtatap/event"
	"mtatap/rules"
)

// samples are the texts of the built-in rules' examples.
func samples(t *testing.T) (set *rules.Set, texts []string) {
	t.Helper()
	data, err := os.ReadFile("../rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if set, err = rules.Parse("rules.yaml", data, nil); err != nil {
		t.Fatal(err)
	}
	var file struct {
		Rules []struct {
			Examples        []yaml.Node
			Counterexamples []yaml.Node
		}
	}
	if err := yaml.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	for _, r := range file.Rules {
		for _, n := range append(r.Examples, r.Counterexamples...) {
			var long struct{ Text string }
			if n.Kind == yaml.ScalarNode {
				long.Text = n.Value
			} else if err := n.Decode(&long); err != nil {
				t.Fatal(err)
			}
			texts = append(texts, long.Text)
		}
	}
	return set, texts
}

// decisionsOn returns what follows when every message to a recipient is answered
// with text, for two months.
func decisionsOn(set *rules.Set, text string, status event.Status, p Policy) (event.Category, []Decision) {
	in := rules.ParseText(text)
	e := event.Event{}
	e.Recipient, e.Status, e.Diagnostic, e.SMTPCode, e.EnhancedCode = "a@b.example", status, in.Text, in.Code, in.Enhanced
	in.Status, in.Provider = status, set.Provider("", "b.example")
	e.Verdict = set.Classify(&in)
	var s State
	var all []Decision
	for day := range 60 {
		e.Time = start.Add(time.Duration(day) * 24 * time.Hour)
		e.MessageID = fmt.Sprint("m", day)
		e.ID[0] = byte(day)
		var more []Decision
		s, more = Apply(s, OutcomeOf(&e), p)
		all = append(all, more...)
	}
	return e.Category, all
}

// Neither with the built-in policy nor with one that is as eager as a policy may be.
func TestNoBlockSpamRelaySizeChallengeOrTransientFailureEverSuppresses(t *testing.T) {
	set, texts := samples(t)
	usual, err := PolicyOf(set)
	if err != nil {
		t.Fatal(err)
	}
	eager := Policy{After: map[event.Category]Threshold{}}
	for _, c := range set.Categories() {
		if !c.NeverSuppresses() {
			eager.After[c] = Threshold{Messages: 1}
		}
	}
	if err := eager.Check(); err != nil {
		t.Fatal(err)
	}
	seen := map[event.Category]int{}
	suppressed := map[event.Category]int{}
	for _, text := range texts {
		for _, status := range []event.Status{event.Bounced, event.Expired, event.Deferred, event.Rejected} {
			for _, p := range []Policy{usual, eager} {
				category, decisions := decisionsOn(set, text, status, p)
				seen[category]++
				if len(decisions) == 0 {
					continue
				}
				suppressed[category]++
				if category.NeverSuppresses() || status == event.Rejected {
					t.Errorf("%s, %s: %q suppresses", category, status, text)
				}
			}
		}
	}
	for _, c := range []event.Category{event.CategoryBlockGeneral, event.CategoryBlockSpam, event.CategoryRelayDenied, event.CategoryTransient} {
		if seen[c] < 50 {
			t.Errorf("only %d samples of %s: they show nothing", seen[c], c)
		}
	}
	for _, c := range []event.Category{event.CategoryHard, event.CategoryMailboxFull, event.CategoryGeneral} {
		if suppressed[c] == 0 {
			t.Errorf("%s never suppresses: nothing is tested", c)
		}
	}
}

// Whatever an event says besides: a rules file, or another program, may have written
// what does not fit together.
func TestNoOtherWordOfAnEventMakesThoseCategoriesSuppress(t *testing.T) {
	set, _ := samples(t)
	eager := Policy{After: map[event.Category]Threshold{}}
	never := 0
	for _, c := range set.Categories() {
		if !c.NeverSuppresses() {
			eager.After[c] = Threshold{Messages: 1}
		}
	}
	for _, c := range append(set.Categories(), "", "HARD", "unheard-of") {
		var s State
		day := 0
		for _, status := range event.Statuses() {
			for _, bounce := range []event.BounceType{event.Hard, event.Soft, event.None, ""} {
				for _, action := range []event.Action{event.Suppress, event.Watch, event.FixSending, event.NoAction, ""} {
					for _, code := range []string{"5.1.1", "5.7.1", "4.2.2", ""} {
						day++
						e := &event.Event{}
						e.Time = start.Add(time.Duration(day) * 24 * time.Hour)
						e.Recipient, e.MessageID, e.Status, e.EnhancedCode = "a@b.example", fmt.Sprint(day), status, code
						e.Category, e.BounceType, e.Action, e.Reason = c, bounce, action, "user-unknown"
						var decisions []Decision
						if s, decisions = Apply(s, OutcomeOf(e), eager); len(decisions) == 0 {
							continue
						}
						if _, may := eager.After[c]; !may && status != event.Delivered {
							t.Fatalf("%q suppresses, with status %s, %s, %s, %s", c, status, bounce, action, code)
						}
					}
				}
			}
		}
		if c.NeverSuppresses() {
			never++
		}
	}
	if never < 6 {
		t.Errorf("only %d categories never suppress: nothing is tested", never)
	}
}
