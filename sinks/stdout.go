package sinks

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"

	"mtatap/event"
)

// ErrOutputClosed is returned by Stdout.Write when the reader of the output has
// gone: no retry can help, the program should end in good order.
var ErrOutputClosed = errors.New("output closed by its reader")

// Stdout writes events as NDJSON to a stream, one write for each call.
type Stdout struct {
	out     io.Writer
	trouble *trouble
	lines   []byte
}

// NewStdout returns a sink that writes to out. For standard output the program
// must ignore SIGPIPE, or the runtime ends it before ErrOutputClosed can be seen.
func NewStdout(out io.Writer, deps Deps) *Stdout {
	return &Stdout{out: out, trouble: newTrouble(deps)}
}

// Write writes events. It returns ErrOutputClosed when nobody reads; any other
// error is retried from where the write stopped. A reader that is slow but there
// blocks it beyond the end of ctx.
func (s *Stdout) Write(ctx context.Context, events []*event.Event) error {
	if len(events) == 0 {
		return ctx.Err()
	}
	s.lines = appendLines(s.lines[:0], events)
	var wait backoff
	for rest := s.lines; ; {
		n, err := s.out.Write(rest)
		if err == nil {
			s.trouble.mended()
			return nil
		}
		if errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, os.ErrClosed) {
			return ErrOutputClosed
		}
		rest = rest[n:]
		s.trouble.failed(err, fileHint(err))
		if err := wait.sleep(ctx); err != nil {
			return err
		}
	}
}

// Close does nothing: the stream belongs to the caller.
func (s *Stdout) Close() error { return nil }
