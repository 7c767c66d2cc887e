package rules

import (
	"errors"
	"fmt"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"mtatap/event"
)

func (r *reader) rules(n *yaml.Node, w words) (all []*rule) {
	if n.Kind != yaml.SequenceNode {
		r.fail(n.Line, "rules: want a list of rules, not %s", kindName(n))
		return nil
	}
	if len(n.Content) > maxRules {
		r.fail(n.Line, "rules: %d rules are too many: at most %d", len(n.Content), maxRules)
		return nil
	}
	seen := map[string]int{}
	for _, item := range n.Content {
		if r.full() {
			break
		}
		var u *rule
		dup := false
		broken := r.within(func() {
			u = r.rule(item, w)
			var first int
			if first, dup = seen[u.id]; u.id == "" {
				dup = false
			}
			if dup {
				r.fail(u.line, "rule %s: this id is already on line %d: choose another", u.id, first)
			}
		})
		if u.broken = broken; dup {
			continue
		}
		seen[u.id] = u.line
		all = append(all, u)
	}
	return all
}

func (r *reader) rule(n *yaml.Node, w words) *rule {
	u := &rule{file: r.name, line: n.Line, id: idOf(n)}
	what := "rule " + u.id + ": "
	if u.id == "" {
		what = "rule: "
	}
	r.mapping(n, what,
		field{"id", func(n *yaml.Node) {
			id := r.text(n, what+"id: ")
			if !kebab.MatchString(id) {
				r.fail(n.Line, "%sid: choose lower-case words joined by \"-\"", what)
			}
			if slices.Contains(reservedIDs, id) {
				r.fail(n.Line, "%sid: %s are what no rule decided: choose another", what, strings.Join(reservedIDs, ", "))
			}
		}},
		field{"provider", func(n *yaml.Node) {
			for _, item := range r.list(n, what+"provider: ") {
				u.providers = append(u.providers, located{item.Value, item.Line})
			}
		}},
		field{"match", func(n *yaml.Node) { u.literals = r.literals(n, what+"match: ") }},
		field{"phrase", func(n *yaml.Node) { u.phrases = r.phrases(n, w, what+"phrase: ") }},
		field{"regex", func(n *yaml.Node) { u.regexps = r.expressions(n, what+"regex: ") }},
		field{"code", func(n *yaml.Node) { u.codes = parseAll(r, n, what+"code: ", parseCodeRange) }},
		field{"enhanced", func(n *yaml.Node) { u.enhanced = parseAll(r, n, what+"enhanced: ", parseEnhancedPattern) }},
		field{"status", func(n *yaml.Node) { u.statuses = bitSet(parseAll(r, n, what+"status: ", parseStatus)) }},
		field{"phase", func(n *yaml.Node) { u.phases = bitSet(parseAll(r, n, what+"phase: ", parsePhase)) }},
		field{"category", func(n *yaml.Node) { u.category = located{r.text(n, what+"category: "), n.Line} }},
		field{"reason", func(n *yaml.Node) { u.reason = r.reason(n, what+"reason: ") }},
		field{"resend", func(n *yaml.Node) { b := r.boolean(n, what+"resend: "); u.resend = &b }},
		field{"examples", func(n *yaml.Node) { u.examples = r.examples(n, what+"examples: ") }},
		field{"counterexamples", func(n *yaml.Node) { u.counterexamples = r.examples(n, what+"counterexamples: ") }},
	)
	if n.Kind == yaml.MappingNode {
		r.completeRule(n, u, what)
	}
	return u
}

func (r *reader) completeRule(n *yaml.Node, u *rule, what string) {
	has := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		has[n.Content[i].Value] = true
	}
	if !has["id"] {
		r.fail(n.Line, "%sid is missing: every rule needs one", what)
	}
	if !has["category"] {
		r.fail(n.Line, "%scategory is missing: say what a reply that matches is", what)
	}
	conditions := []string{"match", "phrase", "regex", "code", "enhanced", "provider", "status", "phase"}
	if !slices.ContainsFunc(conditions, func(c string) bool { return has[c] }) {
		r.fail(n.Line, "%sit would match every reply: give it one of %s", what, strings.Join(conditions, ", "))
	}
	if u.category.text == string(event.CategoryDelivered) {
		r.fail(u.category.line, "%scategory: %s is only for what was delivered: choose another", what, u.category.text)
	}
	if all := len(u.literals) + len(u.phrases) + len(u.regexps); all > maxPatterns {
		r.fail(n.Line, "%s%d patterns are too many: at most %d, split the rule", what, all, maxPatterns)
	}
}

func idOf(n *yaml.Node) string {
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == "id" && n.Content[i+1].Kind == yaml.ScalarNode {
			return n.Content[i+1].Value
		}
	}
	return ""
}

func (r *reader) literals(n *yaml.Node, what string) (all []string) {
	for _, item := range r.list(n, what) {
		l := string(normalise(nil, item.Value))
		switch {
		case len(l) < 2:
			r.fail(item.Line, "%s%q is too short: give at least 2 characters, local parts of addresses not counted", what, item.Value)
		case len(item.Value) > maxLiteral:
			r.fail(item.Line, "%s%d bytes are too long: at most %d", what, len(item.Value), maxLiteral)
		case r.room(item.Line, len(l), what):
			all = append(all, l)
		}
	}
	return all
}

