package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"mtatap/suppress/store"
)

const (
	minWait      = 50 * time.Millisecond // before a failed write is tried again
	maxWait      = 2 * time.Second
	troubleEvery = 10 * time.Second // between two messages about it
)

// post adds decisions to changes, for the outbox, and returns the mark that goes with
// them. While decisions are only logged, it notes releases: those of what was
// published before are to be published in the end.
func (l *Local) post(changes store.Changes, all []decided) mark {
	m := l.mark
	for _, d := range all {
		switch key := withheldKey + d.recipient; {
		case !l.o.Observe:
			m.Seq++
			changes[letter(m.Seq)] = d.encode()
		case d.Suppression == nil:
			changes[key] = d.encode()
		default:
			changes[key] = nil
		}
	}
	return m
}

// letter is the key of a decision in the outbox.
func letter(seq uint64) string { return fmt.Sprintf("%s%020d", outboxKey, seq) }

// save makes changes durable, and with them that what was published is.
func (l *Local) save(changes store.Changes, m mark) error {
	text, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode mark: %w", err)
	}
	for _, key := range l.sent {
		changes[key] = nil
	}
	if err := l.part.Apply(changes, text); err != nil {
		return &unwrittenError{err}
	}
	l.mark, l.sent = m, nil
	return nil
}

// publish hands the outbox to every publisher. What they have taken is removed with
// the next transaction.
func (l *Local) publish(ctx context.Context) error {
	for {
		from := outboxKey
		if n := len(l.sent); n > 0 {
			from = l.sent[n-1] + "\x00"
		}
		var keys []string
		var records [][]byte
		err := l.part.Each(from, func(key string, value []byte) (bool, error) {
			if !strings.HasPrefix(key, outboxKey) || len(keys) == slice {
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

// observe lets decisions be only logged from now on, or puts an end to that, if the
// store says otherwise up to now. In the end all suppressions are published, and all
// releases since it began.
func (l *Local) observe(ctx context.Context) error {
	if l.mark.Observed == l.o.Observe {
		return nil
	}
	if !l.o.Observe {
		if err := l.publishWithheld(ctx); err != nil {
			return err
		}
	}
	m := l.mark
	m.Observed = l.o.Observe
	return l.save(store.Changes{}, m)
}

func (l *Local) publishWithheld(ctx context.Context) error {
	for from, more := recipientKey, true; more; {
		changes, m := store.Changes{}, l.mark
		more = false
		n := 0
		err := l.part.Each(from, func(key string, value []byte) (bool, error) {
			if n++; n > slice {
				from, more = key, true
				return false, nil
			}
			if name, ok := strings.CutPrefix(key, recipientKey); ok {
				s, err := decode(value)
				if err != nil || s.Suppression == nil {
					return err == nil, err
				}
				r := s.Suppression.Record(name)
				value = r.Encode()
			} else if strings.HasPrefix(key, withheldKey) {
				changes[key] = nil
			} else {
				return false, nil
			}
			m.Seq++
			changes[letter(m.Seq)] = append([]byte(nil), value...)
			return true, nil
		})
		if err == nil {
			err = l.save(changes, m)
		}
		if err == nil {
			err = l.publish(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// unwrittenError says that the store could not be written, which may pass.
type unwrittenError struct{ error }

func (e *unwrittenError) Unwrap() error { return e.error }

// persist does what it is given again and again while the store cannot be written,
// until ctx ends.
func (l *Local) persist(ctx context.Context, do func() error) error {
	var told time.Time
	for wait := minWait; ; wait = min(2*wait, maxWait) {
		err := do()
		unwritten := (*unwrittenError)(nil)
		if !errors.As(err, &unwritten) {
			return err
		}
		if l.o.Failed != nil {
			l.o.Failed(err)
		}
		if now := time.Now(); now.Sub(told) > troubleEvery {
			l.o.Logger.Error("Suppressions cannot be written, retrying", "err", err)
			told = now
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
