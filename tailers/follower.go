package tailers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"time"
)

const (
	// pollInterval is how long a change may go unnoticed where no wake-up
	// tells of it.
	pollInterval = time.Second
	// quickPoll is used instead where files cannot be watched.
	quickPoll = 250 * time.Millisecond
	// reopenPoll is used while the writer is about to make the next file.
	reopenPoll = 50 * time.Millisecond
	// idleRounds is after how many waits the read buffer is given back.
	idleRounds = 3
)

// Follower reads a log file and what it is rotated to, for as long as it is
// asked. It is used from one goroutine.
type Follower struct {
	path  string
	opts  Options
	log   *slog.Logger
	waker Waker

	checkpoint, memory positionData
	begun, first       bool

	gens    []*generation // in reading order
	current *generation   // what is at the path; nil if that is none of gens
	done    []record      // never changed, only replaced
	horizon time.Time     // see Position
	// accounted is when the current generation was last modified while all
	// files there were belonged to known generations.
	accounted time.Time
	next      uint64 // number of the next generation

	buf       buffer
	promised  bool // the last chunk said More
	parked    bool // Glance has closed files that are to be read
	idle      int
	looked    time.Time // when the path was looked at last
	surveyed  time.Time // when the folder was
	stamp     stamp     // of the folder as it was surveyed
	left      time.Time // when a file last went away from the path
	complaint string    // what was logged last and still holds
}

// NewFollower returns a Follower of the file at path. It opens nothing.
func NewFollower(path string, opts Options) *Follower {
	opts = opts.withDefaults()
	if opts.Waker == nil {
		opts.Waker = newWaker()
	}
	return &Follower{
		path: path, opts: opts, log: opts.Logger, waker: opts.Waker,
		buf: buffer{cap: bufferCap(opts.MaxLineBytes)},
	}
}

// Resume says where reading goes on: at checkpoint, the place up to which all
// is acknowledged. memory is the place at which the parser's memory was saved;
// it is not behind checkpoint. Lines between the two are returned as Silent
// chunks. Zero Positions are none; without a checkpoint memory is ignored.
// Resume is called before Begin and Next, or not at all.
func (f *Follower) Resume(checkpoint, memory Position) {
	f.checkpoint, f.memory = checkpoint.p, memory.p
}

// Begin finds the files to read and where to begin in each, and returns that
// Position without having read a line. Save it before the first Next, so that
// a crash finds its way back. A file that is not there yet is no error. Next
// begins by itself where Begin was not called.
func (f *Follower) Begin(ctx context.Context) (Position, error) {
	if f.begun {
		return f.Position(), nil
	}
	if f.checkpoint.Next == 0 {
		f.first, f.next, f.done = true, 1, nil
	} else {
		f.restore()
	}
	if err := f.survey(ctx); err != nil {
		return Position{}, errors.Join(fmt.Errorf("begin %q: %w", f.path, err), f.Close())
	}
	f.begun = true
	return f.Position(), nil
}

// restore takes up the generations of the checkpoint, and for the parser's
// memory those that were finished between it and the checkpoint.
func (f *Follower) restore() {
	f.next, f.horizon, f.done = f.checkpoint.Next, f.checkpoint.Horizon, f.checkpoint.Done
	for _, r := range f.checkpoint.Open {
		g := f.generation(r)
		g.from = f.memory.silentFrom(r)
		f.insert(g)
	}
	if f.memory.Next == 0 {
		return
	}
	for _, r := range f.checkpoint.Done {
		if from := f.memory.silentFrom(r); from != nil {
			g := f.generation(r)
			g.from, g.ghost = from, true
			f.insert(g)
		}
	}
}

// silentFrom returns from where the generation that the checkpoint knows as r
// is to be read again for a memory that was saved at d, nil if it need not be.
func (d *positionData) silentFrom(r record) *record {
	if d.Next == 0 || r.Seq == neverRead {
		return nil
	}
	if r.Seq >= d.Next {
		return &record{Seq: r.Seq} // appeared later
	}
	for _, m := range slices.Concat(d.Open, d.Done) {
		if m.Seq == r.Seq && m.Offset < r.Offset {
			return &m
		}
	}
	return nil
}

// Next returns the next lines. It blocks until there are some; ctx ends it
// with ctx.Err(). A file that is missing or cannot be opened is waited for and
// logged once. Late lines of rotated files come before newer ones of the next.
func (f *Follower) Next(ctx context.Context) (Chunk, error) {
	if _, err := f.Begin(ctx); err != nil {
		return Chunk{}, err
	}
	for {
		f.opts.Beat()
		c, err := f.step(ctx)
		c.Observed = f.opts.Now().UTC()
		if err == nil {
			f.promised, f.idle = c.More, 0
			return c, nil
		}
		if !errors.Is(err, errEnd) {
			return Chunk{}, err
		}
		if f.promised {
			f.promised = false
			return c, nil
		}
		if f.idle++; f.idle == idleRounds {
			f.buf.shrink()
		}
		if err := f.waker.Wait(ctx, f.interval()); err != nil {
			return Chunk{}, err
		}
	}
}

