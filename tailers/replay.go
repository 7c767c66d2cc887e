package tailers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"
)

// Replay reads one finished file from its beginning to its end. Only Progress
// may be called while another method runs.
type Replay struct {
	lines  lineReader
	path   string
	file   *os.File // nil for stdin
	closer io.Closer
	read   atomic.Int64
	total  int64
	now    func() time.Time
	events Events
}

// OpenReplay opens the file at path, or takes stdin where path is "-". What is
// compressed by gzip (of several members too) or zstd is recognised by its
// first bytes, whatever its name. Memory is bounded: a buffer and the
// decoder's window, of 128 MiB at most where a zstd file asks for it. Closing
// the Replay leaves stdin open.
func OpenReplay(path string, stdin io.Reader, opts Options) (*Replay, error) {
	opts = opts.withDefaults()
	r := &Replay{path: path, now: opts.Now, events: opts.Events}
	source := stdin
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("open replay: %w", err)
		}
		r.file, source = file, file
	}
	if err := r.measure(source); err != nil {
		r.Close()
		return nil, fmt.Errorf("open replay: %w", err)
	}
	stream, _, err := decompressed(&countingReader{source, &r.read})
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("open replay %q: %w", path, err)
	}
	r.closer = stream
	r.lines = lineReader{
		place: place{path: path},
		split: splitter{maxLine: opts.MaxLineBytes},
		r:     stream,
		eager: r.total == 0,
	}
	return r, nil
}

// measure finds how long source is, if it is a regular file.
func (r *Replay) measure(source io.Reader) error {
	file, ok := source.(*os.File)
	if !ok {
		return nil
	}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if info.IsDir() {
		return fmt.Errorf("%q is a directory", r.path)
	}
	if info.Mode().IsRegular() {
		r.total = info.Size()
	}
	return nil
}

// Next returns the next lines, io.EOF after the last. It looks at ctx between
// reads; a read that blocks, as on a pipe, ends when its data comes. Lines
// before the place where a compressed file is damaged are returned before the
// error is.
func (r *Replay) Next(ctx context.Context) (Chunk, error) {
	c, err := r.lines.next(ctx, -1)
	switch {
	case err == nil:
	case errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF), ctx.Err() != nil:
		return Chunk{}, err
	default:
		return Chunk{}, fmt.Errorf("read %q: %w", r.path, err)
	}
	if c.Cut {
		r.events.Cut()
	}
	c.Observed = r.now().UTC()
	return c, nil
}

// Progress returns how many bytes of the file, compressed where it is, have
// been read, and how many there are; total is 0 where that is unknown.
func (r *Replay) Progress() (read, total int64) { return r.read.Load(), r.total }

// Close frees what the Replay holds. Chunks are invalid then.
func (r *Replay) Close() error {
	var err error
	if r.closer != nil {
		err = r.closer.Close()
	}
	if r.file != nil {
		err = errors.Join(err, r.file.Close())
	}
	return err
}

type countingReader struct {
	r io.Reader
	n *atomic.Int64
}

func (c *countingReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n.Add(int64(n))
	return n, err
}
