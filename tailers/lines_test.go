package tailers

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestAPartialLastLineWaitsForItsNewline(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	w.write(1)
	w.text("half")
	r.drain()
	r.pass(time.Hour)
	r.drain()
	if len(r.lines) != 1 {
		t.Fatalf("%d lines, want 1", len(r.lines))
	}
	w.text(" a line\n")
	r.drain()
	w.check()
}

func TestALineWrittenByteByByteIsOneLine(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	for _, c := range "first\nsecond line\n\n" {
		w.text(string(c))
		r.drain()
	}
	w.check()
}

func TestTheLastLineOfARotatedFileIsReadWithoutItsNewlineAfterAWhile(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	w.write(1)
	w.text("cut off")
	r.drain()
	r.shift()
	w.open()
	w.write(1)
	r.drain()
	if len(r.lines) != 2 {
		t.Fatalf("%d lines, want 2", len(r.lines))
	}
	r.pass(6 * time.Second)
	r.drain()
	w.check()
	r.restart()
	r.pass(2 * time.Minute)
	r.drain()
	w.check()
}

func TestTheLastLineOfARotatedFileWaitsWhileItGrows(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	w.write(1)
	w.text("slow")
	r.drain()
	r.shift()
	for range 5 {
		w.text("er")
		r.pass(4 * time.Second)
		r.drain()
	}
	if len(r.lines) != 1 {
		t.Fatalf("%d lines, want 1", len(r.lines))
	}
	w.text("\n")
	r.drain()
	w.check()
}

func TestTheLastLineOfAFileRotatedWhileDownIsRead(t *testing.T) {
	for _, ext := range []string{"", ".gz", ".zst"} {
		t.Run("sibling "+ext, func(t *testing.T) {
			r := newRig(t)
			w := r.writer()
			w.write(100)
			r.drain()
			p := r.f.Position()
			r.stop()
			w.text("cut off")
			r.shift()
			w.open()
			if ext != "" {
				compress(t, r.sibling(".1"), ext)
			}
			w.write(1)
			r.start(p, p)
			r.drain()
			r.pass(6 * time.Second)
			r.drain()
			w.check()
		})
	}
}

func TestAFirstLineWithoutNewlineHasTheHeadThatAReplayGivesIt(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	w.text("all there is")
	r.drain()
	r.shift()
	w.open()
	r.pass(6 * time.Second)
	r.drain()
	w.check()
	lines, err := replayAll(t, r.sibling(".1"), nil, r.opts)
	if err != nil || len(lines) != 1 || lines[0] != r.lines[0] {
		t.Errorf("replay gives %+v, %v; live %+v", lines, err, r.lines)
	}
}

func TestALongLineIsCutAndTheRestSkipped(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	w.write(1)
	long := strings.Repeat("x", 1<<20)
	for range 4 { // it arrives in parts
		w.text(long)
		r.drain()
		r.restart()
	}
	w.text("end\n")
	w.write(2)
	r.drain()
	if len(r.lines) != 4 || r.cuts != 1 {
		t.Fatalf("%d lines and %d cuts", len(r.lines), r.cuts)
	}
	if l := r.lines[1]; !l.cut || len(l.text) != 64<<10 {
		t.Errorf("cut %v at %d", l.cut, len(l.text))
	}
	if n := len(r.f.buf.b); n > 300<<10 {
		t.Errorf("buffer of %d bytes", n)
	}
	checkReplay(t, r, r.path)
}

func TestLinesAtTheLimit(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	for _, n := range []int{64<<10 - 1, 64 << 10, 64<<10 + 1, 1, 128 << 10, 300 << 10} {
		w.text(strings.Repeat("x", n) + "\n")
		r.drain()
	}
	if len(r.lines) != 6 || r.cuts != 3 {
		t.Fatalf("%d lines and %d cuts", len(r.lines), r.cuts)
	}
	for i, cut := range []bool{false, false, true, false, true, true} {
		if r.lines[i].cut != cut || len(r.lines[i].text) > 64<<10 {
			t.Errorf("line %d: cut %v with %d bytes", i, r.lines[i].cut, len(r.lines[i].text))
		}
	}
	checkReplay(t, r, r.path)
}

func TestALongFirstLineIsIdentifiedByItsBeginning(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	w.text(strings.Repeat("x", 300<<10))
	r.drain()
	p := r.f.Position()
	r.stop()
	w.text("\nnext\n")
	r.shift()
	w.open()
	w.write(1)
	r.start(p, p)
	r.drain()
	r.checkGaps()
	if len(r.lines) != 3 || r.lines[1].text != "next" {
		t.Errorf("%d lines", len(r.lines))
	}
}