// Glance looks for rotations while the caller has no use for lines, as in an
// outage of what they go to; it is to be called every second or so then, from
// the goroutine of Next. Rotated files of which nothing was read are noted but
// not kept open, so that a deleted log gives its disk space back: one that is
// gone before it could be read is a gap. An error is that of ctx.
func (f *Follower) Glance(ctx context.Context) error {
	f.opts.Beat()
	if _, err := f.look(ctx); err != nil {
		return err
	}
	for _, g := range f.gens {
		if g != f.current && g.file != nil && g.offset == 0 && g.want.Offset == 0 {
			if err := g.park(); err != nil {
				f.log.Debug("cannot close log", "path", f.path, "err", err)
			}
			f.parked = true
		}
	}
	return nil
}

// step returns the next chunk if there is one at once, else errEnd.
func (f *Follower) step(ctx context.Context) (Chunk, error) {
	if f.parked {
		if err := f.survey(ctx); err != nil {
			return Chunk{}, err
		}
		f.parked = false
	}
	if f.opts.Now().Sub(f.looked) >= pollInterval {
		if _, err := f.look(ctx); err != nil {
			return Chunk{}, err
		}
	}
	for {
		c, err := f.read(ctx)
		if !errors.Is(err, errEnd) {
			return c, err
		}
		changed, err := f.look(ctx)
		if err != nil {
			return Chunk{}, err
		}
		if !changed {
			return Chunk{}, errEnd
		}
	}
}

// read returns the next chunk of the oldest generation that has one.
func (f *Follower) read(ctx context.Context) (Chunk, error) {
	for i := 0; i < len(f.gens); {
		if err := ctx.Err(); err != nil {
			return Chunk{}, err
		}
		g, now := f.gens[i], f.opts.Now()
		if g.file == nil {
			i++ // the survey that would have found it was cancelled
			continue
		}
		c, err := g.next(ctx, &f.buf, now, min(lastLineWait, f.opts.RotateWait))
		switch {
		case err == nil:
			if c.Cut && !c.Silent {
				f.opts.Events.Cut()
			}
			g.troubled = false
			c.More = c.More || i < len(f.gens)-1
			return c, nil
		case ctx.Err() != nil:
			return Chunk{}, ctx.Err()
		case errors.Is(err, errEnd):
			g.troubled = false
			if g.rotated && f.current != nil && now.Sub(g.grown) >= f.opts.RotateWait {
				f.finish(g)
				continue
			}
			i++
		case errors.Is(err, errTruncated):
			if err := f.survey(ctx); err != nil {
				return Chunk{}, err
			}
			i = 0
		case g.kind != plain, errors.Is(err, io.EOF):
			f.ended(g, err)
		default:
			if !g.troubled {
				f.log.Error("cannot read log", "path", f.path, "offset", g.offset, "err", err)
				g.troubled = true
			}
			i++
		}
	}
	return Chunk{}, errEnd
}

// detach leaves the file of g, which no longer has what was read of it.
func (f *Follower) detach(g *generation) {
	f.log.Info("log was truncated", "path", f.path, "offset", g.offset)
	g.want, g.from, g.gap = g.record(), nil, GapTruncated
	now := f.opts.Now()
	g.quiet, g.seen = now.Sub(g.grown) >= writeLull && now.Sub(g.whole) < writeLull, g.reach
	if err := g.close(); err != nil {
		f.log.Debug("cannot close log", "path", f.path, "err", err)
	}
}

// copied counts a gap unless all that was written to g, which was cut, is in
// its copy s or was read. Whoever wrote until then may have gone on between.
func (f *Follower) copied(g *generation, s *sighting) {
	if g.gap != GapTruncated || g.quiet && s.kind == plain && s.info.Size() == g.seen {
		return
	}
	f.opts.Events.Gap(GapCopied)
	f.log.Warn("lines that were written between the copy of a log and its truncation may be lost; rotate by renaming", "path", f.path, "kind", GapCopied)
}

// ended finishes a compressed generation: at its end, or where it is damaged.
func (f *Follower) ended(g *generation, err error) {
	if !errors.Is(err, io.EOF) && !g.ghost {
		f.opts.Events.Gap(GapUnreadable)
		f.log.Error("cannot read rotated log", "path", f.path, "offset", g.offset, "err", err)
	}
	f.finish(g)
}

// finish closes g and remembers it as done.
func (f *Follower) finish(g *generation) {
	if !g.ghost {
		f.finished(g.record())
	}
	if err := g.close(); err != nil {
		f.log.Debug("cannot close log", "path", f.path, "err", err)
	}
	f.gens = slices.DeleteFunc(f.gens, func(o *generation) bool { return o == g })
	if f.current == g {
		f.current = nil
	}
	f.advanceHorizon()
}

