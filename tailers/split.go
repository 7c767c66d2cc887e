package tailers

import "bytes"

// readSize is the size that read buffers grow to. Larger ones save no time, and
// whoever hands on the events of a chunk together holds more of them.
const readSize = 64 << 10

// bufferCap is how much a reader must be able to hold so that a line of
// maxLine bytes can be told from a longer one whatever stands around it: NULs
// within the lead and the marker.
func bufferCap(maxLine int) int { return max(readSize, maxLine+1+leadSize+maxMarker) }

// splitter finds where lines end. It is told of the bytes that follow those it
// consumed last and keeps only whether it is inside a cut line.
type splitter struct {
	maxLine int
	skip    bool // the rest of a cut line comes first
}

// piece is what a splitter makes of data: drop bytes to forget, then take
// bytes to hand on, which are one cut line or whole lines.
type piece struct {
	drop, take int
	cut        bool
}

// fill says what data can become.
type fill uint8

const (
	growing  fill = iota // more bytes may follow
	full                 // more bytes follow, but data cannot hold them
	complete             // nothing follows
)

// next returns the first piece of data. A piece without take means that
// nothing can be handed on until more data is there.
func (s *splitter) next(data []byte, f fill) piece {
	var p piece
	if s.skip {
		i := bytes.IndexByte(data, '\n')
		if i < 0 {
			p.drop = len(data)
			return p
		}
		p.drop = i + 1
		s.skip = false
		data = data[p.drop:]
	}
	if n := s.whole(data); n > 0 {
		p.take = n
		return p
	}
	// The line at the start of data is incomplete, too long, or has NULs in
	// front of it, which do not count.
	nuls := countNULs(data)
	line := data[nuls:]
	if nuls > 0 {
		if n := s.whole(line); n > 0 {
			p.drop, p.take = p.drop+nuls, n
			return p
		}
	}
	switch {
	case len(line) > s.maxLine:
		p.drop, p.take, p.cut = p.drop+nuls, s.maxLine, true
		s.skip = true
	case f == complete:
		p.drop, p.take = p.drop+nuls, len(line)
	case f == full && nuls >= leadSize:
		// With fewer NULs there is room for the longest line behind them.
		p.drop += nuls
	}
	return p
}

// whole returns the length of the lines that data starts with, none of them
// longer than maxLine. Looking for the last newline of each window is enough:
// no line between two newlines of a window can be too long.
func (s *splitter) whole(data []byte) int {
	n := 0
	for n < len(data) {
		window := data[n:min(n+s.maxLine+1, len(data))]
		i := bytes.LastIndexByte(window, '\n')
		if i < 0 {
			break
		}
		n += i + 1
	}
	return n
}

func countNULs(b []byte) int {
	for i, c := range b {
		if c != 0 {
			return i
		}
	}
	return len(b)
}
