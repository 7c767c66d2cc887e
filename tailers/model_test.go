package tailers

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"
)

// TestAnyOrderOfEventsLosesNoLine lets a server, logrotate and SIGKILL do what
// they like, in an order that each seed gives.
func TestAnyOrderOfEventsLosesNoLine(t *testing.T) {
	for seed := range 60 {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			m := newModel(t, uint64(seed))
			for range 60 {
				m.step()
				if t.Failed() {
					t.Logf("after %v", m.did)
					return
				}
			}
			m.finish()
			if t.Failed() {
				t.Logf("after %v", m.did)
			}
		})
	}
}

// model is a log with all that may happen to it.
type model struct {
	*writer
	random *rand.Rand
	did    []string

	checkpoint, memory Position
	acknowledged       int // lines before checkpoint
}

func newModel(t *testing.T, seed uint64) *model {
	r := newRig(t)
	m := &model{writer: r.writer(), random: rand.New(rand.NewPCG(seed, 7))}
	if m.random.IntN(2) == 0 {
		// All generations begin alike.
		m.text("log opened\n")
		m.write(1)
	}
	r.start(Position{}, Position{})
	m.checkpoint = r.f.Position()
	m.memory = m.checkpoint
	return m
}

func (m *model) step() {
	r := m.r
	name, do := "", func() {}
	switch m.random.IntN(13) {
	case 0, 1, 2:
		name, do = "write", func() { m.write(1 + m.random.IntN(60)) }
	case 3, 4:
		name, do = "read", r.drain
	case 5:
		name, do = "read one", func() { r.one() }
	case 6:
		name, do = "rotate", func() {
			r.shift()
			m.write(m.random.IntN(3))
			m.open()
			if m.random.IntN(2) == 0 {
				m.text("log opened\n")
				m.write(1)
			}
		}
	case 7:
		name, do = "copytruncate", m.copytruncate
	case 8:
		name, do = "compress", m.compressSome
	case 9:
		name, do = "checkpoint", func() {
			m.checkpoint, m.acknowledged = r.f.Position(), len(r.lines)
			if m.random.IntN(2) == 0 {
				m.memory = m.checkpoint
			}
		}
	case 10:
		name, do = "kill", m.kill
	case 11:
		name, do = "wait", func() { r.pass(time.Duration(m.random.IntN(90)) * time.Second) }
	case 12:
		name, do = "outage", func() { r.outage(time.Duration(m.random.IntN(4)) * time.Second) }
	}
	m.did = append(m.did, name)
	do()
	if len(m.r.gaps) > 0 {
		m.r.t.Errorf("gaps %q", m.r.gaps)
	}
}

// compressSome packs what logrotate with delaycompress would.
func (m *model) compressSome() {
	for n := 2; n < 20; n++ {
		path := m.r.sibling(fmt.Sprintf(".%d", n))
		if _, err := os.Stat(path); err == nil && m.random.IntN(2) == 0 {
			compress(m.r.t, path, []string{".gz", ".zst"}[m.random.IntN(2)])
		}
	}
}

// kill forgets what was read since the last checkpoint. A restart may come at
// once or after more has happened.
func (m *model) kill() {
	r := m.r
	r.stop()
	r.lines = r.lines[:m.acknowledged]
	r.more = false
	for range m.random.IntN(3) {
		m.write(m.random.IntN(5))
		switch m.random.IntN(3) {
		case 0:
			r.shift()
			m.open()
		case 1:
			m.compressSome()
		}
	}
	r.start(m.checkpoint, m.memory)
}

func (m *model) finish() {
	m.did = append(m.did, "finish")
	m.r.drain()
	m.r.pass(2 * time.Minute)
	m.r.drain()
	m.check()
	m.r.checkGaps()
	if n := len(m.r.f.gens); n != 1 {
		m.r.t.Errorf("%d generations are open at the end", n)
	}
}
