package rules

import "mtatap/event"

// Explanation says how a verdict came about.
type Explanation struct {
	Verdict  event.Verdict
	Text     string // as patterns see it: case folded, white space folded
	Code     int
	Enhanced string
	Provider string // "" where none is known
	// Status is the one that was given, or that follows from the codes.
	Status event.Status
	// Matched is the rule that decided; nil where a code table or the default
	// did.
	Matched *RuleMatch
	// Shadowed are the rules that also match but come later.
	Shadowed []RuleMatch
	// Codes is what the code tables say, the enhanced code first.
	Codes []CodeOpinion

	// Decided is the category that the rule or the row has, and Action what that
	// category asks for. The verdict differs in the first where it is Softened or
	// Recovered, and in the second alone where the MTA has not stopped trying.
	Decided event.Category
	Action  event.Action
	// Softened is set where a hard category became transient because the
	// failure is temporary.
	Softened bool
	// Recovered is set where a category that accuses the recipient became
	// no-address-returned because the log did not name the recipient.
	Recovered bool
	// ResendByRule is set where the rule itself says whether to send again.
	ResendByRule bool
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
	e := Explanation{Text: string(sc.text), Code: f.code, Enhanced: in.Enhanced, Status: f.status, Verdict: s.delivered}
	e.Decided, e.Action = e.Verdict.Category, e.Verdict.Action
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
	s.explainSoftening(&e, &f, first)
	return e
}

// explainSoftening compares the verdict with what its rule or row says.
func (s *Set) explainSoftening(e *Explanation, f *facts, first int) {
	e.Decided = e.Verdict.Category
	switch o := s.enhanced[f.enhanced]; {
	case first >= 0:
		e.Decided = event.Category(s.rules[first].category.text)
		e.ResendByRule = s.rules[first].resend != nil
	case o != nil:
		e.Decided = event.Category(o.row.category.text)
	case s.reply[f.code] != nil:
		e.Decided = event.Category(s.reply[f.code].row.category.text)
	case e.Verdict.Category != s.transient.Category:
		e.Decided = s.general.watch.Category
	}
	if c, ok := s.category(string(e.Decided)); ok {
		e.Action = c.action
	}
	if e.Decided != e.Verdict.Category {
		e.Softened = f.temporary
		e.Recovered = !f.temporary
	}
}

func (s *Set) ruleMatch(i int, sc *scratch) RuleMatch {
	u := s.rules[i]
	return RuleMatch{
		ID: u.id, Where: u.where(), Words: s.matchedWords(i, sc),
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
