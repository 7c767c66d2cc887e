package cluster

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"mtatap/suppress/store"
)

// claim is the record by which an owner takes a partition of the state topic.
type claim struct {
	Owner string `json:"owner"` // differs from claim to claim
	// Observed is set while nothing of the partition has been published, because
	// decisions were only logged.
	Observed bool `json:"observed"`
	// Version is that of the states that follow; 0 is 1.
	Version int `json:"version,omitempty"`
}

// stateVersion goes up when an older program would misread states.
const stateVersion = 1

// The keys of the state topic: a recipient cannot be taken for the claim.
const (
	claimKey  = "claim"
	recipient = "recipient "
)

// mark is how far the store has followed a partition of the state topic.
type mark struct {
	At       time.Time `json:"at"`    // when it was set
	Next     int64     `json:"next"`  // offset to go on from
	Last     stamp     `json:"last"`  // of the records up to there
	Owner    string    `json:"owner"` // of the last claim
	Observed bool      `json:"observed"`
	Offset   int64     `json:"offset"`  // of the last event in any entry
	Command  int64     `json:"command"` // of the last command in any entry
}

var noMark = mark{Offset: -1, Command: -1}

// states are the states of a partition: the topic, and the copy of it on disk.
type states struct {
	kafka     broker
	topic     string
	partition int
	part      *store.Part
	mark      mark
	owner     string // that we claimed the partition as
	failed    func(error)
}

// restore brings the copy up to the topic. The partition is not claimed yet.
func (s *states) restore(ctx context.Context) error {
	if text := s.part.Mark(); text == nil || json.Unmarshal(text, &s.mark) != nil {
		s.mark = noMark
	}
	var first, end int64
	err := persist(ctx, s.failed, func() (err error) {
		first, end, err = s.kafka.bounds(ctx, s.topic, s.partition)
		return err
	})
	if err != nil {
		return err
	}
	if s.mark.Next > 0 && s.mark.Next <= end && s.mark.Next >= first && !stale(s.mark.At) {
		return s.follow(ctx, end)
	}
	// The first time, or another topic than the one that was copied.
	if err := s.part.Drop(); err != nil {
		return err
	}
	s.mark = noMark
	s.mark.Next = first
	return s.load(ctx, end)
}

// staleAfter is the age of a copy that cannot be brought up to date any more: a
// compacted topic forgets tombstones after delete.retention.ms, a day by default.
const staleAfter = 12 * time.Hour

func stale(at time.Time) bool { return time.Since(at) > staleAfter }

// load makes a copy of the topic up to offset end.
func (s *states) load(ctx context.Context, end int64) error {
	l := s.part.Load()
	defer l.Close()
	m := s.mark
	for m.Next < end {
		if err := s.read(ctx, &m, l.Put); err != nil {
			return err
		}
		if err := l.Spill(); err != nil {
			return err
		}
	}
	text, err := m.encode()
	if err == nil {
		err = l.Commit(text)
	}
	if err == nil {
		s.mark = m
	}
	return errors.Join(err, l.Close())
}

var errClaimed = errors.New("another instance has claimed the partition")

// claim takes the partition. When it has returned nil, nothing that a former owner
// writes counts any more; it returns an error if another took it at the same time.
func (s *states) claim(ctx context.Context, observed bool) error {
	s.owner = rand.Text()
	text, err := json.Marshal(claim{s.owner, observed, stateVersion})
	if err != nil {
		return fmt.Errorf("encode claim: %w", err)
	}
	at := stamp{Epoch: s.mark.Last.Epoch + 1}
	next, err := s.kafka.produce(ctx, s.topic, s.partition, []record{{key: claimKey, value: text, stamp: at}}, s.failed)
	if err != nil {
		return err
	}
	if err := s.follow(ctx, next); err != nil {
		return err
	}
	return s.stillOurs()
}

func (s *states) stillOurs() error {
	if s.mark.Owner != s.owner {
		return errClaimed
	}
	return nil
}

// follow applies the topic to the copy up to offset end.
func (s *states) follow(ctx context.Context, end int64) error {
	for s.mark.Next < end {
		changes := store.Changes{}
		m := s.mark
		if err := s.read(ctx, &m, func(name string, value []byte) { changes[name] = value }); err != nil {
			return err
		}
		if err := s.save(changes, m); err != nil {
			return err
		}
	}
	return nil
}

