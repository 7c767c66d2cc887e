// Package local runs the suppression of recipients inside one process: a sink that
// keeps its states in a store and hands decisions to publishers.
//
// States and the decisions that follow from them are written in one transaction, the
// decisions to an outbox, from where they are published; a batch counts as written
// when all publishers have taken its decisions. A crash can only repeat a decision,
// as it was. The package must never decide by itself.
package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"mtatap/event"
	"mtatap/suppress"
	"mtatap/suppress/store"
)

// Publisher is a destination of decisions.
type Publisher interface {
	// Publish delivers records in JSON, in order. It retries until all are durable,
	// or ctx ends, and then returns its error.
	Publish(ctx context.Context, records [][]byte) error
}

// Options are what a Local is made of.
type Options struct {
	Store         *store.Store // closed by Close
	Publishers    []Publisher
	Observe       bool // decisions are logged and not published
	MaxRecipients int  // that are remembered without being suppressed
	Metrics       *suppress.Metrics
	Logger        *slog.Logger
	Now           func() time.Time // nil: time.Now
}

// Local decides for all recipients. Its methods may be called concurrently.
type Local struct {
	o    Options
	part *store.Part

	mu     sync.Mutex
	policy suppress.Policy
	mark   mark
	sent   []string  // keys of the outbox that are published and not yet removed
	clock  time.Time // the newest time of an event
	swept  time.Time
	closed bool
}

// mark is what the store notes beside the states.
type mark struct {
	Seq      uint64 `json:"seq"`      // of the last decision in the outbox
	Observed bool   `json:"observed"` // nothing has been published yet
}

// The keys of the part.
const (
	recipientKey = "recipient "
	outboxKey    = "decision "
	outboxEnd    = "decision~"
)

const (
	sweepEvery   = time.Hour
	crowdedEvery = time.Minute // while there are more than MaxRecipients
	slice        = 5000        // of a walk over all recipients
)

// New returns a Local that decides by policy.
func New(policy suppress.Policy, o Options) (*Local, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	l := &Local{o: o, part: o.Store.Part("local"), policy: policy}
	if text := l.part.Mark(); text != nil {
		if err := json.Unmarshal(text, &l.mark); err != nil {
			return nil, fmt.Errorf("read store: %w", err)
		}
	}
	l.measure()
	return l, nil
}

// SetPolicy lets everything from now on be decided by policy.
func (l *Local) SetPolicy(policy suppress.Policy) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.policy = policy
}

// Open publishes what an earlier run decided and did not publish.
func (l *Local) Open(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mark.Observed != l.o.Observe {
		if err := l.endObserving(); err != nil {
			return err
		}
	}
	return l.publish(ctx)
}

// Write takes events in order and returns when what follows from them is durable and
// published.
func (l *Local) Write(ctx context.Context, events []*event.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mark.Observed != l.o.Observe { // not opened
		if err := l.endObserving(); err != nil {
			return err
		}
	}
	inputs := make([]input, 0, len(events))
	for _, e := range events {
		if o := suppress.OutcomeOf(e); o.Kind != suppress.Nothing {
			inputs = append(inputs, input{strings.ToValidUTF8(e.Key(), "\uFFFD"), o})
			if o.Time.After(l.clock) {
				l.clock = o.Time
			}
		}
	}
	if err := l.apply(ctx, inputs); err != nil {
		return err
	}
	now := l.o.Now()
	every := sweepEvery
	if l.part.Count() > l.o.MaxRecipients+l.o.MaxRecipients/10 {
		every = crowdedEvery
	}
	if now.Sub(l.swept) < every {
		return nil
	}
	l.swept = now
	return l.sweep(ctx, now.UTC())
}

// Change suppresses or releases a recipient by hand: o is an Add or a Release. It
// returns when that is published.
func (l *Local) Change(ctx context.Context, recipient string, o suppress.Outcome) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.apply(ctx, []input{{recipient, o}})
}

// Lookup returns the suppression of a recipient as published, nil if there is none.
func (l *Local) Lookup(recipient string) (*suppress.Record, error) {
	if l.o.Observe {
		return nil, nil
	}
	var found *suppress.Record
	err := l.part.View(func(get func(string) []byte) error {
		s, err := decode(get(recipientKey + recipient))
		if err != nil || s.Suppression == nil {
			return err
		}
		if r := s.Suppression.Record(recipient); !r.Lapsed(l.o.Now()) {
			found = &r
		}
		return nil
	})
	return found, err
}

// Each calls f for each suppression, by recipient, until f returns an error. While
// decisions are only logged, it shows those.
func (l *Local) Each(f func(suppress.Record) error) error {
	now := l.o.Now()
	return l.each("", func(name string, s suppress.State) (bool, error) {
		if s.Suppression == nil {
			return true, nil
		}
		if r := s.Suppression.Record(name); !r.Lapsed(now) {
			return true, f(r)
		}
		return true, nil
	})
}

// Close tidies up and closes the store. Closing twice is fine.
func (l *Local) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	var err error
	if len(l.sent) > 0 {
		err = l.commit(store.Changes{}, nil)
	}
	return errors.Join(err, l.o.Store.Close())
}

// input is what is said of a recipient.
type input struct {
	recipient string
	suppress.Outcome
}

// decided is a decision about a recipient.
type decided struct {
	recipient string
	suppress.Decision
}

