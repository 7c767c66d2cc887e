package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"mtatap/suppress"
	"mtatap/suppress/store"
)

// Table is the list of suppressions as the topic has it, kept in a store.
type Table struct {
	kafka      broker
	topic      string
	partitions []int
	parts      []*store.Part
	failed     func(error)
	behind     atomic.Int32 // partitions whose end has not been reached yet
}

// NewTable returns the table of the first n partitions of the suppressions topic. It
// reads nothing yet.
func NewTable(k broker, t Topics, n int, s *store.Store, failed func(error)) *Table {
	table := &Table{kafka: k, topic: t.Suppressions, failed: failed}
	for i := range n {
		table.partitions = append(table.partitions, i)
		table.parts = append(table.parts, s.Part(fmt.Sprintf("table/%d", i)))
	}
	table.behind.Store(int32(n))
	return table
}

// Only leaves one partition in the table.
func (t *Table) Only(partition int) {
	t.partitions, t.parts = []int{partition}, t.parts[partition:partition+1]
	t.behind.Store(1)
}

// tableMark is how far a partition has been read.
type tableMark struct {
	At   time.Time `json:"at"` // when it was set
	Next int64     `json:"next"`
	Last stamp     `json:"last"`
}

// CaughtUp reports whether all that was in the topic at the start has been read.
func (t *Table) CaughtUp() bool { return t.behind.Load() == 0 }

// Follow reads the topic until ctx ends, whose error it returns.
func (t *Table) Follow(ctx context.Context) error { return t.read(ctx, true) }

// CatchUp reads the topic to its present end.
func (t *Table) CatchUp(ctx context.Context) error { return t.read(ctx, false) }

func (t *Table) read(ctx context.Context, on bool) error {
	group, ctx := errgroup.WithContext(ctx)
	for i := range t.partitions {
		group.Go(func() error { return t.readPartition(ctx, t.partitions[i], t.parts[i], on) })
	}
	return group.Wait()
}

func (t *Table) readPartition(ctx context.Context, partition int, part *store.Part, on bool) error {
	var m tableMark
	if text := part.Mark(); text != nil && json.Unmarshal(text, &m) != nil {
		m = tableMark{}
	}
	var first, end int64
	err := persist(ctx, t.failed, func() (err error) {
		first, end, err = t.kafka.bounds(ctx, t.topic, partition)
		return err
	})
	if err != nil {
		return err
	}
	if m.Next == 0 || m.Next > end || m.Next < first || stale(m.At) {
		if err := part.Drop(); err != nil {
			return err
		}
		m = tableMark{Next: first}
		if err := t.load(ctx, partition, part, &m, end); err != nil {
			return err
		}
	}
	for caughtUp := false; ; {
		if !caughtUp && m.Next >= end {
			caughtUp = true
			t.behind.Add(-1)
		}
		if caughtUp && !on {
			return nil
		}
		before, changes := m.Next, store.Changes{}
		if err := t.fetch(ctx, partition, &m, func(key string, value []byte) { changes[key] = value }); err != nil {
			return err
		}
		if m.Next == before {
			continue
		}
		text, err := m.encode()
		if err != nil {
			return err
		}
		if err := part.Apply(changes, text); err != nil {
			return err
		}
	}
}

// load fills part with what the partition holds up to offset end.
func (t *Table) load(ctx context.Context, partition int, part *store.Part, m *tableMark, end int64) error {
	l := part.Load()
	defer l.Close()
	for m.Next < end {
		if err := t.fetch(ctx, partition, m, l.Put); err != nil {
			return err
		}
		if err := l.Spill(); err != nil {
			return err
		}
	}
	text, err := m.encode()
	if err != nil {
		return err
	}
	return l.Commit(text)
}

// fetch puts what comes next, and moves m behind it. After a failed attempt the same
// is put again.
func (t *Table) fetch(ctx context.Context, partition int, m *tableMark, put func(key string, value []byte)) error {
	begin := *m
	return persist(ctx, t.failed, func() error {
		*m = begin
		got, err := t.kafka.fetch(ctx, t.topic, partition, begin.Next, func(_ int64, key, value []byte, at stamp) error {
			if at.before(m.Last) || len(key) == 0 || len(key) > suppress.MaxRecipient {
				return nil
			}
			m.Last = at
			put(string(key), bytes.Clone(value))
			return nil
		})
		if err == nil {
			m.Next = got.next
		}
		return err
	})
}

func (m tableMark) encode() ([]byte, error) {
	m.At = time.Now().UTC()
	text, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode mark: %w", err)
	}
	return text, nil
}

// Get returns the suppression of recipient, nil if there is none.
func (t *Table) Get(recipient string) (*suppress.Record, error) {
	for _, part := range t.parts {
		var text []byte
		if err := part.View(func(get func(string) []byte) error { text = bytes.Clone(get(recipient)); return nil }); err != nil {
			return nil, err
		}
		if text != nil {
			r, err := suppress.DecodeRecord(text)
			if err != nil || r.Lapsed(time.Now()) {
				return nil, err
			}
			return &r, nil
		}
	}
	return nil, nil
}

// Each calls f for each suppression, in the order of recipients in each partition,
// until f returns an error. Records that are none are skipped. f may take its time.
func (t *Table) Each(f func(suppress.Record) error) error {
	for _, part := range t.parts {
		if err := eachRecord(part, f); err != nil {
			return err
		}
	}
	return nil
}

// listed is how many records are read at once: an open look into the store holds its
// writers up.
const listed = 500

func eachRecord(part *store.Part, f func(suppress.Record) error) error {
	now := time.Now()
	for from, more := "", true; more; {
		var records []suppress.Record
		more = false
		err := part.Each(from, func(key string, value []byte) (bool, error) {
			if len(records) == listed {
				from, more = key, true
				return false, nil
			}
			if r, err := suppress.DecodeRecord(value); err == nil && !r.Lapsed(now) {
				records = append(records, r)
			}
			return true, nil
		})
		if err != nil {
			return err
		}
		for _, r := range records {
			if err := f(r); err != nil {
				return err
			}
		}
	}
	return nil
}
