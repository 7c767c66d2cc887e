package tailers

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// errIdle is what the rig's Follower returns instead of blocking.
var errIdle = errors.New("nothing to read")

// got is one line as a consumer of chunks saw it.
type got struct {
	text   string
	offset int64
	head   [32]byte
	cut    bool
	silent bool
}

// rig follows one log in a folder of its own. Its clock moves when told, its
// Follower never blocks, so that a test needs neither sleeps nor goroutines.
type rig struct {
	t       *testing.T
	dir     string
	path    string
	opts    Options
	f       *Follower
	passed  time.Duration // by which the clock is ahead
	lines   []got
	gaps    []string
	copied  int // gaps of kind GapCopied
	rotated int
	cuts    int
	watched int
	more    bool // the last chunk promised more
}

func newRig(t *testing.T) *rig {
	dir := t.TempDir()
	r := &rig{t: t, dir: dir, path: filepath.Join(dir, "mail.log")}
	r.opts = Options{Start: StartBeginning, Events: r, Waker: r, Now: func() time.Time { return time.Now().Add(r.passed) }}
	t.Cleanup(func() { r.stop() })
	return r
}

func (r *rig) Rotated() { r.rotated++ }

// Gap counts apart what only says that lines may be lost: tests of it ask.
func (r *rig) Gap(kind string) {
	if kind == GapCopied {
		r.copied++
		return
	}
	r.gaps = append(r.gaps, kind)
}

func (r *rig) Cut() { r.cuts++ }

func (r *rig) Watch(*os.File) (func(), error) {
	r.watched++
	return func() { r.watched-- }, nil
}

func (r *rig) Wait(context.Context, time.Duration) error {
	if r.more {
		r.t.Error("Next blocked after a chunk that promised more")
	}
	return errIdle
}

// start begins to follow from a checkpoint and the memory's position.
func (r *rig) start(checkpoint, memory Position) {
	r.t.Helper()
	r.stop()
	r.f = NewFollower(r.path, r.opts)
	r.f.Resume(roundTrip(r.t, checkpoint), roundTrip(r.t, memory))
	if _, err := r.f.Begin(context.Background()); err != nil {
		r.t.Fatal(err)
	}
}

// stop ends following as SIGKILL would.
func (r *rig) stop() {
	if r.f != nil {
		if err := r.f.Close(); err != nil {
			r.t.Error(err)
		}
		r.f = nil
		if r.watched != 0 {
			r.t.Errorf("%d files are still watched", r.watched)
		}
	}
}

// restart follows again from where the last chunk ended.
func (r *rig) restart() {
	r.t.Helper()
	p := r.f.Position()
	r.start(p, p)
}

// one reads one chunk; false if there is none.
func (r *rig) one() bool {
	r.t.Helper()
	if r.f == nil {
		r.start(Position{}, Position{})
	}
	c, err := r.f.Next(context.Background())
	if errors.Is(err, errIdle) {
		return false
	}
	if err != nil {
		r.t.Fatal(err)
	}
	r.more = c.More
	if c.Observed.IsZero() || c.Observed.Location() != time.UTC {
		r.t.Errorf("observed %v", c.Observed)
	}
	r.lines = append(r.lines, linesOf(&c)...)
	return true
}

// drain reads until there is nothing left.
func (r *rig) drain() {
	r.t.Helper()
	for r.one() {
	}
}

func linesOf(c *Chunk) []got {
	var lines []got
	for it := c.Each(); ; {
		line, offset, ok := it.Next()
		if !ok {
			return lines
		}
		lines = append(lines, got{string(line), offset, c.Origin.Head, c.Cut, c.Silent})
	}
}

func roundTrip(t *testing.T, p Position) Position {
	t.Helper()
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var q Position
	if p.IsZero() {
		return q
	}
	if err := json.Unmarshal(b, &q); err != nil {
		t.Fatalf("%v in %s", err, b)
	}
	return q
}

// writer writes generations of a log and remembers every line of each.
type writer struct {
	r    *rig
	file *os.File
	gens []*written
	n    int
}

// written is what one generation got.
type written struct {
	text string
}

func (r *rig) writer() *writer {
	w := &writer{r: r}
	r.t.Cleanup(func() {
		if w.file != nil {
			w.file.Close()
		}
	})
	w.open()
	return w
}

// open makes the next generation, as a server does after rotation.
func (w *writer) open() {
	w.r.t.Helper()
	if w.file != nil {
		w.file.Close()
	}
	file, err := os.OpenFile(w.r.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		w.r.t.Fatal(err)
	}
	w.file = file
	w.gens = append(w.gens, &written{})
}

