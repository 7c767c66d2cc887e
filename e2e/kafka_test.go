//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mtatap/config"
	"mtatap/e2e/lab"
	"mtatap/event"
	"mtatap/sinks"
)

func TestKafkaSink(t *testing.T) {
	broker := lab.StartKafka(t, lab.KafkaOptions{Secure: true, Config: map[string]string{"num.partitions": "3"}})

	t.Run("keeps order, headers and Java's partitions", func(t *testing.T) { testOrderAndHeaders(t, broker) })
	t.Run("compresses with every codec", func(t *testing.T) { testCompression(t, broker) })
	t.Run("buries what is over the broker's limit", func(t *testing.T) { testTooLarge(t, broker) })
	t.Run("creates a topic", func(t *testing.T) { testCreateTopic(t, broker) })
	t.Run("authenticates", func(t *testing.T) { testAuthentication(t, broker) })
	t.Run("says what is wrong with a connection", func(t *testing.T) { testHints(t, broker) })
	t.Run("retries a wrong address", func(t *testing.T) { testWrongAddress(t) })
	t.Run("survives a killed and a suspended broker", func(t *testing.T) { testOutages(t, broker) })
}

func testOrderAndHeaders(t *testing.T, broker *lab.Kafka) {
	broker.CreateTopic("order", 7, nil)
	s := openSink(t, config.Kafka{Brokers: []string{broker.Addr()}, Topic: "order"})
	events := kafkaEvents(20_000, 500)
	before := time.Now().Add(-time.Second)
	for part := events; len(part) > 0; {
		n := min(len(part), 3000)
		if err := s.Write(t.Context(), part[:n]); err != nil {
			t.Fatal(err)
		}
		part = part[n:]
	}
	recs := broker.ReadAll("order")
	if doubles := checkRecords(t, recs, events); doubles != 0 {
		t.Errorf("%d doubles without any failure", doubles)
	}
	byID := map[string]*event.Event{}
	for _, e := range events {
		byID[e.ID.String()] = e
	}
	partitions := map[string]int{}
	for _, r := range recs {
		e := byID[r.Headers["ce_id"]]
		want := map[string]string{
			"ce_specversion": "1.0", "ce_id": e.ID.String(), "ce_source": "/mtatap/mx1", "ce_type": "mtatap.delivery." + e.Status.String(),
			"ce_time": e.Time.Format(time.RFC3339Nano), "content-type": "application/json",
		}
		if fmt.Sprint(r.Headers) != fmt.Sprint(want) || r.Value != string(e.JSON) || r.Time.Before(before) {
			t.Fatalf("record %+v of event %s", r, e.JSON)
		}
		partitions[r.Key] = r.Partition
	}

	broker.CreateTopic("java", 7, nil)
	keys := make([]string, 0, len(partitions))
	for key := range partitions {
		keys = append(keys, key)
	}
	broker.JavaProduce("java", keys)
	java := broker.ReadAll("java")
	if len(java) != len(keys) {
		t.Fatalf("the Java client published %d records of %d", len(java), len(keys))
	}
	for _, r := range java {
		if partitions[r.Key] != r.Partition {
			t.Errorf("key %q: partition %d, Java's is %d", r.Key, partitions[r.Key], r.Partition)
		}
	}
}

func testCompression(t *testing.T, broker *lab.Kafka) {
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		topic := "codec-" + codec
		broker.CreateTopic(topic, 2, nil)
		events := kafkaEvents(1500, 10)
		write(t, openSink(t, config.Kafka{Brokers: []string{broker.Addr()}, Topic: topic, Compression: codec}), events)
		checkRecords(t, broker.ReadAll(topic), events)
	}
}

