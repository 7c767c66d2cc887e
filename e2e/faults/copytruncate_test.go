//go:build e2e

package faults

import (
	"syscall"
	"time"
)

var copytruncateScenarios = []scenario{
	{"the log is copied and cut while nobody writes", func(r *rig) {
		r.begin()
		for range 3 {
			r.log.held(func() {
				time.Sleep(quiet)
				r.copytruncate()
			})
			r.awaitFlow()
		}
		r.settle()
	}},
	{"the log is copied and cut while it is written", func(r *rig) {
		r.expect = expectation{gap: true, mayMiss: map[string]bool{}, unjoined: true}
		r.log.rate = 2 * linesASecond
		r.log.traffic.patient = true // an expiry is told by lines that may be lost
		r.begin()
		for n := range 3 {
			var from int
			if n == 2 { // the reader, too, misses what is written meanwhile
				r.signal(syscall.SIGSTOP)
			}
			r.log.held(func() {
				from = len(r.log.traffic.outcomes)
				r.log.shift()
				r.log.copyTo(r.log.sibling(1, ""))
			})
			time.Sleep(100 * time.Millisecond)
			r.log.held(func() {
				for _, o := range r.log.traffic.outcomes[from:] {
					r.expect.mayMiss[o.name()] = true
				}
				r.log.truncate()
			})
			r.signal(syscall.SIGCONT)
			r.awaitFlow()
		}
		r.settle()
		if r.measured.lost == 0 {
			r.t.Error("nothing was lost: there was nothing to prove")
		}
	}},
	{"the log is copied, cut and filled past the old place while the reader stands still", func(r *rig) {
		r.expect.gap = true // nobody can know that none were lost
		r.begin()
		r.signal(syscall.SIGSTOP)
		r.log.held(r.copytruncate)
		at := size(r.t, r.log.sibling(1, ""))
		for size(r.t, r.source) <= at {
			time.Sleep(50 * time.Millisecond)
		}
		r.signal(syscall.SIGCONT)
		r.awaitFlow()
		r.settle()
	}},
}

// quiet is how long nothing must have been written so that mtatap believes that
// nothing was lost.
const quiet = 3 * time.Second

// copytruncate rotates by a copy, while the writer is held.
func (r *rig) copytruncate() {
	r.log.shift()
	r.log.copyTo(r.log.sibling(1, ""))
	r.log.truncate()
}
