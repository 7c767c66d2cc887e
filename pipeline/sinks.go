package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mtatap/event"
)

// Writer is a destination of events.
type Writer interface {
	// Write delivers events in order. It blocks, retrying in place, until all
	// are durable at the destination or in the dead letters, and returns nil;
	// or until ctx ends, and returns its error. Any other error ends the
	// pipeline. It keeps no reference to events and does not change them.
	Write(ctx context.Context, events []*event.Event) error
	Close() error
}

// Opener is a Writer that can ask its destination whether it is there.
type Opener interface {
	// Open blocks, retrying in place, until the destination has answered once, or
	// until ctx ends, and returns its error. Any other error ends the pipeline.
	// It is called at most once, before the first Write.
	Open(ctx context.Context) error
}

// Sink is a named Writer and how far the pipeline waits for it.
type Sink struct {
	Name   string
	Writer Writer
	// Required sinks hold the checkpoint until they have taken a batch.
	Required bool
	// Patient sinks are waited for when their queue is full. Required sinks
	// always are; a sink that is neither loses what it has no room for, which
	// is counted.
	Patient bool
}

// queuedBatches is how many batches wait for a busy sink, and how many it is
// given at once then: what Limits allow. Small batches bound what stands between
// log and sinks, and stay in the processor's cache.
const queuedBatches = 4

// outlet is the goroutine of one sink.
type outlet struct {
	Sink
	queue   chan *batch
	log     *slog.Logger
	dropped *rateLimit

	queued      prometheus.Gauge
	written     prometheus.Counter
	lost        prometheus.Counter
	seconds     prometheus.Observer
	lastSuccess prometheus.Gauge
	now         func() time.Time

	answered  atomic.Bool   // whether the destination has shown that it is there
	busySince atomic.Int64  // when the Write under way began, in Unix nanoseconds; 0 if none
	failedAt  *atomic.Int64 // when an attempt last failed
}

func newOutlet(s Sink, m *Metrics, log *slog.Logger, now func() time.Time) *outlet {
	return &outlet{
		Sink: s, queue: make(chan *batch, queuedBatches), log: log.With("sink", s.Name), dropped: newRateLimit(10 * time.Second), now: now,
		queued: m.sinkQueue.WithLabelValues(s.Name), written: m.sinkEvents.WithLabelValues(s.Name),
		lost: m.deadLetters.WithLabelValues(s.Name, "queue_full"), seconds: m.sinkSeconds.WithLabelValues(s.Name),
		lastSuccess: m.sinkSuccess.WithLabelValues(s.Name), failedAt: m.failedAt(s.Name),
	}
}

// offer hands b to the sink. A sink that is waited for blocks until there is
// room or ctx ends; otherwise a full queue drops the batch.
func (o *outlet) offer(ctx context.Context, b *batch) error {
	o.queued.Add(float64(len(b.events)))
	if o.Required || o.Patient {
		select {
		case o.queue <- b:
			return nil
		case <-ctx.Done():
			o.discard(b)
			return ctx.Err()
		}
	}
	select {
	case o.queue <- b:
	default:
		o.lost.Add(float64(len(b.events)))
		if o.dropped.allow(o.now()) {
			o.log.Warn("queue is full: dropping events of a sink that is not required", "events", len(b.events))
		}
		o.discard(b)
	}
	return nil
}

// discard lets go of a batch that the sink did not take.
func (o *outlet) discard(b *batch) {
	o.queued.Sub(float64(len(b.events)))
	b.release()
}

// trouble returns an error while the sink takes nothing.
func (o *outlet) trouble(now time.Time) error {
	if !o.answered.Load() {
		return errors.New("has not answered yet")
	}
	if since := o.busySince.Load(); since != 0 {
		if busy := now.Sub(time.Unix(0, since)); busy > maxWrite {
			return fmt.Errorf("has taken nothing for %s", busy.Round(time.Second))
		}
	}
	return nil
}

// open waits until a required sink has answered, or reading has ended: what is
// queued by then is still to be written.
func (o *outlet) open(reading context.Context) error {
	opener, ok := o.Writer.(Opener)
	if !ok || !o.Required {
		o.answered.Store(true)
		return nil
	}
	err := opener.Open(reading)
	switch {
	case err == nil:
		o.answered.Store(true)
	case reading.Err() == nil:
		return fmt.Errorf("open sink %s: %w", o.Name, err)
	}
	return nil
}

// run writes queued batches, several at once when they have piled up, until the
// queue is closed and empty. After a failed Write it takes no further batch.
func (o *outlet) run(ctx, reading context.Context) error {
	if err := o.open(reading); err != nil {
		return err
	}
	var taken []*batch
	var events []*event.Event
	for first := range o.queue {
		taken, events = append(taken[:0], first), appendEvents(events[:0], first)
		for more := true; more && len(taken) < queuedBatches; {
			select {
			case b, ok := <-o.queue:
				if more = ok; ok {
					taken, events = append(taken, b), appendEvents(events, b)
				}
			default:
				more = false
			}
		}
		err := o.write(ctx, events)
		for _, b := range taken {
			if err == nil && o.Required {
				b.complete()
			}
			o.discard(b)
		}
		clear(events)
		if err != nil {
			return err
		}
	}
	return nil
}

func (o *outlet) write(ctx context.Context, events []*event.Event) error {
	if len(events) == 0 { // positions of idle logs advance all the same
		return nil
	}
	start := o.now()
	o.busySince.Store(start.UnixNano())
	defer o.busySince.Store(0)
	if err := o.Writer.Write(ctx, events); err != nil {
		return fmt.Errorf("write to sink %s: %w", o.Name, err)
	}
	end := o.now()
	o.seconds.Observe(end.Sub(start).Seconds())
	o.answered.Store(true)
	o.written.Add(float64(len(events)))
	o.lastSuccess.Set(float64(end.UnixNano()) / 1e9)
	return nil
}

func appendEvents(dst []*event.Event, b *batch) []*event.Event {
	for i := range b.events {
		dst = append(dst, &b.events[i])
	}
	return dst
}
