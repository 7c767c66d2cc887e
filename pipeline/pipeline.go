package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"mtatap/event"
	"mtatap/rules"
)

// Privacy hides addresses before anything is published, kept or logged. It is
// called from several goroutines.
type Privacy interface {
	// Apply changes the addresses of e.
	Apply(e *event.Event)
	// Text returns s with what looks like an address in it hidden, and the known
	// ones too.
	Text(s string, known ...string) string
}

// LineKeeper sets lines aside that look like a status line but cannot be read.
type LineKeeper interface {
	// KeepLines returns when lines are durable. After an error the caller tries
	// again. It is called from several goroutines.
	KeepLines(lines []UnparsedLine) error
}

// Options are what a Pipeline is made of. Sinks are used and closed by it.
type Options struct {
	Sinks   []Sink
	Limits  Limits
	Privacy Privacy    // nil: addresses are published as they are
	Keeper  LineKeeper // nil: lines that cannot be read are only counted
	Metrics *Metrics
	Logger  *slog.Logger
	Now     func() time.Time // nil: time.Now
}

// Pipeline moves events from logs to sinks. It runs once.
type Pipeline struct {
	outlets     []*outlet
	limits      Limits
	privacy     Privacy
	keeper      LineKeeper
	metrics     *Metrics
	log         *slog.Logger
	now         func() time.Time
	rules       atomic.Pointer[rules.Set]
	unparsedLog *samples
	keepFailing *rateLimit
	required    int32
	counts      struct{ lines, unparsed, cut atomic.Int64 }
	lag         *lagReporter
}

// New returns a pipeline that classifies by set. It starts nothing.
func New(set *rules.Set, o Options) *Pipeline {
	if o.Now == nil {
		o.Now = time.Now
	}
	p := &Pipeline{
		limits: o.Limits, privacy: o.Privacy, lag: o.Metrics.lag, keeper: o.Keeper, metrics: o.Metrics, log: o.Logger, now: o.Now,
		unparsedLog: newSamples(time.Minute),
		keepFailing: newRateLimit(time.Minute),
	}
	for _, s := range o.Sinks {
		p.outlets = append(p.outlets, newOutlet(s, p.metrics, o.Logger, o.Now))
		if s.Required {
			p.required++
		}
	}
	p.SetRules(set)
	return p
}

// Rules returns the rule set in use.
func (p *Pipeline) Rules() *rules.Set { return p.rules.Load() }

// SetRules lets all events that are read from now on be decided by set.
func (p *Pipeline) SetRules(set *rules.Set) {
	p.rules.Store(set)
	p.metrics.reloadOK.Set(1)
	p.metrics.reloadTime.Set(float64(p.now().UnixNano()) / 1e9)
	p.metrics.rulesInfo.Reset()
	p.metrics.rulesInfo.WithLabelValues(set.Version(), set.SHA256()).Set(1)
}

// ReloadFailed notes that a new rule set was refused; the old one stays.
func (p *Pipeline) ReloadFailed() { p.metrics.reloadOK.Set(0) }

// Lines are counts of lines: read, cut because they are too long, and not read
// although they look like a status line.
type Lines struct{ Read, Cut, Unparsed int64 }

// Lines returns what has been counted up to now.
func (p *Pipeline) Lines() Lines {
	return Lines{Read: p.counts.lines.Load(), Cut: p.counts.cut.Load(), Unparsed: p.counts.unparsed.Load()}
}

// drainTime is how long sinks may go on writing what they hold after a stop:
// below systemd's patience.
const drainTime = 8 * time.Second

// run lets produce read and hand on batches while the sinks write them, and
// returns when produce has returned and the sinks have written what they hold,
// or have failed. After ctx has ended they get drainTime for that.
func (p *Pipeline) run(ctx context.Context, produce func(context.Context) error) error {
	sinkCtx, endSinks := context.WithCancel(context.WithoutCancel(ctx))
	defer endSinks()
	readCtx, endReading := context.WithCancelCause(ctx)
	defer endReading(nil)

	var sinks errgroup.Group
	for _, o := range p.outlets {
		sinks.Go(func() error {
			err := o.run(sinkCtx, readCtx)
			if err != nil {
				endReading(err)
			}
			return err
		})
	}
	err := produce(readCtx)
	endReading(nil)
	for _, o := range p.outlets {
		close(o.queue)
	}
	stopDrain := context.AfterFunc(ctx, func() { time.AfterFunc(drainTime, endSinks) })
	defer stopDrain()
	sinkErr := sinks.Wait()
	if errors.Is(sinkErr, context.Canceled) {
		p.log.Warn("stopped before every sink had taken all events; they are read again at the next start")
		sinkErr = nil
	}
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return errors.Join(err, sinkErr, p.closeSinks())
}

func (p *Pipeline) closeSinks() error {
	var errs []error
	for _, o := range p.outlets {
		if err := o.Writer.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close sink %s: %w", o.Name, err))
		}
	}
	return errors.Join(errs...)
}

// dispatch gives b to every sink.
func (p *Pipeline) dispatch(ctx context.Context, b *batch) error {
	b.awaited.Store(p.required)
	b.holders.Store(int32(len(p.outlets)) + 1)
	defer b.release()
	if p.required == 0 {
		b.reader.acknowledge(b)
	}
	for i, o := range p.outlets {
		if err := o.offer(ctx, b); err != nil {
			for range p.outlets[i+1:] {
				b.release()
			}
			return err
		}
	}
	return nil
}
