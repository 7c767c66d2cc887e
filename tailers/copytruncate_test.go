package tailers

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// copytruncate rotates by copy: .1 to .2 and so on, a copy to .1, then the log
// is cut to nothing and the server writes on.
func (w *writer) copytruncate() {
	w.r.t.Helper()
	w.r.shift()
	w.r.rename(w.r.sibling(".1"), w.r.path)
	copyFile(w.r.t, w.r.path, w.r.sibling(".1"))
	truncate(w.r.t, w.r.path)
	w.gens = append(w.gens, &written{})
}

func TestCopytruncateWhileRunning(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	w.write(5)
	r.drain()
	for range 3 {
		w.copytruncate()
		w.write(2)
		r.drain()
	}
	w.check()
	r.checkGaps()
	if r.rotated != 3 {
		t.Errorf("%d rotations, want 3", r.rotated)
	}
}

func TestTheRemainderIsReadFromTheCopy(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	w.write(5)
	r.drain()
	w.write(5) // not read before the copy is made
	w.copytruncate()
	w.write(1)
	r.drain()
	w.check()
	r.checkGaps()
}

func TestTheRemainderIsReadFromACompressedCopy(t *testing.T) {
	for _, ext := range []string{".gz", ".zst"} {
		t.Run(ext, func(t *testing.T) {
			r := newRig(t)
			w := r.writer()
			w.write(5)
			r.drain()
			w.write(5)
			w.copytruncate()
			compress(t, r.sibling(".1"), ext)
			w.write(1)
			r.drain()
			w.check()
			r.checkGaps()
		})
	}
}

func TestAFileThatWasCutAndRefilledPastTheOffsetIsNoticed(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	w.write(5)
	r.drain()
	w.write(2)
	w.copytruncate()
	w.write(20)
	r.drain()
	w.check()
	r.checkGaps()
}

func TestARefillOfTheSameLengthIsNoticed(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	w.write(5)
	r.drain()
	w.copytruncate()
	w.write(5)
	r.drain()
	w.check()
	r.checkGaps()
}

func TestARefillWhoseLinesEndAlikeIsNoticed(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	tail := strings.Repeat("the same end of every line ", 100) + "\n"
	w.text("one " + tail + "two " + tail)
	r.drain()
	w.copytruncate()
	w.text("uno " + tail + "due " + tail + "tre " + tail)
	r.drain()
	w.check()
	r.checkGaps()
}

func TestARefillWhoseLastLineIsTheSameIsNoticed(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	w.text("one\nok\n")
	r.drain()
	w.copytruncate()
	w.text("two\nok\nthree\n")
	r.drain()
	w.check()
	r.checkGaps()
}

func TestACopyOfABusyLogIsAGapAndOfAQuietOneIsNone(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(r *rig, w *writer)
		want int
	}{
		{"quiet for longer than the lull", func(r *rig, w *writer) {
			r.drain()
			r.pass(writeLull)
			r.drain()
			w.copytruncate()
		}, 0},
		{"written to just before", func(r *rig, w *writer) {
			r.pass(writeLull)
			w.write(1)
			r.drain()
			w.copytruncate()
		}, 1},
		{"written to between copy and cut, which was read", func(r *rig, w *writer) {
			r.drain()
			r.pass(writeLull)
			r.drain()
			copyFile(t, r.path, r.sibling(".1"))
			w.write(1)
			r.drain()
			truncate(t, r.path)
			w.gens = append(w.gens, &written{})
		}, 1},
		{"not looked at for longer than the lull", func(r *rig, w *writer) {
			r.drain()
			r.pass(writeLull)
			w.copytruncate()
		}, 1},
		{"quiet, but what it had last was not read", func(r *rig, w *writer) {
			r.drain()
			r.pass(writeLull)
			r.drain()
			w.write(1)
			w.copytruncate()
		}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			w := r.writer()
			w.write(5)
			r.drain()
			c.do(r, w)
			w.write(2)
			r.drain()
			w.check()
			r.checkGaps()
			if r.copied != c.want {
				t.Errorf("%d gaps, want %d", r.copied, c.want)
			}
		})
	}
}

func TestTruncationWithoutACopyIsAGap(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	w.write(5)
	r.drain()
	truncate(t, r.path)
	w.gens = append(w.gens, &written{})
	w.write(2)
	r.drain()
	w.check()
	r.checkGaps(GapTruncated)
}

