package tailers

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// follow runs a Follower with its real Waker and sends the lines it reads.
func follow(t *testing.T, path string, rotateWait time.Duration) <-chan string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	f := NewFollower(path, Options{Start: StartBeginning, RotateWait: rotateWait})
	lines := make(chan string, 1000)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := f.Next(ctx)
			if err != nil {
				if ctx.Err() == nil {
					t.Error(err)
				}
				return
			}
			for _, l := range linesOf(&c) {
				lines <- l.text
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return lines
}

func expectLine(t *testing.T, lines <-chan string, want string) {
	t.Helper()
	select {
	case got := <-lines:
		if got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("%q did not come", want)
	}
}

func TestGoroutinesStayFlatOverManyRotations(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mail.log")
	appendTo(t, path, "start\n")
	lines := follow(t, path, time.Millisecond)
	expectLine(t, lines, "start")
	before := runtime.NumGoroutine()
	for i := range 12 {
		if err := os.Rename(path, path+".1"); err != nil {
			t.Fatal(err)
		}
		appendTo(t, path+".1", fmt.Sprintf("late %d\n", i))
		expectLine(t, lines, fmt.Sprintf("late %d", i))
		appendTo(t, path, fmt.Sprintf("new %d\n", i))
		expectLine(t, lines, fmt.Sprintf("new %d", i))
	}
	// One watch may be ending and one beginning.
	if after := runtime.NumGoroutine(); after > before+2 {
		t.Errorf("%d goroutines, %d before", after, before)
	}
}

func TestAServerThatWritesWhileItIsRotatedLosesNothing(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	w.write(1)
	lines := follow(t, r.path, time.Minute)
	seen := map[string]int{<-lines: 1}
	done := make(chan bool)
	go func() {
		for i := range 60 {
			w.write(50)
			r.shift()
			w.write(5) // the server reopens a little later
			w.open()
			if i%4 == 3 {
				compress(t, r.sibling(".2"), ".gz")
			}
		}
		w.write(1)
		close(done)
	}()
	for written := false; !written || len(seen) < w.n; {
		select {
		case line := <-lines:
			seen[line]++
		case <-done:
			written, done = true, nil
		case <-time.After(20 * time.Second):
			t.Fatalf("%d lines came", len(seen))
		}
	}
	for line, n := range seen {
		if n != 1 {
			t.Errorf("%q came %d times", line, n)
		}
	}
}

func TestNextEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	f := NewFollower(filepath.Join(t.TempDir(), "mail.log"), Options{})
	defer f.Close()
	ended := make(chan error)
	go func() {
		_, err := f.Next(ctx)
		ended <- err
	}()
	cancel()
	if err := <-ended; err != context.Canceled {
		t.Error(err)
	}
}

// BenchmarkWakeUp measures from a write to the line being there.
func BenchmarkWakeUp(b *testing.B) {
	path := filepath.Join(b.TempDir(), "mail.log")
	file, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	f := NewFollower(path, Options{})
	defer f.Close()
	ctx := context.Background()
	if _, err := f.Begin(ctx); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := file.WriteString("a line\n"); err != nil {
			b.Fatal(err)
		}
		if _, err := f.Next(ctx); err != nil {
			b.Fatal(err)
		}
	}
}
