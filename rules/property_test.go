package rules

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"mtatap/event"
)

// The words that generated rules and texts are made of: few and overlapping, so
// that rules match often and patterns contain each other.
var vocabulary = []string{"user", "use", "unknown", "known", "mailbox", "box", "full", "ful", "spam", "é", "Ж", "not",
	"no", "550", "5.1.1", "#", "@", ".", "list", "listed", "ab", "ba", "aba", "K", "ſ"}

func pick[T any](r *rand.Rand, all []T) T { return all[r.IntN(len(all))] }

func randomWords(r *rand.Rand, n int, separators ...string) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(pick(r, separators))
		}
		b.WriteString(pick(r, vocabulary))
	}
	return b.String()
}

// randomLiteral has no address, whose local part would not count.
func randomLiteral(r *rand.Rand) string {
	return "u" + strings.ReplaceAll(randomWords(r, 1+r.IntN(2), " ", ""), "@", "") + "n"
}

func randomPhrase(r *rand.Rand) string {
	part := func() string {
		w := func() string {
			return pick(r, []string{"user", "unknown", "mailbox", "full", "not", "list", "aba", "é b", "no"})
		}
		switch r.IntN(5) {
		case 0:
			return "(" + w() + "|" + w() + ")"
		case 1:
			return "{group}"
		case 2:
			return `\b` + pick(r, []string{"user", "no", "box", "ab"}) + `\b`
		case 3:
			return w() + " #"
		}
		return w()
	}
	phrase := part()
	for range r.IntN(3) {
		phrase += pick(r, []string{" * ", " + "}) + part()
	}
	return phrase
}

func randomRegexp(r *rand.Rand) string {
	return pick(r, []string{
		`\buser\b`, `us(?:er|ed) .{0,5}(?:un)?known`, `^550 \d`, `full$`, `[uk]nknown`, `(?:ab)+a`, `n[oó]t? `, `.x?spam`,
		`list(?:ed)?\b`, `mail(?:box)?`, `(?:user|mailbox) (?:unknown|full)`, `k{2}`, `é+`, `\d{3} `, `[^a]ba`, `a|b`, `box.*full`,
	})
}

func quoteYAML(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// randomRules returns a file of n rules without examples.
func randomRules(r *rand.Rand, n int) string {
	var b strings.Builder
	b.WriteString("schema: 1\nversion: x\n" + smallHeader + "words: {group: [user, full, 'not \\bno']}\nrules:\n")
	for i := range n {
		fmt.Fprintf(&b, "  - id: r%d\n    category: %s\n", i, pick(r, []string{"hard", "general", "transient"}))
		conditions := 0
		add := func(chance int, format string, args ...any) {
			if r.IntN(100) < chance {
				conditions++
				fmt.Fprintf(&b, format, args...)
			}
		}
		add(30, "    match: [%s, %s]\n", quoteYAML(randomLiteral(r)), quoteYAML(randomLiteral(r)))
		add(40, "    phrase: [%s, %s]\n", quoteYAML(randomPhrase(r)), quoteYAML(randomPhrase(r)))
		add(25, "    regex: [%s, %s]\n", quoteYAML(randomRegexp(r)), quoteYAML(randomRegexp(r)))
		add(15, "    code: [%s]\n", pick(r, []string{"550", "5xx", "45x", "none", "4xx, 550"}))
		add(15, "    enhanced: [%s]\n", pick(r, []string{"5.1.1", "5.x.x", "x.1.x", "none", "4.2.2, none"}))
		add(10, "    status: [%s]\n", pick(r, []string{"bounced", "deferred, expired"}))
		add(10, "    phase: [%s]\n", pick(r, []string{"rcpt", "dot, dns"}))
		add(10, "    provider: [%s]\n", pick(r, []string{"one", "one, two"}))
		if conditions == 0 {
			b.WriteString("    match: [zzz]\n")
		}
	}
	return b.String()
}

const smallHeader = `categories:
  hard: {type: hard, compat: 10, action: suppress}
  general: {type: soft, compat: 20, action: watch}
  transient: {type: soft, compat: 70, action: retry}
  delivered: {type: none, compat: 1, action: none}
providers: {one: {domains: [one.example]}, two: {domains: [two.example]}}
`

func randomInput(r *rand.Rand) Input {
	text := randomWords(r, r.IntN(14), " ", "  ", "", "\n", " ")
	switch r.IntN(40) {
	case 0, 1:
		text = randomWords(r, 900, " ", "")
	case 2, 3: // on both sides of one of the two bounds
		bound := pick(r, []int{maxOrdered, maxText})
		text = strings.Repeat("q ", (bound-r.IntN(80))/2) + text
	case 4:
		text = strings.ReplaceAll(text, " ", pick(r, []string{"\xff", "\xd0", "\u00a0", "\u3000", "\u200b"}))
	}
	return Input{
		Text: text, Code: pick(r, []int{0, 250, 450, 451, 550, 554}), Enhanced: pick(r, []string{"", "", "5.1.1", "4.2.2", "5.7.606", "bad"}),
		Status: event.Status(r.IntN(6)), Phase: event.Phase(r.IntN(13)), Provider: pick(r, []string{"", "one", "two", "three"}),
		DSN: pick(r, []string{"", "5.1.1", "4.4.1"}),
	}
}

func TestTheResultIsThatOfEvaluatingAllRulesInOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		source := randomRules(r, 1+r.IntN(90))
		s, err := Parse("random.yaml", []byte(source), nil)
		if err != nil {
			t.Fatalf("%v in\n%s", err, source)
		}
		for range 200 {
			in := randomInput(r)
			if in.Status == event.Delivered || in.Status == 0 && in.Code == 250 {
				continue
			}
			f := s.facts(&in)
			want := s.verdict(&f, naive(s, &in, &f))
			if got := s.Classify(&in); got != want {
				t.Fatalf("got %s, want %s for %+v with\n%s", got.Rule, want.Rule, in, source)
			}
		}
	}
}

