package cluster

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"
	"golang.org/x/sync/errgroup"

	"mtatap/suppress"
)

// worker owns one partition for one generation of the group.
type worker struct {
	*Processor
	group     *kafka.Generation
	partition int
	states    *states
	log       *slog.Logger

	next      int64     // offset behind the last event that is done
	confirmed time.Time // when the group last knew us
	clock     time.Time // the newest time of an event
}

const (
	// lease is how long after the group has answered an owner may write without
	// asking again: well below the session's timeout.
	lease = sessionTimeout / 3
	// sweepEvery is how often expired suppressions and quiet recipients are looked
	// for, sweepSlice how many at a time.
	sweepEvery = time.Hour
	sweepSlice = 5000
)

// run restores the partition and works on it until ctx ends, which it returns.
func (w *worker) run(ctx context.Context, offset int64) error {
	begun := time.Now()
	w.confirmed = begun
	if err := w.states.restore(ctx); err != nil {
		return err
	}
	if err := w.begin(ctx, &offset); err != nil {
		return err
	}
	w.metrics.restored(time.Since(begun))
	w.log.Info("partition restored", "recipients", w.states.part.Count(), "took", time.Since(begun).Round(time.Millisecond), "offset", offset)
	commands := w.states.mark.Command + 1
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in := make(chan inputs)
	group, ctx := errgroup.WithContext(ctx)
	feeds := []feed{{topic: w.topics.Events}, {topic: w.topics.Commands, command: true}}
	for i, from := range []int64{offset, commands} {
		f := feeds[i]
		f.kafka, f.partition, f.failed, f.out = w.kafka, w.partition, w.failed, in
		group.Go(func() error { return f.run(ctx, from) })
	}
	group.Go(func() error { return w.work(ctx, in) })
	return group.Wait()
}

// begin checks the offset that the group gave against the topic and the states, and
// publishes what was only observed up to now.
func (w *worker) begin(ctx context.Context, offset *int64) error {
	return persist(ctx, w.failed, func() error {
		first, end, err := w.kafka.bounds(ctx, w.topics.Events, w.partition)
		if err != nil {
			return err
		}
		if *offset < 0 {
			*offset = first
		}
		if at := max(*offset, w.states.mark.Offset+1); at > end {
			return madeAnew(w.topics.Events, w.partition, end, at)
		}
		w.next = *offset
		if w.states.mark.Observed == w.observe {
			return nil
		}
		if !w.observe {
			if err := w.publishAll(ctx); err != nil {
				return err
			}
		}
		return w.states.claim(ctx, w.observe)
	})
}

