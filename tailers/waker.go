package tailers

import (
	"context"
	"os"
	"time"
)

// Waker tells a Follower when to look again. A Follower calls it from the
// goroutine of Next and Close only.
type Waker interface {
	// Watch watches an open file until stop is called, which must be before
	// the file is closed. An error means that this file cannot be watched.
	Watch(file *os.File) (stop func(), err error)
	// Wait returns nil when a watched file may have changed or d has passed.
	// Any error ends Next with that error.
	Wait(ctx context.Context, d time.Duration) error
}

// pollWaker waits for changes and has none to tell of by itself.
type pollWaker struct {
	changed chan struct{}
}

// Wait returns when something changed, d has passed or ctx has ended.
func (w *pollWaker) Wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-w.changed:
		return nil
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *pollWaker) wake() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}
