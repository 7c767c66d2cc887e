package tailers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"sync/atomic"
	"time"

	"mtatap/event"
)

const (
	// journalPage is what journalctl writes at once while it has more.
	journalPage = 4096
	// journalGrace is how long to wait for more where more was promised.
	journalGrace = 10 * time.Millisecond
	// journalIdle is how long at most Next waits without a sign of life, and how often
	// a chunk without lines tells how far the journal was read, while only units
	// write that are not selected.
	journalIdle = 5 * time.Second

	journalLeastPause = time.Second // before journalctl is started again
	journalMostPause  = 30 * time.Second
	// journalSteady is how long journalctl runs that needs no longer pause.
	journalSteady = 10 * time.Second
)

// Journal follows the journal of systemd through journalctl, a child process. Its
// lines are records in JSON, one for each entry. It first reads what there is with
// one child and then follows with another, because journalctl follows one boot
// only. A child that ends is started again where it ended, after a pause that grows
// to 30 seconds. It is used from one goroutine; only Behind may be called from
// others.
type Journal struct {
	selection JournalSelection
	units     units // to look at in each record; nil if journalctl selects
	opts      Options
	log       *slog.Logger
	program   string
	pause     time.Duration // the shortest; tests make it shorter
	said      *complaints
	failing   *complaints // of our own making
	origin    *event.Origin

	checkpoint, memory positionData
	begun              bool

	at       cursor // of the entry read last
	silentTo cursor // the checkpoint's, while what stands before it is read again
	lost     cursor // of the gap that was counted last

	child   *journalctl
	live    bool   // the child follows
	anchor  cursor // of the entry that the child begins with, if it is still there; "" once seen
	started time.Time
	waits   time.Duration // the pause before the next start
	due     time.Time     // when it is over

	buf        []byte
	start, end int // of what is read and not consumed
	split      splitter
	page       bool      // the last read gave a whole page
	promised   bool      // the last chunk said More
	returned   time.Time // when there was a chunk
	behind     atomic.Bool
}

// NewJournal returns a Journal of the entries that s selects. It starts nothing.
func NewJournal(s JournalSelection, opts Options) *Journal {
	opts = opts.withDefaults()
	log := opts.Logger.With("journal", s.Name())
	// A record names its fields, and of a message that is no printable UTF-8 it
	// has each byte as a number.
	most := 5*opts.MaxLineBytes + 16<<10
	j := &Journal{
		selection: s, opts: opts, log: log, program: "journalctl", pause: journalLeastPause,
		said: &complaints{log: log, now: opts.Now}, failing: &complaints{log: log, now: opts.Now},
		origin: &event.Origin{Path: s.Name()}, split: splitter{maxLine: most},
	}
	if u := units(s.Units); !u.exact() {
		j.units = u
	}
	return j
}

// Resume says where reading goes on, as Follower.Resume does.
func (j *Journal) Resume(checkpoint, memory Position) {
	j.checkpoint, j.memory = checkpoint.p, memory.p
}

// Begin finds where to begin and returns that Position without having read an
// entry, as Follower.Begin does. An error says that the journal cannot be read as
// things are; a journal that is not there yet is none.
func (j *Journal) Begin(ctx context.Context) (Position, error) {
	if j.begun {
		return j.Position(), nil
	}
	resumed := j.checkpoint.Next != 0
	last, err := lastEntry(ctx, j.program, j.selection)
	switch {
	case errors.Is(err, errNoJournal):
		j.log.Info("waiting for journal")
	case err != nil && (!resumed || ctx.Err() != nil || errors.Is(err, errJournalAbsent) || errors.Is(err, errJournalForbidden)):
		return Position{}, fmt.Errorf("begin journal: %w", err)
	case err != nil:
		j.log.Warn("cannot look at journal, trying again", "err", err)
	}
	switch {
	case resumed:
		j.at = j.checkpoint.Cursor
		if j.memory.Next != 0 && j.memory.Cursor != j.at {
			j.at, j.silentTo = j.memory.Cursor, j.at
		}
	case j.opts.Start == StartEnd:
		j.at = last
	}
	j.begun = true
	return j.Position(), nil
}