// read puts what comes next on the topic, and moves m behind it. After a failed
// attempt the same is put again.
func (s *states) read(ctx context.Context, m *mark, put func(name string, value []byte)) error {
	begin := *m
	return persist(ctx, s.failed, func() error {
		*m = begin
		got, err := s.kafka.fetch(ctx, s.topic, s.partition, begin.Next, func(_ int64, key, value []byte, at stamp) error {
			return s.take(m, put, key, value, at)
		})
		if err == nil {
			m.Next = got.next
		}
		return err
	})
}

// take puts a record of the topic, and notes it in m, if it counts.
func (s *states) take(m *mark, put func(string, []byte), key, value []byte, at stamp) error {
	if at.before(m.Last) {
		return nil
	}
	if string(key) == claimKey {
		var c claim
		if err := json.Unmarshal(value, &c); err != nil {
			return final("topic %s, partition %d: read claim: %v", s.topic, s.partition, err)
		}
		if c.Version > stateVersion {
			return final("topic %s, partition %d: states are of version %d, this program knows %d: run the newer mtatap", s.topic, s.partition, c.Version, stateVersion)
		}
		if at.Epoch > m.Last.Epoch { // of two in one epoch the first one counts
			m.Last, m.Owner, m.Observed = at, c.Owner, c.Observed
		}
		return nil
	}
	m.Last = at
	if len(key) <= len(recipient) {
		return nil
	}
	name := string(key[len(recipient):])
	if value == nil {
		put(name, nil)
		return nil
	}
	offset, command, err := applied(value)
	if err != nil {
		return final("topic %s, partition %d: read state: %v", s.topic, s.partition, err)
	}
	m.Offset, m.Command = max(m.Offset, offset), max(m.Command, command)
	put(name, bytes.Clone(value))
	return nil
}

// save makes changes in the copy and sets the mark.
func (s *states) save(changes store.Changes, m mark) error {
	text, err := m.encode()
	if err != nil {
		return err
	}
	if err := s.part.Apply(changes, text); err != nil {
		return err
	}
	s.mark = m
	return nil
}

func (m mark) encode() ([]byte, error) {
	m.At = time.Now().UTC()
	text, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode mark: %w", err)
	}
	return text, nil
}

// stamp returns the stamp of the next batch.
func (s *states) stamp() stamp { return stamp{s.mark.Last.Epoch, s.mark.Last.Seq + 1} }

// publish writes entries to the topic and, once they are acknowledged, to the copy.
// A nil entry is forgotten.
func (s *states) publish(ctx context.Context, entries map[string]*entry) error {
	at := s.stamp()
	recs := make([]record, 0, len(entries))
	changes := make(store.Changes, len(entries))
	m := s.mark
	for name, e := range entries {
		r := record{key: recipient + name, stamp: at}
		changes[name] = nil
		if e != nil {
			text, err := e.encode()
			if err != nil {
				return err
			}
			r.value, changes[name] = text, text
			m.Offset, m.Command = max(m.Offset, e.Offset), max(m.Command, e.Command)
		}
		recs = append(recs, r)
	}
	next, err := s.kafka.produce(ctx, s.topic, s.partition, recs, s.failed)
	if err != nil {
		return err
	}
	if next != m.Next+int64(len(recs)) {
		// Not only this: a retry wrote it twice, or somebody else wrote too.
		if err := s.follow(ctx, next); err != nil {
			return err
		}
		return s.stillOurs()
	}
	m.Next, m.Last = next, at
	return s.save(changes, m)
}

// entry returns what is known of a recipient.
func (s *states) entry(name string) (e *entry, err error) {
	err = s.part.View(func(get func(string) []byte) error {
		e, err = decodeEntry(get(name))
		return err
	})
	return e, err
}

// each calls f for each entry of the copy from the given recipient on, until f
// returns false.
func (s *states) each(from string, f func(name string, e *entry) bool) error {
	return s.part.Each(from, func(name string, value []byte) (bool, error) {
		e, err := decodeEntry(value)
		if err != nil {
			return false, err
		}
		return f(name, e), nil
	})
}
