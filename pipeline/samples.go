package pipeline

import (
	"hash/maphash"
	"sync"
	"time"
)

// samples picks the lines that are worth a message of their own: one of each
// shape in each period. It remembers at most maxShapes, for those who choose what
// a line holds can make any number; while all of them are fresh, others wait.
// Safe for concurrent use.
type samples struct {
	every time.Duration
	seed  maphash.Seed
	mu    sync.Mutex
	next  map[uint64]time.Time // by shape: when it may be shown again
}

const maxShapes = 256

func newSamples(every time.Duration) *samples {
	return &samples{every: every, seed: maphash.MakeSeed(), next: map[uint64]time.Time{}}
}

// pick reports whether to show this line, which was refused for problem.
func (s *samples) pick(problem string, line []byte, now time.Time) bool {
	shape := s.shape(problem, line)
	s.mu.Lock()
	defer s.mu.Unlock()
	if next, ok := s.next[shape]; ok && now.Before(next) {
		return false
	}
	if len(s.next) >= maxShapes {
		for old, next := range s.next {
			if !now.Before(next) {
				delete(s.next, old)
			}
		}
		if len(s.next) >= maxShapes {
			return false
		}
	}
	s.next[shape] = now.Add(s.every)
	return true
}

// shape tells lines apart by the problem and by the names of their fields
// ("name="), not by what the fields hold.
func (s *samples) shape(problem string, line []byte) uint64 {
	var h maphash.Hash
	h.SetSeed(s.seed)
	h.WriteString(problem)
	const maxNames, maxName = 24, 24
	start, names := 0, 0
	for i := 0; i < len(line) && names < maxNames; i++ {
		c := line[i]
		if c == '=' && i > start && i-start <= maxName {
			h.WriteByte(' ')
			h.Write(line[start:i])
			names++
		}
		if c|0x20 < 'a' || c|0x20 > 'z' {
			start = i + 1
		}
	}
	return h.Sum64()
}
