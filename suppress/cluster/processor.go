package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"
	"golang.org/x/sync/errgroup"

	"mtatap/suppress"
	"mtatap/suppress/store"
)

// Options are what a Processor is made of.
type Options struct {
	Kafka   *Kafka
	Topics  Topics
	Group   string
	Create  bool // topics that are missing
	Observe bool // decisions are logged and not published
	Store   *store.Store
	// MaxRecipients bounds how many unsuppressed ones are remembered of all
	// partitions.
	MaxRecipients int
	Metrics       *Metrics
	Logger        *slog.Logger
}

// Processor decides for the partitions that the group gives it, and answers for
// every recipient. It runs once.
type Processor struct {
	kafka         *Kafka
	broker        broker
	topics        Topics
	groupID       string
	create        bool
	observe       bool
	store         *store.Store
	maxRecipients int
	metrics       *Metrics
	log           *slog.Logger
	policy        atomic.Pointer[suppress.Policy]
	table         atomic.Pointer[Table]
	joined        atomic.Bool
	complained    atomic.Int64
}

const (
	sessionTimeout   = 12 * time.Second // until a dead instance's partitions go to others
	rebalanceTimeout = 30 * time.Second
)

// New returns a processor that decides by policy. It connects to nothing.
func New(policy suppress.Policy, o Options) *Processor {
	p := &Processor{kafka: o.Kafka, broker: o.Kafka, topics: o.Topics, groupID: o.Group, create: o.Create, observe: o.Observe, store: o.Store,
		maxRecipients: o.MaxRecipients, metrics: o.Metrics, log: o.Logger}
	p.SetPolicy(policy)
	return p
}

// SetPolicy lets everything from now on be decided by policy.
func (p *Processor) SetPolicy(policy suppress.Policy) { p.policy.Store(&policy) }

// Ready returns an error until the processor is in its group and knows all
// suppressions.
func (p *Processor) Ready() error {
	if !p.joined.Load() {
		return errors.New("not in the consumer group yet")
	}
	if _, err := p.Lookup(""); err != nil {
		return err
	}
	return nil
}

// Lookup returns the suppression of recipient, which is lower-cased or hashed, nil
// if there is none; or an error while the list is not known yet.
func (p *Processor) Lookup(recipient string) (*suppress.Record, error) {
	t := p.table.Load()
	if t == nil || !t.CaughtUp() {
		return nil, errors.New("the suppressions are still being read")
	}
	return t.Get(recipient)
}

// Run joins the group and works until ctx ends, or something is wrong that no retry
// mends.
func (p *Processor) Run(ctx context.Context) error {
	n, err := p.kafka.Prepare(ctx, p.topics, p.create, p.failed)
	if err != nil {
		return orderly(ctx, err)
	}
	p.maxRecipients = max(1, p.maxRecipients/n)
	table := NewTable(p.broker, p.topics, n, p.store, p.failed)
	p.table.Store(table)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return table.Follow(ctx) })
	group.Go(func() error { return p.share(ctx, n) })
	group.Go(func() error { p.measure(ctx, n); return nil })
	return orderly(ctx, group.Wait())
}

// orderly drops errors that only say that ctx has ended.
func orderly(ctx context.Context, err error) error {
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, kafka.ErrGroupClosed) || errors.Is(err, kafka.ErrGenerationEnded)) {
		return nil
	}
	return err
}

// share is a member of the group until ctx ends.
func (p *Processor) share(ctx context.Context, partitions int) error {
	quiet := kafka.LoggerFunc(func(string, ...any) {})
	group, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: p.groupID, Brokers: p.kafka.Brokers, Dialer: p.kafka.Dialer, Topics: []string{p.topics.Events},
		SessionTimeout: sessionTimeout, HeartbeatInterval: sessionTimeout / 6, RebalanceTimeout: rebalanceTimeout,
		JoinGroupBackoff: time.Second, StartOffset: kafka.FirstOffset,
		Logger: quiet, ErrorLogger: kafka.LoggerFunc(func(format string, args ...any) { p.failed(fmt.Errorf(format, args...)) }),
	})
	if err != nil {
		return fmt.Errorf("join group %s: %w", p.groupID, err)
	}
	var fatal failure
	stop := context.AfterFunc(ctx, func() { _ = group.Close() }) // its workers end, then it leaves
	defer stop()
	defer func() { _ = group.Close() }()
	for {
		gen, err := group.Next(ctx)
		if err := fatal.get(); err != nil {
			return err
		}
		switch {
		case ctx.Err() != nil || errors.Is(err, kafka.ErrGroupClosed):
			return ctx.Err()
		case err != nil:
			p.failed(fmt.Errorf("join group %s: %w", p.groupID, err))
			continue
		}
		p.joined.Store(true)
		p.log.Info("joined the group", "generation", gen.ID, "partitions", len(gen.Assignments[p.topics.Events]))
		for _, a := range gen.Assignments[p.topics.Events] {
			if a.ID >= partitions {
				return final("topic %s has got new partitions since the start: give the other topics as many, then start again", p.topics.Events)
			}
			w := p.worker(gen, a.ID)
			gen.Start(func(ctx context.Context) {
				defer p.metrics.lost(a.ID)
				err := w.run(ctx, a.Offset)
				if ctx.Err() != nil {
					return
				}
				if f := (*finalError)(nil); errors.As(err, &f) {
					fatal.set(err)
					go group.Close() // waits for us
				} else if err != nil {
					w.log.Warn("partition given up, joining again", "err", err)
				}
			})
		}
	}
}

// failure is the first error that no retry mends.
type failure struct {
	mu  sync.Mutex
	err error
}

func (f *failure) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
	}
}

func (f *failure) get() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

func (p *Processor) worker(group group, partition int) *worker {
	return &worker{
		Processor: p, group: group, partition: partition, log: p.log.With("partition", partition),
		states: &states{kafka: p.broker, topic: p.topics.State, partition: partition, failed: p.failed,
			part: p.store.Part(fmt.Sprintf("state/%d", partition))},
	}
}

// failed logs what will be tried again, at most one message in 10 s.
func (p *Processor) failed(err error) {
	now := time.Now().UnixNano()
	last := p.complained.Load()
	if now-last < int64(10*time.Second) || !p.complained.CompareAndSwap(last, now) {
		return
	}
	attrs := []any{"err", err}
	if p.kafka.Hint != nil {
		if hint := p.kafka.Hint(err); hint != "" {
			attrs = append(attrs, "hint", hint)
		}
	}
	p.log.Error("Kafka failed, retrying", attrs...)
}

// measure keeps the size of the state up to date until ctx ends.
func (p *Processor) measure(ctx context.Context, partitions int) {
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		known := 0
		for i := range partitions {
			known += p.store.Part(fmt.Sprintf("state/%d", i)).Count()
		}
		p.metrics.Size(known, p.store.Size())
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
