package rules

import (
	"regexp"
	"slices"
	"sync"

	"mtatap/event"
)

// Set is a compiled set of rules. It never changes and may be used by any
// number of goroutines.
type Set struct {
	name        string // of the file
	version     string
	sha256      string
	rules       []*rule
	categories  []category
	conversions []Conversion
	suppression Suppression
	providers   providerTable
	words       words

	hot       []hotRule
	patterns  []hotPattern // in the order of their rules
	automaton *automaton
	bunches   [][]int32 // by part: the bunches that its pieces are in
	triggers  [][]int32 // by bunch: the patterns that are worth a look where it is
	always    []int32   // patterns to look at whatever the text

	enhanced map[enhancedCode]*opinion
	reply    map[int]*opinion

	delivered event.Verdict
	transient event.Verdict
	general   outcome

	scratch sync.Pool
}

// hotRule is what evaluating a rule needs.
type hotRule struct {
	providers []uint16
	codes     []codeRange
	enhanced  []enhancedPattern
	statuses  uint16
	phases    uint16
	from, to  int // range of its patterns, any of which is enough
	outcome   outcome
}

// hotPattern is what evaluating a pattern of a rule needs: the literals of the
// rule, a phrase, an expression, or, where it has none of them, any text.
type hotPattern struct {
	rule  int32
	parts []int32        // all of them must be there
	gaps  []int32        // of a phrase: the most bytes between a part and the next
	re    *regexp.Regexp // nil: none
	steps int32          // of re
}

// target is what a pattern found in the text means: that a piece of a bunch is
// there.
type target struct {
	bunch  int32
	length uint16 // of the piece
	edges  edges
	reach  reach
	last   bool // of the targets of a state
}

// reach says which sightings of a bunch count.
type reach uint8

const (
	anywhere reach = iota // the first one: of literals and what expressions need
	near                  // all up to maxOrdered: of phrases
)

// outcome is the verdict of a rule or a row of a table in its forms.
type outcome struct {
	watch     event.Verdict // suppress softened to watch
	final     event.Verdict // where the MTA has stopped trying
	recovered event.Verdict // the same, for a recipient that the log did not name
	temporary event.Verdict // for a temporary failure: never hard
}

// Input is what a verdict is made from. Zero fields are unknown.
type Input struct {
	// Text is the reply or the MTA's own reason, without the MTA's wrapping.
	// Only its first 16 KiB count.
	Text     string
	Code     int    // reply code
	Enhanced string // enhanced status code (RFC 3463) that the remote gave
	// Status, where unknown, follows from the codes: class 5 is bounced, class
	// 4 deferred, class 2 delivered.
	Status   event.Status
	Phase    event.Phase
	Provider string // provider group; unknown names are like none
	// Recipient says how the recipient was found.
	Recipient event.RecipientSource
	// DSN is the MTA's own status code. It counts only where the remote gave
	// neither code.
	DSN string
}

// InputOf returns the Input for a delivery whose provider group is given. It
// does not allocate; the Input shares the strings of d.
func InputOf(d *event.Delivery, provider string) Input {
	in := Input{
		Text: d.Diagnostic, Code: d.SMTPCode, Enhanced: d.EnhancedCode,
		Status: d.Status, Phase: d.Phase, Provider: provider, Recipient: d.RecipientSource, DSN: d.DSN,
	}
	if in.Enhanced == "" {
		in.Enhanced = markedEnhanced(in.Text, in.Code)
	}
	return in
}

// facts is an Input as rules look at it.
type facts struct {
	code      int
	enhanced  enhancedCode
	status    event.Status
	phase     event.Phase
	provider  int
	temporary bool // a 4xx reply, or without a reply code a 4.x.x
	recovered bool // the log did not name the recipient
}

func (s *Set) facts(in *Input) facts {
	f := facts{code: in.Code, status: in.Status, phase: in.Phase, provider: -1}
	if in.Provider != "" {
		f.provider = s.providers.number(in.Provider)
	}
	f.recovered = in.Recipient > event.RecipientFromLog
	f.enhanced = parseEnhanced(in.Enhanced)
	if f.enhanced == 0 && f.code == 0 {
		f.enhanced = parseEnhanced(in.DSN)
	}
	class := f.code / 100
	if class == 0 {
		class = f.enhanced.class()
	}
	f.temporary = class == 4
	if f.status == event.StatusUnknown {
		switch class {
		case 2:
			f.status = event.Delivered
		case 4:
			f.status = event.Deferred
		case 5:
			f.status = event.Bounced
		}
	}
	return f
}

// Classify returns the verdict on in. It does not allocate.
//
// The first rule that matches decides, then the enhanced code, then the reply
// code, then the status: deferred is transient, anything else general. What was
// delivered is delivered, whatever the text. A temporary failure (a reply code
// 4xx, or an enhanced code 4.x.x where there is no reply code) is never hard:
// its category becomes transient, with the reason kept. Where the log did not
// name the recipient, a final failure that would be hard or general becomes
// no-address-returned: a guess must not suppress anybody.
func (s *Set) Classify(in *Input) event.Verdict {
	f := s.facts(in)
	if f.status == event.Delivered {
		return s.delivered
	}
	sc := s.scratch.Get().(*scratch)
	i := s.first(&f, sc.read(s, in.Text))
	s.scratch.Put(sc)
	return s.verdict(&f, i)
}

