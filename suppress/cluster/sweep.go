package cluster

import (
	"context"
	"slices"
	"time"

	"mtatap/suppress"
)

const (
	// sweepEvery is how often expired suppressions and quiet recipients are looked
	// for, crowdedEvery how often while there are too many recipients.
	sweepEvery   = time.Hour
	crowdedEvery = time.Minute
)

// sweepIfDue sweeps once in a while.
func (w *worker) sweepIfDue(ctx context.Context, now time.Time) error {
	crowded := w.states.part.Count()-w.suppressed > w.maxRecipients+w.maxRecipients/10
	if !crowded && now.Sub(w.swept) < sweepEvery {
		return nil
	}
	if err := w.sweep(ctx, now); err != nil {
		return err
	}
	w.swept = now
	return nil
}

// sweep ends suppressions whose time is over and forgets who has been quiet for so
// long that it cannot matter any more, or, where there are too many, who has been
// quiet for longest.
func (w *worker) sweep(ctx context.Context, now time.Time) error {
	policy := *w.policy.Load()
	crowded := w.states.part.Count() > w.maxRecipients
	suppressed, others := 0, 0
	var quiet []suppress.Quiet // of the others, where it may come to that
	for from, more := "", true; more; {
		entries := map[string]*entry{}
		var all []decided
		more = false
		n := 0
		err := w.states.each(from, func(name string, e *entry) bool {
			if n++; n > slice {
				from, more = name, true
				return false
			}
			state, decisions, forget := e.State.Review(now, w.clock, policy)
			switch {
			case len(decisions) > 0:
				e.State = state
				entries[name] = e
				for _, d := range decisions {
					all = append(all, decided{name, d})
				}
			case forget:
				entries[name] = nil
				return true
			}
			if state.Suppression != nil {
				suppressed++
				return true
			}
			others++
			if crowded {
				quiet = append(quiet, suppress.Quiet{Recipient: name, Since: state.Newest()})
			}
			return true
		})
		if err == nil {
			err = w.write(ctx, entries, all)
		}
		if err != nil {
			return err
		}
	}
	w.suppressed = suppressed
	forget := suppress.LongestQuiet(quiet, others-w.maxRecipients)
	for few := range slices.Chunk(forget, slice) {
		entries := make(map[string]*entry, len(few))
		for _, name := range few {
			entries[name] = nil
		}
		if err := w.write(ctx, entries, nil); err != nil {
			return err
		}
		w.metrics.Forgot(len(few))
	}
	return nil
}
