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
	Failed        func(error)      // is told of each failed write of the store; nil: nobody
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
	closed bool

	swept      time.Time
	suppressed int // recipients, when it was last swept
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
	withheldKey  = "withheld " // a release that was only logged
)

const (
	sweepEvery   = time.Hour
	crowdedEvery = time.Minute // while there are more than MaxRecipients
	slice        = 5000        // of a walk over all recipients, or of the outbox
	listed       = 500         // records that are read at once for Each
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

// Open publishes what an earlier run decided and did not publish. It blocks, retrying
// in place, until that is done or ctx ends, and then returns its error.
func (l *Local) Open(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.persist(ctx, func() error {
		if err := l.observe(ctx); err != nil {
			return err
		}
		return l.publish(ctx)
	})
}

// Write takes events in order and returns when what follows from them is durable and
// published. It blocks, retrying in place where the store cannot be written, until
// that is done or ctx ends, and then returns its error.
func (l *Local) Write(ctx context.Context, events []*event.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	inputs := make([]input, 0, len(events))
	for _, e := range events {
		if o := suppress.OutcomeOf(e); o.Kind != suppress.Nothing {
			inputs = append(inputs, input{strings.ToValidUTF8(e.Key(), "\uFFFD"), o})
			if o.Time.After(l.clock) {
				l.clock = o.Time
			}
		}
	}
	return l.persist(ctx, func() error {
		if err := l.observe(ctx); err != nil { // not opened
			return err
		}
		if err := l.apply(ctx, inputs); err != nil {
			return err
		}
		return l.sweepIfDue(ctx, l.o.Now().UTC())
	})
}

// Change suppresses or releases a recipient by hand: o is an Add or a Release. It
// returns when that is published, or cannot be written.
func (l *Local) Change(ctx context.Context, recipient string, o suppress.Outcome) error {
	o = suppress.OutcomeByHand(o.Kind, recipient, o.Reason, o.Time)
	if o.Kind == suppress.Nothing {
		return errNoRecipient
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.part.View(func(get func(string) []byte) error {
		s, err := decode(get(recipientKey + recipient))
		o = suppress.ByHand(s, o)
		return err
	})
	if err != nil {
		return err
	}
	return l.apply(ctx, []input{{recipient, o}})
}

var errNoRecipient = fmt.Errorf("change suppressions: want an address of 1 to %d bytes", suppress.MaxRecipient)

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
// decisions are only logged, it shows those. f may take its time, and may change the
// list.
func (l *Local) Each(f func(suppress.Record) error) error {
	now := l.o.Now()
	for from, more := "", true; more; {
		var records []suppress.Record
		more = false
		err := l.each(from, func(name string, s suppress.State) (bool, error) {
			if len(records) == listed {
				from, more = name, true
				return false, nil
			}
			if s.Suppression == nil {
				return true, nil
			}
			if r := s.Suppression.Record(name); !r.Lapsed(now) {
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
		err = l.save(store.Changes{}, l.mark)
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

func (d decided) encode() []byte {
	r := suppress.RecordOf(d.recipient, d.Decision)
	return r.Encode()
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
		if err := l.save(changes, l.post(changes, all)); err != nil {
			return err
		}
		if l.o.Observe {
			for _, d := range all {
				l.o.Logger.Info("would publish", "decision", string(d.encode()))
			}
		}
		for _, d := range all {
			l.o.Metrics.Decided(d.Decision)
		}
		l.measure()
	}
	return l.publish(ctx)
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
