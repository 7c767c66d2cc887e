package sinks

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"mtatap/config"
	"mtatap/event"
)

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func ndjson(events []*event.Event) string { return string(appendLines(nil, events)) }

func TestFileCutsATornLastLineWhenItOpens(t *testing.T) {
	events := makeEvents(2, 1)
	for name, c := range map[string]struct{ before, kept string }{
		"no file":                      {"", ""},
		"whole lines":                  {"{\"a\":1}\n{\"b\":2}\n", "{\"a\":1}\n{\"b\":2}\n"},
		"a torn line":                  {"{\"a\":1}\n{\"b\":", "{\"a\":1}\n"},
		"nothing but a torn line":      {"{\"b\":", ""},
		"a torn line over many chunks": {"{\"a\":1}\n" + strings.Repeat("x", 200_000), "{\"a\":1}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "events.ndjson")
			if c.before != "" {
				if err := os.WriteFile(path, []byte(c.before), 0o640); err != nil {
					t.Fatal(err)
				}
			}
			f := NewFile(config.File{Path: path}, newOutside(t).Deps)
			defer f.Close()
			if err := f.Write(t.Context(), events); err != nil {
				t.Fatal(err)
			}
			if got, want := readFile(t, path), c.kept+ndjson(events); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
				t.Errorf("mode %v, %v", info.Mode(), err)
			}
		})
	}
}

func TestFileIsOpenedAnewAfterARename(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.ndjson")
	f := NewFile(config.File{Path: path}, newOutside(t).Deps)
	defer f.Close()
	events := makeEvents(6, 1)
	write := func(e *event.Event) {
		t.Helper()
		if err := f.Write(t.Context(), []*event.Event{e}); err != nil {
			t.Fatal(err)
		}
	}
	write(events[0])
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	write(events[1])
	write(events[2])
	if got, want := readFile(t, path+".1"), ndjson(events[:1]); got != want {
		t.Errorf("renamed file: %q", got)
	}
	if got, want := readFile(t, path), ndjson(events[1:3]); got != want {
		t.Errorf("new file: %q", got)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	write(events[3])
	if got, want := readFile(t, path), ndjson(events[3:4]); got != want {
		t.Errorf("after a removal: %q", got)
	}
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	write(events[4])
	if got, want := readFile(t, path), ndjson(events[4:5]); got != want {
		t.Errorf("after a truncation: %q", got)
	}
	// As logrotate does with "create".
	if err := errors.Join(os.Rename(path, path+".2"), os.WriteFile(path, nil, 0o640)); err != nil {
		t.Fatal(err)
	}
	write(events[5])
	if got, want := readFile(t, path), ndjson(events[5:]); got != want {
		t.Errorf("after a rename with a new file in place: %q", got)
	}
}

func TestFileRetriesOnAFullDiskWithoutTornOrDoubledLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutside(t)
		path := filepath.Join(t.TempDir(), "events.ndjson")
		f := NewFile(config.File{Path: path}, o.Deps)
		defer f.Close()
		events := makeEvents(6, 1)
		if err := f.Write(t.Context(), events[:3]); err != nil {
			t.Fatal(err)
		}
		attempts := 0
		f.file.write = func(file *os.File, b []byte) (int, error) {
			if attempts++; attempts > 30 {
				return file.Write(b)
			}
			n, _ := file.Write(b[:len(b)/3*2]) // a whole line and a part of the next
			return n, syscall.ENOSPC
		}
		f.file.sync = func(file *os.File) error {
			if attempts == 31 {
				return syscall.EIO
			}
			return file.Sync()
		}
		if err := f.Write(t.Context(), events[3:]); err != nil {
			t.Fatal(err)
		}
		if got := readFile(t, path); got != ndjson(events) {
			t.Errorf("got %q", got)
		}
		if o.failures != 31 {
			t.Errorf("%d failures counted", o.failures)
		}
		if log := o.log.String(); !strings.Contains(log, "disk is full") || !strings.Contains(log, "Sink recovered") {
			t.Errorf("log:\n%s", log)
		}
	})
}

func TestFileTakesAPartialWriteBackWhenItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "events.ndjson")
		f := NewFile(config.File{Path: path}, newOutside(t).Deps)
		events := makeEvents(4, 1)
		if err := f.Write(t.Context(), events[:2]); err != nil {
			t.Fatal(err)
		}
		f.file.write = func(file *os.File, b []byte) (int, error) {
			n, _ := file.Write(b[:len(b)-1])
			return n, syscall.ENOSPC
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := f.Write(ctx, events[2:]); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if got := readFile(t, path); got != ndjson(events[:2]) {
			t.Errorf("got %q", got)
		}
	})
}

func TestFileRefusesWhatIsNoRegularFile(t *testing.T) {
	o := newOutside(t)
	ctx, cancel := context.WithCancel(t.Context())
	o.Failed = func(error) { cancel() }
	f := NewFile(config.File{Path: "/dev/null"}, o.Deps)
	if err := f.Write(ctx, makeEvents(1, 1)); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if !strings.Contains(o.log.String(), "not a regular file") {
		t.Errorf("log:\n%s", &o.log)
	}
}

// pieces is a stream that fails now and then, having taken a part.
type pieces struct {
	bytes.Buffer
	errs   []error
	writes int
}

func (p *pieces) Write(b []byte) (int, error) {
	p.writes++
	if len(p.errs) == 0 {
		return p.Buffer.Write(b)
	}
	err := p.errs[0]
	p.errs = p.errs[1:]
	n, _ := p.Buffer.Write(b[:len(b)/2])
	return n, err
}

func TestStdoutWritesABatchAtOnce(t *testing.T) {
	var out pieces
	events := makeEvents(1000, 3)
	if err := NewStdout(&out, newOutside(t).Deps).Write(t.Context(), events); err != nil {
		t.Fatal(err)
	}
	if out.String() != ndjson(events) || out.writes != 1 {
		t.Errorf("%d writes", out.writes)
	}
}

func TestStdoutGoesOnWhereAFailedWriteStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := pieces{errs: []error{syscall.ENOSPC, syscall.EAGAIN}}
		events := makeEvents(9, 3)
		if err := NewStdout(&out, newOutside(t).Deps).Write(t.Context(), events); err != nil {
			t.Fatal(err)
		}
		if out.String() != ndjson(events) {
			t.Errorf("got %q", out.String())
		}
	})
}

func TestStdoutSaysWhenNobodyReads(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	r.Close()
	if err := NewStdout(w, newOutside(t).Deps).Write(t.Context(), makeEvents(1, 1)); !errors.Is(err, ErrOutputClosed) {
		t.Errorf("got %v", err)
	}
}

func TestOpenOfAFileWaitsUntilItCanBeWritten(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "later")
	f := NewFile(config.File{Path: filepath.Join(folder, "events.ndjson")}, newOutside(t).Deps)
	defer f.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := f.Open(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("without its folder: %v", err)
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := f.Open(t.Context()); err != nil {
		t.Error(err)
	}
}
