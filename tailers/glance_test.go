package tailers

import (
	"os"
	"strings"
	"testing"
	"time"
)

// outage is what a pipeline does that cannot hand on lines: it only glances.
func (r *rig) outage(d time.Duration) {
	r.t.Helper()
	for ; d > 0; d -= time.Second {
		r.pass(time.Second)
		if err := r.f.Glance(r.t.Context()); err != nil {
			r.t.Fatal(err)
		}
	}
}

// rotate renames the log and opens the next one.
func (w *writer) rotate() {
	w.r.t.Helper()
	w.r.shift()
	w.open()
}

// checkInOrder fails unless the lines came in the order in which they were
// written, over all generations.
func (r *rig) checkInOrder() {
	r.t.Helper()
	last := ""
	for _, l := range r.lines {
		serial := strings.Fields(l.text)[5]
		if !l.silent && serial <= last {
			r.t.Fatalf("line %s comes after line %s", serial, last)
		}
		last = serial
	}
}

func TestWhatIsRotatedAndDeletedInAnOutageIsAGapForEachFile(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	w.write(5)
	r.drain()
	w.write(5) // is being read when the outage begins: its file stays open
	for range 6 {
		r.outage(2 * time.Second)
		if _, err := os.Stat(r.sibling(".3")); err == nil {
			r.remove(r.sibling(".3"))
		}
		w.rotate()
		w.write(5)
	}
	r.outage(2 * time.Second)
	open, err := os.ReadDir("/proc/self/fd")
	if err == nil && len(open) > 40 {
		t.Errorf("%d files are open", len(open))
	}
	if r.watched > 2 {
		t.Errorf("%d files are watched", r.watched)
	}
	r.drain()
	// Of 7 generations the first was open, the last 3 siblings and the current
	// one are there.
	r.checkGaps(GapMissing, GapMissing)
	w.gens = append(w.gens[:1], w.gens[3:]...)
	w.check()
}

func TestRotationsInAnOutageAreReadInOrderAfterIt(t *testing.T) {
	for name, end := range map[string]func(r *rig){"reading goes on": func(r *rig) {}, "after a restart": (*rig).restart} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			w := r.writer()
			w.write(5)
			r.drain()
			w.write(5)
			for n := range 6 {
				if n%2 == 0 {
					r.outage(2 * time.Second)
				}
				w.rotate()
				w.write(3 + n)
			}
			compress(t, r.sibling(".4"), ".gz")
			r.outage(2 * time.Second)
			compress(t, r.sibling(".3"), ".gz")
			w.rotate()
			w.write(2)
			end(r)
			r.drain()
			w.check()
			r.checkInOrder()
			r.checkGaps()
		})
	}
}

func TestAnEmptyFileThatIsDeletedInAnOutageIsNoGap(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	w.write(5)
	r.drain()
	w.rotate()
	r.outage(2 * time.Second)
	w.rotate()
	r.outage(2 * time.Second)
	r.remove(r.sibling(".1"))
	w.write(5)
	r.drain()
	w.gens = append(w.gens[:1], w.gens[2:]...)
	w.check()
	r.checkGaps()
}
