package rules

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestTheDocumentedTablesAreThoseOfTheRules(t *testing.T) {
	s := loadDefault(t)
	data, err := os.ReadFile("../docs/categories.md")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(data), "\n")
	row := func(r codeEntry) string {
		reason := ""
		if r.reason != "" {
			reason = "`" + r.reason + "`"
		}
		return fmt.Sprintf("| %s | %s | `%s` | %s | %s |", r.key, r.about, r.category.text, reason, r.rfc)
	}
	var want []string
	for _, o := range s.enhanced {
		want = append(want, row(o.row))
	}
	for _, o := range s.reply {
		want = append(want, row(o.row))
	}
	for _, c := range s.categories {
		want = append(want, fmt.Sprintf("| `%s` | %s | %d | `%s` |", c.name, c.kind, c.compat, c.action))
	}
	for _, w := range want {
		if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, w) }) {
			t.Errorf("docs/categories.md has no row %q", w)
		}
	}
}

// The YAML of the guide must load, and do what the text says.
func TestTheDocumentedRulesLoad(t *testing.T) {
	data, err := os.ReadFile("../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(data), "```")
	source := strings.TrimPrefix(blocks[1], "yaml\n")
	s, err := Parse("guide.yaml", []byte(source), loadDefault(t))
	if err != nil {
		t.Fatal(err)
	}
	in := ParseText("550 5.7.1 This domain is parked")
	in.Provider = s.Provider("mx.partner.example", "")
	if v := s.Classify(&in); v.Category != "parked" || v.Rule != "partner-parked" {
		t.Errorf("got %s by %s", v.Category, v.Rule)
	}
}
