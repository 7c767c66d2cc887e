package tailers

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestWhatIsMissingIsLoggedOnce(t *testing.T) {
	r := newRig(t)
	var log bytes.Buffer
	r.opts.Logger = slog.New(slog.NewTextHandler(&log, nil))
	for range 5 {
		r.drain()
		r.pass(time.Second)
	}
	if n := strings.Count(log.String(), "waiting for log"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, &log)
	}
	w := r.writer()
	r.drain()
	r.remove(r.path)
	for range 5 {
		r.drain()
		r.pass(time.Second)
	}
	if n := strings.Count(log.String(), "waiting for log"); n != 2 {
		t.Errorf("logged %d times:\n%s", n, &log)
	}
	w.open()
	w.write(1)
	r.drain()
	w.gens = w.gens[1:]
	w.check()
}

func TestALogThatMayNotBeReadIsReadOnceItMay(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may read everything")
	}
	r := newRig(t)
	w := r.writer()
	w.write(1)
	for _, mode := range []os.FileMode{0, 0o600} {
		if err := os.Chmod(r.path, mode); err != nil {
			t.Fatal(err)
		}
		r.drain()
	}
	w.check()
}

func TestACancelledSearchIsTakenUpAgain(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	w.write(2000)
	r.drain()
	p := r.f.Position()
	r.stop()
	w.write(2)
	r.shift()
	compress(t, r.sibling(".1"), ".gz")
	w.open()
	w.write(2)
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	r.f = NewFollower(r.path, r.opts)
	r.f.Resume(p, p)
	for range 2 {
		if _, err := r.f.Next(cancelled); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	r.drain()
	w.check()
	r.checkGaps()
}

func TestASearchThatIsCancelledWhileRunningIsTakenUpAgain(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	w.write(2000)
	r.drain()
	w.write(2)
	w.copytruncate()
	compress(t, r.sibling(".1"), ".gz")
	w.write(2)
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	for range 3 {
		r.pass(time.Second)
		if _, err := r.f.Next(cancelled); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		r.f.Position()
	}
	r.drain()
	w.check()
	r.checkGaps()
}

func TestBacklog(t *testing.T) {
	r := newRig(t)
	expect := func(want int64) {
		t.Helper()
		if got := Backlog(r.path, r.f.Position()); got != want {
			t.Errorf("backlog %d, want %d", got, want)
		}
	}
	r.start(Position{}, Position{})
	expect(0)
	w := r.writer()
	w.text("0123456789\n")
	expect(11)
	r.drain()
	expect(0)
	w.text("0123456789\n")
	expect(11)
	r.shift()
	expect(11)
	w.open()
	w.text("0123\n")
	expect(16)
	r.one()
	expect(5)
	r.drain()
	expect(0)
	truncate(t, r.path)
	w.gens = append(w.gens, &written{})
	w.text("01\n")
	expect(3)
}

func TestTheFirstChunkOfALongBacklogComesAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mail.log")
	appendTo(t, path, strings.Repeat(strings.Repeat("x", 99)+"\n", 1000))
	if err := os.Truncate(path, 1<<30); err != nil { // a hole of 1 GiB
		t.Fatal(err)
	}
	f := NewFollower(path, Options{Start: StartBeginning})
	defer f.Close()
	c, err := f.Next(context.Background())
	if err != nil || len(c.Lines) == 0 || !c.More {
		t.Errorf("%d bytes, more %v, %v", len(c.Lines), c.More, err)
	}
	if read := f.gens[0].offset; read > 1<<20 {
		t.Errorf("%d bytes were read for the first chunk", read)
	}
}

func BenchmarkFollowBacklog(b *testing.B) {
	path := filepath.Join(b.TempDir(), "mail.log")
	text := strings.Repeat("Nov 21 10:00:00 mx postfix/smtp[1]: 4F000001: to=<u@example.org>, relay=mx.example.org[192.0.2.1]:25, status=sent (250 ok)\n", 500_000)
	appendTo(b, path, text)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		f := NewFollower(path, Options{Start: StartBeginning})
		for n := 0; n < 500_000; {
			c, err := f.Next(context.Background())
			if err != nil {
				b.Fatal(err)
			}
			for it := c.Each(); ; n++ {
				if _, _, ok := it.Next(); !ok {
					break
				}
			}
		}
		f.Close()
	}
}
