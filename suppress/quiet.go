package suppress

import (
	"slices"
	"time"
)

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