func TestACutLineThatEndsTheCheckpointIsSilentAfterwards(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	w.write(1)
	r.drain()
	memory := r.f.Position()
	w.text(strings.Repeat("x", 100<<10))
	r.drain()
	checkpoint := r.f.Position()
	r.stop()
	w.text("rest\nnext\n")
	before := len(r.lines)
	r.start(checkpoint, memory)
	r.drain()
	after := r.lines[before:]
	if len(after) != 2 || !after[0].silent || after[1].text != "next" || after[1].silent {
		t.Errorf("%d lines: %.200v", len(after), after)
	}
	if r.cuts != 1 {
		t.Errorf("%d cuts, want 1", r.cuts)
	}
}

func TestASilentCutLineUnderAnotherLimit(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	w.write(1)
	r.drain()
	memory := r.f.Position()
	w.text(strings.Repeat("x", 100<<10))
	r.drain()
	checkpoint := r.f.Position()
	r.stop()
	w.text("rest\nnext\n")
	for _, limit := range []int{1 << 10, 1 << 20} {
		r.opts.MaxLineBytes = limit
		r.lines = nil
		r.start(checkpoint, memory)
		r.drain()
		if n := len(r.lines); n < 1 || r.lines[n-1].text != "next" || r.lines[n-1].silent {
			t.Errorf("limit %d: %d lines: %.200v", limit, n, r.lines)
		}
		for _, l := range r.lines[:len(r.lines)-1] {
			if !l.silent {
				t.Errorf("limit %d: line at %d is published again", limit, l.offset)
			}
		}
	}
}

func TestNULsInFrontOfALineAreStripped(t *testing.T) {
	for name, nuls := range map[string]int{
		"a few":                     7,
		"almost the lead":           4095,
		"the lead":                  4096,
		"more than a line may have": 70 << 10,
		"more than a buffer":        1 << 20,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			w := r.writer()
			w.text(strings.Repeat("\x00", nuls))
			r.drain()
			w.text("first\n" + strings.Repeat("\x00", nuls) + strings.Repeat("x", 64<<10) + "\nlast\n")
			r.drain()
			if len(r.lines) != 3 || r.cuts != 0 || r.lines[0].text != "first" || r.lines[0].offset != int64(nuls) || r.lines[2].text != "last" {
				t.Fatalf("%d lines, %d cuts: %.300v", len(r.lines), r.cuts, r.lines)
			}
			checkReplay(t, r, r.path)
			before := len(r.lines)
			r.restart()
			w.text("more\n")
			r.drain()
			if len(r.lines) != before+1 || r.lines[before].head != r.lines[0].head {
				t.Errorf("%d lines after the restart", len(r.lines)-before)
			}
		})
	}
}

