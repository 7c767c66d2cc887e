package rules

import (
	"slices"
	"strings"
	"testing"
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
