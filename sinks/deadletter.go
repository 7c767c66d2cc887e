package sinks

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"mtatap/config"
	"mtatap/event"
)

// Cause says why something became a dead letter. There are no others.
type Cause string

// The causes.
const (
	CauseTooLarge Cause = "too_large" // larger than the destination takes
	CauseInvalid  Cause = "invalid"   // refused by the destination's checks of content
	CauseRefused  Cause = "refused"   // refused by a webhook with a 4xx status
	CauseUnparsed Cause = "unparsed"  // a log line that should have been understood
)

// UnparsedSink is what a dead letter of a log line has as its sink.
const UnparsedSink = "parser"

// DeadLetter is an event that a sink cannot deliver, or a log line that could
// not be read.
type DeadLetter struct {
	Sink   string
	Cause  Cause
	Detail string // what the destination said, one line; "" if nothing

	Event *event.Event // nil for a log line

	// Of a log line: its file or journal, where it starts, and the line.
	Source string
	Offset int64
	Cursor string // where it stands in a journal, instead of Offset
	Line   []byte
}

// UnparsedLine returns the dead letter of a log line. line is only read until
// Put returns.
func UnparsedLine(source string, offset int64, line []byte) DeadLetter {
	return DeadLetter{Sink: UnparsedSink, Cause: CauseUnparsed, Source: source, Offset: offset, Line: line}
}

// DeadLetters is a file of one JSON object a line, of mode 0640:
//
//	{"time":"...","sink":"kafka","cause":"too_large","detail":"...","event":{...}}
//	{"time":"...","sink":"parser","cause":"unparsed","source":"/var/log/mail.log","offset":42,"line":"..."}
//
// A line is a JSON string in which bytes that are not UTF-8 became U+FFFD; the
// offset, or the "cursor" of a journal in its place, leads to the original. When the file would grow beyond its limit, it is
// renamed to the same name with ".1" behind it, in place of the one before, and
// begun anew: on the disk are at most twice the limit, and the oldest letters go
// first. Safe for concurrent use.
type DeadLetters struct {
	max   int64
	count func(sink string, cause Cause)

	mu    sync.Mutex
	file  appender
	lines bytes.Buffer
}

// NewDeadLetters returns the dead letters of cfg; no limit with MaxBytes 0. The
// file is opened at the first Put. count, which may be nil, is called once for
// each letter that is on the disk, by one goroutine at a time.
func NewDeadLetters(cfg config.DeadLetters, count func(sink string, cause Cause)) *DeadLetters {
	return &DeadLetters{max: cfg.MaxBytes, count: count, file: newAppender(cfg.Path)}
}

// Put writes letters and returns when they are on the disk. After an error none
// of them is; the caller tries again, and must not acknowledge before it succeeds.
func (d *DeadLetters) Put(letters ...DeadLetter) error {
	if len(letters) == 0 {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines.Reset()
	now := time.Now().UTC()
	for i := range letters {
		if err := encodeLetter(&d.lines, now, &letters[i]); err != nil {
			return fmt.Errorf("encode dead letter: %w", err)
		}
	}
	if err := d.rotate(); err != nil {
		return fmt.Errorf("write dead letter: %w", err)
	}
	if err := d.file.append(d.lines.Bytes()); err != nil {
		return fmt.Errorf("write dead letter: %w", err)
	}
	if d.count != nil {
		for i := range letters {
			d.count(letters[i].Sink, letters[i].Cause)
		}
	}
	return nil
}

// Close closes the file.
func (d *DeadLetters) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.file.close()
}

// rotate makes room if the next lines do not fit.
func (d *DeadLetters) rotate() error {
	if d.max <= 0 {
		return nil
	}
	size, err := d.file.size()
	if err != nil || size == 0 || size+int64(d.lines.Len()) <= d.max {
		return err
	}
	if err := d.file.close(); err != nil {
		return fmt.Errorf("close full file: %w", err)
	}
	if err := os.Rename(d.file.path, d.file.path+".1"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("rename full file: %w", err)
	}
	return syncFolder(filepath.Dir(d.file.path))
}

func encodeLetter(b *bytes.Buffer, now time.Time, l *DeadLetter) error {
	head := struct {
		Time   time.Time `json:"time"`
		Sink   string    `json:"sink"`
		Cause  Cause     `json:"cause"`
		Detail string    `json:"detail,omitempty"`
		Source *string   `json:"source,omitempty"`
		Offset *int64    `json:"offset,omitempty"`
		Cursor string    `json:"cursor,omitempty"`
		Line   *string   `json:"line,omitempty"`
	}{Time: now, Sink: l.Sink, Cause: l.Cause, Detail: l.Detail}
	if l.Event == nil {
		line := string(l.Line)
		head.Source, head.Cursor, head.Line = &l.Source, l.Cursor, &line
		if l.Cursor == "" {
			head.Offset = &l.Offset
		}
	}
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(head); err != nil {
		return err
	}
	if l.Event != nil {
		b.Truncate(b.Len() - len("}\n"))
		b.WriteString(`,"event":`)
		b.Write(l.Event.JSON)
		b.WriteString("}\n")
	}
	return nil
}
