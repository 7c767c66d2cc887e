package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"mtatap/suppress"
	"mtatap/suppress/store"
)

// entry is what the state topic and the store hold of one recipient.
type entry struct {
	Offset  int64          `json:"offset"`  // of the last event that was applied, -1: none
	Command int64          `json:"command"` // of the last command that was applied, -1: none
	State   suppress.State `json:"state"`
}

// claim is the record by which an owner takes a partition of the state topic.
type claim struct {
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
	Next     int64 `json:"next"` // offset to go on from
	Last     stamp `json:"last"` // of the records up to there
	Observed bool  `json:"observed"`
	Offset   int64 `json:"offset"`  // of the last event in any entry
	Command  int64 `json:"command"` // of the last command in any entry
}

var noMark = mark{Offset: -1, Command: -1}

// states are the states of a partition: the topic, and the copy of it on disk.
type states struct {
	kafka     *Kafka
	topic     string
	partition int
	part      *store.Part
	mark      mark
	failed    func(error)
}

// restore brings the copy up to the topic and claims the partition. When it has
// returned nil, nothing that a former owner writes counts any more.
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
	if s.mark.Next > end || s.mark.Next < first { // another topic than the one that was copied, or the first time
		if err := s.part.Drop(); err != nil {
			return err
		}
		s.mark = noMark
		s.mark.Next = first
	}
	if err := s.follow(ctx, end); err != nil {
		return err
	}
	s.mark.Last = stamp{Epoch: s.mark.Last.Epoch + 1}
	return s.claim(ctx, s.mark.Observed)
}

// claim writes a claim and reads up to it.
func (s *states) claim(ctx context.Context, observed bool) error {
	text, err := json.Marshal(claim{observed, stateVersion})
	if err != nil {
		return fmt.Errorf("encode claim: %w", err)
	}
	next, err := s.kafka.produce(ctx, s.topic, s.partition, []record{{key: claimKey, value: text, stamp: s.mark.Last}}, s.failed)
	if err != nil {
		return err
	}
	return s.follow(ctx, next)
}

// follow applies the topic to the copy up to offset end.
func (s *states) follow(ctx context.Context, end int64) error {
	for s.mark.Next < end {
		changes := store.Changes{}
		m := s.mark
		err := persist(ctx, s.failed, func() error {
			got, err := s.kafka.fetch(ctx, s.topic, s.partition, m.Next, func(offset int64, key, value []byte, at stamp) error {
				return s.take(&m, changes, key, value, at)
			})
			if err != nil {
				clear(changes)
				m = s.mark
				return err
			}
			m.Next = got.next
			return nil
		})
		if err != nil {
			return err
		}
		if err := s.save(changes, m); err != nil {
			return err
		}
	}
	return nil
}

// take adds a record of the topic to changes and m, if it counts.
func (s *states) take(m *mark, changes store.Changes, key, value []byte, at stamp) error {
	if at.before(m.Last) {
		return nil
	}
	m.Last = at
	if string(key) == claimKey {
		var c claim
		if err := json.Unmarshal(value, &c); err != nil {
			return final("topic %s, partition %d: read claim: %v", s.topic, s.partition, err)
		}
		if c.Version > stateVersion {
			return final("topic %s, partition %d: states are of version %d, this program knows %d: run the newer mtatap", s.topic, s.partition, c.Version, stateVersion)
		}
		m.Observed = c.Observed
		return nil
	}
	if len(key) <= len(recipient) {
		return nil
	}
	name := string(key[len(recipient):])
	if value == nil {
		changes[name] = nil
		return nil
	}
	var e entry
	if err := json.Unmarshal(value, &e); err != nil {
		return final("topic %s, partition %d: read state: %v", s.topic, s.partition, err)
	}
	m.Offset, m.Command = max(m.Offset, e.Offset), max(m.Command, e.Command)
	changes[name] = bytes.Clone(value)
	return nil
}

// save makes changes in the copy and sets the mark.
func (s *states) save(changes store.Changes, m mark) error {
	text, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode mark: %w", err)
	}
	if err := s.part.Apply(changes, text); err != nil {
		return err
	}
	s.mark = m
	return nil
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
			text, err := json.Marshal(e)
			if err != nil {
				return fmt.Errorf("encode state: %w", err)
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
	m.Next, m.Last = next, at
	return s.save(changes, m)
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

// decodeEntry reads an entry of the store; it is new where there is none.
func decodeEntry(value []byte) (*entry, error) {
	e := &entry{Offset: -1, Command: -1}
	if value == nil {
		return e, nil
	}
	if err := json.Unmarshal(value, e); err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	return e, nil
}
