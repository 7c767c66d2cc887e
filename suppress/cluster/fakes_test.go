package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mtatap/event"
	"mtatap/suppress"
	"mtatap/suppress/store"
)

var topics = Topics{Events: "events", Suppressions: "suppressions", Commands: "commands", State: "state"}

var policy = suppress.Policy{After: map[event.Category]suppress.Threshold{
	event.CategoryHard:        {Messages: 1},
	event.CategoryMailboxFull: {To: event.CategoryHard, Messages: 3, Spread: 72 * time.Hour, Window: 30 * 24 * time.Hour},
}}

var start = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// logBroker is a broker in memory, with a log for each partition.
type logBroker struct {
	batch int // records that one fetch gives
	// write is asked before and after each write; an error is what the writer gets.
	write func(topic string, done bool) error

	mu      sync.Mutex
	logs    map[string][]record // by topic and partition
	changed chan struct{}       // closed when something is written
}

func newLogBroker() *logBroker {
	return &logBroker{batch: 5, logs: map[string][]record{}, changed: make(chan struct{}), write: func(string, bool) error { return nil }}
}

func logName(topic string, partition int) string { return fmt.Sprint(topic, "/", partition) }

func (b *logBroker) produce(ctx context.Context, topic string, partition int, recs []record, _ func(error)) (int64, error) {
	if len(recs) == 0 {
		return 0, nil
	}
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	if err := b.write(topic, false); err != nil {
		return 0, err
	}
	next := b.put(topic, partition, recs...)
	return next, b.write(topic, true)
}

func (b *logBroker) put(topic string, partition int, recs ...record) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	name := logName(topic, partition)
	b.logs[name] = append(b.logs[name], recs...)
	close(b.changed)
	b.changed = make(chan struct{})
	return int64(len(b.logs[name]))
}

func (b *logBroker) fetch(ctx context.Context, topic string, partition int, offset int64, f func(int64, []byte, []byte, stamp) error) (fetched, error) {
	for {
		b.mu.Lock()
		log, changed := b.logs[logName(topic, partition)], b.changed
		b.mu.Unlock()
		got := fetched{next: offset, end: int64(len(log))}
		for ; got.next < got.end && got.next < offset+int64(b.batch); got.next++ {
			r := log[got.next]
			if err := f(got.next, []byte(r.key), r.value, r.stamp); err != nil {
				return got, err
			}
		}
		if got.next > offset {
			return got, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return got, ctx.Err()
		}
	}
}

func (b *logBroker) bounds(_ context.Context, topic string, partition int) (first, end int64, err error) {
	return 0, int64(len(b.all(topic, partition))), nil
}

func (b *logBroker) all(topic string, partition int) []record {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]record(nil), b.logs[logName(topic, partition)]...)
}

// list is what a consumer that knows nothing of stamps makes of the suppressions.
func (b *logBroker) list(partition int) map[string]string {
	now := map[string]string{}
	for _, r := range b.all(topics.Suppressions, partition) {
		if r.value == nil {
			delete(now, r.key)
		} else {
			now[r.key] = string(r.value)
		}
	}
	return now
}

// member is the group as one instance sees it.
type member struct {
	commit func(offset int64) error

	mu        sync.Mutex
	committed int64
	changed   chan struct{}
}

func newMember(offset int64) *member {
	return &member{committed: offset, changed: make(chan struct{}), commit: func(int64) error { return nil }}
}

// CommitOffsets implements group.
func (m *member) CommitOffsets(offsets map[string]map[int]int64) error {
	for _, offset := range offsets[topics.Events] {
		if err := m.commit(offset); err != nil {
			return err
		}
		m.mu.Lock()
		m.committed = offset
		close(m.changed)
		m.changed = make(chan struct{})
		m.mu.Unlock()
	}
	return nil
}

func (m *member) offset() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.committed
}

// reach waits until offset is committed, and reports whether it is before ctx ends.
func (m *member) reach(ctx context.Context, offset int64) bool {
	for {
		m.mu.Lock()
		now, changed := m.committed, m.changed
		m.mu.Unlock()
		if now >= offset {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// instance returns a processor on a disk where nothing is yet.
func instance(t testing.TB, b broker, path string) *Processor {
	t.Helper()
	if path == "" {
		path = filepath.Join(t.TempDir(), "s.db")
	}
	s, err := store.Open(path, store.Options{Cache: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	metrics, err := NewMetrics(prometheus.NewRegistry(), []string{"user-unknown"})
	if err != nil {
		t.Fatal(err)
	}
	p := New(policy, Options{Kafka: &Kafka{}, Topics: topics, Store: s, MaxRecipients: 1000, Metrics: metrics, Logger: slog.New(slog.DiscardHandler)})
	p.broker = b
	return p
}

// work lets an instance own partition until all events are committed, or it fails.
func work(t testing.TB, p *Processor, b *logBroker, m *member, partition int) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, end, _ := b.bounds(ctx, topics.Events, partition)
	ended := make(chan error, 1)
	go func() { ended <- p.worker(m, partition).run(ctx, m.offset()); cancel() }()
	reached := m.reach(ctx, end)
	cancel()
	err := <-ended
	if reached && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// happened is an event, at some hour, as it is on the topic.
func happened(hours int, recipient, message, status, category string) record {
	bounce, action, reason := "hard", "suppress", "user-unknown"
	if category != "hard" {
		bounce, action, reason = "soft", "watch", category
	}
	at := start.Add(time.Duration(hours) * time.Hour).Format(time.RFC3339)
	return record{key: recipient, value: fmt.Appendf(nil, `{"schema_version":1,"id":"%032x","time":%q,"observed_time":%q,"recipient":%q,"message_id":%q,"status":%q,"smtp_code":550,"enhanced_code":"5.1.1","diagnostic":"550 5.1.1 no","category":%q,"bounce_type":%q,"reason":%q,"action":%q}`,
		hours, at, at, recipient, message, status, category, bounce, reason, action)}
}
