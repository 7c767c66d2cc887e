package tailers

import (
	"bytes"
	"log/slog"
	"time"

	"mtatap/event"
)

// Chunk is a run of whole lines of one file generation.
type Chunk struct {
	// Lines each end in '\n', except the last one of a finished file, which
	// may have none, and a cut line. Valid until the next call of Next. Empty
	// where an earlier chunk promised More and there was none.
	Lines []byte
	// Offset of Lines[0] in the decompressed file; of a journal it says nothing.
	Offset int64
	// Origin is shared by all chunks of a generation. Its Head is the SHA-256
	// of the file's first line without newline, of which at most 1024 bytes
	// count; NULs before it are left out as far as they are within the first
	// 4096 bytes of the file, and no later byte counts.
	Origin *event.Origin
	// Cut means that Lines is one line cut at MaxLineBytes, without newline.
	// The rest of that line is skipped.
	Cut bool
	// Silent means that the lines were handed on before a restart: parse them
	// to restore the parser's memory and publish nothing.
	Silent bool
	// More means that the next call of Next returns at once. Without it the
	// source is at its end: hand on what there is.
	More bool
	// Observed is when the lines were read, in UTC.
	Observed time.Time
}

// Each returns an iterator over the lines of the chunk, valid as long as Lines.
func (c *Chunk) Each() LineIter { return LineIter{rest: c.Lines, offset: c.Offset} }

// LineIter walks over the lines of a chunk.
type LineIter struct {
	rest   []byte
	offset int64
}

// Next returns the next line without its newline and the offset of its first
// byte; ok is false after the last one. NULs in front of a line are left out
// and offset is that of what follows them; everything else is passed as it is,
// a carriage return at the end included.
func (it *LineIter) Next() (line []byte, offset int64, ok bool) {
	if len(it.rest) == 0 {
		return nil, it.offset, false
	}
	n := bytes.IndexByte(it.rest, '\n')
	next := n + 1
	if n < 0 {
		n, next = len(it.rest), len(it.rest)
	}
	line, offset = it.rest[:n], it.offset
	it.rest = it.rest[next:]
	it.offset += int64(next)
	if n > 0 && line[0] == 0 {
		k := countNULs(line)
		line, offset = line[k:], offset+int64(k)
	}
	return line, offset, true
}

// Start says where to begin in a file that no checkpoint knows.
type Start uint8

// The places to start: behind the last whole line there is, or at offset 0.
const (
	StartEnd Start = iota
	StartBeginning
)

// The kinds of gap that Events.Gap is told.
const (
	// GapMissing: what followed the checkpoint is in no file there is.
	GapMissing = "missing_remainder"
	// GapTruncated: the file was cut while it was read and there is no copy.
	GapTruncated = "truncated"
	// GapCopied: the file was copied and cut while it was written, or while
	// nobody looked; what was written in between is in neither, if anything was.
	GapCopied = "copytruncate"
	// GapUnreadable: a rotated file is corrupt or cannot be read to its end.
	GapUnreadable = "unreadable"
	// GapVacuumed: the journal no longer has the entry of the checkpoint.
	GapVacuumed = "vacuumed"
)

// GapKinds returns the kinds of gap of a file, for pre-initialised metrics.
func GapKinds() []string { return []string{GapMissing, GapTruncated, GapCopied, GapUnreadable} }

// JournalGapKinds returns the kinds of gap of a journal.
func JournalGapKinds() []string { return []string{GapVacuumed} }

// Events is told what happens to a file, from within Begin and Next.
type Events interface {
	Rotated()        // another generation follows
	Gap(kind string) // lines may have been lost: one of GapKinds or JournalGapKinds
	Cut()            // a line was cut at MaxLineBytes
}

// Options are the settings of a Follower or Replay. The zero value is usable.
type Options struct {
	// Start is obeyed only without a checkpoint and by Followers only.
	Start Start
	// MaxLineBytes is where lines are cut. 0 means 65536; the least is 1024.
	MaxLineBytes int
	// RotateWait is how long a rotated file is kept open after it last grew.
	// 0 means one minute.
	RotateWait time.Duration
	Logger     *slog.Logger // nil discards
	Events     Events       // may be nil
	// Beat, if not nil, is called by Next of a Follower each time it looks, at
	// least once in some seconds while it waits: who hears it no more knows that
	// reading hangs.
	Beat func()

	// Now and Waker replace the clock and the wake-up source in tests.
	Now   func() time.Time
	Waker Waker
}

const (
	defaultMaxLine    = 64 << 10
	minMaxLine        = 1 << 10
	defaultRotateWait = time.Minute
)

func (o Options) withDefaults() Options {
	if o.MaxLineBytes == 0 {
		o.MaxLineBytes = defaultMaxLine
	}
	o.MaxLineBytes = max(o.MaxLineBytes, minMaxLine)
	if o.RotateWait <= 0 {
		o.RotateWait = defaultRotateWait
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Events == nil {
		o.Events = noEvents{}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Beat == nil {
		o.Beat = func() {}
	}
	return o
}

type noEvents struct{}

func (noEvents) Rotated()   {}
func (noEvents) Gap(string) {}
func (noEvents) Cut()       {}