func TestNULsThatMayYetBeFilledAreNotSkipped(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	w.write(1)
	hole := int64(len(w.gens[0].text))
	w.text("\x00\x00\x00\x00\x00\n")
	w.file.Close()
	if err := os.Truncate(r.path, hole+4); err != nil {
		t.Fatal(err)
	}
	r.drain()
	file, err := os.OpenFile(r.path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w.file = nil
	if _, err := file.WriteAt([]byte("late\n"), hole); err != nil {
		t.Fatal(err)
	}
	r.drain()
	if len(r.lines) != 2 || r.lines[1].text != "late" || r.lines[1].offset != hole {
		t.Errorf("%+v", r.lines)
	}
}

func TestOtherBytesPass(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	w.text("a\x00b\r\n\xff\xfe\x1b[31m\n \t\n")
	r.drain()
	w.check()
}

// checkReplay compares what was read live of a file with what a replay gives.
func checkReplay(t *testing.T, r *rig, path string) {
	t.Helper()
	opts := r.opts
	opts.Events = nil
	lines, err := replayAll(t, path, nil, opts)
	if err != nil || len(lines) != len(r.lines) {
		t.Fatalf("replay gives %d lines, live %d (%v)", len(lines), len(r.lines), err)
	}
	for i := range lines {
		if lines[i] != r.lines[i] {
			t.Errorf("line %d: replay gives %.100v, live %.100v", i, lines[i], r.lines[i])
		}
	}
}

func TestLineIterator(t *testing.T) {
	type line struct {
		text   string
		offset int64
	}
	for name, c := range map[string]struct {
		lines string
		want  []line
	}{
		"nothing":                      {"", nil},
		"two lines":                    {"a\nbc\n", []line{{"a", 100}, {"bc", 102}}},
		"empty lines":                  {"\n\n", []line{{"", 100}, {"", 101}}},
		"a last one without newline":   {"a\nb", []line{{"a", 100}, {"b", 102}}},
		"a carriage return stays":      {"a\r\n", []line{{"a\r", 100}}},
		"NULs in front are left out":   {"\x00\x00a\n\x00b\n", []line{{"a", 102}, {"b", 105}}},
		"NULs elsewhere stay":          {"a\x00\n", []line{{"a\x00", 100}}},
		"a line of NULs is empty":      {"\x00\x00\nb\n", []line{{"", 102}, {"b", 103}}},
		"a last line of NULs is empty": {"a\n\x00", []line{{"a", 100}, {"", 103}}},
	} {
		t.Run(name, func(t *testing.T) {
			chunk := Chunk{Lines: []byte(c.lines), Offset: 100}
			it := chunk.Each()
			for i, want := range c.want {
				text, offset, ok := it.Next()
				if !ok || string(text) != want.text || offset != want.offset {
					t.Errorf("line %d is %q at %d, %v; want %+v", i, text, offset, ok, want)
				}
			}
			if text, _, ok := it.Next(); ok {
				t.Errorf("another line: %q", text)
			}
		})
	}
}

func FuzzLineIterator(f *testing.F) {
	f.Add([]byte("a\n\x00\x00b\r\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := Chunk{Lines: b, Offset: 5}
		end := int64(5)
		n := 0
		for it := c.Each(); ; n++ {
			line, offset, ok := it.Next()
			if !ok {
				break
			}
			if offset < end || !bytes.Equal(b[offset-5:offset-5+int64(len(line))], line) {
				t.Fatalf("line %q at %d", line, offset)
			}
			if bytes.IndexByte(line, '\n') >= 0 || len(line) > 0 && line[0] == 0 {
				t.Fatalf("line %q", line)
			}
			end = offset + int64(len(line))
		}
		want := bytes.Count(b, []byte("\n"))
		if len(b) > 0 && b[len(b)-1] != '\n' {
			want++
		}
		if n != want {
			t.Fatalf("%d lines, want %d", n, want)
		}
	})
}

// FuzzReadersAgree cuts the same bytes live, in parts, and in a replay.
func FuzzReadersAgree(f *testing.F) {
	f.Add([]byte("a\n\x00\x00b\r\n\nlast"), uint64(1), uint16(3))
	f.Add(bytes.Repeat([]byte("0123456789\x00\n"), 300), uint64(2), uint16(200))
	f.Fuzz(func(t *testing.T, b []byte, seed uint64, stretch uint16) {
		// Stretching one byte makes lines and runs of NULs long.
		random := rand.New(rand.NewPCG(seed, 0))
		if len(b) > 0 {
			i := random.IntN(len(b))
			b = bytes.Join([][]byte{b[:i], bytes.Repeat(b[i:i+1], int(stretch)), b[i:]}, nil)
		}
		r := newRig(t)
		r.opts.MaxLineBytes = minMaxLine
		w := r.writer()
		for rest := b; len(rest) > 0; {
			n := 1 + random.IntN(len(rest))
			w.text(string(rest[:n]))
			rest = rest[n:]
			r.drain()
			if random.IntN(4) == 0 {
				r.restart()
			}
		}
		r.shift()
		w.open()
		r.pass(6 * time.Second)
		r.drain()
		checkReplay(t, r, r.sibling(".1"))
		r.checkGaps()
	})
}

// waits is a Waker that wakes without a change, so many times.
type waits struct{ left int }

func (*waits) Watch(*os.File) (func(), error) { return func() {}, nil }

func (w *waits) Wait(context.Context, time.Duration) error {
	if w.left--; w.left < 0 {
		return errIdle
	}
	return nil
}

func TestNextBeatsEachTimeItLooksWhileItWaits(t *testing.T) {
	beats := 0
	f := NewFollower(filepath.Join(t.TempDir(), "mail.log"), Options{Waker: &waits{left: 3}, Beat: func() { beats++ }})
	defer f.Close()
	if _, err := f.Next(t.Context()); !errors.Is(err, errIdle) {
		t.Fatal(err)
	}
	if beats != 4 {
		t.Errorf("%d beats in four looks", beats)
	}
}
