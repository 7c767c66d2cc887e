package suppress

import (
	"hash/fnv"
	"slices"
	"time"

	"mtatap/event"
)

// State is all that is known of one recipient. The zero value is a recipient of
// whom nothing is known; it need not be kept. It is encoded as JSON.
type State struct {
	Suppression *Suppression `json:"suppression,omitempty"`
	// Reset is when the recipient last took a message after a failure, or was
	// released. Failures before it no longer count.
	Reset    time.Time `json:"reset,omitzero"`
	Failures []failure `json:"failures,omitempty"` // by time
}

// Suppression is why a recipient must not be mailed.
type Suppression struct {
	Category      event.Category `json:"category,omitempty"` // "" if made by hand
	ConvertedFrom event.Category `json:"converted_from,omitempty"`
	Reason        string         `json:"reason,omitempty"`
	Since         time.Time      `json:"since"`
	Evidence      []Evidence     `json:"evidence,omitempty"`
	Expires       time.Time      `json:"expires,omitzero"`
	Manual        bool           `json:"manual,omitempty"`
}

// failure is a message that failed: its Evidence is that of the first time.
type failure struct {
	Category event.Category `json:"category"`
	Message  uint64         `json:"message"`
	Reason   string         `json:"reason,omitempty"`
	Again    *Evidence      `json:"again,omitempty"` // of the last time, if it failed again
	Evidence
}

// Decision is a change: Suppression is the new one, nil if the recipient is
// released.
type Decision struct {
	Suppression *Suppression
	Cause       Cause
	At          time.Time
}

// Cause says what brought a decision about.
type Cause string

// The causes.
const (
	CauseBounce     Cause = "bounce"
	CauseConversion Cause = "conversion"
	CauseDelivery   Cause = "delivery"
	CauseExpiry     Cause = "expiry"
	CauseManual     Cause = "manual"
)

// IsZero reports whether s says nothing, so that it need not be kept.
func (s State) IsZero() bool {
	return s.Suppression == nil && s.Reset.IsZero() && len(s.Failures) == 0
}

// Same reports whether s is what Apply made of t by changing nothing.
func (s State) Same(t State) bool {
	return s.Suppression == t.Suppression && s.Reset.Equal(t.Reset) && len(s.Failures) == len(t.Failures) &&
		(len(s.Failures) == 0 || &s.Failures[0] == &t.Failures[0])
}

const (
	maxFailures = 2 * maxMessages // of one category that are remembered
	maxEvidence = 10              // that a suppression shows
)

// Apply returns what is known after o, and the decisions that follow, in order.
// It changes nothing in s. An outcome that was applied before, or is older than
// what undid it, leaves everything as it is; outcomes of other recipients do not
// matter. p must pass Check.
func Apply(s State, o Outcome, p Policy) (State, []Decision) {
	s, decisions := Expire(s, o.Time)
	var more *Decision
	switch o.Kind {
	case Delivery:
		s, more = deliver(s, o)
	case Failure:
		s, more = fail(s, o, p)
	case Add:
		s, more = add(s, o)
	case Release:
		s, more = release(s, o)
	}
	if more != nil {
		decisions = append(decisions, *more)
	}
	return s, decisions
}

// Expire ends the suppression of s if its time is over.
func Expire(s State, now time.Time) (State, []Decision) {
	if s.Suppression == nil || s.Suppression.Expires.IsZero() || now.Before(s.Suppression.Expires) {
		return s, nil
	}
	at := s.Suppression.Expires
	return State{Reset: latest(s.Reset, at)}, []Decision{{Cause: CauseExpiry, At: at}}
}

// Forgettable reports whether nothing in s can matter any more, so that it may be
// forgotten.
func (s State) Forgettable(now time.Time, p Policy) bool {
	return s.Suppression == nil && now.Sub(s.Newest()) > p.longestWindow()
}

// Newest is when something last happened that is remembered of an unsuppressed
// recipient.
func (s State) Newest() time.Time {
	newest := s.Reset
	if n := len(s.Failures); n > 0 {
		newest = latest(newest, s.Failures[n-1].Time)
	}
	return newest
}

// deliver forgets the failures before a delivery, and releases who has taken a
// message after he was suppressed: the address works.
func deliver(s State, o Outcome) (State, *Decision) {
	if sup := s.Suppression; sup != nil {
		if sup.Manual || !o.Time.After(sup.Since) {
			return s, nil
		}
		return State{Reset: justAfter(o.Time)}, &Decision{Cause: CauseDelivery, At: o.Time}
	}
	if s.IsZero() || s.undone(o.Time) {
		return s, nil
	}
	kept := s.since(o.Time)
	return State{Reset: o.Time, Failures: kept}, nil
}

// since returns the failures that are not before t.
func (s State) since(t time.Time) []failure {
	return lately(slices.Clone(s.Failures), t, func(failure) bool { return true })
}

