//go:build e2e

package faults

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"
)

var processScenarios = []scenario{
	{"mtatap is killed twelve times in the middle of rotations", killedInRotations},
	{"mtatap is killed at random in rotations at random", killedAtRandom},
	{"mtatap is killed at its first checkpoint", killedAtFirstCheckpoint},
	{"mtatap is stopped four times, each in under ten seconds", func(r *rig) {
		r.begin()
		for range 4 {
			r.log.rotate()
			r.awaitFlow()
			r.terminate(10 * time.Second)
			r.write()
			r.start()
		}
		r.settle()
	}},
	{"the rules are reloaded, bad ones are refused", reloaded},
	{"neither the log nor its folder is there at the start", missingLog},
	{"a backlog of 200,000 lines", func(r *rig) {
		r.log.open()
		for range 200 {
			if err := r.log.write(1000); err != nil {
				r.t.Fatal(err)
			}
		}
		r.begin()
		r.log.rotate()
		r.awaitFlow()
		r.settle()
	}},
}

// checkpoint is the path of the checkpoint.
func (r *rig) checkpoint() string { return filepath.Join(r.dir, "state", "checkpoint.json") }

// killedAtFirstCheckpoint kills mtatap as soon as it has saved how far it has
// read: what it knew of messages under way must be found again.
func killedAtFirstCheckpoint(r *rig) {
	r.log.start()
	for n := range 4 {
		time.Sleep(600 * time.Millisecond)
		r.launch()
		for deadline := time.Now().Add(20 * time.Second); saves(r.checkpoint()) == 0; time.Sleep(200 * time.Microsecond) {
			if time.Now().After(deadline) {
				r.t.Fatal("no checkpoint is saved")
			}
		}
		r.kill()
		if n < 3 { // so that the next one is the first again
			if err := os.RemoveAll(filepath.Dir(r.checkpoint())); err != nil {
				r.t.Fatal(err)
			}
		}
	}
	r.start()
	r.write()
	r.settle()
}

// saves is how much the checkpoint says has been read.
func saves(path string) (offset int64) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	for _, field := range strings.Split(string(text), `"offset":`)[1:] {
		var n int64
		if _, err := fmt.Sscan(strings.TrimRight(strings.Fields(field)[0], ",}"), &n); err == nil {
			offset += n
		}
	}
	return offset
}

// killedInRotations kills mtatap at every point of a rotation, as the steps of
// each round say.
func killedInRotations(r *rig) {
	log := r.log
	r.begin()
	siblings := 0
	steps := map[string]func(){
		"rename":   func() { log.rename(); siblings++ },
		"reopen":   log.reopen,
		"kill":     r.kill,
		"start":    r.launch,
		"gzip 1":   func() { log.compress(1) },
		"gzip 2":   func() { log.compress(2) },
		"a while":  func() { time.Sleep(700 * time.Millisecond) },
		"a moment": func() { time.Sleep(30 * time.Millisecond) },
	}
	kills := 0
	for _, round := range [][]string{
		{"rename", "kill", "start", "a while", "reopen"},
		{"rename", "a moment", "kill", "a while", "reopen", "start"},
		{"rename", "a while", "reopen", "kill", "gzip 2", "start"},
		{"kill", "rename", "a while", "start", "a moment", "reopen", "gzip 2"},
		{"kill", "rename", "reopen", "gzip 1", "start"},
		{"rename", "reopen", "a moment", "gzip 1", "kill", "start"},
		{"kill", "rename", "reopen", "a while", "rename", "reopen", "gzip 2", "gzip 1", "start"},
		{"rename", "kill", "start", "a moment", "kill", "reopen", "a moment", "start", "a moment", "kill", "start"},
		{"a while", "a while", "rename", "a moment", "reopen", "kill", "a while", "start", "gzip 1"},
		{"rename", "reopen", "kill", "start"},
	} {
		r.t.Logf("%s: %s", time.Now().Format(time.TimeOnly), strings.Join(round, ", "))
		for _, step := range round {
			if steps[step](); step == "kill" {
				kills++
			}
			time.Sleep(time.Duration(20+len(step)*7) * time.Millisecond)
		}
		time.Sleep(time.Second)
	}
	log.end()
	r.await(10*time.Second, "the web listener answers", r.answers)
	r.awaitCaughtUp(catchUp)
	doubles := r.finish()
	if n := len(log.generations()); n != siblings+1 || kills != 12 {
		r.t.Errorf("the log has %d generations, want %d; %d kills", n, siblings+1, kills)
	}
	// A checkpoint that never moved would repeat half of everything with each
	// kill, six times as much. How much it is otherwise, the machine decides.
	if doubles > r.measured.written {
		r.t.Errorf("%d doubles of %d outcomes", doubles, r.measured.written)
	}
}

// killedAtRandom does the steps of the scenario above in any order. The log of
// the test says which.
func killedAtRandom(r *rig) {
	seed := uint64(time.Now().UnixNano())
	rng := rand.New(rand.NewPCG(seed, 0))
	log := r.log
	r.begin()
	renamed := false
	var done []string
	for begun := time.Now(); time.Since(begun) < 15*time.Second; {
		step := "none"
		switch n := rng.IntN(6); {
		case n == 0 && r.process != nil:
			step = "kill"
			r.kill()
		case n <= 2 && r.process == nil:
			step = "start"
			r.launch()
		case n == 3 && !renamed:
			step, renamed = "rename", true
			log.rename()
		case n == 4 && renamed:
			step, renamed = "reopen", false
			log.reopen()
		case n == 5:
			if sibling := 1 + rng.IntN(3); exists(log.sibling(sibling, "")) && (sibling > 1 || !renamed) {
				step = fmt.Sprint("gzip ", sibling)
				log.compress(sibling)
			}
		}
		pause := time.Duration(rng.IntN(250)) * time.Millisecond
		done = append(done, fmt.Sprint(step, " ", pause))
		time.Sleep(pause)
	}
	r.t.Logf("seed %d: %s", seed, strings.Join(done, ", "))
	if renamed {
		log.reopen()
	}
	if r.process == nil {
		r.launch()
	}
	r.settle()
}

func missingLog(r *rig) {
	r.begins = "end" // is for what was there at the first start
	folder := filepath.Dir(r.source)
	remove(r.t, folder)
	r.start()
	r.awaitLog(5*time.Second, "waiting for log", r.source)
	time.Sleep(3 * time.Second)
	if err := os.Mkdir(folder, 0o755); err != nil {
		r.t.Fatal(err)
	}
	time.Sleep(2 * time.Second)
	if n := countLines(r.logText(), r.source, "log"); n != 1 {
		r.t.Errorf("the log that is missing is told of %d times", n)
	}
	r.log.start()
	r.awaitFlow()
	r.settle()
}
