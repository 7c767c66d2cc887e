package tailers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// writeLull is how long a log must not have grown before it is believed that
// nothing was written to it between being copied and being cut.
const writeLull = 2 * time.Second

// lastLineWait is how long a rotated file must not have grown before its last
// line is believed to stay without a newline.
const lastLineWait = 5 * time.Second

var (
	// errEnd: there is nothing to hand on until the file grows.
	errEnd = errors.New("end of file for now")
	// errTruncated: the file no longer has what was read of it.
	errTruncated = errors.New("file was truncated")
)

// ident identifies a file on its host; zero is unknown.
type ident struct{ dev, inode uint64 }

// generation is one file generation that a Follower reads.
type generation struct {
	lineReader // of a plain file only its place and splitter are used
	seq        uint64
	file       *os.File
	info       fs.FileInfo // when it was opened
	kind       compression
	first      []byte    // the decompressed beginning as it was sighted
	decoder    io.Closer // nil until a compressed file is read
	stop       func()    // ends the watch; nil if there is none

	rotated     bool      // no longer at the path
	reach       int64     // how far the file was seen to reach
	grown       time.Time // when it was last seen to grow
	whole       time.Time // when it was last seen to have what had been read of it
	troubled    bool      // a read error has been logged
	unwatchable bool

	// What the checkpoint says. Lines before its offset are silent; a ghost is
	// silent as a whole, for it was finished by then.
	want   record
	from   *record // where silent reading starts; nil for none
	ghost  bool
	gap    string // kind of gap if it is not found again
	parked bool   // the file was there, and closed to wait for its turn
	quiet  bool   // the file was not being written to when it was cut
	seen   int64  // how far it had been seen to reach by then
}

// next returns the next chunk: errEnd if there is none for now, io.EOF if
// there never will be, errTruncated, or what went wrong with reading.
func (g *generation) next(ctx context.Context, buf *buffer, now time.Time, lastLine time.Duration) (Chunk, error) {
	for {
		limit := int64(-1)
		if g.offset < g.want.Offset {
			limit = g.want.Offset
		}
		var c Chunk
		var err error
		if g.kind == plain {
			final := g.rotated && now.Sub(g.grown) >= lastLine
			c, err = g.nextPlain(buf, limit, now, final)
		} else if err = g.open(); err == nil {
			c, err = g.lineReader.next(ctx, limit)
		}
		if errors.Is(err, errLimit) || err == nil && limit >= 0 && g.offset == limit {
			// From here on the lines are new; the checkpoint may stand inside
			// a line that was cut.
			g.split.skip = g.want.Skip
		}
		switch {
		case errors.Is(err, errLimit):
			if g.ghost {
				return Chunk{}, io.EOF
			}
			continue
		case errors.Is(err, errEnd) && g.ghost:
			return Chunk{}, io.EOF
		}
		if limit >= 0 || g.ghost {
			c.Silent, c.More = true, true
		}
		return c, err
	}
}

// nextPlain reads what stands before offset together with what follows, so
// that no byte is believed that another file brought there.
func (g *generation) nextPlain(buf *buffer, limit int64, now time.Time, final bool) (Chunk, error) {
	for {
		b := buf.get()
		n := len(g.marker)
		m, err := g.file.ReadAt(b, g.offset-int64(n))
		if err != nil && !errors.Is(err, io.EOF) {
			return Chunk{}, err
		}
		if m < n || !bytes.Equal(b[:n], g.marker) {
			return Chunk{}, errTruncated
		}
		g.whole = now
		if limit >= 0 {
			// Silent lines must not be those of another file.
			if ok, err := g.has(g.want); err != nil {
				return Chunk{}, err
			} else if !ok {
				return Chunk{}, errTruncated
			}
		}
		data, filled := b[n:m], m == len(b)
		if end := g.offset + int64(len(data)); end > g.reach {
			g.reach, g.grown, final = end, now, false
		}
		f := growing
		limited := limit >= 0 && g.offset+int64(len(data)) >= limit
		switch {
		case limited:
			data, f = data[:max(0, limit-g.offset)], complete
		case filled && !buf.grow():
			f = full
		case !filled && final:
			f = complete
		}
		p := g.split.next(data, f)
		c := Chunk{Lines: data[p.drop : p.drop+p.take], Offset: g.offset + int64(p.drop), Cut: p.cut}
		g.consume(data[:p.drop+p.take])
		switch {
		case p.take > 0:
			g.makeOrigin()
			c.Origin = g.origin
			c.More = filled || p.cut || bytes.IndexByte(data[p.drop+p.take:], '\n') >= 0
			return c, nil
		case limited && p.drop == 0:
			return Chunk{}, errLimit
		case p.drop == 0 && !filled:
			return Chunk{}, errEnd
		}
	}
}

