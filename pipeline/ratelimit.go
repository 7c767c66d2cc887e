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

// rateLimits is a rateLimit for each key.
type rateLimits struct {
	every time.Duration
	mu    sync.Mutex
	by    map[string]*rateLimit
}

func (r *rateLimits) allow(key string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.by[key]
	if l == nil {
		l = newRateLimit(r.every)
		r.by[key] = l
	}
	return l.allow(now)
}
