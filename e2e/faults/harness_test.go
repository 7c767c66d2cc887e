//go:build e2e

package faults

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"mtatap/e2e/lab"
)

const (
	linesASecond = 1500
	partitions   = 3
	catchUp      = 60 * time.Second
	stopWithin   = 15 * time.Second
)

// scenario is one thing that is broken. Its name is a sentence.
type scenario struct {
	name string
	test func(r *rig)
}

// promise is what scenarios prove together.
type promise struct {
	name      string
	own       bool // scenarios choose and break Kafka themselves
	scenarios []scenario
}

func promises() []promise {
	return []promise{
		{"Rotation loses nothing", false, rotationScenarios},
		{"copytruncate loses only what nobody can read", false, copytruncateScenarios},
		{"What happens while mtatap is down is caught up with", false, whileDownScenarios},
		{"A crash, a stop or a reload loses nothing", false, processScenarios},
		{"Damaged state loses nothing", false, stateScenarios},
		{"Broken lines do no harm to others", false, lineScenarios},
		{"A Kafka outage is waited out", true, kafkaOutageScenarios},
		{"A Kafka that refuses is reported and waited for", true, kafkaRefusalScenarios},
	}
}

// TestFaults runs every scenario, several at once.
func TestFaults(t *testing.T) {
	target := newTarget(t)
	results := newResults()
	t.Cleanup(func() {
		t.Log("\n" + results.table(nil))
		if *update {
			results.write(t)
		}
	})
	for _, p := range promises() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			for _, s := range p.scenarios {
				t.Run(s.name, func(t *testing.T) {
					t.Parallel()
					if p.own && *userConfig != "" {
						t.Skip("breaks Kafka, which is left to the Kafka of the lab")
					}
					r := newRig(t)
					if target.broker != nil {
						r.lab = target.broker.For(t)
					}
					if !p.own {
						r.publishTo(target)
					}
					t.Cleanup(func() {
						switch {
						case t.Failed():
							results.add(s.name, nil)
						case !t.Skipped():
							results.add(s.name, r.measured)
						}
					})
					s.test(r)
				})
			}
		})
	}
}

// TestTheSinksOfAConfigurationAreReadBack shows that -config proves something.
func TestTheSinksOfAConfigurationAreReadBack(t *testing.T) {
	broker := lab.StartKafka(t, lab.KafkaOptions{Secure: true})
	broker.CreateTopic("mine", 2, nil)
	r, sec := newRig(t), broker.Security()
	password, cfg := filepath.Join(r.dir, "password"), filepath.Join(r.dir, "user.yaml")
	r.writeSecret(password, sec.Password)
	r.writeSecret(cfg, fmt.Sprintf("sources: [{path: /var/log/mail.log, format: postfix}]\nsinks:\n"+
		"  out: {kind: kafka, brokers: [%q], topic: other, tls: {ca_file: %q}, sasl: {mechanism: scram-sha-512, username: %s, password_file: %q}}\n"+
		"  file: {path: %q}\n  stdout: {}\n", sec.SASLAddr, sec.CAFile, sec.Username, password, filepath.Join(r.dir, "events.ndjson")))
	r.publishTo(userTarget(t, cfg, "mine"))
	read := r.read
	r.read = func() map[string][]lab.KafkaRecord {
		records := read()
		if len(records["out"]) == 0 || len(records["file"]) == 0 {
			t.Errorf("%d records in the topic, %d in the file", len(records["out"]), len(records["file"]))
		}
		return records
	}
	r.begin()
	r.log.rotate()
	r.awaitFlow()
	r.settle()
}

// rig is all that a scenario needs: a sidecar that is not started, the log that
// it follows and that nobody writes yet, and what it publishes to.
type rig struct {
	*sidecar
	log      *mailLog
	lab      *lab.Kafka                          // shared by all scenarios: not to be broken
	durable  []string                            // names of the sinks that must get everything
	read     func() map[string][]lab.KafkaRecord // what each of them got
	expect   expectation
	measured *result
}

// expectation is what a scenario allows that is a fault otherwise.
type expectation struct {
	gap        bool            // at least one is counted and logged
	letters    bool            // there are dead letters
	mayMiss    map[string]bool // outcomes by name that may not arrive
	unjoined   bool            // lines were lost that tell of senders and attempts
	unreplayed bool            // the log's files no longer have all of it
}

func newRig(t *testing.T) *rig {
	s := newSidecar(t)
	return &rig{sidecar: s, log: newMailLog(t, s.source, linesASecond)}
}

// begin starts the writer and the sidecar and waits until events flow.
func (r *rig) begin() {
	r.t.Helper()
	r.log.start()
	r.start()
	r.awaitFlow()
}

// awaitFlow waits until each durable sink has taken some more events.
func (r *rig) awaitFlow() {
	r.t.Helper()
	for _, sink := range r.durable {
		label := fmt.Sprintf("sink=%q", sink)
		before := r.metric("mtatap_sink_events_total", label)
		r.await(catchUp, "events flow to "+sink, func() bool { return r.metric("mtatap_sink_events_total", label) > before+200 })
	}
}

// settle ends the writer and waits until all that it has written is
// acknowledged. Then it stops the sidecar and checks what has arrived.
func (r *rig) settle() {
	r.t.Helper()
	r.log.end()
	r.await(10*time.Second, "the web listener answers", r.answers)
	r.awaitCaughtUp(catchUp)
	r.finish()
}

// finish stops the sidecar and fails the test for each fault in what has
// arrived. It returns how many records were repetitions.
func (r *rig) finish() (doubles int) {
	r.t.Helper()
	gaps := r.metric("mtatap_tail_gaps_total")
	r.terminate(stopWithin)
	want := r.log.end()
	var replayed []string
	if !r.expect.unreplayed {
		replayed = replay(r.t, r.log.generations())
	}
	m := &result{written: len(want), peak: r.peak(), cpu: r.cpu}
	for sink, records := range r.read() {
		f := check(records, want, r.expect.mayMiss, replayed)
		if r.expect.unreplayed {
			delete(f.found, replayDiffers)
		}
		if r.expect.unjoined {
			delete(f.found, notJoined)
		}
		f.report(r.t, sink)
		m.delivered, m.lost = max(m.delivered, f.delivered), max(m.lost, len(want)-f.delivered)
		m.doubles = max(m.doubles, f.doubles)
	}
	r.t.Logf("%d outcomes in %d files: %+v", len(want), len(r.log.generations()), *m)
	r.measured = m
	r.checkGaps(gaps)
	if letters := exists(r.deadLetters()); letters != r.expect.letters {
		r.t.Errorf("dead letters: %v, want %v", letters, r.expect.letters)
	}
	return m.doubles
}

// checkGaps fails unless gaps are counted and logged where they are expected.
func (r *rig) checkGaps(counted float64) {
	r.t.Helper()
	logged := countLines(r.logText(), "level=WARN", "kind=")
	switch {
	case r.expect.gap && (counted == 0 || logged == 0):
		r.t.Errorf("a gap is expected; %v counted, %d logged", counted, logged)
	case !r.expect.gap && (counted != 0 || logged != 0):
		r.t.Errorf("%v gaps counted, %d logged", counted, logged)
	}
}

func (s *sidecar) deadLetters() string { return filepath.Join(s.dir, "state", "dead-letters.ndjson") }
