package pipeline

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"mtatap/event"
	"mtatap/parsers"
	"mtatap/rules"
	"mtatap/tailers"
)

// Input is a file that is read chunk by chunk: followed, or replayed to its end.
type Input interface {
	// Next blocks until there are lines; io.EOF ends a replay.
	Next(ctx context.Context) (tailers.Chunk, error)
}

// Limits bound what a sink is given at once, which is several batches while it is
// busy. A batch is handed on when it reaches its part of them, or as soon as its
// source has nothing more to read.
type Limits struct {
	Events int
	Bytes  int
	Linger time.Duration
}

// memoryEvery is how often what a parser remembers is saved.
const memoryEvery = 10 * time.Second

// reader is one file under way: a goroutine reads and parses, and a second one,
// so that a backlog uses two cores, classifies, encodes and hands on.
type reader struct {
	*Pipeline
	file      string
	source    string // label of its metrics
	follower  io.Closer
	input     Input
	position  func() tailers.Position     // after the last chunk; nil in a replay
	glance    func(context.Context) error // looks for rotations; nil in a replay
	parser    parsers.Parser
	metrics   *fileMetrics
	log       *slog.Logger
	acks      *checkpoints // nil where no positions are kept
	reference time.Time    // for stamps without a year; zero: when a line is read
	backlog   backlog      // nil in a replay
	sized     bool         // whether backlog knows the bytes

	// Of the goroutine that reads.
	batch      *batch
	deliveries []event.Delivery
	unparsed   []UnparsedLine
	saved      time.Time // when memory last went into a batch
	remembered int       // how long it was
	atEnd      bool      // the last chunk left nothing to read
	begun      bool      // a batch with events was handed on

	// Of the goroutine that decides.
	encoder event.Encoder

	// What every required sink has completed; written by sinks, read by the lag
	// metric.
	acked    atomic.Pointer[tailers.Position]
	caughtUp atomic.Int64 // when everything that was there was last acknowledged, in Unix nanoseconds
	underWay atomic.Int32 // batches handed on and not acknowledged

	// Signs of life, in Unix nanoseconds; for the watch.
	readAt   atomic.Int64 // of the goroutine that reads
	decideAt atomic.Int64 // of the one that decides, and of the sinks' acknowledgements
}

// backlog tells how much of a log stands behind a position: bytes, 0 where their
// number is not known, and whether there is anything. It is safe from any goroutine.
type backlog func(tailers.Position) (bytes int64, behind bool)

// UnparsedLine is a line that looks like a status line but could not be read.
type UnparsedLine struct {
	File    string
	Offset  int64
	Cursor  string // of a journal's record, for which Offset says nothing; else ""
	Text    string // addresses hidden where privacy asks for it
	Problem error
}

// run reads to the end of a replay, or until ctx ends. What was read and not yet
// handed on then is read again at the next start.
func (r *reader) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	parsed := make(chan *batch, 1)
	group.Go(func() error {
		defer close(parsed)
		return r.read(ctx, parsed)
	})
	group.Go(func() error {
		for b := range parsed {
			r.beat(&r.decideAt)
			r.decide(b)
			if err := r.dispatch(ctx, b); err != nil {
				return err
			}
		}
		return nil
	})
	return group.Wait()
}

// read gives batches of parsed deliveries to parsed, in order.
func (r *reader) read(ctx context.Context, parsed chan<- *batch) error {
	for {
		chunk, err := r.input.Next(ctx)
		r.beat(&r.readAt)
		if errors.Is(err, io.EOF) {
			r.deliveries = r.parser.Flush(r.deliveries[:0])
			now := r.now().UTC()
			r.begin(now)
			r.batch.add(r.deliveries, now)
			return r.handOn(ctx, parsed, true)
		}
		if err != nil {
			return err
		}
		if r.atEnd && r.underWay.Load() == 0 {
			r.caughtUp.Store(chunk.Observed.UnixNano()) // up to these lines
		}
		r.atEnd = !chunk.More
		r.readLines(chunk)
		if !chunk.Silent && (!chunk.More || r.full(chunk.Observed)) {
			if err := r.handOn(ctx, parsed, !chunk.More); err != nil {
				return err
			}
		}
	}
}

// readLines turns the lines of a chunk into deliveries of the current batch.
func (r *reader) readLines(chunk tailers.Chunk) {
	r.begin(chunk.Observed)
	line := parsers.Line{Origin: chunk.Origin, Reference: chunk.Observed}
	if !r.reference.IsZero() {
		line.Reference = r.reference
	}
	lines := 0
	for it := chunk.Each(); ; lines++ {
		var ok bool
		if line.Text, line.Offset, ok = it.Next(); !ok {
			break
		}
		var err error
		if r.deliveries, err = r.parser.Parse(r.deliveries[:0], line); err != nil && !chunk.Silent {
			r.noteUnparsed(line, err)
		}
		if !chunk.Silent {
			r.batch.add(r.deliveries, chunk.Observed)
		}
	}
	if !chunk.Silent {
		r.metrics.lines.Add(float64(lines))
		r.counts.lines.Add(int64(lines))
		if chunk.Cut {
			r.counts.cut.Add(1)
		}
	}
}