// lately drops failures before t that which says, in place. A message that failed
// before t and after it counts from its last failure.
func lately(all []failure, t time.Time, which func(failure) bool) []failure {
	moved := false
	all = slices.DeleteFunc(all, func(f failure) bool {
		return which(f) && f.Time.Before(t) && (f.Again == nil || f.Again.Time.Before(t))
	})
	for i, f := range all {
		if which(f) && f.Time.Before(t) {
			all[i].Evidence, all[i].Again = *f.Again, nil
			moved = true
		}
	}
	if len(all) == 0 {
		return nil
	}
	if moved {
		slices.SortStableFunc(all, func(a, b failure) int { return a.Time.Compare(b.Time) })
	}
	return all
}

func fail(s State, o Outcome, p Policy) (State, *Decision) {
	t, counts := p.After[o.Category]
	if !counts || s.Suppression != nil || s.undone(o.Time) {
		return s, nil
	}
	message := hash(o.Message)
	for i, f := range s.Failures {
		if f.Category == o.Category && f.Message == message { // the same message again
			if o.Time.After(f.Time) && (f.Again == nil || o.Time.After(f.Again.Time)) {
				again := o.Evidence
				again.Time = o.Time
				s.Failures = slices.Clone(s.Failures)
				s.Failures[i].Again = &again
			}
			return s, nil
		}
	}
	f := failure{Category: o.Category, Message: message, Reason: o.Reason, Evidence: o.Evidence}
	f.Time = o.Time
	s.Failures = remember(s.Failures, f, t.Window)
	of := ofCategory(s.Failures, o.Category)
	first, last := of[0], of[len(of)-1]
	if len(of) < t.Messages || last.Time.Sub(first.Time) < t.Spread {
		return s, nil
	}
	d := Decision{Cause: CauseBounce, At: o.Time, Suppression: &Suppression{Category: o.Category, Reason: f.Reason, Since: last.Time}}
	if t.To != "" && t.To != o.Category {
		d.Cause = CauseConversion
		d.Suppression.Category, d.Suppression.ConvertedFrom = t.To, o.Category
	}
	for _, f := range of[max(0, len(of)-maxEvidence):] {
		d.Suppression.Evidence = append(d.Suppression.Evidence, f.Evidence)
	}
	if p.Expires > 0 {
		d.Suppression.Expires = d.Suppression.Since.Add(p.Expires)
	}
	return State{Suppression: d.Suppression, Reset: s.Reset}, &d
}

// remember returns all with f in its place by time, without those of its category
// that are out of its window, and bounded.
func remember(all []failure, f failure, window time.Duration) []failure {
	at := len(all)
	for at > 0 && all[at-1].Time.After(f.Time) {
		at--
	}
	all = slices.Insert(slices.Clone(all), at, f)
	same := func(g failure) bool { return g.Category == f.Category }
	of := ofCategory(all, f.Category)
	if window > 0 {
		all = lately(all, of[len(of)-1].Time.Add(-window), same)
		of = ofCategory(all, f.Category)
	}
	if len(of) <= maxFailures {
		return all
	}
	n := 0
	return slices.DeleteFunc(all, func(g failure) bool {
		if same(g) {
			n++
		}
		// Of too many the middle goes: the first ones show the spread, the last
		// ones stay longest in the window.
		return same(g) && n == maxFailures/2
	})
}

func ofCategory(all []failure, c event.Category) []failure {
	var of []failure
	for _, f := range all {
		if f.Category == c {
			of = append(of, f)
		}
	}
	return of
}

// ByHand returns o, an Add or a Release that is applied to s for the first time, at a
// time at which it has an effect. The clock of a log may be ahead of the operator's;
// what he asks for is nevertheless about what he sees.
func ByHand(s State, o Outcome) Outcome {
	newest := s.Newest()
	if s.Suppression != nil {
		newest = latest(newest, s.Suppression.Since)
	}
	if o.Time.Before(newest) && !newest.After(o.Time.Add(aheadOfReading)) {
		o.Time = justAfter(newest)
	}
	return o
}

// add suppresses by hand: neither a delivery nor time ends that.
func add(s State, o Outcome) (State, *Decision) {
	if s.undone(o.Time) || s.Suppression != nil && s.Suppression.Manual {
		return s, nil
	}
	sup := &Suppression{Reason: o.Reason, Since: o.Time, Manual: true}
	return State{Suppression: sup, Reset: s.Reset}, &Decision{Suppression: sup, Cause: CauseManual, At: o.Time}
}

// release ends a suppression by hand, and forgets all failures before it.
func release(s State, o Outcome) (State, *Decision) {
	if !o.Time.After(s.Reset) || s.Suppression != nil && o.Time.Before(s.Suppression.Since) {
		return s, nil
	}
	if s.Suppression == nil {
		return State{Reset: o.Time, Failures: s.since(o.Time)}, nil
	}
	return State{Reset: justAfter(o.Time)}, &Decision{Cause: CauseManual, At: o.Time}
}

// undone reports whether something at t was undone by a reset, or is that reset.
func (s State) undone(t time.Time) bool { return t.Before(s.Reset) }

// justAfter is the reset of a release at t: failures of that very instant were
// passed over because the recipient was suppressed, and are not to count when
// they come again.
func justAfter(t time.Time) time.Time { return t.Add(1) }

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func hash(s string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(s))
	return h.Sum64()
}