// Next returns the next records. It blocks until there are some; ctx ends it with
// ctx.Err(). What hinders journalctl is logged, each thing at most once a minute.
// A chunk may be empty: where More was promised, or to let the position advance.
func (j *Journal) Next(ctx context.Context) (Chunk, error) {
	if _, err := j.Begin(ctx); err != nil {
		return Chunk{}, err
	}
	for {
		j.opts.Beat()
		if err := ctx.Err(); err != nil {
			return Chunk{}, err
		}
		if c, ok := j.buffered(); ok {
			return j.hand(c), nil
		}
		if j.child == nil {
			if j.promised && j.opts.Now().Before(j.due) {
				return j.hand(Chunk{}), nil
			}
			if err := j.open(ctx); err != nil {
				return Chunk{}, err
			}
			continue
		}
		wait := journalIdle
		if j.promised {
			wait = journalGrace
		}
		n, err := j.child.read(ctx, j.room(), wait)
		switch {
		case err == nil:
			j.end += n
			j.page = n >= journalPage
		case !errors.Is(err, os.ErrDeadlineExceeded):
			if ctx.Err() != nil {
				return Chunk{}, ctx.Err()
			}
			j.ended(err)
		case j.promised:
			return j.hand(Chunk{More: !j.live}), nil
		}
	}
}

// hand completes c.
func (j *Journal) hand(c Chunk) Chunk {
	c.Origin, c.Observed = j.origin, j.opts.Now().UTC()
	j.returned, j.promised = j.opts.Now(), c.More
	if j.child != nil {
		j.behind.Store(c.More || !j.live)
	}
	return c
}

// open starts a child behind the entry read last, once the pause is over. Only
// the end of ctx is an error.
func (j *Journal) open(ctx context.Context) error {
	if wait := j.due.Sub(j.opts.Now()); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	var extra []string
	if j.live {
		extra = j.selection.following()
	}
	child, err := startJournalctl(j.program, j.selection.arguments(j.at, extra...), j.said)
	if err != nil {
		j.failed(err)
		return nil
	}
	j.child, j.anchor, j.started = child, j.at, j.opts.Now()
	j.start, j.end, j.split.skip, j.page = 0, 0, false, false
	j.behind.Store(!j.live || j.promised)
	return nil
}

// ended is called when the output of the child has ended, with why.
func (j *Journal) ended(why error) {
	end := j.child.stop
	if errors.Is(why, io.EOF) {
		end = j.child.end
	}
	err := end()
	j.child = nil
	switch {
	case err == nil && !j.live:
		j.caughtUp()
		return
	case err == nil:
		err = errors.New("journalctl has ended")
	}
	if j.live && j.opts.Now().Sub(j.started) >= journalSteady {
		j.waits = 0
	}
	j.failed(err)
}

// caughtUp is called when all that there was has been read: from now on a child
// follows.
func (j *Journal) caughtUp() {
	j.live = true
	if j.silentTo != "" {
		j.gap(j.silentTo)
		j.at, j.silentTo = j.silentTo, ""
	} else if j.anchor != "" { // not a single entry
		j.gap(j.anchor)
	}
}

// failed arranges another try. What came since the last entry is read again.
func (j *Journal) failed(err error) {
	j.live = false
	j.waits = min(max(2*j.waits, j.pause), journalMostPause)
	j.due = j.opts.Now().Add(j.waits)
	j.behind.Store(!errors.Is(err, errNoJournal))
	if text := err.Error(); j.failing.allow(text) {
		j.log.Error("cannot read journal, trying again", "err", text)
	}
}

// room returns where to read to, behind what is buffered, which moves to the front.
func (j *Journal) room() []byte {
	if j.buf == nil {
		j.buf = make([]byte, bufferCap(j.split.maxLine))
	}
	j.end = copy(j.buf, j.buf[j.start:j.end])
	j.start = 0
	return j.buf[j.end:]
}