// look looks at the path and reports whether another generation is there.
func (f *Follower) look(ctx context.Context) (changed bool, err error) {
	f.looked = f.opts.Now()
	info, err := os.Stat(f.path)
	if err == nil && !info.Mode().IsRegular() {
		err = errNotRegular
	}
	if err != nil {
		f.complain("open log", err)
		f.leave()
		return false, nil
	}
	if f.current == nil || !os.SameFile(info, f.current.info) {
		err := f.survey(ctx)
		return f.current != nil, err
	}
	f.complaint = ""
	if f.looked.Sub(f.surveyed) < pollInterval {
		return false, nil
	}
	// A copy of a file that was then cut shows in the folder even where it
	// does not in the file, because nothing of that had been read.
	if stamp := stampOf(f.path); stamp != f.stamp {
		before := f.next
		err := f.survey(ctx)
		return f.next != before, err
	}
	f.surveyed = f.looked
	f.accounted = info.ModTime()
	f.advanceHorizon()
	return false, nil
}

// advanceHorizon raises the horizon to where a generation that is not known
// yet must be modified later, and one that is known holds nothing unread. One
// of which no line was consumed might not be recognised once it is compressed.
func (f *Follower) advanceHorizon() {
	horizon := f.accounted
	if now := f.opts.Now(); horizon.After(now) {
		horizon = now
	}
	for _, g := range f.gens {
		if g.file == nil {
			return // is still being looked for
		}
		if t := g.info.ModTime(); g != f.current && !g.drained() && t.Before(horizon) {
			horizon = t
		}
	}
	if horizon.After(f.horizon) {
		f.horizon = horizon
	}
}

// leave notes that nothing known is at the path.
func (f *Follower) leave() {
	if f.current != nil {
		f.current.rotated = true
		f.current, f.left = nil, f.opts.Now()
	}
}

// complain logs what hinders reading, once as long as it lasts.
func (f *Follower) complain(what string, err error) {
	if text := what + ": " + err.Error(); text != f.complaint {
		f.complaint = text
		if errors.Is(err, fs.ErrNotExist) {
			f.log.Info("waiting for log", "path", f.path)
		} else {
			f.log.Warn("cannot "+what, "path", f.path, "err", err)
		}
	}
}

// interval is how long to wait at most before looking again.
func (f *Follower) interval() time.Duration {
	if f.current == nil && len(f.gens) > 0 && f.opts.Now().Sub(f.left) < f.opts.RotateWait {
		return reopenPoll
	}
	for _, g := range f.gens {
		if g.unwatchable {
			return quickPoll
		}
	}
	return pollInterval
}

// watch arranges to be woken when g grows, if that may still happen.
func (f *Follower) watch(g *generation) {
	if g.stop != nil || g.unwatchable || g.ghost || g.kind != plain {
		return
	}
	if g.rotated && f.opts.Now().Sub(g.grown) >= f.opts.RotateWait {
		return
	}
	stop, err := f.waker.Watch(g.file)
	if err != nil {
		f.log.Debug("cannot watch log, polling", "path", f.path, "err", err)
		g.unwatchable = true
		return
	}
	g.stop = stop
}

// generation returns a generation without a file that is wanted at r.
func (f *Follower) generation(r record) *generation {
	return &generation{
		lineReader: lineReader{place: place{path: f.path}, split: splitter{maxLine: f.opts.MaxLineBytes}},
		seq:        r.Seq,
		want:       r,
		gap:        GapMissing,
	}
}

// number returns the number of a generation that was never seen.
func (f *Follower) number() uint64 {
	n := f.next
	f.next++
	return n
}

// insert adds g where its number puts it.
func (f *Follower) insert(g *generation) {
	at := slices.IndexFunc(f.gens, func(o *generation) bool { return o.seq > g.seq })
	if at < 0 {
		at = len(f.gens)
	}
	f.gens = slices.Insert(f.gens, at, g)
}

// finished adds r to what is done. Positions share the list, so it is copied.
func (f *Follower) finished(r record) {
	if r.Offset == 0 {
		return // nothing would tell it from any other
	}
	f.done = append(slices.Clone(f.done[max(0, len(f.done)+1-maxDone):]), r)
}

// forget removes r from what is done.
func (f *Follower) forget(r record) {
	f.done = slices.DeleteFunc(slices.Clone(f.done), func(o record) bool { return o == r })
}

// Position returns the place behind all lines of the last chunk. While silent
// chunks are returned it is that of the checkpoint.
func (f *Follower) Position() Position {
	if !f.begun {
		return Position{f.checkpoint}
	}
	d := positionData{Done: f.done, Horizon: f.horizon.UTC(), Next: f.next}
	for _, g := range f.gens {
		if !g.ghost {
			d.Open = append(d.Open, g.record())
		}
	}
	return Position{d}
}

// Close closes all files. It is not called while Next runs: end that by its
// context first.
func (f *Follower) Close() error {
	var errs []error
	for _, g := range f.gens {
		errs = append(errs, g.close())
	}
	f.gens, f.current = nil, nil
	f.buf.shrink()
	return errors.Join(errs...)
}
