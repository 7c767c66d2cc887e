package sinks

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"

	"mtatap/event"
)

func TestMurmur2GivesTheHashesOfTheJavaClient(t *testing.T) {
	// The vectors of Kafka's own UtilsTest.
	for key, want := range map[string]int32{
		"21":                         -973932308,
		"foobar":                     -790332482,
		"a-little-bit-long-string":   -985981536,
		"a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		if got := int32(murmur2(key)); got != want {
			t.Errorf("murmur2(%q) = %d, want %d", key, got, want)
		}
	}
	balancer := kafka.Murmur2Balancer{Consistent: true}
	for i := range 1000 {
		key := strings.Repeat("k", i%7) + fmt.Sprint(i)
		if got, want := partitionOf(key, 3), balancer.Balance(kafka.Message{Key: []byte(key)}, 0, 1, 2); got != want {
			t.Fatalf("partition of %q is %d, kafka-go says %d", key, got, want)
		}
	}
}

func TestKafkaRecordCarriesCloudEventsHeaders(t *testing.T) {
	o, f := newOutside(t), newFakeCluster(1)
	e := makeEvent(7, "Anna@Example.ORG")
	e.Host = "mx 1/a"
	noRecipient := makeEvent(8, "")
	noRecipient.Host, noRecipient.Time = "", time.Time{}
	before := time.Now().Truncate(time.Millisecond) // as Kafka keeps it
	if err := newTestKafka(t, f, o).Write(t.Context(), []*event.Event{e, noRecipient}); err != nil {
		t.Fatal(err)
	}
	got := f.log[0][0]
	if got.key != "anna@example.org" || got.value != string(e.JSON) {
		t.Errorf("key %q, value %s", got.key, got.value)
	}
	if got.time.Before(before) {
		t.Errorf("record time %v is not the publish time", got.time)
	}
	want := map[string]string{
		"ce_specversion": "1.0", "ce_id": "00000000000000000000000000000007", "ce_source": "/mtatap/mx%201%2Fa",
		"ce_type": "mtatap.delivery.bounced", "ce_time": "2026-03-01T12:00:00.5Z", "content-type": "application/json",
	}
	if fmt.Sprint(got.headers) != fmt.Sprint(want) {
		t.Errorf("headers %v, want %v", got.headers, want)
	}
	got = f.log[0][1]
	if got.key != "4bQ" || got.headers["ce_source"] != "/mtatap" || got.headers["ce_time"] != "2026-03-01T12:00:01Z" {
		t.Errorf("without recipient, host and time: key %q, headers %v", got.key, got.headers)
	}
}

func TestKafkaKeepsOrderOfEachKeyUnderRandomFailures(t *testing.T) {
	for seed := range uint64(10) {
		synctest.Test(t, func(t *testing.T) {
			o, f := newOutside(t), newFakeCluster(3)
			rnd := rand.New(rand.NewPCG(seed, 1))
			var mu sync.Mutex
			lost := 0 // records kept whose answer was lost
			f.answer = func(ctx context.Context, _ int, recs []stored) (bool, *kafka.ProduceResponse, error) {
				mu.Lock()
				n := rnd.IntN(100)
				if n < 20 {
					lost += len(recs)
				}
				mu.Unlock()
				switch {
				case n < 10: // kept, but the connection breaks
					return true, nil, errors.New("connection reset")
				case n < 20: // kept, but the answer never comes
					<-ctx.Done()
					return true, nil, ctx.Err()
				case n < 30:
					<-ctx.Done()
					return false, nil, ctx.Err()
				case n < 40:
					return false, &kafka.ProduceResponse{Error: kafka.NotLeaderForPartition}, nil
				case n < 45:
					return false, &kafka.ProduceResponse{Error: kafka.UnknownTopicOrPartition}, nil
				case n < 50:
					return false, nil, protocol.NewErrNoPartition("t", 1)
				}
				return true, &kafka.ProduceResponse{}, nil
			}
			k := newTestKafka(t, f, o)
			events := makeEvents(6000, 40)
			for batch := range 4 {
				if err := k.Write(t.Context(), events[batch*1500:(batch+1)*1500]); err != nil {
					t.Fatal(err)
				}
			}
			if doubles := checkLog(t, f, events); doubles > lost {
				t.Errorf("%d doubles, but only %d records of unknown outcome", doubles, lost)
			}
			if o.failures == 0 {
				t.Error("the failure hook was not called")
			}
			for _, r := range f.requests {
				if r.events > maxRequestEvents {
					t.Errorf("request of %d events", r.events)
				}
			}
		})
	}
}

func TestKafkaRequestsStayUnderTheLimits(t *testing.T) {
	o, f := newOutside(t), newFakeCluster(1)
	var events []*event.Event
	for i := range 4000 {
		events = append(events, padded(makeEvent(i, "a@example.org"), (i%5)*800))
	}
	if err := newTestKafka(t, f, o).Write(t.Context(), events); err != nil {
		t.Fatal(err)
	}
	checkLog(t, f, events)
	for _, r := range f.requests {
		if r.events > 1000 || r.bytes > 1_000_000 {
			t.Errorf("request of %d events, %d bytes", r.events, r.bytes)
		}
	}
	if n := len(f.requests); n > 9 {
		t.Errorf("%d requests for 4000 events of 6.6 MB", n)
	}
}

