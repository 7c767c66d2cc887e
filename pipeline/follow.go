package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"mtatap/parsers"
	"mtatap/tailers"
)

// Log is a log to follow: a path, a glob that may match several files, or a journal.
type Log struct {
	Pattern string // also the source label of its metrics
	// Journal, if not nil, is what to read instead of files; Pattern is its name.
	Journal *tailers.JournalSelection
	// Parser opens a parser for one file, which tells its counts.
	Parser func(parsers.Counts) (parsers.Parser, error)
	Tail   tailers.Options
}

// expandEvery is how often globs are looked at again.
const expandEvery = 2 * time.Second

// Run follows logs until ctx ends and then lets the sinks write what they hold.
// Positions are kept in store, which may be nil: then logs are read from where
// their options say. An error is one that no retry can mend.
func (p *Pipeline) Run(ctx context.Context, logs []Log, store *tailers.Store) error {
	f := &following{Pipeline: p, store: store, readers: map[string]*reader{}}
	var saving sync.WaitGroup
	saveCtx, endSaving := context.WithCancel(context.WithoutCancel(ctx))
	if store != nil {
		f.acks = newCheckpoints(store, p.metrics, p.log, p.now)
	}
	err := p.run(ctx, func(ctx context.Context) error {
		group, ctx := errgroup.WithContext(ctx)
		if err := f.begin(ctx, group, logs); err != nil {
			return err
		}
		if f.acks != nil {
			saving.Go(func() { f.acks.run(saveCtx) })
		}
		p.lag.follow(f)
		return group.Wait()
	})
	endSaving()
	saving.Wait()
	return err
}

// following are the files under way.
type following struct {
	*Pipeline
	store *tailers.Store
	acks  *checkpoints

	mu      sync.Mutex
	readers map[string]*reader // by file
}

// begin opens every file that there is, saves where each begins, and starts
// reading. Globs are looked at again from then on.
func (f *following) begin(ctx context.Context, group *errgroup.Group, logs []Log) error {
	var readers []*reader
	for _, l := range logs {
		opened, err := f.open(ctx, l)
		if err != nil {
			return err
		}
		readers = append(readers, opened...)
	}
	f.start(ctx, group, readers)
	for _, l := range logs {
		if l.Journal == nil && tailers.IsGlob(l.Pattern) {
			group.Go(func() error { return f.look(ctx, group, l) })
		}
	}
	return nil
}

// look starts a reader for each file of l that appears.
func (f *following) look(ctx context.Context, group *errgroup.Group, l Log) error {
	tick := time.NewTicker(expandEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		readers, err := f.open(ctx, l)
		if err != nil {
			return err
		}
		f.start(ctx, group, readers)
	}
}

// start saves where readers begin, before they read, and lets them read.
func (f *following) start(ctx context.Context, group *errgroup.Group, readers []*reader) {
	if len(readers) == 0 {
		return
	}
	if f.acks != nil {
		f.acks.save()
	}
	for _, r := range readers {
		group.Go(func() error {
			defer r.follower.Close()
			err := r.run(ctx)
			if err != nil && !errors.Is(err, context.Canceled) {
				return fmt.Errorf("follow %s: %w", r.file, err)
			}
			return err
		})
	}
}

// open makes a reader for each file of l that has none.
func (f *following) open(ctx context.Context, l Log) ([]*reader, error) {
	files, err := l.files()
	if err != nil {
		return nil, fmt.Errorf("follow %s: %w", l.Pattern, err)
	}
	if len(files) == 0 && f.store != nil {
		f.store.Position(l.Pattern, "") // what appears later is read from its start
	}
	var opened []*reader
	for _, file := range files {
		f.mu.Lock()
		_, known := f.readers[file]
		f.mu.Unlock()
		if known {
			continue
		}
		r, err := f.openFile(ctx, file, l)
		if err != nil {
			return nil, fmt.Errorf("follow %s: %w", file, err)
		}
		f.mu.Lock()
		f.readers[file] = r
		f.mu.Unlock()
		opened = append(opened, r)
	}
	return opened, nil
}

