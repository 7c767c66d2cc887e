package rules

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// A file that is too large in any way is refused with clear words, soon, and
// before it costs much memory.
func TestTooMuchIsRefused(t *testing.T) {
	const head = "schema: 1\nversion: x\n" + smallHeader
	many := func(n int, item string) string { return strings.Repeat(item, n) }
	numbered := func(n int, item string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, item, i)
		}
		return b.String()
	}
	for name, c := range map[string]struct{ source, want string }{
		"a file of 5 MiB": {head + "rules: []\n#" + many(5<<20, "x"), "x.yaml:1: the file has more than 4194304 bytes"},
		"lists in lists without end": {head + "rules: " + many(20_000, "[") + many(20_000, "]"),
			"exceeded max depth"},
		"mappings in mappings": {head + "rules:\n  - {id: a, category: general, match: " + many(200, "{a: ") + many(200, "}") + "}\n",
			"want a value or a list of values, not a mapping"},
		"20,001 rules": {head + "rules:\n" + many(maxRules+1, "  - {id: a, category: general, match: ab}\n"),
			"20001 rules are too many: at most 20000"},
		"1,001 categories": {"schema: 1\nversion: x\nextends: default\ncategories:\n" + numbered(maxKeys+1, "  c%d: {type: hard, compat: 1, action: watch}\n"),
			"x.yaml:5: categories: 1001 keys are too many: at most 1000"},
		"thousands of conversions": {head + "conversion:\n" + numbered(100_000, "  c%d: {to: hard}\n"),
			"conversion: 100000 keys are too many: at most 1000"},
		"301 patterns of one rule": {head + "rules:\n  - {id: a, category: general, match: [ab" + many(maxPatterns, ", ab") + "]}\n",
			"301 patterns are too many: at most 300, split the rule"},
		"an expression of many steps": {head + "rules:\n  - {id: a, category: general, regex: 'a((b|cd){30}e){20}'}\n",
			"steps: at most 2000, repeat less"},
		"many expressions": {head + "rules:\n" + many(300, "  - {id: a, category: general, regex: 'a((b|cd){30}e){8}'}\n"),
			"the expressions up to here take more than 200000 steps"},
		"examples of expressions that run on every text": {head + "rules:\n" + numbered(3000, "  - {id: a%d, category: general, regex: '[a-z][0-9]{3}[a-z]'}\n") +
			"  - {id: last, category: general, match: [zzzz], examples: [" + many(2000, "'550 zzzz "+many(300, "x")+"', ") + "x]}\n",
			"the expressions take too long for the examples up to here"},
		"phrases that multiply": {head + "words:\n  w: [" + many(maxGroup, "wordwordwordwordword, ") + "last]\nrules:\n  - {id: a, category: general, phrase: [" + many(299, "'{w}{w} * {w}', ") + "'{w}']}\n",
			"501 alternatives are too many: at most 500, split the group"},
		"phrases that fill memory": {head + "words:\n  w: [" + many(maxGroup-1, "wordwordwordwordword, ") + "last]\nrules:\n" + many(200, "  - {id: a, category: general, phrase: ['{w} * {w} * {w} * {w}']}\n"),
			"the patterns up to here have more than 1048576 bytes"},
		"thousands of problems": {head + "rules:\n" + many(5000, "  - {id: A, nonsense: 1}\n"),
			"too many problems: mend these first"},
		"thousands of unknown ids": {"schema: 1\nversion: x\nextends: default\ndisable: [" + many(50_000, "no-such-rule-of-ours, ") + "x]\n",
			"too many problems: mend these first"},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			_, err := Parse("x.yaml", []byte(c.source), loadBase(t))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %.300s\nwant %s", fmt.Sprint(err), c.want)
			}
			if took := time.Since(start); took > 30*time.Second {
				t.Errorf("it took %v", took)
			}
			if n := len(Problems(err)); n > maxProblems+1 {
				t.Errorf("%d problems", n)
			}
		})
	}
}
