package rules

import (
	"strings"
	"testing"
)

func TestDoubts(t *testing.T) {
	const head = "schema: 1\nversion: x\nextends: default\n"
	base := loadDefault(t)
	for name, c := range map[string]struct{ source, want string }{
		"a rule that hides a default rule": {head + `rules:
  - {id: mine, category: general, match: [mailbox, quota, user, account, storage, limit, space, full, "4.2.2", "5.2.2", size], examples: ["mailbox full"]}
`, "mine.yaml:5: rule mine: with it, no example of the default rule"},
		"a rule that takes one of several examples": {head + `rules:
  - {id: mine, category: general, match: [over quota], examples: ["over quota"]}
`, "mine.yaml:5: rule mine: it also decides"},
		"a rule without examples": {head + `rules:
  - {id: mine, category: general, match: [purple elephant]}
`, "mine.yaml:5: rule mine: it has no examples"},
		"a rule that an earlier one always forestalls": {head + `rules:
  - {id: first, category: general, match: [purple], examples: [purple]}
  - {id: second, category: general, match: [purple elephant], phrase: ["purple * cow"], code: 55x, enhanced: x.1.1}
`, "mine.yaml:6: rule second: it can never match, because its own words are decided by first (mine.yaml:5) before"},
		"codes of two classes": {head + `rules:
  - {id: mine, category: general, code: 4xx, enhanced: [5.1.1, 5.2.x], examples: ["450 5.1.1 purple"]}
`, "mine.yaml:5: rule mine: code and enhanced are of different classes"},
		"a code of success": {head + `rules:
  - {id: mine, category: general, code: [250], match: [purple], examples: [{text: 250 purple, status: deferred}]}
`, "mine.yaml:5: rule mine: code: replies from 200 to 399"},
		"a slow expression": {head + `rules:
  - {id: mine, category: general, regex: '^\d{7}$', examples: ["1234567"]}
`, `mine.yaml:5: rule mine: regex: "^\\d{7}$" needs no literal`},
		"nothing doubtful": {head + `rules:
  - {id: mine, category: general, match: [purple elephant], code: [55x, none], enhanced: [5.x.x, none], examples: ["550 5.1.1 a purple elephant"]}
`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Parse("mine.yaml", []byte(c.source), base)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range s.Doubts() {
				got = append(got, p.Error())
			}
			all := strings.Join(got, "\n")
			if !strings.Contains(all, c.want) || c.want == "" && all != "" {
				t.Errorf("got\n%s\nwant %s", all, c.want)
			}
		})
	}
}

func TestTheDefaultRulesLeaveNoDoubt(t *testing.T) {
	for _, p := range loadDefault(t).Doubts() {
		t.Error(p)
	}
}
