//go:build e2e

package faults

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// mailLog is a log that is written to all the time, as syslog does, and rotated
// on request, as logrotate does.
type mailLog struct {
	t    *testing.T
	path string
	rate int // lines a second

	mu      sync.Mutex // held for whole lines
	file    *os.File
	traffic *traffic
	kept    []string // files of the log elsewhere

	stop    chan struct{}
	stopped sync.WaitGroup
}

// maxSiblings is more rotations than any test makes.
const maxSiblings = 40

// newMailLog returns a log of which nothing is there yet.
func newMailLog(t *testing.T, path string, rate int) *mailLog {
	return &mailLog{t: t, path: path, rate: rate, traffic: newTraffic(uint64(rate)), stop: make(chan struct{})}
}

// start opens the log and writes until end or the end of the test.
func (l *mailLog) start() {
	l.t.Helper()
	l.reopen()
	l.stopped.Go(l.run)
	l.t.Cleanup(func() { l.end() })
}

func (l *mailLog) run() {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	begun, written := time.Now(), 0
	for {
		select {
		case <-tick.C:
		case <-l.stop:
			return
		}
		due := int(time.Since(begun).Seconds() * float64(l.rate))
		if err := l.write(due - written); err != nil {
			l.t.Errorf("write log: %v", err)
			return
		}
		written = due
	}
}

// write writes n lines in two parts, so that readers see lines that are not
// whole yet.
func (l *mailLog) write(n int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n == 0 {
		return nil
	}
	var b bytes.Buffer
	for range n {
		b.WriteString(l.traffic.line(time.Now()))
		b.WriteByte('\n')
	}
	cut := l.traffic.rng.IntN(b.Len() + 1)
	for _, part := range [][]byte{b.Bytes()[:cut], b.Bytes()[cut:]} {
		if _, err := l.file.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// end stops writing and returns what has been logged. A second call returns the
// same.
func (l *mailLog) end() []outcome {
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	l.stopped.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		if err := l.file.Close(); err != nil {
			l.t.Errorf("close log: %v", err)
		}
		l.file = nil
	}
	return l.traffic.outcomes
}

// held does something between two lines, while the writer waits. The log is
// left open or is opened again by do.
func (l *mailLog) held(do func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	do()
}

// raw writes text as it is. The writer must be held, or not have started.
func (l *mailLog) raw(text string) {
	l.t.Helper()
	if _, err := io.WriteString(l.file, text); err != nil {
		l.t.Errorf("write log: %v", err)
	}
}

// reopen lets the writer go on in a new file, unless there is one.
func (l *mailLog) reopen() {
	l.t.Helper()
	l.held(func() { l.open() })
}

func (l *mailLog) open() {
	l.t.Helper()
	file, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		l.t.Errorf("open log: %v", err)
		return
	}
	if l.file != nil {
		if err := l.file.Close(); err != nil {
			l.t.Errorf("close log: %v", err)
		}
	}
	l.file = file
}

// create makes the next file of the log, which the writer does not know yet.
func (l *mailLog) create() {
	l.t.Helper()
	if err := os.WriteFile(l.path, nil, 0o644); err != nil {
		l.t.Fatalf("create log: %v", err)
	}
}

// rotate renames the log and lets the writer go on in a new file at once.
func (l *mailLog) rotate() {
	l.t.Helper()
	l.rename()
	l.reopen()
}

// copyTo copies the log as it is now, as copytruncate does, and truncate cuts
// it to nothing.
func (l *mailLog) copyTo(path string) {
	l.t.Helper()
	text, err := os.ReadFile(l.path)
	if err == nil {
		err = os.WriteFile(path, text, 0o644)
	}
	if err != nil {
		l.t.Errorf("copy log: %v", err)
	}
}

func (l *mailLog) truncate() {
	l.t.Helper()
	if err := os.Truncate(l.path, 0); err != nil {
		l.t.Errorf("truncate log: %v", err)
	}
}

// keep lets a file of the log be found after it is gone from the folder.
func (l *mailLog) keep(path string) {
	l.t.Helper()
	kept := filepath.Join(l.t.TempDir(), filepath.Base(path))
	if err := os.Link(path, kept); err != nil {
		l.t.Fatalf("keep file of log: %v", err)
	}
	l.kept = append(l.kept, kept)
}

// rename moves the log and its siblings one number up. The writer goes on in
// the renamed file.
func (l *mailLog) rename() {
	l.t.Helper()
	l.shift()
	l.move(l.path, l.sibling(1, ""))
}

// shift moves the siblings one number up.
func (l *mailLog) shift() {
	l.t.Helper()
	for n := maxSiblings; n > 0; n-- {
		for _, ending := range []string{"", ".gz"} {
			if from := l.sibling(n, ending); exists(from) {
				l.move(from, l.sibling(n+1, ending))
			}
		}
	}
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// compress replaces sibling n, which nobody writes to, by a compressed one with
// the same time of modification, as gzip does.
func (l *mailLog) compress(n int) {
	l.t.Helper()
	if err := gzipFile(l.sibling(n, "")); err != nil {
		l.t.Fatalf("compress sibling: %v", err)
	}
}

func gzipFile(path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	out, err := os.Create(path + ".gz")
	if err != nil {
		return err
	}
	z := gzip.NewWriter(out)
	if _, err := io.Copy(z, bytes.NewReader(content)); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	if err := os.Chtimes(path+".gz", info.ModTime(), info.ModTime()); err != nil {
		return err
	}
	return os.Remove(path)
}

// generations returns the files of the log that are there.
func (l *mailLog) generations() []string {
	files, err := filepath.Glob(l.path + "*")
	if err != nil {
		l.t.Fatal(err)
	}
	return append(files, l.kept...)
}

func (l *mailLog) sibling(n int, ending string) string {
	return fmt.Sprintf("%s.%d%s", l.path, n, ending)
}

func (l *mailLog) move(from, to string) {
	l.t.Helper()
	if err := os.Rename(from, to); err != nil {
		l.t.Fatalf("rotate log: %v", err)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
