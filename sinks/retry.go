package sinks

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
	"unicode"
)

const (
	minBackoff = 50 * time.Millisecond
	maxBackoff = 2 * time.Second

	troubleEvery = 10 * time.Second // between two messages about the same trouble
	summaryBytes = 300
)

// backoff is the wait between attempts, doubling from 50 ms to 2 s with jitter.
// The zero value is ready to use, and what it goes back to after a success.
type backoff struct{ limit time.Duration }

// next returns a wait of at least half the current limit.
func (b *backoff) next() time.Duration {
	b.limit = min(max(2*b.limit, 2*minBackoff), maxBackoff)
	return b.limit/2 + rand.N(b.limit/2+1)
}

// sleep waits for the next interval, or returns the error of ctx when it ends.
func (b *backoff) sleep(ctx context.Context) error { return sleep(ctx, b.next()) }

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// trouble tells of the failures of one destination without repeating itself:
// the first at once, then a count every 10 s, then that it is over. Its methods
// may be called concurrently.
type trouble struct {
	name string
	log  *slog.Logger
	hook func(error)

	mu       sync.Mutex
	failures int       // since the trouble began
	since    time.Time // of the first failure
	told     time.Time // when the last message was logged
	open     bool      // whether this trouble has been logged
}

func newTrouble(d Deps) *trouble {
	log := d.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &trouble{name: d.Name, log: log, hook: d.Failed}
}

// failed counts a failed attempt, and logs it with its hint when it is time to.
func (t *trouble) failed(err error, hint string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.hook != nil {
		t.hook(err)
	}
	now := time.Now()
	if t.failures == 0 {
		t.since = now
	}
	t.failures++
	if !t.told.IsZero() && now.Sub(t.told) < troubleEvery {
		return
	}
	attrs := []any{"sink", t.name, "err", summary(err)}
	if hint != "" {
		attrs = append(attrs, "hint", hint)
	}
	if t.failures > 1 {
		attrs = append(attrs, "failures", t.failures, "for", now.Sub(t.since).Round(time.Millisecond))
	}
	t.log.Error("Sink failed, retrying", attrs...)
	t.told, t.open = now, true
}

// mended ends the trouble, if there was one.
func (t *trouble) mended() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open {
		t.log.Info("Sink recovered", "sink", t.name, "after", time.Since(t.since).Round(time.Millisecond), "failures", t.failures)
	}
	t.failures, t.open = 0, false
}

// summary returns the text of err in one line of bounded length: some clients
// put every event of a batch into their errors.
func summary(err error) string {
	if err == nil {
		return ""
	}
	text := err.Error()
	cut := len(text) > summaryBytes
	if cut {
		text = text[:summaryBytes]
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	if cut {
		text += "..."
	}
	return text
}