// naive evaluates every rule from its source, in order.
func naive(s *Set, in *Input, f *facts) int {
	text := normalise(nil, in.Text)
	return slices.IndexFunc(s.rules, func(u *rule) bool {
		return has(u.codes, func(c codeRange) bool { return c.low <= f.code && f.code <= c.high }) &&
			has(u.enhanced, func(p enhancedPattern) bool { return p.matches(f.enhanced) }) &&
			has(u.providers, func(p located) bool { return p.text == in.Provider }) &&
			(u.statuses == 0 || u.statuses>>f.status&1 == 1) && (u.phases == 0 || u.phases>>f.phase&1 == 1) &&
			naiveText(u, string(text))
	})
}

// has reports whether one of all is true, or there is none to be.
func has[T any](all []T, is func(T) bool) bool { return len(all) == 0 || slices.ContainsFunc(all, is) }

func naiveText(u *rule, text string) bool {
	return len(u.literals)+len(u.phrases)+len(u.regexps) == 0 ||
		slices.ContainsFunc(u.literals, func(l string) bool { return strings.Contains(text, l) }) ||
		slices.ContainsFunc(u.phrases, func(p phrase) bool { return naivePhrase(p, text) }) ||
		slices.ContainsFunc(u.regexps, func(e expression) bool { return e.compiled.MatchString(text[:min(len(text), maxOrdered)]) })
}

func naivePhrase(p phrase, text string) bool {
	text += "\x00" // so that a right edge can be told at the cut
	end := min(len(text)-1, maxOrdered)
	var from func(part, low, high int) bool
	from = func(part, low, high int) bool {
		if part == len(p.parts) {
			return true
		}
		for start := low; start <= min(high, end); start++ {
			for _, pc := range p.parts[part] {
				stop := start + len(pc.text)
				if stop > end || text[start:stop] != pc.text ||
					pc.edges&leftEdge != 0 && start > 0 && wordByte(text[start-1]) ||
					pc.edges&rightEdge != 0 && wordByte(text[stop]) {
					continue
				}
				gap := 0
				if part < len(p.gaps) {
					gap = int(p.gaps[part])
				}
				if from(part+1, stop, stop+gap) {
					return true
				}
			}
		}
		return false
	}
	return from(0, 0, end)
}

func TestHowMuchOfATextCounts(t *testing.T) {
	s, err := Parse("bounds.yaml", []byte("schema: 1\nversion: x\n"+smallHeader+`rules:
  - {id: literal, match: [a literal], category: general}
  - {id: phrase, phrase: ['a phrase'], category: general}
  - {id: two, phrase: ['two * parts'], category: general}
  - {id: expression, regex: ['an expr\w*n'], category: general}
`), nil)
	if err != nil {
		t.Fatal(err)
	}
	for words, bound := range map[string]int{"a literal": maxText, "a phrase": maxOrdered, "two of the parts": maxOrdered, "an expression": maxOrdered} {
		for _, over := range []int{0, 1} {
			text := strings.Repeat("-", bound+over-len(words)) + words
			got := s.Classify(&Input{Text: text + " and so on", Status: event.Bounced}).Rule
			if found := got != "default"; found != (over == 0) {
				t.Errorf("%q ends %d bytes behind the first %d: decided by %s", words, over, bound, got)
			}
		}
	}
}
