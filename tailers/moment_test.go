package tailers

import (
	"fmt"
	"testing"
	"time"
)

// moments is more often than a survey asks for the time.
const moments = 12

func TestALogMayBeRotatedAtAnyMomentOfLookingAtIt(t *testing.T) {
	ways := []struct {
		name           string
		before, rotate func(*testing.T, *rig, *writer)
	}{
		{"renamed", nil, func(_ *testing.T, _ *rig, w *writer) { w.rotate() }},
		{"copied and cut", nil, func(_ *testing.T, _ *rig, w *writer) { w.copytruncate() }},
		{"cut when it was copied before", func(t *testing.T, r *rig, _ *writer) {
			copyFile(t, r.path, r.sibling(".1"))
		}, func(t *testing.T, r *rig, w *writer) {
			truncate(t, r.path)
			w.gens = append(w.gens, &written{})
		}},
		{"compressed when it was renamed before", func(_ *testing.T, _ *rig, w *writer) { w.rotate() }, func(t *testing.T, r *rig, _ *writer) {
			compress(t, r.sibling(".1"), ".gz")
		}},
	}
	for _, way := range ways {
		for moment := range moments {
			t.Run(fmt.Sprintf("%s, moment %d", way.name, moment), func(t *testing.T) {
				r := newRig(t)
				w := r.writer()
				now, left, done := r.opts.Now, -1, false
				rotate := func() {
					if !done {
						done = true
						way.rotate(t, r, w)
					}
				}
				r.opts.Now = func() time.Time {
					if left == 0 {
						rotate()
					}
					left--
					return now()
				}
				w.write(5)
				r.drain()
				if way.before != nil {
					way.before(t, r, w)
				}
				r.passed += 2 * pollInterval
				left = moment
				r.drain()
				rotate()
				w.write(2)
				r.passed += 2 * pollInterval
				r.drain()
				w.check()
				r.checkGaps()
			})
		}
	}
}
