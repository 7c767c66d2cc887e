package pipeline

import (
	"sync"
	"time"
)

// rateLimit lets one message through in each period. Safe for concurrent use.
type rateLimit struct {
	every time.Duration
	mu    sync.Mutex
	next  time.Time
}

func newRateLimit(every time.Duration) *rateLimit { return &rateLimit{every: every} }

func (r *rateLimit) allow(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Before(r.next) {
		return false
	}
	r.next = now.Add(r.every)
	return true
}
