package rules

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"

	"mtatap/event"
)

// opinion is a row of a code table and the verdict it gives.
type opinion struct {
	row     codeEntry
	key     string // "enhanced:4.1.1" or "reply:550"
	outcome outcome
}

func (s *Set) opinion(row codeEntry, key string) *opinion {
	c, _ := s.category(row.category.text)
	return &opinion{row, key, s.outcome(c, row.reason, c.resend, key)}
}

// outcome returns the forms of a verdict of category c.
func (s *Set) outcome(c category, reason string, resend bool, id string) outcome {
	v := verdictOf(c, reason, resend, id)
	o := outcome{watch: v, final: v, recovered: v, temporary: v}
	if v.Action == event.Suppress {
		o.watch.Action = event.Watch
	}
	if c.kind == event.Hard {
		t, _ := s.category(string(event.CategoryTransient))
		o.temporary = verdictOf(t, reason, false, id)
	}
	if n, ok := s.category(string(event.CategoryNoAddressReturned)); ok && (c.kind == event.Hard || c.name == event.CategoryGeneral) {
		o.recovered = verdictOf(n, reason, false, id)
	}
	return o
}

func verdictOf(c category, reason string, resend bool, id string) event.Verdict {
	return event.Verdict{
		Category: c.name, BounceType: c.kind, Reason: reason,
		Action: c.action, Resend: resend, Rule: id, Compat: c.compat,
	}
}

// compile builds what verdicts are made with from the joined rules.
func (s *Set) compile() error {
	c, _ := s.category(string(event.CategoryDelivered))
	s.delivered = verdictOf(c, "", false, "default")
	c, _ = s.category(string(event.CategoryTransient))
	s.transient = verdictOf(c, "", false, "default")
	c, _ = s.category(string(event.CategoryGeneral))
	s.general = s.outcome(c, "", false, "default")

	s.hot = make([]hotRule, len(s.rules))
	p := &parts{numbers: map[string]int32{}}
	for i, u := range s.rules {
		s.hot[i] = s.compileRule(i, u, p)
	}
	all := s.bunch(p)
	texts := s.exampleTexts()
	a, err := newAutomaton(all, texts)
	if err != nil {
		return err
	}
	s.automaton, s.triggers = a, make([][]int32, p.bunches)
	s.scratch.New = func() any { return newScratch(s) }
	s.trigger(p, texts)
	return nil
}

// exampleTexts returns the examples of all rules, normalised.
func (s *Set) exampleTexts() (all [][]byte) {
	for _, u := range s.rules {
		for _, e := range u.examples {
			in := ParseText(e.text)
			all = append(all, normalise(nil, in.Text))
		}
	}
	return all
}

func (s *Set) compileRule(i int, u *rule, p *parts) hotRule {
	h := hotRule{codes: u.codes, enhanced: u.enhanced, statuses: u.statuses, phases: u.phases, from: len(s.patterns)}
	for _, g := range u.providers {
		h.providers = append(h.providers, uint16(s.providers.number(g.text)))
	}
	add := func(all []part, reach reach, n hotPattern) {
		n.rule = int32(i)
		for _, pieces := range all {
			n.parts = append(n.parts, p.number(pieces, reach))
		}
		s.patterns = append(s.patterns, n)
	}
	if len(u.literals) > 0 {
		add(partsOfLiterals([][]string{u.literals}), anywhere, hotPattern{})
	}
	for _, ph := range u.phrases {
		add(ph.parts, near, hotPattern{gaps: ph.gaps})
	}
	for _, e := range u.regexps {
		add(partsOfLiterals(e.required), anywhere, hotPattern{re: e.compiled, steps: int32(e.steps)})
	}
	if len(s.patterns) == h.from {
		add(nil, anywhere, hotPattern{})
	}
	h.to = len(s.patterns)
	c, _ := s.category(u.category.text)
	resend := c.resend
	if u.resend != nil {
		resend = *u.resend
	}
	h.outcome = s.outcome(c, u.reason, resend, u.id)
	return h
}

func partsOfLiterals(sets [][]string) (all []part) {
	for _, set := range sets {
		var pieces part
		for _, text := range set {
			pieces = append(pieces, piece{text: text})
		}
		all = append(all, pieces)
	}
	return all
}

// parts collects the different parts of all patterns.
type parts struct {
	numbers map[string]int32
	pieces  []part  // by number
	reach   []reach // by number
	bunches int
	key     []byte // space for one
}

// number returns the number of a part; equal ones share it.
func (p *parts) number(pieces part, reach reach) int32 {
	key := append(p.key[:0], byte(reach))
	for _, one := range pieces {
		key = append(append(key, byte(one.edges)), one.text...)
	}
	p.key = key
	n, ok := p.numbers[string(key)]
	if !ok {
		n = int32(len(p.pieces))
		p.numbers[string(key)] = n
		p.pieces, p.reach = append(p.pieces, pieces), append(p.reach, reach)
	}
	return n
}

