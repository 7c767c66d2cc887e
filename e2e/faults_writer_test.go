//go:build e2e

package e2e

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
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

// reopen lets the writer go on in a new file, unless there is one.
func (l *mailLog) reopen() {
	l.t.Helper()
	file, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		l.t.Fatalf("open log: %v", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		if err := l.file.Close(); err != nil {
			l.t.Errorf("close log: %v", err)
		}
	}
	l.file = file
}

// rename moves the log and its siblings one number up. The writer goes on in
// the renamed file.
func (l *mailLog) rename() {
	l.t.Helper()
	for n := maxSiblings; n > 0; n-- {
		for _, ending := range []string{"", ".gz"} {
			if from := l.sibling(n, ending); exists(from) {
				l.move(from, l.sibling(n+1, ending))
			}
		}
	}
	l.move(l.path, l.sibling(1, ""))
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

// generations returns the files of the log that are there, oldest first.
func (l *mailLog) generations() []string {
	var files []string
	for n := maxSiblings; n > 0; n-- {
		for _, ending := range []string{".gz", ""} {
			if file := l.sibling(n, ending); exists(file) {
				files = append(files, file)
			}
		}
	}
	if exists(l.path) {
		files = append(files, l.path)
	}
	return files
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
