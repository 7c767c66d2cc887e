package rules

import (
	"slices"
	"strings"
	"testing"

	"mtatap/event"
)

func TestExplain(t *testing.T) {
	s := loadDefault(t)
	in := ParseText("550 5.1.1 Mailbox unavailable. Your IP 192.0.2.1 is Blacklisted")
	in.Provider = "google"
	e := s.Explain(&in)
	if e.Text != "550 5.1.1 mailbox unavailable. your ip 192.0.2.1 is blacklisted" || e.Code != 550 || e.Enhanced != "5.1.1" || e.Provider != "google" {
		t.Errorf("got %q, %d, %q, %q", e.Text, e.Code, e.Enhanced, e.Provider)
	}
	if e.Matched == nil || e.Matched.ID != "ip-listed" || e.Matched.Words != "blacklist" || e.Matched.Category != "block-general" {
		t.Errorf("matched %+v", e.Matched)
	}
	if !strings.HasPrefix(e.Matched.Where, defaultFile+":") {
		t.Errorf("where %q", e.Matched.Where)
	}
	if !slices.ContainsFunc(e.Shadowed, func(m RuleMatch) bool { return m.ID == "recipient-unknown" && m.Words == "mailbox unavailable" }) {
		t.Errorf("shadowed %+v", e.Shadowed)
	}
	want := []CodeOpinion{
		{"enhanced:5.1.1", "bad destination mailbox address", "3463", "hard", "user-unknown"},
		{"reply:550", "mailbox unavailable (such as not found)", "5321", "general", ""},
	}
	if !slices.Equal(e.Codes, want) {
		t.Errorf("codes %+v", e.Codes)
	}
	if e.Verdict != s.Classify(&in) {
		t.Errorf("the explained verdict is not the one given")
	}
}

func TestExplainSaysWhenHardWasSoftened(t *testing.T) {
	s := loadDefault(t)
	in := ParseText("450 4.1.1 User unknown")
	e := s.Explain(&in)
	if !e.Softened || e.Matched.Category != "hard" || e.Verdict.Category != "transient" {
		t.Errorf("softened %v, matched %+v, verdict %+v", e.Softened, e.Matched, e.Verdict)
	}
}

func TestExplainComparesTheVerdictWithWhatItsRuleAsksFor(t *testing.T) {
	s := loadDefault(t)
	for name, c := range map[string]struct {
		text                string
		status              event.Status
		recipient           event.RecipientSource
		decided             event.Category
		action              event.Action
		softened, recovered bool
	}{
		"a hard bounce":                        {"550 5.1.1 User unknown", event.Bounced, event.RecipientFromLog, "hard", event.Suppress, false, false},
		"a hard word while the MTA tries":      {"550 5.1.1 User unknown", event.Deferred, event.RecipientFromLog, "hard", event.Suppress, false, false},
		"a temporary failure":                  {"450 User unknown", event.Deferred, event.RecipientFromLog, "hard", event.Suppress, true, false},
		"a temporary failure by an enhanced":   {"450 4.1.1 xyzzy", event.Deferred, event.RecipientFromLog, "hard", event.Suppress, true, false},
		"a recipient that was worked out":      {"550 5.1.1 User unknown", event.Bounced, event.RecipientFromVERP, "hard", event.Suppress, false, true},
		"a recipient worked out, by a code":    {"554 xyzzy", event.Bounced, event.RecipientFromVERP, "general", event.Watch, false, true},
		"a recipient worked out, by nothing":   {"xyzzy", event.Bounced, event.RecipientFromVERP, "general", event.Watch, false, true},
		"nothing known, deferred":              {"xyzzy", event.Deferred, event.RecipientFromLog, "transient", event.Retry, false, false},
		"delivered, whatever the words say":    {"250 user unknown", event.Delivered, event.RecipientFromLog, "delivered", event.NoAction, false, false},
		"an enhanced code of the table, final": {"550 5.1.1 xyzzy", event.Bounced, event.RecipientFromLog, "hard", event.Suppress, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			in := ParseText(c.text)
			in.Status, in.Recipient = c.status, c.recipient
			e := s.Explain(&in)
			if e.Decided != c.decided || e.Action != c.action || e.Softened != c.softened || e.Recovered != c.recovered || e.Status != c.status {
				t.Errorf("decided %s, action %s, softened %v, recovered %v, status %s", e.Decided, e.Action, e.Softened, e.Recovered, e.Status)
			}
			if e.Verdict != s.Classify(&in) {
				t.Errorf("the explained verdict is not the one given")
			}
		})
	}
}

func TestExplainWithoutARule(t *testing.T) {
	s := loadDefault(t)
	in := ParseText("554 xyzzy")
	e := s.Explain(&in)
	if e.Matched != nil || len(e.Shadowed) != 0 || e.Verdict.Rule != "reply:554" || e.Softened {
		t.Errorf("got %+v", e)
	}
}

func TestExplainNamesTheWordsOfAPhraseAndAnExpression(t *testing.T) {
	s, err := Parse("x.yaml", []byte("schema: 1\nversion: x\n"+smallHeader+`rules:
  - {id: a, category: general, phrase: ['user * (gone|left)']}
  - {id: b, category: general, regex: 'x\d+'}
`), nil)
	if err != nil {
		t.Fatal(err)
	}
	in := ParseText("the User you want has left x12")
	e := s.Explain(&in)
	if e.Matched.Words != "user you want has left" || e.Shadowed[0].Words != "x12" {
		t.Errorf("got %+v and %+v", e.Matched, e.Shadowed)
	}
}