// room takes n bytes from what all patterns of a file may have; false if there
// are not so many left.
func (r *reader) room(line, n int, what string) bool {
	before := r.patterns
	if r.patterns += n; r.patterns <= maxAllPatterns {
		return true
	}
	if before <= maxAllPatterns {
		r.fail(line, "%sthe patterns up to here have more than %d bytes, alternatives multiplied out: remove some", what, maxAllPatterns)
	}
	return false
}

func (r *reader) phrases(n *yaml.Node, w words, what string) (all []phrase) {
	for _, item := range r.list(n, what) {
		if len(item.Value) > maxRegex {
			r.fail(item.Line, "%s%d bytes are too long: at most %d", what, len(item.Value), maxRegex)
			continue
		}
		if r.patterns > maxAllPatterns {
			break
		}
		p, err := w.phrase(item.Value)
		if err != nil {
			r.fail(item.Line, "%s%q: %v", what, item.Value, err)
			continue
		}
		if r.room(item.Line, p.size(), what) {
			all = append(all, p)
		}
	}
	return all
}

func (r *reader) expressions(n *yaml.Node, what string) (all []expression) {
	for _, item := range r.list(n, what) {
		if len(item.Value) > maxRegex {
			r.fail(item.Line, "%s%d bytes are too long: at most %d", what, len(item.Value), maxRegex)
			continue
		}
		e, err := compileRegexp(item.Value)
		if err != nil {
			var se *syntax.Error
			if errors.As(err, &se) {
				err = fmt.Errorf("RE2 does not know it, %s in %q", se.Code, se.Expr)
			}
			r.fail(item.Line, "%s%q: %v: mend the expression", what, item.Value, err)
			continue
		}
		if r.steps += e.steps; r.steps > maxAllSteps {
			if r.steps-e.steps <= maxAllSteps {
				r.fail(item.Line, "%sthe expressions up to here take more than %d steps: use literals and phrases", what, maxAllSteps)
			}
			continue
		}
		if e.compiled.MatchString("") {
			r.fail(item.Line, "%s%q matches the empty text, so every reply: make it say more", what, item.Value)
			continue
		}
		all = append(all, e)
	}
	return all
}

func (r *reader) reason(n *yaml.Node, what string) string {
	s := r.text(n, what)
	if !kebab.MatchString(s) {
		r.fail(n.Line, "%swant lower-case words joined by \"-\", not %q", what, s)
	}
	return s
}

func (r *reader) examples(n *yaml.Node, what string) (all []example) {
	if n.Kind != yaml.SequenceNode {
		r.fail(n.Line, "%swant a list of replies, not %s", what, kindName(n))
		return nil
	}
	for _, item := range n.Content {
		e := example{line: item.Line}
		if item.Kind != yaml.MappingNode {
			e.text = r.text(item, what)
		} else {
			r.mapping(item, what,
				field{"text", func(n *yaml.Node) { e.text = r.text(n, what+"text: ") }},
				field{"provider", func(n *yaml.Node) { e.provider = r.text(n, what+"provider: ") }},
				field{"status", func(n *yaml.Node) { e.status = parseOne(r, n, what+"status: ", parseStatus) }},
				field{"phase", func(n *yaml.Node) { e.phase = parseOne(r, n, what+"phase: ", parsePhase) }},
			)
		}
		all = append(all, e)
	}
	return all
}

func parseOne[T any](r *reader, n *yaml.Node, what string, parse func(string) (T, error)) T {
	v, err := parse(r.text(n, what))
	if err != nil {
		r.fail(n.Line, "%s%v", what, err)
	}
	return v
}

func parseAll[T any](r *reader, n *yaml.Node, what string, parse func(string) (T, error)) (all []T) {
	for _, item := range r.list(n, what) {
		all = append(all, parseOne(r, item, what, parse))
	}
	return all
}

// parseStatus reads the status of a failure: what was delivered is never given
// to rules.
func parseStatus(s string) (event.Status, error) {
	v, ok := event.ParseStatus(s)
	if !ok || v == event.Delivered {
		var known []string
		for _, k := range event.Statuses() {
			if k != event.Delivered {
				known = append(known, k.String())
			}
		}
		return 0, fmt.Errorf("unknown status %s", oneOf(s, known))
	}
	return v, nil
}

func parsePhase(s string) (event.Phase, error) {
	v, ok := event.ParsePhase(s)
	if !ok {
		var known []string
		for p := event.PhaseConnect; p <= event.PhaseQueue; p++ {
			known = append(known, p.String())
		}
		return 0, fmt.Errorf("unknown phase %s", oneOf(s, known))
	}
	return v, nil
}

func bitSet[T ~uint8](values []T) (set uint16) {
	for _, v := range values {
		set |= 1 << v
	}
	return set
}

// codeRange is a condition on the reply code: low to high. 0 is "no code".
type codeRange struct{ low, high int }

// parseCodeRange reads a reply code, with "x" for any last digits, or "none".
func parseCodeRange(s string) (codeRange, error) {
	if s == "none" {
		return codeRange{}, nil
	}
	digits := strings.TrimRight(s, "x")
	low, err := strconv.Atoi(digits)
	if err != nil || len(s) != 3 || low <= 0 {
		return codeRange{}, fmt.Errorf("want a reply code such as 550, 55x, 5xx or none, not %q", s)
	}
	high := low
	for range len(s) - len(digits) {
		low, high = low*10, high*10+9
	}
	if low < 200 || high > 599 {
		return codeRange{}, fmt.Errorf("reply codes are from 200 to 599, not %q", s)
	}
	return codeRange{low, high}, nil
}