// buffered returns the next chunk of what is buffered, false if there is none.
func (j *Journal) buffered() (Chunk, bool) {
	for {
		f := growing
		if j.start == 0 && j.end == len(j.buf) {
			f = full
		}
		data := j.buf[j.start:j.end]
		p := j.split.next(data, f)
		j.start += p.drop
		switch {
		case p.take == 0:
			return Chunk{}, false
		case p.cut:
			j.start += p.take
			j.opts.Events.Cut()
			j.log.Warn("an entry of the journal is too long and left out", "bytes", p.take)
			continue
		}
		lines, silent := j.next(data[p.drop : p.drop+p.take])
		if len(lines) > 0 || !silent && j.opts.Now().Sub(j.returned) >= journalIdle {
			return Chunk{Lines: lines, Silent: silent, More: !j.live || j.page}, true
		}
	}
}

// next consumes lines, or as many as are all silent or all not, and returns those
// that are selected.
func (j *Journal) next(lines []byte) (selected []byte, silent bool) {
	if j.anchor != "" {
		n := bytes.IndexByte(lines, '\n') + 1
		if c := cursor(cursorOf(lines[:n])); c != j.anchor {
			if !j.live && j.silentTo == "" {
				j.gap(j.anchor)
			}
			n = 0
		}
		j.anchor = ""
		j.start += n
		lines = lines[n:]
	}
	checkpoint := j.silentTo
	if checkpoint != "" {
		if n := j.silentLen(lines); n > 0 || j.silentTo != "" {
			lines, silent = lines[:n], true
		}
	}
	j.start += len(lines)
	for rest := lines; len(rest) > 0; {
		n := bytes.LastIndexByte(rest[:len(rest)-1], '\n') + 1
		if c := cursorOf(rest[n:]); c != nil {
			j.at = cursor(c)
			break
		}
		rest = rest[:n]
	}
	if silent && j.silentTo == "" {
		j.at = checkpoint
	}
	if j.units != nil {
		lines = j.units.choose(lines)
	}
	return lines, silent
}

// silentLen returns how many bytes of lines stand before the checkpoint, which
// silentTo keeps until it is found.
func (j *Journal) silentLen(lines []byte) int {
	n := 0
	for line := range bytes.Lines(lines) {
		c := cursor(cursorOf(line))
		if c != j.silentTo && c.after(j.silentTo) {
			j.gap(j.silentTo)
			j.silentTo = ""
			break
		}
		n += len(line)
		if c == j.silentTo {
			j.silentTo = ""
			break
		}
	}
	return n
}

// gap counts that the entry at c is gone, and maybe others that stood behind it.
func (j *Journal) gap(c cursor) {
	if c == j.lost {
		return
	}
	j.lost = c
	j.opts.Events.Gap(GapVacuumed)
	j.log.Error("the journal no longer has the entry that was read last; some may have been missed", "cursor", string(c))
}

// Position returns the place behind all records of the last chunk. While silent
// chunks are returned it is that of the checkpoint.
func (j *Journal) Position() Position {
	switch {
	case !j.begun:
		return Position{j.checkpoint}
	case j.silentTo != "":
		return Position{positionData{Next: 1, Cursor: j.silentTo}}
	}
	return Position{positionData{Next: 1, Cursor: j.at}}
}

// Behind reports whether the journal has, or may have, entries that Next has not
// returned: their number is not known.
func (j *Journal) Behind() bool { return j.behind.Load() }

// Close ends the child and waits for it. It is not called while Next runs: end
// that by its context first.
func (j *Journal) Close() error {
	if j.child == nil {
		return nil
	}
	err := j.child.stop()
	j.child, j.buf, j.start, j.end = nil, nil, 0, 0
	if exit := new(exec.ExitError); errors.As(err, &exit) || errors.Is(err, errJournalForbidden) || errors.Is(err, errNoJournal) {
		return nil // it was killed, or had ended
	}
	return err
}
