package tailers

import (
	"context"
	"errors"
	"io"
)

// lineReader cuts a stream, which is read once, into chunks.
type lineReader struct {
	place
	split splitter
	r     io.Reader
	// eager hands on what one read gave instead of filling the buffer first.
	eager bool

	buf        []byte // allocated by the first read
	start, end int    // the bytes not consumed
	err        error  // why no more can be read
}

// errLimit says that a reader stands at the limit it was given.
var errLimit = errors.New("limit reached")

// next returns the next chunk of what stands before limit; limit < 0 is none.
// A line that the limit cuts is handed on as far as it goes. It returns
// errLimit there, io.EOF at the end, and looks at ctx before each read.
func (l *lineReader) next(ctx context.Context, limit int64) (Chunk, error) {
	for {
		data, f := l.buf[l.start:l.end], growing
		limited := limit >= 0 && l.offset+int64(len(data)) >= limit
		switch {
		case limited:
			data, f = data[:max(0, limit-l.offset)], complete
		case errors.Is(l.err, io.EOF):
			f = complete
		case l.start == 0 && l.end == len(l.buf):
			f = full
		}
		p := l.split.next(data, f)
		c := Chunk{Lines: data[p.drop : p.drop+p.take], Offset: l.offset + int64(p.drop), Cut: p.cut}
		l.consume(data[:p.drop+p.take])
		l.start += p.drop + p.take
		switch {
		case p.take > 0:
			l.makeOrigin()
			c.Origin = l.origin
			c.More = l.err == nil && !l.eager || l.start < l.end && l.err != nil
			return c, nil
		case p.drop > 0:
			continue
		case limited:
			return Chunk{}, errLimit
		case l.err != nil:
			return Chunk{}, l.err
		}
		if err := ctx.Err(); err != nil {
			return Chunk{}, err
		}
		l.fill()
	}
}

// fill reads behind what is buffered, which moves to the front.
func (l *lineReader) fill() {
	if l.buf == nil {
		l.buf = make([]byte, bufferCap(l.split.maxLine))
	}
	l.end = copy(l.buf, l.buf[l.start:l.end])
	l.start = 0
	for l.end < len(l.buf) && l.err == nil {
		var n int
		n, l.err = l.r.Read(l.buf[l.end:])
		l.end += n
		if n > 0 && l.eager {
			return
		}
	}
}
