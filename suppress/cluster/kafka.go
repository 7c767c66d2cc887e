package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
)

// Kafka is the connection to a cluster.
type Kafka struct {
	Client      *kafka.Client
	Dialer      *kafka.Dialer
	Brokers     []string
	Compression kafka.Compression
	// Hint says what to look at when an error persists; "" if it speaks for itself.
	Hint func(error) string
}

// broker is what the package asks of Kafka once its topics are known to fit.
type broker interface {
	// produce writes recs to one partition, in order, and returns the offset behind
	// the last one when all in-sync replicas have them. It tries again and again
	// until ctx ends; an attempt under way is waited for.
	produce(ctx context.Context, topic string, partition int, recs []record, failed func(error)) (next int64, err error)
	// fetch calls f for each record from offset on, as many as one answer holds. key
	// and value are valid until f returns; value is nil of a tombstone.
	fetch(ctx context.Context, topic string, partition int, offset int64, f func(offset int64, key, value []byte, s stamp) error) (fetched, error)
	// bounds returns the first offset of a partition and the one behind its last.
	bounds(ctx context.Context, topic string, partition int) (first, end int64, err error)
}

const (
	attemptTimeout = 5 * time.Second
	pollWait       = 500 * time.Millisecond // of a fetch that finds nothing
	fetchBytes     = 512 << 10              // compressed
	produceRecords = 1000
	produceBytes   = 900_000
)

// record is a record to write, or one that was read. A nil value is a tombstone.
type record struct {
	key   string
	value []byte
	stamp stamp
}

// stamp orders the writes to a partition: by the claim of the writer, then by its
// batches. It never falls from record to record, but for what a former owner, or a
// retry that took long, wrote too late; a reader passes over that.
type stamp struct {
	Epoch uint64 `json:"epoch"`
	Seq   uint64 `json:"seq"`
}

const stampHeader = "mtatap-stamp"

func (s stamp) before(o stamp) bool { return s.Epoch < o.Epoch || s.Epoch == o.Epoch && s.Seq < o.Seq }

func (s stamp) append(b []byte) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, s.Epoch), s.Seq)
}

const stampBytes = 16

// parseStamp returns the stamp at the head of b, or of what others wrote the zero
// one.
func parseStamp(b []byte) stamp {
	if len(b) < stampBytes {
		return stamp{}
	}
	return stamp{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}
}

// produce implements broker.
func (k *Kafka) produce(ctx context.Context, topic string, partition int, recs []record, failed func(error)) (next int64, err error) {
	var wait backoff
	for len(recs) > 0 {
		n, size := 0, 0
		for n < len(recs) && n < produceRecords {
			size += len(recs[n].key) + len(recs[n].value) + 100
			if size > produceBytes && n > 0 {
				break
			}
			n++
		}
		offset, err := k.attempt(ctx, topic, partition, recs[:n])
		if err == nil {
			next, recs, wait = offset+int64(n), recs[n:], backoff{}
			continue
		}
		failed(fmt.Errorf("publish to %s, partition %d: %w", topic, partition, err))
		if err := wait.sleep(ctx); err != nil {
			return 0, err
		}
	}
	return next, nil
}

func (k *Kafka) attempt(ctx context.Context, topic string, partition int, recs []record) (offset int64, err error) {
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	// The end of ctx must not leave a write under way whose outcome nobody knows.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), attemptTimeout)
	defer cancel()
	out := make([]kafka.Record, len(recs))
	for i, r := range recs {
		out[i] = kafka.Record{Key: kafka.NewBytes([]byte(r.key)), Headers: []kafka.Header{{Key: stampHeader, Value: r.stamp.append(nil)}}}
		if r.stamp == (stamp{}) {
			out[i].Headers = nil
		}
		if r.value != nil {
			out[i].Value = kafka.NewBytes(r.value)
		}
	}
	res, err := k.Client.Produce(ctx, &kafka.ProduceRequest{
		Topic: topic, Partition: partition, RequiredAcks: kafka.RequireAll, Compression: k.Compression, Records: kafka.NewRecordReader(out...),
	})
	switch {
	case err != nil:
		return 0, err
	case res.Error != nil:
		return 0, res.Error
	case len(res.RecordErrors) > 0:
		return 0, fmt.Errorf("%d records refused", len(res.RecordErrors))
	}
	return res.BaseOffset, nil
}