func TestACopyMadeBeforeTheLastLinesWereReadIsNotReadAgain(t *testing.T) {
	for _, lines := range []int{5, 500} {
		t.Run(fmt.Sprint(lines, " lines"), func(t *testing.T) {
			r := newRig(t)
			w := r.writer()
			w.write(lines)
			r.drain()
			copyFile(t, r.path, r.sibling(".1"))
			w.write(1)
			r.drain()
			truncate(t, r.path)
			w.gens = append(w.gens, &written{})
			w.write(1)
			r.drain()
			r.shift()
			w.open()
			w.write(1)
			r.drain()
			w.check()
			r.checkGaps()
		})
	}
}

func TestCopytruncateOfAWriterWithoutAppendLeavesAHoleThatIsSkipped(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	w.file.Close()
	var err error
	if w.file, err = os.OpenFile(r.path, os.O_WRONLY, 0); err != nil {
		t.Fatal(err)
	}
	w.write(1000)
	r.drain()
	w.check()
	hole, err := w.file.Seek(0, 1)
	if err != nil {
		t.Fatal(err)
	}
	copyFile(t, r.path, r.sibling(".1"))
	truncate(t, r.path)
	r.drain()
	if _, err := w.file.WriteString("behind the hole\n"); err != nil {
		t.Fatal(err)
	}
	before := len(r.lines)
	r.drain()
	if len(r.lines) != before+1 || r.lines[before].text != "behind the hole" || r.lines[before].offset != hole {
		t.Errorf("%d lines, want 1: %+v", len(r.lines)-before, r.lines[before:])
	}
	lines, err := replayAll(t, r.path, nil, r.opts)
	if err != nil || len(lines) != 1 || lines[0] != r.lines[before] {
		t.Errorf("replay gives %+v, %v", lines, err)
	}
}

func TestCopytruncateWhileDown(t *testing.T) {
	for name, refill := range map[string]int{"shorter than before": 1, "longer than before": 30} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			w := r.writer()
			w.write(5)
			r.drain()
			p := r.f.Position()
			r.stop()
			w.write(5)
			w.copytruncate()
			w.write(refill)
			r.start(p, p)
			r.drain()
			w.check()
			r.checkGaps()
		})
	}
}

func TestSeveralCopytruncatesWhileDown(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	w.write(5)
	r.drain()
	p := r.f.Position()
	r.stop()
	for range 3 {
		w.write(5)
		w.copytruncate()
	}
	compress(t, r.sibling(".3"), ".gz")
	w.write(2)
	r.start(p, p)
	r.drain()
	w.check()
	r.checkGaps()
}

func TestACopyIsNotReadAgainAfterARestart(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	w.write(5)
	r.drain()
	w.write(1)
	w.copytruncate()
	w.write(1)
	r.drain()
	r.restart()
	r.drain()
	r.pass(2 * time.Minute)
	r.drain()
	compress(t, r.sibling(".1"), ".gz")
	r.restart()
	w.copytruncate()
	w.write(1)
	r.drain()
	w.check()
	r.checkGaps()
}

func TestAFileCutBeforeItsSilentLinesWereReadIsNoticed(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	r.drain()
	memory := r.f.Position() // of the empty file
	w.write(5)
	r.drain()
	checkpoint := r.f.Position()
	r.start(checkpoint, memory)
	w.copytruncate()
	w.write(20)
	r.drain()
	w.check()
	r.checkGaps()
}

func TestWhatIsCompressedWhileWeLookIsNotTakenForTwoGenerations(t *testing.T) {
	dir := t.TempDir()
	path := dir + "/mail.log"
	text := strings.Repeat("a line\n", 2000)
	appendTo(t, path, text)
	appendTo(t, path+".2", "another\n")
	original, err := sight(path, true)
	if err != nil {
		t.Fatal(err)
	}
	defer original.release()
	compress(t, path, ".gz")
	compress(t, path+".2", ".gz")
	for name, want := range map[string]bool{path + ".gz": true, path + ".2.gz": false} {
		s, err := sight(name, false)
		if err != nil {
			t.Fatal(err)
		}
		defer s.release()
		if s.packs([]*sighting{original, s}) != want {
			t.Errorf("%s: packs is not %v", name, want)
		}
	}
}