// verdict returns the verdict of rule i, or of the tables if i is negative.
func (s *Set) verdict(f *facts, i int) event.Verdict {
	if i >= 0 {
		return s.hot[i].outcome.of(f)
	}
	if o := s.enhanced[f.enhanced]; o != nil {
		return o.outcome.of(f)
	}
	if o := s.reply[f.code]; o != nil {
		return o.outcome.of(f)
	}
	if f.temporary || f.status == event.Deferred {
		return s.transient
	}
	return s.general.of(f)
}

func (o *outcome) of(f *facts) event.Verdict {
	switch {
	case f.temporary:
		return o.temporary
	case f.status.Final() && f.recovered:
		return o.recovered
	case f.status.Final():
		return o.final
	}
	return o.watch
}

// scratch is the work space of one verdict.
type scratch struct {
	text       []byte
	candidates []int32 // numbers of the patterns to be evaluated, in order
	pieces     sightings
	work       int // bytes times steps that expressions have looked at
}

func newScratch(s *Set) *scratch {
	return &scratch{
		text:   make([]byte, 0, 1024),
		pieces: sightings{bunches: s.bunches, last: make([]int32, len(s.triggers))},
	}
}

// read normalises text and finds all patterns in it.
func (sc *scratch) read(s *Set, text string) *scratch {
	sc.text = normalise(sc.text[:0], text)
	return sc.find(s)
}

// find finds all patterns in the text, which is normalised.
func (sc *scratch) find(s *Set) *scratch {
	sc.candidates = append(sc.candidates[:0], s.always...)
	sc.pieces.forget()
	a := s.automaton
	state, short, last := uint32(0), uint32(0), uint32(0)
	for i, b := range sc.text {
		class := uint32(a.class[b])
		two := a.pairs[last*a.width+class]
		state, short, last = a.next(state, short, two, class), two, class
		if state&entryHits != 0 {
			sc.saw(s, a.found(state), int32(i+1))
		}
	}
	slices.Sort(sc.candidates)
	return sc
}

// saw notes the pieces that end at end. Far back in a text, one of a bunch is
// enough and only where order does not matter.
func (sc *scratch) saw(s *Set, hits []target, end int32) {
	for i := range hits {
		t := &hits[i]
		where := span{end - int32(t.length), end}
		if (end <= maxOrdered || t.reach == anywhere && sc.pieces.last[t.bunch] == 0) &&
			where.fits(sc.text, t.edges) && sc.pieces.add(t.bunch, where) {
			sc.candidates = append(sc.candidates, s.triggers[t.bunch]...)
		}
		if t.last {
			return
		}
	}
}

// first returns the number of the first rule that matches, -1 if none does.
func (s *Set) first(f *facts, sc *scratch) int { return s.from(0, f, sc) }

// after returns the number of the first rule after last that matches.
func (s *Set) after(last int, f *facts, sc *scratch) int { return s.from(s.hot[last].to, f, sc) }

// from returns the number of the rule of the first pattern from number n on that
// matches, -1 if none does.
func (s *Set) from(n int, f *facts, sc *scratch) int {
	for i, c := range sc.candidates {
		if int(c) < n || i > 0 && c == sc.candidates[i-1] {
			continue
		}
		p := &s.patterns[c]
		if s.hot[p.rule].allows(f) && sc.matches(p) {
			return int(p.rule)
		}
	}
	return -1
}

// allows reports whether the conditions of h other than its patterns hold.
func (h *hotRule) allows(f *facts) bool {
	return (h.statuses == 0 || h.statuses>>f.status&1 == 1) &&
		(h.phases == 0 || h.phases>>f.phase&1 == 1) &&
		(h.providers == nil || slices.Contains(h.providers, uint16(f.provider))) &&
		(h.codes == nil || slices.ContainsFunc(h.codes, func(r codeRange) bool { return r.low <= f.code && f.code <= r.high })) &&
		(h.enhanced == nil || slices.ContainsFunc(h.enhanced, func(p enhancedPattern) bool { return p.matches(f.enhanced) }))
}

// ordered returns how much of the text expressions see.
func (sc *scratch) ordered() []byte { return sc.text[:min(len(sc.text), maxOrdered)] }

func (sc *scratch) matches(p *hotPattern) bool {
	for _, part := range p.parts {
		if !sc.pieces.has(part) {
			return false
		}
	}
	if len(p.gaps) > 0 {
		_, ok := sc.pieces.find(p)
		return ok
	}
	if p.re == nil {
		return true
	}
	text := sc.ordered()
	sc.work += len(text) * int(p.steps)
	return p.re.Match(text)
}

// Categories returns the categories in the order of the file.
func (s *Set) Categories() []event.Category {
	all := make([]event.Category, len(s.categories))
	for i, c := range s.categories {
		all[i] = c.name
	}
	return all
}

// RuleIDs returns the ids of the rules in the order of evaluation.
func (s *Set) RuleIDs() []string {
	all := make([]string, len(s.rules))
	for i, u := range s.rules {
		all[i] = u.id
	}
	return all
}

// Conversion returns when repeated soft verdicts become hard.
func (s *Set) Conversion() []Conversion { return slices.Clone(s.conversions) }

// Version returns the version that the file declares.
func (s *Set) Version() string { return s.version }

// SHA256 returns the hash of the file and, where it extends another, of that
// one too: 64 hex digits.
func (s *Set) SHA256() string { return s.sha256 }