func (w *writer) text(s string) {
	w.r.t.Helper()
	if _, err := io.WriteString(w.file, s); err != nil {
		w.r.t.Fatal(err)
	}
	w.gens[len(w.gens)-1].text += s
}

// write adds n lines that occur nowhere else.
func (w *writer) write(n int) {
	w.r.t.Helper()
	var b strings.Builder
	for range n {
		w.n++
		fmt.Fprintf(&b, "Nov 21 10:00:00 mx postfix/smtp[%d]: 4F%06d: to=<u@example.org>, status=sent (250 ok)\n", w.n, w.n)
	}
	w.text(b.String())
}

// path of a sibling: "mail.log" and suffix.
func (r *rig) sibling(suffix string) string { return r.path + suffix }

// shift renames as logrotate does with numbers: .1 to .2 and so on, then the
// log itself to .1.
func (r *rig) shift() {
	r.t.Helper()
	for n := 60; n >= 1; n-- {
		for _, ext := range []string{"", ".gz", ".zst"} {
			from := r.sibling(fmt.Sprintf(".%d%s", n, ext))
			if _, err := os.Stat(from); err == nil {
				r.rename(from, r.sibling(fmt.Sprintf(".%d%s", n+1, ext)))
			}
		}
	}
	r.rename(r.path, r.sibling(".1"))
}

func (r *rig) rename(from, to string) {
	r.t.Helper()
	if err := os.Rename(from, to); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) remove(path string) {
	r.t.Helper()
	if err := os.Remove(path); err != nil {
		r.t.Fatal(err)
	}
}

// check reports every line that is not there exactly once, in order within its
// generation and with the offset and head that the generation gives it.
func (w *writer) check() {
	w.r.t.Helper()
	w.checkFrom(0, 0)
}

// checkFrom leaves out the first skip lines of generation gen and all
// generations before.
func (w *writer) checkFrom(gen, skip int) {
	t := w.r.t
	t.Helper()
	type place struct{ gen, line int }
	type expected struct {
		place
		offset int64
		head   [32]byte
	}
	want := make(map[string][]expected)
	total := 0
	for g, content := range w.gens {
		if g < gen {
			continue
		}
		offset := int64(0)
		var head [32]byte
		for i, line := range strings.SplitAfter(content.text, "\n") {
			if line == "" {
				continue
			}
			text := strings.TrimSuffix(line, "\n")
			if i == 0 {
				head = sha256.Sum256([]byte(text[:min(1024, len(text))]))
			}
			if g > gen || i >= skip {
				want[text] = append(want[text], expected{place{g, i}, offset, head})
				total++
			}
			offset += int64(len(line))
		}
	}
	last := make(map[int]int)
	count, wrong := 0, 0
	for _, l := range w.r.lines {
		if l.silent {
			continue
		}
		count++
		known := want[l.text]
		at := slices.IndexFunc(known, func(e expected) bool { return e.offset == l.offset && e.head == l.head })
		if at < 0 {
			if wrong++; wrong <= 3 {
				t.Errorf("line %.80q at %d is wrong or twice", l.text, l.offset)
			}
			continue
		}
		e := known[at]
		ambiguous := l.text == "log opened" // in several generations
		want[l.text] = slices.Delete(known, at, at+1)
		if e.line < last[e.gen] && !ambiguous {
			t.Errorf("line %d of generation %d comes after line %d", e.line, e.gen, last[e.gen])
		}
		if !ambiguous {
			last[e.gen] = e.line
		}
	}
	missing := make([][]int, len(w.gens))
	for _, left := range want {
		for _, e := range left {
			missing[e.gen] = append(missing[e.gen], e.line)
		}
	}
	for g, lines := range missing {
		if len(lines) > 0 {
			t.Errorf("generation %d lacks %d lines from line %d to %d", g, len(lines), slices.Min(lines), slices.Max(lines))
		}
	}
	if count != total {
		t.Errorf("%d lines, want %d", count, total)
	}
}

// checkSilent reports every silent line that is not the next one of want.
func (r *rig) checkSilent(want ...string) {
	r.t.Helper()
	var silent []string
	for _, l := range r.lines {
		if l.silent {
			silent = append(silent, l.text)
		}
	}
	if !slices.Equal(silent, want) {
		r.t.Errorf("silent lines\n got %q\nwant %q", silent, want)
	}
}

func (r *rig) checkGaps(want ...string) {
	r.t.Helper()
	if !slices.Equal(r.gaps, want) {
		r.t.Errorf("gaps %q, want %q", r.gaps, want)
	}
}

// lines returns the lines of generation g, without newlines.
func (w *writer) lines(g int) []string {
	return strings.Split(strings.TrimSuffix(w.gens[g].text, "\n"), "\n")
}

// pass moves the clock.
func (r *rig) pass(d time.Duration) { r.passed += d }