func TestKafkaSplitsWhatIsTooLargeAndBuriesASingleEvent(t *testing.T) {
	o, f := newOutside(t), newFakeCluster(1)
	f.answer = func(_ context.Context, _ int, recs []stored) (bool, *kafka.ProduceResponse, error) {
		size, invalid := 0, map[int]error{}
		for i, r := range recs {
			size += len(r.value)
			if strings.Contains(r.value, "poison") {
				invalid[i] = errors.New("bad\nrecord")
			}
		}
		switch {
		case size > 100_000:
			return false, &kafka.ProduceResponse{Error: fmt.Errorf("%w: of 100000", kafka.MessageSizeTooLarge)}, nil
		case len(invalid) > 0:
			return false, &kafka.ProduceResponse{RecordErrors: invalid}, nil
		}
		return true, &kafka.ProduceResponse{}, nil
	}
	var events, good []*event.Event
	for i := range 1500 {
		e := makeEvent(i, fmt.Sprintf("u%d@example.org", i%10))
		switch {
		case i == 700 || i == 1499:
			padded(e, 200_000)
		case i == 3:
			e.JSON = []byte(`{"poison":true}`)
		default:
			good = append(good, padded(e, 300))
		}
		events = append(events, e)
	}
	if err := newTestKafka(t, f, o).Write(t.Context(), events); err != nil {
		t.Fatal(err)
	}
	if doubles := checkLog(t, f, good); doubles != 0 {
		t.Errorf("%d doubles", doubles)
	}
	if got, want := fmt.Sprint(o.buried), "map[under-test invalid:1 under-test too_large:2]"; got != want {
		t.Errorf("dead letters %s, want %s", got, want)
	}
	dead := readFile(t, o.path)
	for _, want := range []string{
		`"sink":"under-test","cause":"too_large"`, string(events[700].JSON) + "}\n", string(events[1499].JSON) + "}\n",
		`"cause":"invalid","detail":"publish to partition 0: [87] Invalid Record`, `bad record`, `"event":{"poison":true}}` + "\n",
	} {
		if !strings.Contains(dead, want) {
			t.Errorf("the dead letters lack %s", want)
		}
	}
}

func TestKafkaRetriesWithBackoffUntilItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, f := newOutside(t), newFakeCluster(1)
		f.answer = func(context.Context, int, []stored) (bool, *kafka.ProduceResponse, error) {
			return false, &kafka.ProduceResponse{Error: kafka.NotEnoughReplicas}, nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		err := newTestKafka(t, f, o).Write(ctx, makeEvents(10, 1))
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Minute {
			t.Fatalf("ended after %v with %v", time.Since(start), err)
		}
		for i, r := range f.requests[1:] {
			wait := r.at.Sub(f.requests[i].at)
			low, high := min(minBackoff<<min(i, 10), maxBackoff/2), min(minBackoff<<min(i+1, 10), maxBackoff)
			if wait < low || wait > high {
				t.Errorf("wait %d is %v, not within %v and %v", i, wait, low, high)
			}
		}
		if n := strings.Count(o.log.String(), "Sink failed"); n < 5 || n > 7 {
			t.Errorf("%d messages in a minute of failures, want one in 10 s", n)
		}
		if o.failures != len(f.requests) {
			t.Errorf("hook called %d times for %d attempts", o.failures, len(f.requests))
		}
		if !strings.Contains(o.log.String(), "min.insync.replicas") {
			t.Errorf("no hint in the log:\n%s", &o.log)
		}
	})
}

func TestKafkaGivesUpAnAttemptAfterFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, f := newOutside(t), newFakeCluster(1)
		silent := true
		f.answer = func(ctx context.Context, _ int, _ []stored) (bool, *kafka.ProduceResponse, error) {
			if silent {
				silent = false
				<-ctx.Done()
				return false, nil, ctx.Err()
			}
			return true, &kafka.ProduceResponse{}, nil
		}
		start := time.Now()
		if err := newTestKafka(t, f, o).Write(t.Context(), makeEvents(1, 1)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < 5*time.Second || took > 5*time.Second+2*minBackoff {
			t.Errorf("took %v", took)
		}
		if log := o.log.String(); !strings.Contains(log, "Sink recovered") || !strings.Contains(log, "no answer in time") {
			t.Errorf("log:\n%s", log)
		}
	})
}

