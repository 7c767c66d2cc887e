package local

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"mtatap/suppress"
	"mtatap/suppress/store"
)

// sweepIfDue sweeps once in a while, more often when there are too many recipients.
func (l *Local) sweepIfDue(ctx context.Context, now time.Time) error {
	every := sweepEvery
	if l.part.Count()-l.suppressed > l.o.MaxRecipients+l.o.MaxRecipients/10 {
		every = crowdedEvery
	}
	if now.Sub(l.swept) < every {
		return nil
	}
	if err := l.sweep(ctx, now); err != nil {
		return err
	}
	l.swept = now
	return nil
}

// sweep ends suppressions whose time is over and forgets who has been quiet for so
// long that it cannot matter any more, or, where there are too many, who has been
// quiet for longest.
func (l *Local) sweep(ctx context.Context, now time.Time) error {
	crowded := l.part.Count() > l.o.MaxRecipients
	suppressed, others := 0, 0
	var quiet []suppress.Quiet // of the others, where it may come to that
	for from, more := "", true; more; {
		changes := store.Changes{}
		var all []decided
		more = false
		n := 0
		err := l.each(from, func(name string, s suppress.State) (bool, error) {
			if n++; n > slice {
				from, more = name, true
				return false, nil
			}
			state, decisions, forget := s.Review(now, l.clock, l.policy)
			switch {
			case len(decisions) > 0:
				text, err := json.Marshal(state)
				if err != nil {
					return false, fmt.Errorf("encode state: %w", err)
				}
				changes[recipientKey+name] = text
				for _, d := range decisions {
					all = append(all, decided{name, d})
				}
			case forget:
				changes[recipientKey+name] = nil
				return true, nil
			}
			if state.Suppression != nil {
				suppressed++
				return true, nil
			}
			others++
			if crowded {
				quiet = append(quiet, suppress.Quiet{Recipient: name, Since: state.Newest()})
			}
			return true, nil
		})
		if err == nil {
			err = l.write(ctx, changes, all)
		}
		if err != nil {
			return err
		}
	}
	l.suppressed = suppressed
	forget := suppress.LongestQuiet(quiet, others-l.o.MaxRecipients)
	for few := range slices.Chunk(forget, slice) {
		changes := make(store.Changes, len(few))
		for _, name := range few {
			changes[recipientKey+name] = nil
		}
		if err := l.write(ctx, changes, nil); err != nil {
			return err
		}
		l.o.Metrics.Forgot(len(few))
	}
	return nil
}
