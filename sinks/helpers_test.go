package sinks

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"

	"mtatap/config"
	"mtatap/event"
)

// makeEvents returns n events for the given number of recipients, numbered by id.
func makeEvents(n, recipients int) []*event.Event {
	events := make([]*event.Event, n)
	for i := range events {
		events[i] = makeEvent(i, fmt.Sprintf("User%d@Example.org", i%recipients))
	}
	return events
}

func makeEvent(i int, recipient string) *event.Event {
	e := &event.Event{
		Delivery: event.Delivery{
			Time: time.Date(2026, 3, 1, 12, 0, 0, 5e8, time.UTC), MTA: "postfix", Host: "mx1",
			QueueID: "4bQ", Recipient: recipient, Status: event.Bounced,
		},
		Observed: time.Date(2026, 3, 1, 12, 0, 1, 0, time.UTC),
	}
	binary.BigEndian.PutUint64(e.ID[8:], uint64(i))
	e.JSON = fmt.Appendf(nil, `{"id":"%s","recipient":%q}`, e.ID, recipient)
	return e
}

// padded gives e a JSON of at least size bytes.
func padded(e *event.Event, size int) *event.Event {
	e.JSON = fmt.Appendf(nil, `{"id":"%s","pad":"%s"}`, e.ID, bytes.Repeat([]byte("x"), size))
	return e
}

// outside is what a test gives a sink and looks at afterwards.
type outside struct {
	Deps
	log      lockedBuffer
	mu       sync.Mutex
	failures int
	path     string
	buried   map[string]int // sink and cause
}

func newOutside(t *testing.T) *outside {
	o := &outside{path: filepath.Join(t.TempDir(), "dead.ndjson"), buried: map[string]int{}}
	dead := NewDeadLetters(config.DeadLetters{Path: o.path}, func(sink string, cause Cause) {
		o.buried[sink+" "+string(cause)]++
	})
	t.Cleanup(func() { dead.Close() })
	o.Deps = Deps{
		Name:        "under-test",
		Log:         slog.New(slog.NewTextHandler(&o.log, nil)),
		DeadLetters: dead,
		Failed: func(error) {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.failures++
		},
	}
	return o
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// stored is a record as the fake cluster keeps it.
type stored struct {
	id, key, value string
	headers        map[string]string
	time           time.Time
}

// fakeCluster is a Kafka of one topic. answer, if set, decides on each request:
// whether the records are kept, and what the client is told.
type fakeCluster struct {
	answer func(ctx context.Context, partition int, recs []stored) (keep bool, res *kafka.ProduceResponse, err error)

	mu         sync.Mutex
	partitions int // 0: no topic
	log        map[int][]stored
	inFlight   map[int]int
	requests   []request
	metadata   []error // told to the next metadata requests
	created    int
}

type request struct {
	at        time.Time
	partition int
	events    int
	bytes     int
}

func newFakeCluster(partitions int) *fakeCluster {
	return &fakeCluster{partitions: partitions, log: map[int][]stored{}, inFlight: map[int]int{}}
}

func (f *fakeCluster) RawProduce(ctx context.Context, req *kafka.RawProduceRequest) (*kafka.ProduceResponse, error) {
	recs, size := readRecords(req.RawRecords.Reader)
	f.mu.Lock()
	f.requests = append(f.requests, request{time.Now(), req.Partition, len(recs), size})
	f.inFlight[req.Partition]++
	if f.inFlight[req.Partition] > 1 {
		panic("two requests in flight for one partition")
	}
	partitions := f.partitions
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.inFlight[req.Partition]--
		f.mu.Unlock()
	}()

	if req.RequiredAcks != kafka.RequireAll {
		return nil, errors.New("acks must be all")
	}
	if req.Partition >= partitions {
		return &kafka.ProduceResponse{Error: kafka.UnknownTopicOrPartition}, nil
	}
	keep, res, err := true, &kafka.ProduceResponse{}, error(nil)
	if f.answer != nil {
		keep, res, err = f.answer(ctx, req.Partition, recs)
	}
	if keep {
		f.mu.Lock()
		f.log[req.Partition] = append(f.log[req.Partition], recs...)
		f.mu.Unlock()
	}
	return res, err
}

func (f *fakeCluster) Metadata(_ context.Context, req *kafka.MetadataRequest) (*kafka.MetadataResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.metadata) > 0 {
		err := f.metadata[0]
		f.metadata = f.metadata[1:]
		return nil, err
	}
	topic := kafka.Topic{Name: req.Topics[0], Partitions: make([]kafka.Partition, f.partitions)}
	if f.partitions == 0 {
		topic.Error = kafka.UnknownTopicOrPartition
	}
	return &kafka.MetadataResponse{Topics: []kafka.Topic{topic}}, nil
}

func (f *fakeCluster) CreateTopics(_ context.Context, req *kafka.CreateTopicsRequest) (*kafka.CreateTopicsResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.created++
	f.partitions = 4
	return &kafka.CreateTopicsResponse{Errors: map[string]error{req.Topics[0].Topic: nil}}, nil
}

func (f *fakeCluster) setPartitions(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.partitions = n
}

// readRecords reads a record set as the client library does.
func readRecords(r io.Reader) (recs []stored, size int) {
	var set protocol.RecordSet
	if _, err := set.ReadFrom(r); err != nil {
		panic(err)
	}
	for {
		rec, err := set.Records.ReadRecord()
		if err != nil {
			return recs, size
		}
		key, _ := io.ReadAll(rec.Key)
		value, _ := io.ReadAll(rec.Value)
		s := stored{key: string(key), value: string(value), time: rec.Time, headers: map[string]string{}}
		size += len(key) + len(value)
		for _, h := range rec.Headers {
			s.headers[h.Key] = string(h.Value)
			size += len(h.Key) + len(h.Value)
		}
		s.id = s.headers["ce_id"]
		recs = append(recs, s)
	}
}

// newTestKafka returns the sink on a fake cluster.
func newTestKafka(t *testing.T, f *fakeCluster, o *outside) *Kafka {
	t.Helper()
	k, err := NewKafka(config.Kafka{Brokers: []string{"kafka.invalid:9092"}, Topic: "t"}, o.Deps)
	if err != nil {
		t.Fatal(err)
	}
	k.client = f
	return k
}

// checkLog fails unless the cluster holds every event, and for each key the
// first occurrences are in the order of the events. It returns how many records
// are there twice or more.
func checkLog(t *testing.T, f *fakeCluster, events []*event.Event) (doubles int) {
	t.Helper()
	want := map[string][]string{}
	for _, e := range events {
		want[e.Key()] = append(want[e.Key()], e.ID.String())
	}
	got, seen := map[string][]string{}, map[string]bool{}
	for p, recs := range f.log {
		for _, r := range recs {
			if seen[r.id] {
				doubles++
				continue
			}
			seen[r.id] = true
			got[r.key] = append(got[r.key], r.id)
			if p != partitionOf(r.key, f.partitions) {
				t.Errorf("key %q is in partition %d", r.key, p)
			}
		}
	}
	for key, ids := range want {
		if !slices.Equal(got[key], ids) {
			t.Fatalf("key %q: got %d events %.500v\nwant %d %.500v", key, len(got[key]), got[key], len(ids), ids)
		}
	}
	return doubles
}
