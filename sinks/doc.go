// Package sinks delivers events: to a Kafka topic, an NDJSON file, standard
// output, a webhook, and into counters. Beside them stands the dead-letter
// file, where events go that a destination refuses for good.
//
// A sink has two methods. Write takes events in the order of their log lines
// and returns nil only when every one of them is durable at its destination or
// in the dead-letter file; it retries in place, endlessly, until its context
// ends, and then nothing may be assumed delivered. Close lets go of what the
// sink holds. Both are called by one goroutine, one call at a time.
//
// Constructors check settings, but neither connect nor start goroutines: a
// destination that is down, or misconfigured in a way that only it can tell,
// is an outage to be logged and retried, never a reason to end. Sinks share
// events and must never change them; they know nothing of where events come
// from, and must never drop one.
package sinks

import (
	"context"
	"errors"
	"log/slog"

	"mtatap/event"
)

// Deps is what a sink gets from outside.
type Deps struct {
	// Name of the sink, for logs and dead letters.
	Name string
	// Log gets a summary of failures, at most one message in 10 s.
	Log *slog.Logger
	// Failed is called for each failed attempt, one call at a time. May be nil.
	Failed func(error)
	// DeadLetters takes what the destination refuses for good. Kafka and
	// Webhook need it.
	DeadLetters *DeadLetters
}

var errNoDeadLetters = errors.New("sink needs a dead-letter file")

// bury writes letters to the dead letters, and retries until it has or ctx ends.
func (d Deps) bury(ctx context.Context, t *trouble, letters ...DeadLetter) error {
	var wait backoff
	for {
		err := d.DeadLetters.Put(letters...)
		if err == nil {
			return nil
		}
		t.failed(err, "the event stays in the queue until its dead letter can be written")
		if err := wait.sleep(ctx); err != nil {
			return err
		}
	}
}

func (d Deps) letter(cause Cause, err error, e *event.Event) DeadLetter {
	return DeadLetter{Sink: d.Name, Cause: cause, Detail: summary(err), Event: e}
}