func TestKafkaWaitsForBrokerAndTopic(t *testing.T) {
	for name, c := range map[string]struct {
		create bool
		hint   string
	}{
		"a missing topic is waited for":                {false, "create the topic or set create_topic: true"},
		"a missing topic is created where that is set": {true, "waiting for the topic to appear"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o, f := newOutside(t), newFakeCluster(0)
				f.metadata = []error{errors.New("dial tcp: connection refused"), context.DeadlineExceeded}
				k := newTestKafka(t, f, o)
				k.cfg.CreateTopic = c.create
				if !c.create {
					time.AfterFunc(time.Minute, func() { f.setPartitions(4) })
				}
				start := time.Now()
				events := makeEvents(50, 9)
				if err := k.Write(t.Context(), events); err != nil {
					t.Fatal(err)
				}
				checkLog(t, f, events)
				if c.create != (f.created == 1) || c.create != (time.Since(start) < time.Minute) {
					t.Errorf("created %d topics, took %v", f.created, time.Since(start))
				}
				if !c.create && !strings.Contains(o.log.String(), c.hint) {
					t.Errorf("log:\n%s", &o.log)
				}
			})
		})
	}
}

func TestKafkaKeepsThePartitionCountItStartedWith(t *testing.T) {
	o, f := newOutside(t), newFakeCluster(3)
	k := newTestKafka(t, f, o)
	events := makeEvents(300, 30)
	if err := k.Write(t.Context(), events[:150]); err != nil {
		t.Fatal(err)
	}
	f.setPartitions(8)
	refusals := 3 // as after a change of leaders: the partitions are asked for again
	var mu sync.Mutex
	f.answer = func(context.Context, int, []stored) (bool, *kafka.ProduceResponse, error) {
		mu.Lock()
		defer mu.Unlock()
		if refusals--; refusals >= 0 {
			return false, &kafka.ProduceResponse{Error: kafka.UnknownTopicOrPartition}, nil
		}
		return true, &kafka.ProduceResponse{}, nil
	}
	if err := k.Write(t.Context(), events[150:]); err != nil {
		t.Fatal(err)
	}
	for p := range f.log {
		if p > 2 {
			t.Errorf("partition %d, added later, has records", p)
		}
	}
	f.partitions = 3
	checkLog(t, f, events)
}

func TestKafkaFollowsATopicThatWasMadeAgainWithFewerPartitions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, f := newOutside(t), newFakeCluster(6)
		k := newTestKafka(t, f, o)
		if err := k.Write(t.Context(), makeEvents(300, 30)); err != nil {
			t.Fatal(err)
		}
		f.setPartitions(2)
		f.log = map[int][]stored{}
		events := makeEvents(3000, 30)
		if err := k.Write(t.Context(), events); err != nil {
			t.Fatal(err)
		}
		// Keys of partitions that stayed may be on either side of the change.
		ids := map[string]string{}
		for _, recs := range f.log {
			for _, r := range recs {
				if r.id <= ids[r.key] {
					t.Fatalf("key %s: %s after %s", r.key, r.id, ids[r.key])
				}
				ids[r.key] = r.id
			}
		}
		if n := len(f.log[0]) + len(f.log[1]); n != 3000 {
			t.Errorf("%d records arrived", n)
		}
	})
}

func TestKafkaErrorsInTheLogAreShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, f := newOutside(t), newFakeCluster(1)
		fails := 1
		f.answer = func(context.Context, int, []stored) (bool, *kafka.ProduceResponse, error) {
			if fails--; fails >= 0 {
				return false, nil, errors.New(strings.Repeat("write error\x1b[2J\xff\n", 8000))
			}
			return true, &kafka.ProduceResponse{}, nil
		}
		if err := newTestKafka(t, f, o).Write(t.Context(), makeEvents(1, 1)); err != nil {
			t.Fatal(err)
		}
		if log := o.log.String(); len(log) > 900 || strings.Contains(log, `\x1b`) || strings.Contains(log, `\n`) {
			t.Errorf("log of %d bytes:\n%s", len(log), log)
		}
	})
}

func BenchmarkBuildProduceRequest(b *testing.B) {
	for _, codec := range []string{"none", "lz4"} {
		b.Run(codec, func(b *testing.B) {
			c, err := compression(codec)
			if err != nil {
				b.Fatal(err)
			}
			recs := make([]record, 1000)
			size := 0
			for i, e := range makeEvents(len(recs), 100) {
				padded(e, 570)
				recs[i] = record{event: e, key: e.Key()}
				size += recs[i].size()
			}
			sets := recordSets{codec: c}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				set := sets.get()
				if _, err := set.encode(recs, time.Now()); err != nil {
					b.Fatal(err)
				}
				sets.put(set)
			}
			b.ReportMetric(float64(b.N)*float64(len(recs))/b.Elapsed().Seconds(), "events/s")
		})
	}
}

func TestRecordSizeIsNeverUnderestimated(t *testing.T) {
	e := makeEvent(1, "a@example.org")
	e.Host = strings.Repeat("ä", 200)
	e.Time = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)
	for _, e.Status = range event.Statuses() {
		r := record{event: e, key: e.Key()}
		for n := range 50 {
			recs := make([]record, n+1)
			for i := range recs {
				recs[i] = r
			}
			out, err := new(recordSets).get().encode(recs, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			if estimate := r.size() * len(recs); len(out)-batchHeader > estimate {
				t.Fatalf("%d records take %d bytes, estimated %d", len(recs), len(out), estimate)
			}
		}
	}
}
