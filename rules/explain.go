package rules

import (
	"fmt"

	"mtatap/event"
)

// Explanation says how a verdict came about.
type Explanation struct {
	Verdict  event.Verdict
	Text     string // as patterns see it: case folded, white space folded
	Code     int
	Enhanced string
	Provider string // "" where none is known
	// Matched is the rule that decided; nil where a code table or the default
	// did.
	Matched *RuleMatch
	// Shadowed are the rules that also match but come later.
	Shadowed []RuleMatch
	// Codes is what the code tables say, the enhanced code first.
	Codes []CodeOpinion
	// Softened is set where a hard category became transient because the
	// failure is temporary.
	Softened bool
}

// RuleMatch is a rule that matches.
type RuleMatch struct {
	ID       string
	Where    string // file:line
	Words    string // what matched in the text; "" for a rule without patterns
	Category event.Category
	Reason   string
}

// CodeOpinion is a row of a code table.
type CodeOpinion struct {
	Rule     string // enhanced:5.1.1 or reply:550
	About    string
	RFC      string
	Category event.Category
	Reason   string
}

// Explain returns the verdict of Classify and how it came about.
func (s *Set) Explain(in *Input) Explanation {
	f := s.facts(in)
	sc := s.scratch.Get().(*scratch).read(s, in.Text)
	defer s.scratch.Put(sc)
	e := Explanation{Text: string(sc.text), Code: f.code, Enhanced: in.Enhanced, Verdict: s.delivered}
	if f.provider >= 0 {
		e.Provider = in.Provider
	}
	if f.status == event.Delivered {
		return e
	}
	first := s.first(&f, sc)
	e.Verdict = s.verdict(&f, first)
	for i := first; i >= 0; i = s.after(i, &f, sc) {
		m := s.ruleMatch(i, sc)
		if i == first {
			e.Matched = &m
			e.Softened = m.Category != e.Verdict.Category
		} else {
			e.Shadowed = append(e.Shadowed, m)
		}
	}
	for _, o := range []*opinion{s.enhanced[f.enhanced], s.reply[f.code]} {
		if o != nil {
			v := o.outcome.of(&f)
			e.Codes = append(e.Codes, CodeOpinion{o.key, o.row.about, o.row.rfc, v.Category, v.Reason})
		}
	}
	return e
}

func (s *Set) ruleMatch(i int, sc *scratch) RuleMatch {
	u := s.rules[i]
	return RuleMatch{
		ID: u.id, Where: fmt.Sprintf("%s:%d", u.file, u.line), Words: s.matchedWords(i, sc),
		Category: event.Category(u.category.text), Reason: u.reason,
	}
}

func (s *Set) matchedWords(i int, sc *scratch) string {
	for n := s.hot[i].from; n < s.hot[i].to; n++ {
		p := &s.patterns[n]
		if !sc.matches(p) {
			continue
		}
		if p.re != nil {
			return string(p.re.Find(sc.ordered()))
		}
		if where, ok := sc.pieces.find(p); ok {
			return string(sc.text[where.start:where.end])
		}
	}
	return ""
}