// open starts decompression where that has not been done yet.
func (g *generation) open() error {
	if g.decoder != nil {
		return nil
	}
	if _, err := g.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	r, _, err := decompressed(g.file)
	if err != nil {
		return err
	}
	g.r, g.decoder = r, r
	return nil
}

// attach makes s the file of g if it has, where the checkpoint stands, what the
// checkpoint says. The generation then owns the open file.
func (g *generation) attach(ctx context.Context, s *sighting) (bool, error) {
	if !g.want.Lead.matches(s.first) {
		return false, nil
	}
	g.file, g.info, g.kind, g.first = s.file, s.info, s.kind, s.first
	g.reach, g.grown = s.info.Size(), s.info.ModTime()
	ok, err := g.seek(ctx, s)
	if err != nil || !ok {
		g.free()
		g.file = nil
		return false, err
	}
	s.known, s.taken = true, true
	return true, nil
}

// seek goes to the place of the parser's memory if that can be, and else to
// that of the checkpoint.
func (g *generation) seek(ctx context.Context, s *sighting) (bool, error) {
	if g.kind == plain || g.from == nil {
		if ok, err := g.seekTo(ctx, s, g.want); !ok {
			return false, err
		}
	}
	if g.from == nil {
		return true, nil
	}
	ok, err := g.seekTo(ctx, s, *g.from)
	if ok || err != nil {
		return ok, err
	}
	return g.seekTo(ctx, s, g.want)
}

func (g *generation) seekTo(ctx context.Context, s *sighting, r record) (bool, error) {
	if !r.Lead.matches(s.first) {
		return false, nil
	}
	marker := make([]byte, r.Marker.Length)
	at := r.Offset - int64(len(marker))
	var err error
	if g.kind == plain {
		_, err = io.ReadFull(io.NewSectionReader(g.file, at, int64(len(marker))), marker)
	} else {
		g.free()
		if err = g.open(); err == nil {
			err = discard(ctx, g.r, at)
		}
		if err == nil {
			_, err = io.ReadFull(g.r, marker)
		}
	}
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	// A file that cannot be read that far is not the one.
	if err != nil || !r.Marker.matches(marker) || g.kind == plain && g.reach < r.Offset {
		return false, nil
	}
	g.restore(r.Offset, s.first, marker)
	g.split.skip = r.Skip
	g.lineReader.start, g.lineReader.end, g.lineReader.err = 0, 0, nil
	return true, nil
}

// seekEnd goes behind the last newline of a plain file. A last line that is
// too long to be waited for is skipped.
func (g *generation) seekEnd(first []byte) error {
	size := g.reach
	at := size
	block := make([]byte, 16<<10)
	for at > 0 && size-at <= int64(g.split.maxLine) {
		n := min(at, int64(len(block)))
		if _, err := g.file.ReadAt(block[:n], at-n); err != nil {
			return fmt.Errorf("find last line: %w", err)
		}
		if i := bytes.LastIndexByte(block[:n], '\n'); i >= 0 {
			return g.goTo(at-n+int64(i)+1, first)
		}
		at -= n
	}
	if size <= int64(g.split.maxLine) {
		return nil
	}
	g.split.skip = true
	return g.goTo(size, first)
}