// publishAll publishes every suppression of the partition.
func (w *worker) publishAll(ctx context.Context) error {
	for from, more := "", true; more; {
		var all []decided
		more = false
		err := w.states.each(from, func(name string, e *entry) bool {
			if len(all) == sweepSlice {
				from, more = name, true
				return false
			}
			if sup := e.State.Suppression; sup != nil {
				all = append(all, decided{name, suppress.Decision{Suppression: sup}})
			}
			return true
		})
		if err == nil {
			err = w.publish(ctx, all)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// work applies what is read, batch after batch.
func (w *worker) work(ctx context.Context, in <-chan inputs) error {
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	for {
		select {
		case batch := <-in:
			if err := w.apply(ctx, batch); err != nil {
				return err
			}
		case <-sweep.C:
			if err := w.sweep(ctx); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// decided is a decision about a recipient.
type decided struct {
	recipient string
	suppress.Decision
}

// apply applies a batch, and makes its outcome durable in the order that the
// package promises.
func (w *worker) apply(ctx context.Context, batch inputs) error {
	entries, all, err := w.decide(batch.all)
	if err != nil {
		return err
	}
	if err := w.write(ctx, entries, all); err != nil {
		return err
	}
	w.metrics.refused.Add(float64(batch.refused))
	if batch.command {
		return nil
	}
	w.metrics.lag(w.partition, batch.end-batch.next)
	if batch.next == w.next {
		return nil
	}
	w.next = batch.next
	return w.commit()
}

// decide returns the entries that the inputs change, and the decisions.
func (w *worker) decide(all []input) (map[string]*entry, []decided, error) {
	entries := map[string]*entry{}
	var out []decided
	policy := *w.policy.Load()
	err := w.states.part.View(func(get func(string) []byte) error {
		for i := range all {
			in := &all[i]
			if in.Time.After(w.clock) && !in.command {
				w.clock = in.Time
			}
			e := entries[in.recipient]
			if e == nil {
				value := get(in.recipient)
				if value == nil && in.Kind == suppress.Delivery {
					continue // nothing is known, and nothing follows
				}
				var err error
				if e, err = decodeEntry(value); err != nil {
					return err
				}
			}
			if in.command && in.offset <= e.Command || !in.command && in.offset <= e.Offset {
				continue // applied before a crash
			}
			state, decisions := suppress.Apply(e.State, in.Outcome, policy)
			if state.Same(e.State) {
				continue
			}
			e.State = state
			if in.command {
				e.Command = in.offset
			} else {
				e.Offset = in.offset
			}
			entries[in.recipient] = e
			for _, d := range decisions {
				out = append(out, decided{in.recipient, d})
			}
		}
		return nil
	})
	return entries, out, err
}

// write publishes decisions, then entries.
func (w *worker) write(ctx context.Context, entries map[string]*entry, all []decided) error {
	if len(entries) == 0 {
		return nil
	}
	if err := w.publish(ctx, all); err != nil {
		return err
	}
	if err := w.states.publish(ctx, entries); err != nil {
		return err
	}
	for _, d := range all {
		w.metrics.Decided(d.Decision)
	}
	return nil
}

// publish writes decisions to the topic of suppressions, or only logs them.
func (w *worker) publish(ctx context.Context, all []decided) error {
	recs := make([]record, 0, len(all))
	for _, d := range all {
		r := suppress.RecordOf(d.recipient, d.Decision)
		text := r.Encode()
		if w.observe {
			w.log.Info("would publish", "decision", string(text))
			continue
		}
		rec := record{key: d.recipient, stamp: w.states.stamp()}
		if r.Status == suppress.Suppressed {
			rec.value = text
		}
		recs = append(recs, rec)
	}
	// Whoever was away for long may have lost the partition without knowing it.
	if time.Since(w.confirmed) > lease {
		if err := w.commit(); err != nil {
			return err
		}
	}
	_, err := w.kafka.produce(ctx, w.topics.Suppressions, w.partition, recs, w.failed)
	return err
}

var errNotOwner = errors.New("the group did not take the offset: the partition may be another's now")

// commit tells the group how far the partition is done, which refuses whoever does
// not own it any more.
func (w *worker) commit() error {
	asked := time.Now()
	if err := w.group.CommitOffsets(map[string]map[int]int64{w.topics.Events: {w.partition: w.next}}); err != nil {
		return errors.Join(errNotOwner, err)
	}
	w.confirmed = asked
	return nil
}

// sweep ends suppressions whose time is over and forgets who has been quiet for so
// long that it cannot matter any more, or, where there are too many, who has been
// quiet for longest.
func (w *worker) sweep(ctx context.Context) error {
	policy := *w.policy.Load()
	now := time.Now().UTC()
	excess := w.states.part.Count() - w.maxRecipients
	var quiet []suppress.Quiet
	for from, more := "", true; more; {
		entries := map[string]*entry{}
		var all []decided
		more = false
		n := 0
		err := w.states.each(from, func(name string, e *entry) bool {
			if n++; n > sweepSlice {
				from, more = name, true
				return false
			}
			state, decisions, forget := e.State.Review(now, w.clock, policy)
			switch {
			case len(decisions) > 0:
				e.State = state
				entries[name] = e
				for _, d := range decisions {
					all = append(all, decided{name, d})
				}
			case forget:
				entries[name] = nil
				excess--
			case excess > 0 && state.Suppression == nil:
				quiet = append(quiet, suppress.Quiet{Recipient: name, Since: state.Newest()})
			}
			return true
		})
		if err == nil {
			err = w.write(ctx, entries, all)
		}
		if err != nil {
			return err
		}
	}
	return w.makeRoom(ctx, quiet, excess)
}

func (w *worker) makeRoom(ctx context.Context, quiet []suppress.Quiet, excess int) error {
	forget := suppress.LongestQuiet(quiet, excess)
	for slice := range slices.Chunk(forget, sweepSlice) {
		entries := make(map[string]*entry, len(slice))
		for _, name := range slice {
			entries[name] = nil
		}
		if err := w.write(ctx, entries, nil); err != nil {
			return err
		}
	}
	w.metrics.Forgot(len(forget))
	return nil
}