// bunch divides the pieces of all parts into bunches, those of one bunch being
// in the same parts, so that a piece that many parts share is noted once, and
// returns the patterns that find them, in the order of their texts.
func (s *Set) bunch(p *parts) []pattern {
	type use struct {
		piece
		reach reach
		part  int32
	}
	count := 0
	for _, pieces := range p.pieces {
		count += len(pieces)
	}
	uses := make([]use, 0, count)
	for n, pieces := range p.pieces {
		for _, one := range pieces {
			uses = append(uses, use{one, p.reach[n], int32(n)})
		}
	}
	slices.SortFunc(uses, func(a, b use) int {
		if c := strings.Compare(a.text, b.text); c != 0 {
			return c
		}
		return cmp.Or(cmp.Compare(a.edges, b.edges), cmp.Compare(a.reach, b.reach), cmp.Compare(a.part, b.part))
	})
	uses = slices.Compact(uses)
	s.bunches = make([][]int32, len(p.pieces))
	numbers := map[string]int32{} // by the parts
	all := make([]pattern, 0, len(uses))
	var key []byte
	for len(uses) > 0 {
		first, n := uses[0], 0
		key = key[:0]
		for n < len(uses) && uses[n].piece == first.piece && uses[n].reach == first.reach {
			key = binary.AppendUvarint(key, uint64(uses[n].part))
			n++
		}
		bunch, ok := numbers[string(key)]
		if !ok {
			bunch = int32(len(numbers))
			numbers[string(key)] = bunch
			for _, u := range uses[:n] {
				s.bunches[u.part] = append(s.bunches[u.part], bunch)
			}
		}
		uses = uses[n:]
		all = append(all, pattern{first.text, target{bunch: bunch, length: uint16(len(first.text)), edges: first.edges, reach: first.reach}})
	}
	p.bunches = len(numbers)
	return all
}

// trigger says which part of each pattern makes it worth a look: the one whose
// words are the rarest in the examples of all rules, or else has the fewest
// pieces. A pattern without parts is always looked at.
func (s *Set) trigger(p *parts, texts [][]byte) {
	seen := make([]int, p.bunches)
	sc := newScratch(s)
	for _, text := range texts {
		sc.text = text
		for _, g := range sc.find(s).pieces.all {
			seen[g.bunch]++
		}
	}
	often := make([]int, len(p.pieces))
	for part, bunches := range s.bunches {
		for _, b := range bunches {
			often[part] += seen[b]
		}
	}
	for i, n := range s.patterns {
		if len(n.parts) == 0 {
			s.always = append(s.always, int32(i))
			continue
		}
		rarest := slices.MinFunc(n.parts, func(a, b int32) int {
			return cmp.Or(cmp.Compare(often[a], often[b]), cmp.Compare(len(p.pieces[a]), len(p.pieces[b])))
		})
		for _, b := range s.bunches[rarest] {
			s.triggers[b] = append(s.triggers[b], int32(i))
		}
	}
}

// runExamples checks that the set decides each example of the given rules by
// that rule, and no counterexample.
func (r *reader) runExamples(s *Set, rules []*rule) {
	for _, u := range rules {
		for _, e := range u.examples {
			got, work := s.deciding(u, e)
			if r.work += work; r.work > maxWork {
				r.tooMuchWork(u, e)
				return
			}
			if got != u.id {
				r.fail(e.line, "rule %s: example %q is decided by %s: mend the patterns, or move the rule before it", u.id, e.text, got)
			}
		}
		for _, e := range u.counterexamples {
			got, work := s.deciding(u, e)
			if r.work += work; r.work > maxWork {
				r.tooMuchWork(u, e)
				return
			}
			if got == u.id {
				r.fail(e.line, "rule %s: counterexample %q is decided by this rule: narrow its patterns", u.id, e.text)
			}
		}
	}
}

// tooMuchWork is said once.
func (r *reader) tooMuchWork(u *rule, e example) {
	if !r.tired {
		r.tired = true
		r.fail(e.line, "rule %s: the expressions take too long for the examples up to here: use literals and phrases, or shorten the examples", u.id)
	}
}

// deciding returns the id of the rule that decides an example of u, which is
// taken to fulfil the conditions of u that its text can't show, and what it took to
// find out, in bytes times steps of expressions.
func (s *Set) deciding(u *rule, e example) (id string, work int) {
	in := ParseText(e.text)
	in.Provider, in.Status, in.Phase = e.provider, e.status, e.phase
	if in.Provider == "" && len(u.providers) > 0 {
		in.Provider = u.providers[0].text
	}
	for st := event.StatusUnknown; in.Status == event.StatusUnknown && st <= event.Rejected; st++ {
		if u.statuses>>st&1 == 1 {
			in.Status = st
		}
	}
	for ph := event.PhaseUnknown; in.Phase == event.PhaseUnknown && ph <= event.PhaseQueue; ph++ {
		if u.phases>>ph&1 == 1 {
			in.Phase = ph
		}
	}
	f := s.facts(&in)
	if f.status == event.Delivered {
		return s.delivered.Rule, 0
	}
	sc := s.scratch.Get().(*scratch)
	defer s.scratch.Put(sc)
	sc.work = 0
	i := s.first(&f, sc.read(s, in.Text))
	return s.verdict(&f, i).Rule, sc.work
}