// files returns the files that there are of l, or the name of its journal.
func (l *Log) files() ([]string, error) {
	if l.Journal != nil {
		return []string{l.Pattern}, nil
	}
	return tailers.Expand(l.Pattern)
}

// gapKinds returns the kinds of gap that l can have.
func (l *Log) gapKinds() []string {
	if l.Journal != nil {
		return tailers.JournalGapKinds()
	}
	return tailers.GapKinds()
}

// follower is a file with its rotations, or a journal.
type follower interface {
	Input
	Resume(checkpoint, memory tailers.Position)
	Begin(ctx context.Context) (tailers.Position, error)
	Position() tailers.Position
	io.Closer
}

// glancer is a follower whose file may rotate away unread.
type glancer interface {
	// Glance looks for rotations without reading.
	Glance(ctx context.Context) error
}

// follow returns what follows file, and what tells how far that is behind.
func (l *Log) follow(file string, tail tailers.Options) (follower, backlog) {
	if l.Journal != nil {
		j := tailers.NewJournal(*l.Journal, tail)
		return j, func(tailers.Position) (int64, bool) { return 0, j.Behind() }
	}
	return tailers.NewFollower(file, tail), func(p tailers.Position) (int64, bool) {
		n := tailers.Backlog(file, p)
		return n, n > 0
	}
}

// openFile makes the reader of file, which goes on where the last run has ended.
func (f *following) openFile(ctx context.Context, file string, l Log) (*reader, error) {
	metrics := f.metrics.of(l.Pattern, l.gapKinds()...)
	parser, err := l.Parser(parsers.Counts{Evicted: metrics.evictions.Inc, NotTried: metrics.notTried.Inc})
	if err != nil {
		return nil, err
	}
	log := f.log.With("file", file)
	tail := l.Tail
	tail.Events, tail.Logger = metrics, f.log
	var position, memory tailers.Position
	if f.store != nil {
		var found tailers.Found
		position, found = f.store.Position(l.Pattern, file)
		tail.Start = found.Start(tail.Start)
		memory = f.restore(file, position, parser)
	}
	r := &reader{Pipeline: f.Pipeline, file: file, source: l.Pattern, parser: parser, metrics: metrics, log: log, acks: f.acks, sized: l.Journal == nil}
	tail.Beat = func() { r.beat(&r.readAt) }
	follower, backlog := l.follow(file, tail)
	r.input, r.follower, r.position, r.backlog = follower, follower, follower.Position, backlog
	if g, ok := follower.(glancer); ok {
		r.glance = g.Glance
	}
	follower.Resume(position, memory)
	position, err = follower.Begin(ctx)
	if err != nil {
		return nil, err
	}
	r.acked.Store(&position)
	r.caughtUp.Store(f.now().UnixNano())
	if f.acks != nil {
		var remembered []byte
		if memory.IsZero() {
			// No position may ever be saved without a memory at or before it, or
			// a crash right now would lose the joins of messages under way.
			remembered = parser.Snapshot([]byte{})
		}
		f.acks.advance(file, position, remembered)
	}
	return r, nil
}

// restore gives parser what it remembered and returns where that was. Of a memory that
// is damaged or of another version nothing is known but that there was one: what is
// needed of it is gathered again from the beginning of the files being read. Without
// that only joins of messages under way are lost.
func (f *following) restore(file string, checkpoint tailers.Position, parser parsers.Parser) tailers.Position {
	at, snapshot, err := f.store.Memory(file)
	if err == nil && snapshot != nil {
		err = parser.Restore(snapshot)
	}
	if err == nil {
		return at
	}
	at = checkpoint.Beginning()
	if at.IsZero() {
		f.log.Warn("what was remembered of messages under way cannot be read; their senders may be missing", "file", file, "err", err)
	} else {
		f.log.Warn("what was remembered of messages under way cannot be read; it is gathered again from the log", "file", file, "err", err)
	}
	return at
}
