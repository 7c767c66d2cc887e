//go:build e2e

package faults

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"

	"mtatap/e2e/lab"
)

// fault is a kind of thing that must not happen.
type fault string

const (
	lost          fault = "logged but not published"
	invented      fault = "published but not logged"
	unreadable    fault = "not an event"
	otherID       fault = "published again with another id"
	sharedID      fault = "id of another line"
	otherValue    fault = "published again with another value"
	disordered    fault = "out of order for its key"
	moved         fault = "in another partition than its key was"
	misaddressed  fault = "record key or ce_id is not that of the event"
	notJoined     fault = "sender, message id, recipient or attempt are not those logged"
	replayDiffers fault = "not what replay gives"
)

// faults are what a check has found, how many records were doubles, which is
// none, and how many outcomes have arrived.
type faults struct {
	found     map[fault][]string
	doubles   int
	delivered int // outcomes that have arrived
}

func (f *faults) add(kind fault, format string, args ...any) {
	f.found[kind] = append(f.found[kind], fmt.Sprintf(format, args...))
}

// report fails t for each kind of fault at a sink, with a few examples.
func (f *faults) report(t *testing.T, sink string) {
	t.Helper()
	kinds := make([]string, 0, len(f.found))
	for kind := range f.found {
		kinds = append(kinds, string(kind))
	}
	sort.Strings(kinds)
	for _, kind := range kinds {
		all := f.found[fault(kind)]
		t.Errorf("%s: %d times %s:\n  %s", sink, len(all), kind, strings.Join(all[:min(len(all), 5)], "\n  "))
	}
}

// topicEvent is an event as a consumer sees it.
type topicEvent struct {
	ID         string  `json:"id"`
	Status     string  `json:"status"`
	Recipient  string  `json:"recipient"`
	Sender     *string `json:"sender"`
	MessageID  string  `json:"message_id"`
	Diagnostic string  `json:"diagnostic"`
	Attempt    int     `json:"attempt"`
	Rule       string  `json:"rule"`
	Source     struct {
		File   string `json:"file"`
		Offset int64  `json:"offset"`
	} `json:"source"`

	value digest // without what may differ between doubles
	alone digest // without what a file cannot tell without the one before it
}

var serialPattern = regexp.MustCompile(`\bS\d{7}\b`)

// name is that of the outcome that the event tells.
func (p *topicEvent) name() string { return serialPattern.FindString(p.Diagnostic) + " " + p.Status }

func decodeEvent(value string) (*topicEvent, error) {
	p := &topicEvent{}
	if err := json.Unmarshal([]byte(value), p); err != nil {
		return nil, err
	}
	var fields map[string]any
	if err := json.Unmarshal([]byte(value), &fields); err != nil {
		return nil, err
	}
	// source.file is the name under which it was read at that moment.
	for _, name := range []string{"observed_time", "source"} {
		delete(fields, name)
	}
	p.value = digestOf(p.Source.Offset, fields)
	for _, name := range []string{"sender", "message_id", "attempt"} {
		delete(fields, name)
	}
	p.alone = digestOf(p.Source.Offset, fields)
	return p, nil
}

// digest stands for a value, of which there may be millions.
type digest [16]byte

func digestOf(offset int64, fields map[string]any) (d digest) {
	h := fnv.New128a()
	fmt.Fprint(h, offset, fields) // maps print sorted
	h.Sum(d[:0])
	return d
}

