//go:build e2e

package faults

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mtatap/e2e/lab"
)

var kafkaOutageScenarios = []scenario{
	{"Kafka is dead for half a minute while the log rotates", longOutage},
	{"Kafka hangs for twenty seconds", func(r *rig) {
		broker := r.ownKafka(lab.KafkaOptions{})
		r.begin()
		broker.Suspend()
		r.log.rotate()
		time.Sleep(20 * time.Second)
		broker.Continue()
		r.awaitFlow()
		r.settle()
	}},
	{"Kafka is down at the start, and at stops and kills, while the log rotates", downAtStart},
	{"mtatap is killed and the log rotated in an outage of Kafka", func(r *rig) {
		broker := r.ownKafka(lab.KafkaOptions{})
		r.begin()
		broker.Kill()
		for range 3 {
			r.log.rotate()
			r.write()
			r.kill()
			r.log.rotate()
			r.log.compress(2)
			r.write()
			r.start()
			time.Sleep(time.Second)
		}
		broker.Restart()
		r.awaitFlow()
		r.settle()
	}},
	{"mtatap is stopped in an outage of Kafka, in under fifteen seconds", func(r *rig) {
		broker := r.ownKafka(lab.KafkaOptions{})
		r.begin()
		broker.Kill()
		time.Sleep(2 * time.Second)
		r.terminate(15 * time.Second)
		r.log.rotate()
		r.write()
		broker.Restart()
		r.start()
		r.awaitFlow()
		r.settle()
	}},
	{"Kafka is restarted three times", func(r *rig) {
		broker := r.ownKafka(lab.KafkaOptions{})
		r.begin()
		for range 3 {
			broker.Restart()
			r.awaitFlow()
		}
		r.settle()
	}},
	{"the leading one of three brokers dies", func(r *rig) {
		cluster := lab.StartKafkaCluster(r.t, 3)
		topic := r.publishToTopic(cluster.Broker(0))
		r.sink("kafka")["brokers"] = cluster.Addrs()
		r.begin()
		for range 2 {
			leader := cluster.Broker(cluster.Leader(topic))
			leader.Kill()
			r.awaitFlow() // the others go on
			leader.Restart()
			r.awaitFlow()
		}
		r.settle()
	}},
	{"Kafka is dead beside a webhook that is dead, too", func(r *rig) {
		broker := r.ownKafka(lab.KafkaOptions{})
		r.addWebhook("http://"+lab.FreeAddr(r.t), false)
		r.begin()
		broker.Kill()
		r.log.rotate()
		time.Sleep(3 * time.Second)
		broker.Restart()
		r.await(catchUp, "Kafka takes events again", func() bool { return r.metric("mtatap_sink_events_total", `sink="kafka"`) > 3000 })
		if r.metric("mtatap_dead_letters_total", `sink="webhook"`, `cause="queue_full"`) == 0 {
			r.t.Error("what the webhook did not get is not counted")
		}
		r.settle()
	}},
	{"a required webhook is dead for a while beside a Kafka that works", func(r *rig) {
		r.ownKafka(lab.KafkaOptions{})
		hook := newReceiver(r.t)
		r.addWebhook(hook.url, true)
		r.begin()
		hook.break503(true)
		r.log.rotate()
		time.Sleep(4 * time.Second)
		hook.break503(false)
		r.awaitFlow()
		kafka := r.read
		r.read = func() map[string][]lab.KafkaRecord {
			records := kafka()
			records["webhook"] = hook.records(r.t)
			return records
		}
		r.settle()
	}},
	{"the log rotates through all its files in an outage, and the oldest are deleted", rotatedAway},
}

// ownKafka starts a broker that the scenario may break.
func (r *rig) ownKafka(opts lab.KafkaOptions) *lab.Kafka {
	r.t.Helper()
	broker := lab.StartKafka(r.t, opts)
	r.publishToTopic(broker)
	return broker
}

