package sinks

import (
	"context"
	"errors"
	"syscall"

	"mtatap/config"
	"mtatap/event"
)

// File appends events as NDJSON to a file of mode 0640 and flushes it to the
// disk before it acknowledges. A torn last line, left by a crash, is cut when
// the file is opened. A file that was renamed or removed is opened anew under
// its path. A write that fails, as on a full disk, is taken back and retried, so
// no line is torn or doubled. A File must be the only writer of its file.
type File struct {
	file    appender
	trouble *trouble
	lines   []byte
}

// NewFile returns the sink of cfg. It opens the file at Open or the first Write.
func NewFile(cfg config.File, deps Deps) *File {
	return &File{file: newAppender(cfg.Path), trouble: newTrouble(deps)}
}

// Open makes sure that the file can be written.
func (f *File) Open(ctx context.Context) error { return f.retry(ctx, f.file.open) }

// Write appends events and returns when they are on the disk.
func (f *File) Write(ctx context.Context, events []*event.Event) error {
	if len(events) == 0 {
		return ctx.Err()
	}
	f.lines = appendLines(f.lines[:0], events)
	return f.retry(ctx, func() error { return f.file.append(f.lines) })
}

// retry does what it is given until it succeeds or ctx ends.
func (f *File) retry(ctx context.Context, do func() error) error {
	var wait backoff
	for {
		err := do()
		if err == nil {
			f.trouble.mended()
			return nil
		}
		f.trouble.failed(err, fileHint(err))
		if err := wait.sleep(ctx); err != nil {
			return err
		}
	}
}

// Close closes the file.
func (f *File) Close() error { return f.file.close() }

// appendLines appends the events as NDJSON.
func appendLines(b []byte, events []*event.Event) []byte {
	for _, e := range events {
		b = append(b, e.JSON...)
		b = append(b, '\n')
	}
	return b
}

func fileHint(err error) string {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "the disk is full; delivery goes on by itself when there is room"
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EROFS):
		return "the user of mtatap needs to write to the file and its folder; see ReadWritePaths of the unit"
	case errors.Is(err, syscall.ENOENT):
		return "the folder does not exist"
	}
	return ""
}
