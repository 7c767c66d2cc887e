//go:build e2e

package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"mtatap/e2e/lab"
)

const (
	linesASecond = 3000
	partitions   = 3
	catchUp      = 30 * time.Second
	stopWithin   = 15 * time.Second
)

// TestFaults breaks one thing after the other under a log that never pauses.
// Whatever happens, each logged outcome is in Kafka at the end.
func TestFaults(t *testing.T) {
	broker := lab.StartKafka(t, lab.KafkaOptions{})
	for _, c := range []struct {
		name string
		test func(t *testing.T, broker *lab.Kafka, topic string)
	}{
		{"a missing log is waited for, said once and read from its start", testMissingLog},
		{"a wrong broker address is said and shown, and mtatap stays", testWrongBroker},
		{"a reload with bad rules keeps the old ones", testReload},
		{"killed at its first checkpoint", testKilledAtFirstCheckpoint},
		{"killed in the middle of rotations", testKilledInRotations},
		{"killed at random in rotations at random", testKilledAtRandom},
		{"Kafka is down at the start and at the stop", testKafkaDownAtStart},
		{"Kafka dies for half a minute while the log rotates", testKafkaOutage},
	} {
		t.Run(c.name, func(t *testing.T) {
			topic := fmt.Sprintf("faults-%d", time.Now().UnixNano())
			broker.CreateTopic(topic, partitions, nil)
			c.test(t, broker, topic)
		})
	}
}

// testKilledAtFirstCheckpoint kills mtatap as soon as it has saved how far it
// has read: what it knew of messages under way must be found again.
func testKilledAtFirstCheckpoint(t *testing.T, broker *lab.Kafka, topic string) {
	for n := range 4 {
		topic := fmt.Sprint(topic, "-", n)
		broker.CreateTopic(topic, partitions, nil)
		s := newSidecar(t, broker.Addr(), topic)
		log := newMailLog(t, s.source, linesASecond)
		log.start()
		time.Sleep(600 * time.Millisecond)
		s.launch()
		checkpoint := filepath.Join(s.dir, "state", "checkpoint.json")
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(200 * time.Microsecond) {
			text, err := os.ReadFile(checkpoint)
			if err == nil && countLines(string(text), `"offset"`) > countLines(string(text), `"offset": 0`) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("no checkpoint is saved")
			}
		}
		s.kill()
		s.start()
		time.Sleep(300 * time.Millisecond)
		log.end()
		s.awaitCaughtUp(catchUp)
		s.finish(broker, log)
	}
}

// testKilledInRotations kills mtatap at every point of a rotation, as the steps
// of each round say.
func testKilledInRotations(t *testing.T, broker *lab.Kafka, topic string) {
	s := newSidecar(t, broker.Addr(), topic)
	log := newMailLog(t, s.source, linesASecond)
	log.start()
	s.start()
	siblings := 0
	steps := map[string]func(){
		"rename":   func() { log.rename(); siblings++ },
		"reopen":   log.reopen,
		"kill":     s.kill,
		"start":    s.launch,
		"gzip 1":   func() { log.compress(1) },
		"gzip 2":   func() { log.compress(2) },
		"a while":  func() { time.Sleep(700 * time.Millisecond) },
		"a moment": func() { time.Sleep(30 * time.Millisecond) },
	}
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
	} {
		t.Logf("%s: %s", time.Now().Format(time.TimeOnly), strings.Join(round, ", "))
		for _, step := range round {
			steps[step]()
			time.Sleep(time.Duration(20+len(step)*7) * time.Millisecond)
		}
		time.Sleep(time.Second)
	}
	log.end()
	s.await(10*time.Second, "the web listener answers", s.answers)
	s.awaitCaughtUp(catchUp)
	doubles := s.finish(broker, log)
	if n := len(log.generations()); n != siblings+1 {
		t.Errorf("the log has %d generations, want %d", n, siblings+1)
	}
	// The checkpoint is saved every half second: each of the kills repeats what
	// was published since. A third of the lines are outcomes.
	if most := 12 * linesASecond / 3; doubles > most {
		t.Errorf("%d doubles, want at most %d", doubles, most)
	}
}

