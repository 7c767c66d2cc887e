package rules

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Doubts returns what the file of s may say, but hardly means: default rules
// that can't decide their own examples any more, rules that nothing shows to
// match, conditions that no server fulfils, expressions that are slow. They are
// in the order of their lines.
func (s *Set) Doubts() []*Problem {
	d := doubts{set: s, rules: map[string]*rule{}}
	for _, u := range s.rules {
		d.rules[u.id] = u
	}
	for _, u := range s.rules {
		if u.file == s.name {
			d.ofOwn(u)
		} else {
			d.ofBase(u)
		}
	}
	slices.SortStableFunc(d.all, func(a, b *Problem) int { return cmp.Compare(a.Line, b.Line) })
	return d.all
}

type doubts struct {
	set   *Set
	rules map[string]*rule // by id
	all   []*Problem
	work  int // that examples have taken up to now
}

func (d *doubts) add(u *rule, line int, format string, args ...any) {
	d.all = append(d.all, &Problem{u.file, line, "rule " + u.id + ": " + fmt.Sprintf(format, args...)})
}

// deciding is that of the set, until that has taken too long: then nothing is known.
func (d *doubts) deciding(u *rule, e example) string {
	if d.work > maxWork {
		return ""
	}
	id, work := d.set.deciding(u, e)
	d.work += work
	return id
}

// ofBase looks at a rule that the file extends: it decided each of its examples
// before the rules of the file came in front of it.
func (d *doubts) ofBase(u *rule) {
	var thieves []*rule
	var texts []string
	for _, e := range u.examples {
		if thief := d.rules[d.deciding(u, e)]; thief != nil && thief.file != u.file {
			thieves, texts = append(thieves, thief), append(texts, e.text)
		}
	}
	if len(thieves) > 0 && len(thieves) == len(u.examples) {
		d.add(thieves[0], thieves[0].line, "with it, no example of the default rule %s (%s) is decided by that rule any more: narrow its patterns, or write disable: [%s] if that is meant",
			u.id, u.where(), u.id)
		return
	}
	for i, thief := range thieves {
		if thief.category.text != u.category.text && slices.Index(thieves, thief) == i {
			d.add(thief, thief.line, "it also decides %q, an example of the default rule %s (%s), as %s and not %s: narrow its patterns, or disable %s if that is meant",
				texts[i], u.id, u.where(), thief.category.text, u.category.text, u.id)
		}
	}
}

func (d *doubts) ofOwn(u *rule) {
	if len(u.examples) == 0 {
		d.unproven(u)
	}
	for _, c := range u.codes {
		if c.high > 0 && c.high < 400 {
			d.add(u, u.line, "code: replies from 200 to 399 are no failures, so it hardly ever matches: remove it")
			break
		}
	}
	if d.classesDisagree(u) {
		d.add(u, u.line, "code and enhanced are of different classes, which no server should give (RFC 2034): choose codes of one class")
	}
	for _, x := range u.regexps {
		if len(x.required) == 0 {
			d.add(u, u.line, "regex: %q needs no literal, so it runs on every reply: add words to it, or write a phrase", x.source)
		}
	}
}

// unproven tells that u has no example, or, where its own patterns show it, that
// an earlier rule always matches first.
func (d *doubts) unproven(u *rule) {
	probes, thieves := u.probes(), map[string]bool{}
	for _, text := range probes {
		by := d.deciding(u, example{text: text})
		if by == u.id || d.rules[by] == nil {
			thieves = nil
			break
		}
		thieves[by] = true
	}
	if len(probes) == 0 || len(thieves) == 0 {
		d.add(u, u.line, "it has no examples, so nothing shows that it matches what you mean: add one")
		return
	}
	var names []string
	for id := range thieves {
		names = append(names, fmt.Sprintf("%s (%s)", id, d.rules[id].where()))
	}
	slices.Sort(names)
	d.add(u, u.line, "it can never match, because its own words are decided by %s before: move it up, or narrow that rule", strings.Join(names, ", "))
}

// probes returns a text for each pattern of u, made of nothing but its words
// and, where it has conditions on codes, those; none if it has a pattern of
// which no text can be made.
func (u *rule) probes() (all []string) {
	if len(u.regexps) > 0 {
		return nil
	}
	codes := ""
	if len(u.codes) > 0 && u.codes[0].low > 0 {
		codes = fmt.Sprint(u.codes[0].low, " ")
	}
	if len(u.enhanced) > 0 && u.enhanced[0] != (enhancedPattern{}) {
		codes += u.enhanced[0].sample() + " "
	}
	for _, l := range u.literals {
		all = append(all, codes+l)
	}
	for _, p := range u.phrases {
		var words []string
		for _, one := range p.parts {
			words = append(words, one[0].text)
		}
		all = append(all, codes+strings.Join(words, " \u00b7 "))
	}
	return all
}

// sample returns a code that p matches.
func (p enhancedPattern) sample() string {
	of := func(n, any int) int {
		if n == wild {
			return any
		}
		return n
	}
	return fmt.Sprintf("%d.%d.%d", of(p.class, 5), of(p.subject, 0), of(p.detail, 0))
}

// classesDisagree reports whether no code of u is of the class of one of its
// enhanced codes.
func (d *doubts) classesDisagree(u *rule) bool {
	if len(u.codes) == 0 || len(u.enhanced) == 0 {
		return false
	}
	for _, c := range u.codes {
		for _, e := range u.enhanced {
			if c.high == 0 || e.class == 0 || e.class == wild || c.low/100 <= e.class && e.class <= c.high/100 {
				return false
			}
		}
	}
	return true
}