func testTooLarge(t *testing.T, broker *lab.Kafka) {
	broker.CreateTopic("small", 2, map[string]string{"max.message.bytes": "50000"})
	s := openSink(t, config.Kafka{Brokers: []string{broker.Addr()}, Topic: "small", Compression: "none"})
	events := kafkaEvents(2000, 10)
	var good []*event.Event
	for i, e := range events {
		if i == 17 || i == 1999 {
			e.JSON = fmt.Appendf(nil, `{"id":"%s","pad":"%s"}`, e.ID, strings.Repeat("x", 60_000))
			continue
		}
		good = append(good, e)
	}
	write(t, s, events)
	if doubles := checkRecords(t, broker.ReadAll("small"), good); doubles != 0 {
		t.Errorf("%d doubles", doubles)
	}
	dead, err := os.ReadFile(s.deadLetters)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{17, 1999} {
		if !bytes.Contains(dead, append([]byte(`,"event":`), events[i].JSON...)) {
			t.Errorf("event %d is not among the dead letters", i)
		}
	}
	if n := bytes.Count(dead, []byte("\n")); n != 2 {
		t.Errorf("%d dead letters", n)
	}
}

func testCreateTopic(t *testing.T, broker *lab.Kafka) {
	events := kafkaEvents(100, 10)
	write(t, openSink(t, config.Kafka{Brokers: []string{broker.Addr()}, Topic: "made", CreateTopic: true}), events)
	checkRecords(t, broker.ReadAll("made"), events)

	// Without create_topic it waits until somebody makes it.
	s := openSink(t, config.Kafka{Brokers: []string{broker.Addr()}, Topic: "made-later"})
	done := s.start(events)
	s.awaitFailures(t, 2)
	broker.CreateTopic("made-later", 2, nil)
	await(t, done)
	checkRecords(t, broker.ReadAll("made-later"), events)
	s.expectLog(t, "create the topic or set create_topic: true", "Sink recovered")
}

func testAuthentication(t *testing.T, broker *lab.Kafka) {
	broker.CreateTopic("secure", 2, nil)
	sec := broker.Security()
	password := filepath.Join(t.TempDir(), "password")
	tls := &config.TLS{CAFile: sec.CAFile}
	var sent []*event.Event
	for _, mechanism := range []string{"plain", "scram-sha-256", "scram-sha-512"} {
		if err := os.WriteFile(password, []byte("wrong\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		s := openSink(t, config.Kafka{
			Brokers: []string{sec.SASLAddr}, Topic: "secure", TLS: tls,
			SASL: &config.SASL{Mechanism: mechanism, Username: sec.Username, PasswordFile: password},
		})
		events := kafkaEvents(100, 10)
		done := s.start(events)
		s.awaitFailures(t, 2)
		if err := os.WriteFile(password, []byte(sec.Password+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		await(t, done)
		s.expectLog(t, "check sasl.username and password_file", "Sink recovered")
		if strings.Contains(s.log.String(), sec.Password) || strings.Contains(s.log.String(), "wrong") {
			t.Errorf("the log has a password:\n%s", &s.log)
		}
		sent = append(sent, events...)
	}
	events := kafkaEvents(100, 10)
	mtls := &config.TLS{CAFile: sec.CAFile, CertFile: sec.CertFile, KeyFile: sec.KeyFile}
	write(t, openSink(t, config.Kafka{Brokers: []string{sec.MTLSAddr}, Topic: "secure", TLS: mtls}), events)
	if n := len(broker.ReadAll("secure")); n != len(sent)+len(events) {
		t.Errorf("%d records arrived of %d", n, len(sent)+len(events))
	}
}

func testHints(t *testing.T, broker *lab.Kafka) {
	sec := broker.Security()
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte(sec.Password), 0o600); err != nil {
		t.Fatal(err)
	}
	sasl := &config.SASL{Mechanism: "plain", Username: sec.Username, PasswordFile: password}
	for name, c := range map[string]struct {
		cfg  config.Kafka
		hint string
	}{
		"plain text to a TLS port":       {config.Kafka{Brokers: []string{sec.MTLSAddr}}, "expect TLS"},
		"TLS to a plain-text port":       {config.Kafka{Brokers: []string{broker.Addr()}, TLS: &config.TLS{}}, "may not speak TLS"},
		"an unknown authority":           {config.Kafka{Brokers: []string{sec.SASLAddr}, TLS: &config.TLS{}, SASL: sasl}, "set tls.ca_file"},
		"no client certificate":          {config.Kafka{Brokers: []string{sec.MTLSAddr}, TLS: &config.TLS{CAFile: sec.CAFile}}, "client certificate"},
		"no sasl on a sasl port":         {config.Kafka{Brokers: []string{sec.SASLAddr}, TLS: &config.TLS{CAFile: sec.CAFile}}, "sasl"},
		"sasl to a port without":         {config.Kafka{Brokers: []string{broker.Addr()}, SASL: sasl}, "may not expect sasl"},
		"a certificate for another name": {config.Kafka{Brokers: []string{sec.SASLAddr}, TLS: &config.TLS{CAFile: sec.CAFile, ServerName: "kafka.example"}, SASL: sasl}, "set tls.server_name"},
	} {
		t.Run(name, func(t *testing.T) {
			c.cfg.Topic = "hints"
			s := openSink(t, c.cfg)
			s.start(kafkaEvents(1, 1))
			s.awaitFailures(t, 1)
			s.expectLog(t, c.hint)
		})
	}
}

func testWrongAddress(t *testing.T) {
	s := openSink(t, config.Kafka{Brokers: []string{"127.0.0.1:1", "kafka.invalid:9092"}, Topic: "t"})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := s.Write(ctx, kafkaEvents(1, 1)); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Write: %v", err)
	}
	if n := s.failures.Load(); n < 4 {
		t.Errorf("%d attempts in 5 s", n)
	}
}

