package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"mtatap/suppress"
	"mtatap/suppress/store"
)

// group is the consumer group, as one of its members.
type group interface {
	// CommitOffsets stores offsets by topic and partition. It fails for whoever is
	// not a member of the present generation.
	CommitOffsets(offsets map[string]map[int]int64) error
}

// worker owns one partition for one generation of the group.
type worker struct {
	*Processor
	group     group
	partition int
	states    *states
	log       *slog.Logger

	next      int64     // offset behind the last event that is done
	confirmed time.Time // when the group last knew us
	clock     time.Time // the newest time of an event

	swept      time.Time
	suppressed int // recipients, when it was last swept
}

const (
	// lease is how long after the group has answered an owner may write without
	// asking again: well below the session's timeout.
	lease = sessionTimeout / 3
	// slice is how many recipients of a walk over all are worked on at a time.
	slice = 5000
)

// run restores the partition and works on it until ctx ends, which it returns.
func (w *worker) run(ctx context.Context, offset int64) error {
	begun := time.Now()
	if err := w.locate(ctx, &offset); err != nil {
		return err
	}
	w.next = offset
	if err := w.states.restore(ctx); err != nil {
		return err
	}
	if err := w.begin(ctx); err != nil {
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
		f.kafka, f.partition, f.failed, f.out = w.broker, w.partition, w.failed, in
		group.Go(func() error { return f.run(ctx, from) })
	}
	group.Go(func() error { return w.work(ctx, in) })
	return group.Wait()
}

// locate sets an offset that the group does not know to the first one.
func (w *worker) locate(ctx context.Context, offset *int64) error {
	return persist(ctx, w.failed, func() error {
		first, _, err := w.broker.bounds(ctx, w.topics.Events, w.partition)
		if err == nil && *offset < 0 {
			*offset = first
		}
		return err
	})
}

// begin checks the offset that the group gave against the topic and the states,
// claims the partition and publishes what was only observed up to now.
func (w *worker) begin(ctx context.Context) error {
	err := persist(ctx, w.failed, func() error {
		_, end, err := w.broker.bounds(ctx, w.topics.Events, w.partition)
		if err != nil {
			return err
		}
		if at := max(w.next, w.states.mark.Offset+1); at > end {
			return madeAnew(w.topics.Events, w.partition, end, at)
		}
		return nil
	})
	if err != nil {
		return err
	}
	// Restoring takes its time: whoever claims must still be the owner.
	if err := w.commit(); err != nil {
		return err
	}
	observed := w.states.mark.Observed
	if err := w.states.claim(ctx, observed); err != nil || observed == w.observe {
		return err
	}
	if !w.observe {
		if err := w.publishAll(ctx); err != nil {
			return err
		}
	}
	return w.states.claim(ctx, w.observe)
}

// publishAll publishes every suppression of the partition, and releases who else is
// suppressed on the topic: that ended while decisions were only logged.
func (w *worker) publishAll(ctx context.Context) error {
	for from, more := "", true; more; {
		var all []decided
		more = false
		err := w.states.each(from, func(name string, e *entry) bool {
			if len(all) == slice {
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
	published := &Table{kafka: w.broker, topic: w.topics.Suppressions, partitions: []int{w.partition},
		parts: []*store.Part{w.store.Part(fmt.Sprintf("published/%d", w.partition))}, failed: w.failed}
	err := published.CatchUp(ctx)
	if err == nil {
		err = published.Each(func(r suppress.Record) error {
			e, err := w.states.entry(r.Recipient)
			if err != nil || e.State.Suppression != nil {
				return err
			}
			return w.publish(ctx, []decided{{r.Recipient, suppress.Decision{Cause: suppress.CauseManual, At: time.Now().UTC()}}})
		})
	}
	return errors.Join(err, published.parts[0].Drop())
}

// work applies what is read, batch after batch.
func (w *worker) work(ctx context.Context, in <-chan inputs) error {
	tick := time.NewTicker(crowdedEvery)
	defer tick.Stop()
	w.swept = time.Now()
	for {
		select {
		case batch := <-in:
			if err := w.apply(ctx, batch); err != nil {
				return err
			}
		case <-tick.C:
			if err := w.sweepIfDue(ctx, time.Now().UTC()); err != nil {
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
	w.metrics.Lag(w.partition, batch.end-batch.next)
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
			o := in.Outcome
			if in.command {
				o = suppress.ByHand(e.State, o)
			}
			state, decisions := suppress.Apply(e.State, o, policy)
			if state.Same(e.State) {
				continue
			}
			if o.Kind == suppress.Release && len(decisions) == 0 {
				// A crash may have left what was published and not noted.
				decisions = []suppress.Decision{{Cause: suppress.CauseManual, At: o.Time}}
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
	if w.unconfirmed() > lease {
		if err := w.commit(); err != nil {
			return err
		}
	}
	_, err := w.broker.produce(ctx, w.topics.Suppressions, w.partition, recs, w.failed)
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

// unconfirmed is how long the group has not been heard. The wall clock goes on while a
// machine is suspended, the other one does not.
func (w *worker) unconfirmed() time.Duration {
	now := time.Now()
	return max(now.Sub(w.confirmed), now.Round(0).Sub(w.confirmed.Round(0)))
}