// fetched is what a fetch found.
type fetched struct {
	next int64 // where to go on
	end  int64 // of the partition
}

// fetch implements broker.
func (k *Kafka) fetch(ctx context.Context, topic string, partition int, offset int64, f func(offset int64, key, value []byte, s stamp) error) (fetched, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout+pollWait)
	defer cancel()
	res, err := k.Client.Fetch(ctx, &kafka.FetchRequest{Topic: topic, Partition: partition, Offset: offset, MinBytes: 1, MaxBytes: fetchBytes, MaxWait: pollWait})
	if err == nil {
		err = res.Error
	}
	if err != nil {
		return fetched{}, fmt.Errorf("read %s, partition %d: %w", topic, partition, err)
	}
	got := fetched{next: offset, end: res.HighWatermark}
	var key, value []byte
	for {
		r, err := res.Records.ReadRecord()
		if errors.Is(err, io.EOF) {
			// A batch whose last records were compacted away is a hole to step over.
			if s, ok := res.Records.(*protocol.RecordStream); ok && len(s.Records) > 0 && got.next == offset && got.end > offset {
				got.next++
			}
			return got, nil
		}
		if err != nil {
			return got, fmt.Errorf("read %s, partition %d, behind offset %d: %w", topic, partition, got.next, err)
		}
		if key, err = readBytes(key, r.Key); err == nil {
			value, err = readBytes(value, r.Value)
		}
		if err != nil {
			return got, fmt.Errorf("read %s, partition %d, offset %d: %w", topic, partition, r.Offset, err)
		}
		if r.Offset < offset {
			continue // an answer begins where a batch begins
		}
		var s stamp
		for _, h := range r.Headers {
			if h.Key == stampHeader {
				s = parseStamp(h.Value)
			}
		}
		content := value
		if r.Value == nil {
			content = nil
		}
		if err := f(r.Offset, key, content, s); err != nil {
			return got, err
		}
		got.next = r.Offset + 1
	}
}

// readBytes reads b into buf and lets go of it.
func readBytes(buf []byte, b kafka.Bytes) ([]byte, error) {
	if b == nil {
		return buf[:0], nil
	}
	defer b.Close()
	if n := b.Len(); cap(buf) < n {
		buf = make([]byte, n, 2*n)
	} else {
		buf = buf[:n]
	}
	if buf == nil {
		buf = []byte{}
	}
	_, err := io.ReadFull(b, buf)
	return buf, err
}

// bounds implements broker.
func (k *Kafka) bounds(ctx context.Context, topic string, partition int) (first, end int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	res, err := k.Client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{
		topic: {kafka.FirstOffsetOf(partition), kafka.LastOffsetOf(partition)},
	}})
	if err != nil {
		return 0, 0, fmt.Errorf("ask for the offsets of %s: %w", topic, err)
	}
	for _, p := range res.Topics[topic] {
		if p.Partition == partition {
			if p.Error != nil {
				return 0, 0, fmt.Errorf("ask for the offsets of %s: %w", topic, p.Error)
			}
			return p.FirstOffset, p.LastOffset, nil
		}
	}
	return 0, 0, fmt.Errorf("ask for the offsets of %s: no partition %d", topic, partition)
}

// backoff is the wait between attempts, doubling from 50 ms to 2 s with jitter.
type backoff struct{ limit time.Duration }

// sleep waits, or returns the error of ctx when it ends.
func (b *backoff) sleep(ctx context.Context) error {
	b.limit = min(max(2*b.limit, 100*time.Millisecond), 2*time.Second)
	timer := time.NewTimer(b.limit/2 + rand.N(b.limit/2))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// persist does what it is given again and again until it succeeds or ctx ends.
func persist(ctx context.Context, failed func(error), do func() error) error {
	var wait backoff
	for {
		err := do()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if final := (*finalError)(nil); errors.As(err, &final) {
			return err
		}
		failed(err)
		if err := wait.sleep(ctx); err != nil {
			return err
		}
	}
}

// finalError is one that no retry mends.
type finalError struct{ text string }

func (e *finalError) Error() string { return e.text }

func final(format string, args ...any) error { return &finalError{fmt.Sprintf(format, args...)} }