// check compares the records of a sink with what was logged, but for outcomes
// that may miss, and with the events that replaying the log gave, one a line.
func check(records []lab.KafkaRecord, want []outcome, mayMiss map[string]bool, replayed []string) *faults {
	c := &checking{
		faults: faults{found: map[fault][]string{}},
		want:   make(map[string]outcome, len(want)), turn: make(map[string]int, len(want)),
		first: map[string]*topicEvent{}, ids: map[string]string{}, partitions: map[string]int{}, last: map[string]int{},
	}
	arrived := map[string]bool{}
	if len(mayMiss) > 0 {
		for _, r := range records {
			if p, err := decodeEvent(r.Value); err == nil {
				arrived[p.name()] = true
			}
		}
		want = slices.DeleteFunc(slices.Clone(want), func(o outcome) bool { return mayMiss[o.name()] && !arrived[o.name()] })
	}
	byKey := map[string]int{}
	for _, o := range want {
		key := strings.ToLower(o.recipient)
		c.want[o.name()] = o
		c.turn[o.name()] = byKey[key]
		byKey[key]++
	}
	for _, r := range records {
		c.record(r)
	}
	for _, o := range want {
		if c.first[o.name()] == nil {
			c.add(lost, "%+v", o)
		}
	}
	c.delivered = len(c.first)
	c.replay(replayed, mayMiss)
	return &c.faults
}

type checking struct {
	faults
	want       map[string]outcome
	turn       map[string]int         // of an outcome among those of its key
	first      map[string]*topicEvent // by outcome
	ids        map[string]string      // outcome by id
	partitions map[string]int         // by key
	last       map[string]int         // turn of what was published last, by key
}

func (c *checking) record(r lab.KafkaRecord) {
	p, err := decodeEvent(r.Value)
	if err != nil {
		c.add(unreadable, "%v: %s", err, r.Value)
		return
	}
	name := p.name()
	o, ok := c.want[name]
	if !ok {
		c.add(invented, "%s", r.Value)
		return
	}
	if r.Key != strings.ToLower(p.Recipient) || r.Headers["ce_id"] != p.ID {
		c.add(misaddressed, "key %s, ce_id %s: %s", r.Key, r.Headers["ce_id"], r.Value)
	}
	if p.Recipient != o.recipient || p.Sender == nil || *p.Sender != o.sender || p.MessageID != o.messageID || p.Attempt != o.attempt {
		c.add(notJoined, "%+v is published as %s", o, r.Value)
	}
	if other, ok := c.ids[p.ID]; ok && other != name {
		c.add(sharedID, "%s has the id %s of %s", name, p.ID, other)
	}
	c.ids[p.ID] = name
	if before := c.first[name]; before == nil {
		c.first[name] = p
	} else {
		c.doubles++
		if before.ID != p.ID {
			c.add(otherID, "%s: %s and %s", name, before.ID, p.ID)
		} else if before.value != p.value {
			c.add(otherValue, "%s, now as %s", name, r.Value)
		}
	}
	c.order(r, o)
}

// order allows for each key to go on with the next outcome or, for doubles, to
// go back and then on from there, but never to skip one.
func (c *checking) order(r lab.KafkaRecord, o outcome) {
	turn := c.turn[o.name()]
	last, ok := c.last[r.Key]
	if !ok {
		last = -1
	}
	if turn > last+1 {
		c.add(disordered, "key %s: number %d (%s) follows number %d", r.Key, turn, o.name(), last)
	}
	c.last[r.Key] = turn
	if p, ok := c.partitions[r.Key]; ok && p != r.Partition {
		c.add(moved, "key %s: from %d to %d", r.Key, p, r.Partition)
	}
	c.partitions[r.Key] = r.Partition
}

// replay compares what was published with what replaying each file gives. An
// expiry whose deferral stands in the file before is not known to a replay.
func (c *checking) replay(replayed []string, mayMiss map[string]bool) {
	seen := map[string]bool{}
	for _, line := range replayed {
		p, err := decodeEvent(line)
		if err != nil {
			c.add(replayDiffers, "%v: %s", err, line)
			continue
		}
		if p.Status == "expired" && p.Recipient == "" {
			continue
		}
		name := p.name()
		seen[name] = true
		if live := c.first[name]; live != nil && (live.ID != p.ID || live.alone != p.alone) {
			c.add(replayDiffers, "%s was published as %s, replayed as %s", name, live.ID, line)
		}
	}
	for name, o := range c.want {
		if !seen[name] && o.status != "expired" && !mayMiss[name] {
			c.add(replayDiffers, "%s is not replayed", name)
		}
	}
}