// apply applies inputs and publishes what follows.
func (l *Local) apply(ctx context.Context, inputs []input) error {
	states := map[string]suppress.State{}
	var all []decided
	err := l.part.View(func(get func(string) []byte) error {
		for _, in := range inputs {
			s, changed := states[in.recipient]
			if !changed {
				value := get(recipientKey + in.recipient)
				if value == nil && in.Kind == suppress.Delivery {
					continue // nothing is known, and nothing follows
				}
				var err error
				if s, err = decode(value); err != nil {
					return err
				}
			}
			next, decisions := suppress.Apply(s, in.Outcome, l.policy)
			if next.Same(s) {
				continue
			}
			states[in.recipient] = next
			for _, d := range decisions {
				all = append(all, decided{in.recipient, d})
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	changes := make(store.Changes, len(states))
	for name, s := range states {
		if changes[recipientKey+name], err = json.Marshal(s); err != nil {
			return fmt.Errorf("encode state: %w", err)
		}
	}
	return l.write(ctx, changes, all)
}

// write makes changes and decisions durable, then publishes them.
func (l *Local) write(ctx context.Context, changes store.Changes, all []decided) error {
	if len(changes) > 0 {
		if err := l.commit(changes, all); err != nil {
			return err
		}
		for _, d := range all {
			l.o.Metrics.Decided(d.Decision)
		}
		l.measure()
	}
	return l.publish(ctx)
}

// commit writes changes, and decisions to the outbox, in one transaction.
func (l *Local) commit(changes store.Changes, all []decided) error {
	m := l.mark
	for _, key := range l.sent {
		changes[key] = nil
	}
	for _, d := range all {
		r := suppress.RecordOf(d.recipient, d.Decision)
		text := r.Encode()
		if l.o.Observe {
			l.o.Logger.Info("would publish", "decision", string(text))
			continue
		}
		m.Seq++
		changes[fmt.Sprintf("%s%020d", outboxKey, m.Seq)] = text
	}
	return l.save(changes, m)
}

func (l *Local) save(changes store.Changes, m mark) error {
	text, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode mark: %w", err)
	}
	if err := l.part.Apply(changes, text); err != nil {
		return err
	}
	l.mark, l.sent = m, nil
	return nil
}

// publish hands the outbox to every publisher. What they have taken is removed with
// the next transaction.
func (l *Local) publish(ctx context.Context) error {
	for {
		var keys []string
		var records [][]byte
		from := outboxKey
		if n := len(l.sent); n > 0 {
			from = l.sent[n-1] + "\x00"
		}
		err := l.part.Each(from, func(key string, value []byte) (bool, error) {
			if key >= outboxEnd || len(keys) == slice {
				return false, nil
			}
			keys, records = append(keys, key), append(records, append([]byte(nil), value...))
			return true, nil
		})
		if err != nil || len(keys) == 0 {
			return err
		}
		for _, p := range l.o.Publishers {
			if err := p.Publish(ctx, records); err != nil {
				return err
			}
		}
		l.sent = append(l.sent, keys...)
	}
}

// endObserving puts all suppressions into the outbox, or notes that decisions are
// only logged from now on.
func (l *Local) endObserving() error {
	m := l.mark
	m.Observed = l.o.Observe
	changes := store.Changes{}
	if !l.o.Observe {
		err := l.each("", func(name string, s suppress.State) (bool, error) {
			if s.Suppression != nil {
				r := s.Suppression.Record(name)
				m.Seq++
				changes[fmt.Sprintf("%s%020d", outboxKey, m.Seq)] = r.Encode()
			}
			return true, nil
		})
		if err != nil {
			return err
		}
	}
	return l.save(changes, m)
}

// sweep ends suppressions whose time is over and forgets who has been quiet for so
// long that it cannot matter any more, or, where there are too many, who has been
// quiet for longest.
func (l *Local) sweep(ctx context.Context, now time.Time) error {
	excess := l.part.Count() - l.o.MaxRecipients
	var quiet []suppress.Quiet
	for from, more := "", true; more; {
		changes := store.Changes{}
		var all []decided
		more = false
		n := 0
		err := l.each(from, func(name string, s suppress.State) (bool, error) {
			if n++; n > slice {
				from, more = name, true
				return false, nil
			}
			state, decisions, forget := s.Review(now, l.clock, l.policy)
			switch {
			case len(decisions) > 0:
				text, err := json.Marshal(state)
				if err != nil {
					return false, fmt.Errorf("encode state: %w", err)
				}
				changes[recipientKey+name] = text
				for _, d := range decisions {
					all = append(all, decided{name, d})
				}
			case forget:
				changes[recipientKey+name] = nil
				excess--
			case excess > 0 && state.Suppression == nil:
				quiet = append(quiet, suppress.Quiet{Recipient: name, Since: state.Newest()})
			}
			return true, nil
		})
		if err == nil {
			err = l.write(ctx, changes, all)
		}
		if err != nil {
			return err
		}
	}
	changes := store.Changes{}
	for _, name := range suppress.LongestQuiet(quiet, excess) {
		changes[recipientKey+name] = nil
	}
	l.o.Metrics.Forgot(len(changes))
	return l.write(ctx, changes, nil)
}

func (l *Local) each(from string, f func(name string, s suppress.State) (bool, error)) error {
	return l.part.Each(recipientKey+from, func(key string, value []byte) (bool, error) {
		name, ok := strings.CutPrefix(key, recipientKey)
		if !ok {
			return false, nil
		}
		s, err := decode(value)
		if err != nil {
			return false, err
		}
		return f(name, s)
	})
}

func (l *Local) measure() { l.o.Metrics.Size(l.part.Count(), l.o.Store.Size()) }

// decode reads a state; there may be none.
func decode(value []byte) (s suppress.State, err error) {
	if value != nil {
		if err = json.Unmarshal(value, &s); err != nil {
			err = fmt.Errorf("read state: %w", err)
		}
	}
	return s, err
}
