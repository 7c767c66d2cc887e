package pipeline

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"mtatap/event"
	"mtatap/tailers"
)

// batch is what travels from a reader to the sinks: the events of a run of
// lines, and where their file stands after them. It goes to every sink and is
// recycled when the last one lets go of it.
type batch struct {
	events []event.Event
	arena  []byte // the events' JSON, one after the other
	ends   []int  // where each event's JSON ends in arena
	size   int    // about how long the JSON will be

	identified bool   // whether events have their ids
	scratch    []byte // of identify

	reader   *reader
	position tailers.Position
	memory   []byte    // parser snapshot at position; nil for most batches
	read     time.Time // when its first line was read
	caughtUp bool      // nothing was left to read behind it

	awaited atomic.Int32 // required sinks that have not completed it
	holders atomic.Int32 // sinks that still use it
}

var batches = sync.Pool{New: func() any { return new(batch) }}

// add appends events of deliveries that were read at that time, still without
// anything but what the log said.
func (b *batch) add(deliveries []event.Delivery, observed time.Time) {
	for i := range deliveries {
		b.events = append(b.events, event.Event{Observed: observed})
		b.events[len(b.events)-1].Delivery = deliveries[i]
		b.size += jsonOverhead + len(deliveries[i].Raw)
	}
}

// jsonOverhead is about how much longer an event's JSON is than its line.
const jsonOverhead = 500

// identify sets the id of each event.
func (b *batch) identify() {
	for i := range b.events {
		b.events[i].ID, b.scratch = event.NewID(&b.events[i].Delivery, b.scratch)
	}
	b.identified = true
}

// encode makes the JSON of each event, all in one arena.
func (b *batch) encode(enc *event.Encoder) {
	b.arena = slices.Grow(b.arena, b.size)
	b.ends = slices.Grow(b.ends, len(b.events))
	for i := range b.events {
		b.arena = enc.Append(b.arena, &b.events[i])
		b.ends = append(b.ends, len(b.arena))
	}
	start := 0
	for i, end := range b.ends { // the arena moves no more
		b.events[i].JSON = b.arena[start:end:end]
		start = end
	}
}

// complete is called by each required sink that has made the batch durable.
func (b *batch) complete() {
	if b.awaited.Add(-1) == 0 {
		b.reader.acknowledge(b)
	}
}

// release is called by each sink that is done with the batch, whether it took
// it or not.
func (b *batch) release() {
	if b.holders.Add(-1) == 0 {
		b.empty()
		batches.Put(b)
	}
}

// empty makes b as new but for its buffers.
func (b *batch) empty() {
	clear(b.events) // lets go of the lines
	*b = batch{events: b.events[:0], arena: b.arena[:0], ends: b.ends[:0], scratch: b.scratch[:0]}
}
