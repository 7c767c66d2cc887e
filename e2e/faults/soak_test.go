//go:build e2e

package faults

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"
)

const (
	soakLines     = 5000 // a second
	soakRotations = 10   // in the whole time
)

// gauges are what must stay flat, as they are at one moment.
type gauges struct {
	goroutines, descriptors, resident float64
}

// TestSoak writes a busy log for as long as -soak says, rotates it ten times,
// compresses what was rotated and kills mtatap at random. Nothing may be lost,
// and nothing may grow.
func TestSoak(t *testing.T) {
	target := newTarget(t)
	r := newRig(t)
	if target.broker != nil {
		r.lab = target.broker
	}
	r.publishTo(target)
	r.log.rate = soakLines
	r.expect.unreplayed = true // a million events more to compare
	r.begin()
	every := *soak / soakRotations
	var taken []gauges
	rotations, kills := 0, 0
	begun := time.Now()
	rotate, kill := begun.Add(every/2), begun.Add(every)
	settled := time.Now().Add(warmUp)
	for time.Since(begun) < *soak {
		time.Sleep(every / 60)
		now := time.Now()
		switch {
		case now.After(kill):
			r.kill()
			r.write()
			r.start()
			kills++
			kill = time.Now().Add(every + rand.N(every))
			settled = time.Now().Add(warmUp)
		case now.After(rotate):
			if r.log.rotate(); rotations > 0 {
				r.log.compress(2)
			}
			rotations++
			rotate = rotate.Add(every)
		case now.After(settled):
			taken = append(taken, r.gauges())
		}
	}
	t.Logf("%d rotations, %d kills, %d samples", rotations, kills, len(taken))
	if rotations < soakRotations-1 || kills < soakRotations/3 || len(taken) < 12 {
		t.Error("the machine was too slow for this to prove anything")
	}
	early, late := most(taken[:len(taken)/3]), most(taken[2*len(taken)/3:])
	t.Logf("most in the first third %+v, in the last %+v", early, late)
	if late.goroutines > early.goroutines+5 || late.descriptors > early.descriptors+5 || late.resident > 1.25*early.resident+10 {
		t.Errorf("something grows: %+v in the first third, %+v in the last", early, late)
	}
	r.settle()
	if r.peak() > 128 {
		t.Errorf("%.0f MiB resident", r.peak())
	}
}

// warmUp is how long after a start mtatap may still grow to its usual size.
const warmUp = time.Second

func (r *rig) gauges() gauges {
	r.t.Helper()
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", r.process.Process.Pid))
	if err != nil {
		r.t.Fatal(err)
	}
	return gauges{r.metric("go_goroutines"), float64(len(open)), r.resident()}
}

func most(taken []gauges) gauges {
	var m gauges
	for _, g := range taken {
		m.goroutines, m.descriptors, m.resident = max(m.goroutines, g.goroutines), max(m.descriptors, g.descriptors), max(m.resident, g.resident)
	}
	return m
}