func longOutage(r *rig) {
	const outage = 30 * time.Second
	t, s, log := r.t, r.sidecar, r.log
	broker := r.ownKafka(lab.KafkaOptions{})
	log.rate = 2 * linesASecond
	r.begin()
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
	r.awaitFlow()
	log.end()
	s.awaitCaughtUp(catchUp)

	t.Logf("errors %v, lag %.1f s, %.0f bytes, memory %.1f MiB", errors, lags, bytes, memory)
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
	if most := slices.Max(memory); most > 80 {
		t.Errorf("mtatap took %.1f MiB in an outage", most)
	}
	// The queue fills in the first seconds; then nothing more may be kept.
	if early, late := slices.Max(memory[3:10]), slices.Max(memory[20:]); late > early+10 {
		t.Errorf("memory grows in an outage: %.1f MiB early, %.1f MiB late", early, late)
	}
	// One request a partition may have been taken without an answer.
	if doubles := r.finish(); doubles > partitions*1000 {
		t.Errorf("%d doubles", doubles)
	}
	// Catching up fills every queue, which takes more, but no backlog's worth.
	if most := r.peak(); most > 128 {
		t.Errorf("mtatap took %.1f MiB to catch up", most)
	}
	if n := strings.Count(s.logText(), "\n"); n > 60 {
		t.Errorf("%d lines were logged in an outage", n)
	}
}

func downAtStart(r *rig) {
	const old = "2026-11-20T10:00:00.000000+00:00 mx1 postfix/smtp[9]: 4E0AAAAAAAA: to=<old@d001.example>, relay=none, delay=1, delays=1/0/0/0, dsn=4.4.1, status=deferred (connect to mx.d001.example[192.0.2.1]:25: S8888888 Connection refused)\n"
	if err := os.WriteFile(r.source, []byte(old), 0o644); err != nil {
		r.t.Fatal(err)
	}
	broker := r.ownKafka(lab.KafkaOptions{})
	r.begins = "end"
	broker.Kill()
	r.start()
	r.await(5*time.Second, "the first position is saved", func() bool { return exists(r.checkpoint()) })
	r.log.start()
	r.awaitLog(5*time.Second, "level=ERROR", "sink=kafka")
	time.Sleep(3 * time.Second)
	r.terminate(stopWithin)
	// Rotated files of which nothing has been delivered stay known over more
	// than one restart, compressed or not.
	for range 3 {
		r.log.rotate()
		time.Sleep(200 * time.Millisecond)
	}
	r.log.compress(3)
	r.log.compress(2)
	for range 3 {
		r.start() // still without Kafka
		time.Sleep(time.Second)
		r.kill()
	}
	r.start()
	time.Sleep(2 * time.Second)
	r.terminate(stopWithin)
	broker.Restart()
	r.start()
	r.awaitFlow()
	r.settle()
}

// rotatedAway is days of an outage in seconds: a small log that is rotated again
// and again, of which three old files are kept.
func rotatedAway(r *rig) {
	const kept = 3
	r.expect = expectation{gap: true, mayMiss: map[string]bool{}, unjoined: true, unreplayed: true}
	r.log.rate = linesASecond / 2
	r.log.traffic.patient = true // an expiry is told by lines that may be lost
	broker := r.ownKafka(lab.KafkaOptions{})
	r.begin()
	broker.Kill()
	var from int
	ends := []int{}
	for range kept + 4 {
		time.Sleep(2 * time.Second)
		if oldest := r.log.sibling(kept, ""); exists(oldest) {
			remove(r.t, oldest)
		}
		r.log.held(func() {
			ends = append(ends, len(r.log.traffic.outcomes))
			r.log.rename()
			r.log.open()
		})
	}
	// The first file was being read and is still open; the next ones are gone.
	from = ends[0]
	for _, o := range r.log.traffic.outcomes[from:ends[len(ends)-1-kept]] {
		r.expect.mayMiss[o.name()] = true
	}
	broker.Restart()
	r.awaitFlow()
	gaps := r.metric("mtatap_tail_gaps_total", `kind="missing_remainder"`)
	r.settle()
	if want := float64(len(ends) - 1 - kept); gaps != want || r.measured.lost == 0 {
		r.t.Errorf("%v gaps counted, want one for each of %v deleted files; %d outcomes lost", gaps, want, r.measured.lost)
	}
	if n := countLines(r.logText(), "level=WARN", "is gone", filepath.Base(r.source)); n != int(gaps) {
		r.t.Errorf("%d gaps are logged, %v counted", n, gaps)
	}
}

// addWebhook adds a webhook beside Kafka.
func (r *rig) addWebhook(url string, required bool) {
	r.settings["sinks"].(map[string]any)["webhook"] = map[string]any{"url": url, "required": required, "timeout": "2s"}
}