// begin makes sure that there is a batch to add to.
func (r *reader) begin(read time.Time) {
	if r.batch == nil {
		r.batch = batches.Get().(*batch)
		r.batch.reader, r.batch.read = r, read
	}
}

// decide makes complete events of the deliveries of b. One rule set decides all
// of them, also when a reload comes between.
func (r *reader) decide(b *batch) {
	set := r.Rules()
	if !b.identified {
		b.identify()
	}
	for i := range b.events {
		e := &b.events[i]
		e.RulesVersion = set.SHA256()
		e.RecipientDomain = event.Domain(e.Recipient)
		e.Provider = set.Provider(e.Relay.Host, e.RecipientDomain)
		in := rules.InputOf(&e.Delivery, e.Provider)
		e.Verdict = set.Classify(&in)
		if r.privacy != nil {
			r.privacy.Apply(e)
		}
	}
	b.encode(&r.encoder)
}

func (r *reader) full(now time.Time) bool {
	b := r.batch
	if len(b.events) > 0 && !r.begun { // shows at once that something comes
		return true
	}
	return len(b.events)*queuedBatches >= r.limits.Events || b.size*queuedBatches >= r.limits.Bytes || now.Sub(b.read) >= r.limits.Linger
}

// handOn gives the current batch on to be decided. It blocks while a sink that is
// waited for has no room.
func (r *reader) handOn(ctx context.Context, parsed chan<- *batch, caughtUp bool) error {
	if err := r.keepUnparsed(ctx); err != nil {
		return err
	}
	b := r.batch
	if b == nil {
		return nil
	}
	r.batch, r.begun = nil, r.begun || len(b.events) > 0
	if b.caughtUp = caughtUp; r.position != nil {
		b.position = r.position()
	}
	if now := r.now(); r.acks != nil && now.Sub(r.saved) >= memoryEvery {
		// Of about the size of the last one: growing by and by costs several times that.
		b.memory, r.saved = r.parser.Snapshot(make([]byte, 0, r.remembered+r.remembered/8)), now
		r.remembered = len(b.memory)
	}
	r.underWay.Add(1)
	select {
	case parsed <- b:
		return nil
	default:
		return r.handOnLater(ctx, parsed, b)
	}
}

// glanceEvery is how often rotations are looked for while reading stands still.
const glanceEvery = time.Second

// handOnLater waits until there is room for b. Meanwhile it takes over what it can
// of what is still to be done, and looks for rotations.
func (r *reader) handOnLater(ctx context.Context, parsed chan<- *batch, b *batch) error {
	b.identify()
	tick := time.NewTicker(glanceEvery)
	defer tick.Stop()
	for {
		select {
		case parsed <- b:
			return nil
		case <-tick.C:
			if r.glance == nil {
				continue
			}
			if err := r.glance(ctx); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// acknowledge is called when every required sink has completed b: in order,
// because each sink completes batches in order.
func (r *reader) acknowledge(b *batch) {
	position := b.position
	r.acked.Store(&position)
	if r.acks != nil {
		r.acks.advance(r.file, position, b.memory)
	}
	r.beat(&r.decideAt)
	r.underWay.Add(-1)
	if b.caughtUp {
		r.caughtUp.Store(b.read.UnixNano())
	}
}

func (r *reader) beat(at *atomic.Int64) { at.Store(r.now().UnixNano()) }

func (r *reader) noteUnparsed(line parsers.Line, err error) {
	mta, program := "other", "other"
	var u *parsers.UnparsedError
	if errors.As(err, &u) {
		mta, program = string(u.MTA), u.Program
	}
	r.Pipeline.metrics.unparsed.WithLabelValues(mta, program).Inc()
	r.counts.unparsed.Add(1)
	cursor := ""
	if record := new(parsers.RecordError); errors.As(err, &record) {
		line.Text, cursor = []byte(record.Line), record.Cursor
	}
	text := string(line.Text)
	if r.privacy != nil {
		text = r.privacy.Text(text)
	}
	if r.unparsedLog.pick(err.Error(), line.Text, r.now()) {
		r.log.Warn("line looks like a delivery status but cannot be read; counted and kept", "err", err, "offset", line.Offset, "cursor", cursor, "line", clip(text, 300))
	}
	r.unparsed = append(r.unparsed, UnparsedLine{File: r.file, Offset: line.Offset, Cursor: cursor, Text: text, Problem: err})
}

// keepUnparsed makes the lines that could not be read durable before the
// checkpoint can move past them. It retries until ctx ends.
func (r *reader) keepUnparsed(ctx context.Context) error {
	if len(r.unparsed) == 0 {
		return nil
	}
	for r.keeper != nil {
		err := r.keeper.KeepLines(r.unparsed)
		if err == nil {
			break
		}
		if r.keepFailing.allow(r.now()) {
			r.log.Error("lines that cannot be read are not set aside yet, trying again", "err", err)
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	clear(r.unparsed)
	r.unparsed = r.unparsed[:0]
	return nil
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n] + "..."
	}
	return s
}