// testKilledAtRandom does the steps of the test above in any order. The log of
// the test says which.
func testKilledAtRandom(t *testing.T, broker *lab.Kafka, topic string) {
	seed := uint64(time.Now().UnixNano())
	rng := rand.New(rand.NewPCG(seed, 0))
	s := newSidecar(t, broker.Addr(), topic)
	log := newMailLog(t, s.source, linesASecond)
	log.start()
	s.start()
	renamed := false
	var done []string
	for begun := time.Now(); time.Since(begun) < 20*time.Second; {
		step := "none"
		switch n := rng.IntN(6); {
		case n == 0 && s.process != nil:
			step = "kill"
			s.kill()
		case n <= 2 && s.process == nil:
			step = "start"
			s.launch()
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
	t.Logf("seed %d: %s", seed, strings.Join(done, ", "))
	if renamed {
		log.reopen()
	}
	if s.process == nil {
		s.launch()
	}
	log.end()
	s.await(10*time.Second, "the web listener answers", s.answers)
	s.awaitCaughtUp(catchUp)
	s.finish(broker, log)
}

func testKafkaOutage(t *testing.T, broker *lab.Kafka, topic string) {
	const outage = 30 * time.Second
	s := newSidecar(t, broker.Addr(), topic)
	log := newMailLog(t, s.source, linesASecond)
	log.start()
	s.start()
	s.await(10*time.Second, "events are published", func() bool { return s.metric("mtatap_sink_events_total", `sink="kafka"`) > 1000 })

	broker.Kill()
	at := time.Now()
	var memory []float64
	errors := []float64{s.metric("mtatap_sink_errors_total", `sink="kafka"`)}
	var lags, bytes []float64
	rotations := []func(){
		log.rename, log.reopen,
		log.rename, log.reopen, func() { log.compress(2) },
	}
	for second := 1; time.Since(at) < outage; second++ {
		time.Sleep(time.Until(at.Add(time.Duration(second) * time.Second)))
		memory = append(memory, s.resident())
		if second > 8 && len(rotations) > 0 && second%3 == 0 {
			rotations[0]()
			rotations = rotations[1:]
		}
		if second%8 == 0 {
			errors = append(errors, s.metric("mtatap_sink_errors_total", `sink="kafka"`))
			lags = append(lags, s.metric("mtatap_tail_lag_seconds"))
			bytes = append(bytes, s.metric("mtatap_tail_lag_bytes"))
		}
	}
	if len(rotations) > 0 {
		t.Fatal("the outage was too short for the rotations")
	}
	if body, code, err := s.request(http.MethodGet, "/-/ready"); code != http.StatusServiceUnavailable {
		t.Errorf("ready in an outage: %d %q, %v", code, body, err)
	}
	broker.Restart()
	var later []float64
	for begun := time.Now(); time.Since(begun) < 5*time.Second; time.Sleep(250 * time.Millisecond) {
		later = append(later, s.resident())
	}
	log.end()
	s.awaitCaughtUp(catchUp)

	t.Logf("errors %v, lag %.1f s, %.0f bytes, memory %.1f MiB, later %.1f MiB", errors, lags, bytes, memory, later)
	for name, values := range map[string][]float64{"mtatap_sink_errors_total": errors, "mtatap_tail_lag_seconds": lags} {
		for i := range values[1:] {
			if values[i] >= values[i+1] {
				t.Errorf("%s does not rise in an outage: %v", name, values)
			}
		}
	}
	if lags[0] <= 0 || slices.Min(bytes) <= 0 {
		t.Errorf("no lag in an outage: %v s, %v bytes", lags, bytes)
	}
	if most := slices.Max(memory); most > 60 {
		t.Errorf("mtatap took %.1f MiB in an outage", most)
	}
	// Catching up fills every queue, which takes more, but no backlog's worth.
	if most := slices.Max(later); most > 128 {
		t.Errorf("mtatap took %.1f MiB to catch up", most)
	}
	// The queue fills in the first seconds; then nothing more may be kept.
	if early, late := slices.Max(memory[3:10]), slices.Max(memory[20:30]); late > early+10 {
		t.Errorf("memory grows in an outage: %.1f MiB early, %.1f MiB late", early, late)
	}
	// One request a partition may have been taken without an answer.
	if doubles := s.finish(broker, log); doubles > partitions*1000 {
		t.Errorf("%d doubles", doubles)
	}
	if n := strings.Count(s.logText(), "\n"); n > 60 {
		t.Errorf("%d lines were logged in an outage", n)
	}
}

func testKafkaDownAtStart(t *testing.T, broker *lab.Kafka, topic string) {
	s := newSidecar(t, broker.Addr(), topic)
	s.begin = "end"
	const old = "2026-11-20T10:00:00.000000+00:00 mx1 postfix/smtp[9]: 4E0AAAAAAAA: to=<old@d001.example>, relay=none, delay=1, delays=1/0/0/0, dsn=4.4.1, status=deferred (connect to mx.d001.example[192.0.2.1]:25: S8888888 Connection refused)\n"
	if err := os.WriteFile(s.source, []byte(old), 0o644); err != nil {
		t.Fatal(err)
	}
	broker.Kill()
	s.start()
	s.await(5*time.Second, "the first position is saved", func() bool { return exists(filepath.Join(s.dir, "state", "checkpoint.json")) })
	log := newMailLog(t, s.source, linesASecond)
	log.start()
	s.awaitLog(5*time.Second, "level=ERROR", "sink=kafka")
	time.Sleep(5 * time.Second)
	s.terminate(stopWithin)
	// Rotated files of which nothing has been delivered stay known over more
	// than one restart, compressed or not.
	for range 3 {
		log.rename()
		log.reopen()
		time.Sleep(200 * time.Millisecond)
	}
	log.compress(3)
	log.compress(2)
	for range 3 {
		s.start() // still without Kafka
		time.Sleep(time.Second)
		s.kill()
	}
	s.start()
	time.Sleep(3 * time.Second)
	s.terminate(stopWithin)
	broker.Restart()
	s.start()
	time.Sleep(2 * time.Second)
	log.end()
	s.awaitCaughtUp(catchUp)
	s.finish(broker, log)
}

func testWrongBroker(t *testing.T, broker *lab.Kafka, topic string) {
	for _, host := range []string{"127.0.0.1:", "kafka.invalid"} {
		s := newSidecar(t, strings.TrimSuffix(host, ":")+":1", topic)
		log := newMailLog(t, s.source, linesASecond)
		log.start()
		s.start()
		s.awaitLog(5*time.Second, "sink=kafka", host)
		s.await(5*time.Second, "errors are counted", func() bool { return s.metric("mtatap_sink_errors_total", `sink="kafka"`) > 0 })
		if _, code, err := s.request(http.MethodGet, "/-/healthy"); code != http.StatusOK {
			t.Errorf("a wrong broker makes mtatap unhealthy: %d, %v", code, err)
		}
		if n := s.metric("mtatap_sink_events_total", `sink="kafka"`); n != 0 {
			t.Errorf("%v events went nowhere", n)
		}
		time.Sleep(2 * time.Second)
		log.end()
		s.terminate(stopWithin)
		s.broker = broker.Addr()
		s.start()
		s.awaitCaughtUp(catchUp)
		if doubles := s.finish(broker, log); doubles != 0 {
			t.Errorf("%d doubles", doubles)
		}
		topic += "-next"
		broker.CreateTopic(topic, partitions, nil)
	}
}

func testMissingLog(t *testing.T, broker *lab.Kafka, topic string) {
	s := newSidecar(t, broker.Addr(), topic)
	s.begin = "end" // is for what was there at the first start
	if err := os.Remove(filepath.Dir(s.source)); err != nil {
		t.Fatal(err)
	}
	s.start()
	s.awaitLog(5*time.Second, "waiting for log", s.source)
	time.Sleep(3 * time.Second)
	if err := os.Mkdir(filepath.Dir(s.source), 0o755); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Second)
	if n := countLines(s.logText(), s.source, "log"); n != 1 {
		t.Errorf("the log that is missing is told of %d times", n)
	}
	log := newMailLog(t, s.source, linesASecond)
	log.start()
	time.Sleep(3 * time.Second)
	log.end()
	s.awaitCaughtUp(catchUp)
	if doubles := s.finish(broker, log); doubles != 0 {
		t.Errorf("%d doubles", doubles)
	}
}

func testReload(t *testing.T, broker *lab.Kafka, topic string) {
	s := newSidecar(t, broker.Addr(), topic)
	s.rules = filepath.Join(s.dir, "rules.yaml")
	writeRules := func(id, expression string) {
		t.Helper()
		const text = "schema: 1\nversion: %q\nextends: default\nrules:\n  - id: %s\n    regex: '%s'\n    category: hard\n    reason: user-unknown\n    examples: [\"550 5.1.1 S0000000 no such user here\"]\n"
		if err := os.WriteFile(s.rules, fmt.Appendf(nil, text, id, id, expression), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const good, bad, badLine = `S\d+ no such user`, `S(\d+ no such user`, "rules.yaml:6"
	inUse := func(loaded float64, version string) func() bool {
		return func() bool {
			return s.metric("mtatap_rules_last_reload_successful") == loaded && s.metric("mtatap_rules_info", `version="`+version+`"`) == 1
		}
	}
	published := func() float64 { return s.metric("mtatap_sink_events_total", `sink="kafka"`) }
	awaitTraffic := func() {
		t.Helper()
		before := published()
		s.await(10*time.Second, "traffic goes on", func() bool { return published() > before+1000 })
	}
	post := func(want int) string {
		t.Helper()
		body, code, err := s.request(http.MethodPost, "/-/reload")
		if err != nil || code != want {
			t.Errorf("POST /-/reload: %d %q, %v, want %d", code, body, err, want)
		}
		return body
	}

	writeRules("e2e-one", good)
	log := newMailLog(t, s.source, linesASecond)
	log.start()
	s.start()
	awaitTraffic()

	writeRules("e2e-bad", bad)
	s.signal(syscall.SIGHUP)
	s.awaitLog(5*time.Second, "level=ERROR", badLine)
	s.await(5*time.Second, "the gauge is 0 and the old rules are there", inUse(0, "e2e-one"))
	awaitTraffic()
	writeRules("e2e-two", good)
	s.signal(syscall.SIGHUP)
	s.await(5*time.Second, "the gauge is 1 and the new rules are there", inUse(1, "e2e-two"))
	awaitTraffic()

	writeRules("e2e-bad", bad)
	if body := post(http.StatusInternalServerError); !strings.Contains(body, badLine) {
		t.Errorf("the answer to a bad reload lacks %s: %q", badLine, body)
	}
	s.await(time.Second, "the gauge is 0 and the old rules are there", inUse(0, "e2e-two"))
	awaitTraffic()
	if err := os.Remove(s.rules); err != nil {
		t.Fatal(err)
	}
	post(http.StatusInternalServerError)
	s.await(time.Second, "the gauge is 0 and the old rules are there", inUse(0, "e2e-two"))
	writeRules("e2e-three", good)
	post(http.StatusOK)
	s.await(time.Second, "the gauge is 1 and the new rules are there", inUse(1, "e2e-three"))
	if _, code, _ := s.request(http.MethodGet, "/-/reload"); code != http.StatusMethodNotAllowed {
		t.Errorf("GET /-/reload: %d", code)
	}
	awaitTraffic()

	log.end()
	s.awaitCaughtUp(catchUp)
	s.terminate(stopWithin)
	records := broker.ReadAll(topic)
	f := check(records, log.end(), nil)
	delete(f.found, replayDiffers) // it was not asked: it knows one rule set only
	f.report(t)
	if f.doubles != 0 {
		t.Errorf("%d doubles", f.doubles)
	}
	checkRulesInTurn(t, records, "e2e-one", "e2e-two", "e2e-three")
}

// checkRulesInTurn fails unless, by their place in the log, the refusals were
// decided by each of the rules for a while, one after the other.
func checkRulesInTurn(t *testing.T, records []lab.KafkaRecord, rules ...string) {
	t.Helper()
	var refusals []*topicEvent
	for _, r := range records {
		if p, err := decodeEvent(r.Value); err == nil && p.Status == "bounced" {
			refusals = append(refusals, p)
		}
	}
	slices.SortFunc(refusals, func(a, b *topicEvent) int { return int(a.Source.Offset - b.Source.Offset) })
	var turns []string
	for _, p := range refusals {
		if len(turns) == 0 || turns[len(turns)-1] != p.Rule {
			turns = append(turns, p.Rule)
		}
	}
	if !slices.Equal(turns, rules) {
		t.Errorf("refusals were decided by %q in turn, want %q", turns[:min(len(turns), 10)], rules)
	}
}
