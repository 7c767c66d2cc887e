package suppress

import (
	"slices"
	"time"
)

// Review returns what time alone makes of s: a suppression may have expired, and who
// is unsuppressed may be forgotten. now is the time, clock that of the events that
// are being read, which is earlier while old logs are.
func (s State) Review(now, clock time.Time, p Policy) (next State, decisions []Decision, forget bool) {
	if clock.After(now) {
		clock = now
	}
	next, decisions = Expire(s, now)
	return next, decisions, len(decisions) == 0 && next.Forgettable(clock, p)
}

// Quiet is an unsuppressed recipient of whom something is known.
type Quiet struct {
	Recipient string
	Since     time.Time // when it last failed or took a message
}

// LongestQuiet returns the n recipients that have been quiet for longest, or all. It
// sorts its argument.
func LongestQuiet(all []Quiet, n int) []string {
	slices.SortFunc(all, func(a, b Quiet) int { return a.Since.Compare(b.Since) })
	all = all[:max(0, min(n, len(all)))]
	names := make([]string, len(all))
	for i, q := range all {
		names[i] = q.Recipient
	}
	return names
}
