package pipeline

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"

	"mtatap/tailers"
)

// Store keeps positions and what parsers remember over a restart.
type Store interface {
	// Save replaces the saved positions of all files, durably. An error leaves
	// the old ones in place.
	Save(positions map[string]tailers.Position) error
	// SaveMemory replaces what the parser of that file remembered at a position.
	SaveMemory(file string, at tailers.Position, snapshot []byte) error
}

const saveEvery = 500 * time.Millisecond

// checkpoints gathers acknowledged positions and saves them from time to time.
type checkpoints struct {
	store   Store
	metrics *Metrics
	log     *slog.Logger
	failing *rateLimit
	now     func() time.Time

	mu        sync.Mutex
	positions map[string]tailers.Position
	memories  map[string]memoryAt
	dirty     bool
}

type memoryAt struct {
	position tailers.Position
	snapshot []byte
}

func newCheckpoints(store Store, m *Metrics, log *slog.Logger, now func() time.Time) *checkpoints {
	return &checkpoints{
		store: store, metrics: m, log: log, failing: newRateLimit(time.Minute), now: now,
		positions: map[string]tailers.Position{}, memories: map[string]memoryAt{},
	}
}

// advance notes that all lines of file before position are delivered.
func (c *checkpoints) advance(file string, position tailers.Position, memory []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.positions[file], c.dirty = position, true
	if memory != nil {
		c.memories[file] = memoryAt{position, memory}
	}
}

// run saves what has advanced until ctx ends, and once more then.
func (c *checkpoints) run(ctx context.Context) {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			c.save()
		case <-ctx.Done():
			c.save()
			return
		}
	}
}

// save never stops delivery: after an error the next tick tries again. Positions
// go first: memory older than its position only costs a second look at lines.
func (c *checkpoints) save() {
	c.mu.Lock()
	if !c.dirty {
		c.mu.Unlock()
		return
	}
	positions, memories := maps.Clone(c.positions), c.memories
	c.dirty, c.memories = false, map[string]memoryAt{}
	c.mu.Unlock()

	err := c.store.Save(positions)
	for file, m := range memories {
		if err == nil {
			err = c.store.SaveMemory(file, m.position, m.snapshot)
		}
	}
	if err == nil {
		c.metrics.checkpointTime.Set(float64(c.now().UnixNano()) / 1e9)
		return
	}
	c.metrics.checkpointErrors.Inc()
	if c.failing.allow(c.now()) {
		c.log.Error("checkpoint not saved, delivery goes on; a restart now would repeat events", "err", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dirty = true
	for file, m := range memories {
		if _, newer := c.memories[file]; !newer {
			c.memories[file] = m
		}
	}
}
