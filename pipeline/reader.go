package pipeline

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

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

// Limits bound a batch. It is handed on when it reaches one of them, or as soon
// as its source has nothing more to read.
type Limits struct {
	Events int
	Bytes  int
	Linger time.Duration
}

// memoryEvery is how often what a parser remembers is saved.
const memoryEvery = 10 * time.Second

// reader is the goroutine of one file: it reads, parses, classifies and encodes.
type reader struct {
	*Pipeline
	file      string
	source    string // label of its metrics
	follower  io.Closer
	input     Input
	position  func() tailers.Position // after the last chunk; nil in a replay
	parser    parsers.Parser
	metrics   *fileMetrics
	log       *slog.Logger
	acks      *checkpoints // nil where no positions are kept
	reference time.Time    // for stamps without a year; zero: when a line is read

	batch      *batch
	deliveries []event.Delivery
	unparsed   []UnparsedLine
	scratch    []byte
	encoder    event.Encoder
	saved      time.Time // when memory last went into a batch

	// What every required sink has completed; written by sinks, read by the lag
	// metric.
	acked    atomic.Pointer[tailers.Position]
	caughtUp atomic.Int64 // when everything that was there was last acknowledged, in Unix nanoseconds
	underWay atomic.Int32 // batches handed on and not acknowledged
	atEnd    bool         // the last chunk left nothing to read
}

// UnparsedLine is a line that looks like a status line but could not be read.
type UnparsedLine struct {
	File    string
	Offset  int64
	Text    string // addresses hidden where privacy asks for it
	Problem error
}

// run reads to the end of a replay, or until ctx ends. What was read and not yet
// handed on then is read again at the next start.
func (r *reader) run(ctx context.Context) error {
	for {
		chunk, err := r.input.Next(ctx)
		if errors.Is(err, io.EOF) {
			r.deliveries = r.parser.Flush(r.deliveries[:0])
			now := r.now().UTC()
			r.begin(now)
			r.addEvents(r.Rules(), now)
			return r.handOn(ctx, true)
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
			if err := r.handOn(ctx, !chunk.More); err != nil {
				return err
			}
		}
	}
}

// readLines turns the lines of a chunk into events of the current batch. One
// rule set decides the whole chunk, also when a reload comes between.
func (r *reader) readLines(chunk tailers.Chunk) {
	r.begin(chunk.Observed)
	set := r.Rules()
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
		if len(r.deliveries) > 0 && !chunk.Silent {
			r.addEvents(set, chunk.Observed)
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

func (r *reader) addEvents(set *rules.Set, observed time.Time) {
	for i := range r.deliveries {
		d := &r.deliveries[i]
		e := r.batch.extend()
		e.Delivery, e.Observed, e.RulesVersion = *d, observed, set.SHA256()
		e.ID, r.scratch = event.NewID(d, r.scratch)
		e.RecipientDomain = event.Domain(d.Recipient)
		e.Provider = set.Provider(d.Relay.Host, e.RecipientDomain)
		in := rules.InputOf(d, e.Provider)
		e.Verdict = set.Classify(&in)
		if r.privacy != nil {
			r.privacy.Apply(e)
		}
		r.batch.encode(&r.encoder)
	}
}

func (r *reader) full(now time.Time) bool {
	return len(r.batch.events) >= r.limits.Events || len(r.batch.arena) >= r.limits.Bytes || now.Sub(r.batch.read) >= r.limits.Linger
}

// handOn gives the current batch to every sink. It blocks while a sink that is
// waited for has no room.
func (r *reader) handOn(ctx context.Context, caughtUp bool) error {
	if err := r.keepUnparsed(ctx); err != nil {
		return err
	}
	b := r.batch
	if b == nil {
		return nil
	}
	r.batch = nil
	if b.caughtUp = caughtUp; r.position != nil {
		b.position = r.position()
	}
	if now := r.now(); r.acks != nil && now.Sub(r.saved) >= memoryEvery {
		b.memory, r.saved = r.parser.Snapshot([]byte{}), now
	}
	b.seal()
	r.underWay.Add(1)
	return r.dispatch(ctx, b)
}

// acknowledge is called when every required sink has completed b: in order,
// because each sink completes batches in order.
func (r *reader) acknowledge(b *batch) {
	position := b.position
	r.acked.Store(&position)
	if r.acks != nil {
		r.acks.advance(r.file, position, b.memory)
	}
	r.underWay.Add(-1)
	if b.caughtUp {
		r.caughtUp.Store(b.read.UnixNano())
	}
}

func (r *reader) noteUnparsed(line parsers.Line, err error) {
	mta, program := "other", "other"
	var u *parsers.UnparsedError
	if errors.As(err, &u) {
		mta, program = string(u.MTA), u.Program
	}
	r.Pipeline.metrics.unparsed.WithLabelValues(mta, program).Inc()
	r.counts.unparsed.Add(1)
	text := string(line.Text)
	if r.privacy != nil {
		text = r.privacy.Text(text)
	}
	if r.unparsedLog.allow(program, r.now()) {
		r.log.Warn("line looks like a delivery status but cannot be read; counted and kept", "err", err, "offset", line.Offset, "line", clip(text, 300))
	}
	r.unparsed = append(r.unparsed, UnparsedLine{File: r.file, Offset: line.Offset, Text: text, Problem: err})
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