func testOutages(t *testing.T, broker *lab.Kafka) {
	broker.CreateTopic("outages", 5, nil)
	s := openSink(t, config.Kafka{Brokers: []string{broker.Addr()}, Topic: "outages"})
	events := kafkaEvents(400_000, 2000)
	var written atomic.Int64
	done := make(chan error, 1)
	go func() {
		for part := events; len(part) > 0; {
			n := min(len(part), 2500)
			if err := s.Write(t.Context(), part[:n]); err != nil {
				done <- err
				return
			}
			part = part[n:]
			written.Add(int64(n))
			time.Sleep(20 * time.Millisecond) // so that there is a stream to fall into
		}
		done <- nil
	}()
	reached := func(n int64) {
		for written.Load() < n {
			time.Sleep(5 * time.Millisecond)
		}
	}
	reached(50_000)
	broker.Kill()
	s.awaitFailures(t, 5)
	broker.Restart()
	reached(150_000)
	broker.Suspend()
	time.Sleep(12 * time.Second)
	broker.Continue()
	reached(250_000)
	broker.Restart()
	await(t, done)
	doubles := checkRecords(t, broker.ReadAll("outages"), events)
	t.Logf("%d events, %d failed attempts, %d doubles", len(events), s.failures.Load(), doubles)
	// A partition has one request in flight: three outages, 5 partitions, 1000 events.
	if doubles > 15_000 {
		t.Errorf("%d doubles", doubles)
	}
	s.expectLog(t, "Sink recovered")
}

func BenchmarkKafkaSink(b *testing.B) {
	broker := lab.StartKafka(b, lab.KafkaOptions{})
	broker.CreateTopic("bench", 4, nil)
	s := openSink(b, config.Kafka{Brokers: []string{broker.Addr()}, Topic: "bench"})
	events := kafkaEvents(4000, 1000)
	for b.Loop() {
		if err := s.Write(b.Context(), events); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*float64(len(events))/b.Elapsed().Seconds(), "events/s")
}

// openedSink is a sink and what it told.
type openedSink struct {
	*sinks.Kafka
	t           testing.TB
	deadLetters string
	failures    atomic.Int64
	log         kafkaLog
}

type kafkaLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *kafkaLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *kafkaLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func openSink(t testing.TB, cfg config.Kafka) *openedSink {
	t.Helper()
	s := &openedSink{t: t, deadLetters: filepath.Join(t.TempDir(), "dead.ndjson")}
	dead := sinks.NewDeadLetters(config.DeadLetters{Path: s.deadLetters}, nil)
	k, err := sinks.NewKafka(cfg, sinks.Deps{
		Name: "kafka", Log: slog.New(slog.NewTextHandler(&s.log, nil)), DeadLetters: dead,
		Failed: func(error) { s.failures.Add(1) },
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Kafka = k
	t.Cleanup(func() {
		if err := errors.Join(k.Close(), dead.Close()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// start writes events in the background.
func (s *openedSink) start(events []*event.Event) <-chan error {
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { done <- s.Write(ctx, events) }()
	s.t.Cleanup(cancel)
	return done
}

func (s *openedSink) awaitFailures(t *testing.T, n int64) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); s.failures.Load() < n; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d failures, want %d", s.failures.Load(), n)
		}
	}
}

func (s *openedSink) expectLog(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(s.log.String(), text) {
			t.Errorf("the log lacks %q:\n%s", text, &s.log)
		}
	}
}

func await(t *testing.T, done <-chan error) {
	t.Helper()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(2 * time.Minute):
		t.Fatal("the sink did not deliver in two minutes")
	}
}

func write(t *testing.T, s *openedSink, events []*event.Event) {
	t.Helper()
	await(t, s.start(events))
}

func kafkaEvents(n, recipients int) []*event.Event {
	statuses := event.Statuses()
	events := make([]*event.Event, n)
	scratch := []byte(nil)
	for i := range events {
		e := &event.Event{
			Delivery: event.Delivery{
				Time: time.Date(2026, 3, 1, 12, 0, 0, i, time.UTC), MTA: "postfix", Host: "mx1", Program: "smtp",
				Recipient: fmt.Sprintf("User.%dé@Example.org", i%recipients), Status: statuses[i%len(statuses)],
				Diagnostic: "550 5.1.1 no such user here, see https://example.org/help", Offset: int64(i) * 300,
			},
			Verdict:  event.Verdict{Category: event.CategoryHard, BounceType: event.Hard, Action: event.Suppress, Rule: "user-unknown"},
			Observed: time.Date(2026, 3, 1, 12, 0, 1, 0, time.UTC),
		}
		e.ID, scratch = event.NewID(&e.Delivery, scratch)
		e.JSON = new(event.Encoder).Append(nil, e)
		events[i] = e
	}
	return events
}

// checkRecords fails unless recs hold every event, each key in one partition
// and, but for doubles, in the order of the events. It returns the doubles.
func checkRecords(t *testing.T, recs []lab.KafkaRecord, events []*event.Event) (doubles int) {
	t.Helper()
	want := map[string][]string{}
	for _, e := range events {
		want[e.Key()] = append(want[e.Key()], e.ID.String())
	}
	seen := map[string]bool{}
	partitions := map[string]int{}
	for _, r := range recs {
		id := r.Headers["ce_id"]
		if seen[id] {
			doubles++
			continue
		}
		seen[id] = true
		if p, ok := partitions[r.Key]; ok && p != r.Partition {
			t.Fatalf("key %q is in partitions %d and %d", r.Key, p, r.Partition)
		}
		partitions[r.Key] = r.Partition
		if ids := want[r.Key]; len(ids) == 0 || ids[0] != id {
			t.Fatalf("key %q: event %s is out of order", r.Key, id)
		}
		want[r.Key] = want[r.Key][1:]
	}
	for key, ids := range want {
		if len(ids) > 0 {
			t.Fatalf("key %q: %d events are lost", key, len(ids))
		}
	}
	return doubles
}