// goTo goes to offset in a plain file without knowing what stands before it.
func (g *generation) goTo(offset int64, first []byte) error {
	before := make([]byte, min(offset, maxMarker))
	if _, err := g.file.ReadAt(before, offset-int64(len(before))); err != nil {
		return fmt.Errorf("read marker: %w", err)
	}
	g.restore(offset, first, markerOf(before))
	return nil
}

// record returns what to remember of g: what the checkpoint says as long as
// reading is behind it.
func (g *generation) record() record {
	if g.file == nil || g.offset < g.want.Offset {
		r := g.want
		r.Seq = g.seq
		return r
	}
	id := identOf(g.info)
	r := record{Seq: g.seq, Dev: id.dev, Inode: id.inode, Skip: g.split.skip}
	g.fillIn(&r)
	if r.Offset == 0 && bytes.IndexByte(g.first, '\n') >= 0 {
		r.Lead = fingerprintOf(g.first[:min(len(g.first), leadSize)])
	}
	return r
}

// truncated reports whether the file of g no longer has what was read of it,
// now or before the checkpoint.
func (g *generation) truncated() bool {
	if g.file == nil || g.kind != plain {
		return false
	}
	b := make([]byte, len(g.marker))
	n, err := g.file.ReadAt(b, g.offset-int64(len(b)))
	if err != nil && !errors.Is(err, io.EOF) {
		return false
	}
	if !bytes.Equal(b[:n], g.marker) {
		return true
	}
	ok, err := g.has(g.want)
	return err == nil && g.offset < g.want.Offset && !ok
}

// has reports whether a plain file has, where r stands, what r remembers.
func (g *generation) has(r record) (bool, error) {
	b := make([]byte, r.Marker.Length)
	n, err := g.file.ReadAt(b, r.Offset-int64(len(b)))
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	return n == len(b) && r.Marker.matches(b), nil
}

// drained reports whether all that the file was seen to have is consumed.
func (g *generation) drained() bool { return g.kind == plain && g.offset >= g.reach }

// park closes the file of g, of which nothing was read, so that the next survey
// looks for it again.
func (g *generation) park() error {
	if g.kind == plain {
		g.first = firstBytes(g.file) // as far as it has grown
	}
	g.want, g.gap, g.parked = g.record(), GapMissing, true
	return g.close()
}

// free ends decompression.
func (g *generation) free() {
	if g.decoder != nil {
		_ = g.decoder.Close() // nothing is written
		g.decoder, g.r = nil, nil
	}
}

// close ends the watch and closes the file.
func (g *generation) close() error {
	if g.stop != nil {
		g.stop()
		g.stop = nil
	}
	g.free()
	if g.file == nil {
		return nil
	}
	file := g.file
	g.file = nil
	return file.Close()
}

// buffer is what plain files are read into, one at a time. It starts small and
// grows while reads fill it.
type buffer struct {
	b   []byte
	cap int
}

const smallBuffer = 16 << 10

func (b *buffer) get() []byte {
	if b.b == nil {
		b.b = make([]byte, min(smallBuffer, b.cap))
	}
	return b.b
}

// grow makes the next get return more; false if it has all it may have.
func (b *buffer) grow() bool {
	n := len(b.b)
	if n >= b.cap {
		return false
	}
	b.b = make([]byte, min(4*n, b.cap))
	return true
}

// shrink gives the memory back.
func (b *buffer) shrink() { b.b = nil }

// discard reads n bytes and looks at ctx now and then.
func discard(ctx context.Context, r io.Reader, n int64) error {
	const step = 1 << 20
	for n > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		k, err := io.CopyN(io.Discard, r, min(n, step))
		if err != nil {
			return err
		}
		n -= k
	}
	return nil
}
