package tailers

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestNothingIsReadTwiceAfterARestart(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	w.write(5)
	r.drain()
	r.restart()
	r.drain()
	w.write(5)
	r.drain()
	w.check()
	r.checkGaps()
}

func TestAnEmptyLogIsTheSameAfterARestart(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	r.drain()
	r.restart()
	w.write(1)
	r.drain()
	w.check()
	if r.rotated != 0 {
		t.Errorf("%d rotations", r.rotated)
	}
}

func TestTheFirstPositionIsThereBeforeTheFirstRead(t *testing.T) {
	r := newRig(t)
	r.opts.Start = StartEnd
	w := r.writer()
	w.write(3)
	r.start(Position{}, Position{})
	p := r.f.Position()
	w.write(3)
	r.drain()
	r.lines = nil
	r.start(p, p) // as after SIGKILL
	r.drain()
	w.checkFrom(0, 3)
}

func TestWhatWasWrittenBeforeARotationWhileDownIsRead(t *testing.T) {
	for name, pack := range map[string]string{"plain": "", "gzip": ".gz", "zstd": ".zst"} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			w := r.writer()
			w.write(500)
			r.drain()
			p := r.f.Position()
			r.stop()
			w.write(500)
			r.shift()
			w.open()
			w.write(5)
			if pack != "" {
				compress(t, r.sibling(".1"), pack)
			}
			r.start(p, p)
			r.drain()
			w.check()
			r.checkGaps()
		})
	}
}

func TestGenerationsThatCameAndWentWhileDownAreReadInOrder(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	w.write(50)
	r.drain()
	p := r.f.Position()
	r.stop()
	for range 5 {
		w.write(50)
		r.shift()
		w.open()
	}
	for _, n := range []string{".3", ".4", ".5"} {
		compress(t, r.sibling(n), ".gz")
	}
	w.write(1)
	r.start(p, p)
	r.drain()
	w.check()
	r.checkGaps()
	for i := 1; i < len(r.lines); i++ {
		if r.lines[i].text == r.lines[i-1].text {
			t.Fatal("twice")
		}
	}
	all := make([]string, 0, len(r.lines))
	for _, l := range r.lines {
		all = append(all, l.text)
	}
	var want []string
	for g := range w.gens {
		want = append(want, w.lines(g)...)
	}
	if !slices.Equal(all, want) {
		t.Error("the generations are not in order")
	}
}

func TestDatedSiblingsWhileDown(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	w.write(50)
	r.drain()
	p := r.f.Position()
	r.stop()
	for _, date := range []string{"-20261118", "-20261119", "-20261120"} {
		w.write(50)
		r.rename(r.path, r.sibling(date))
		w.open()
	}
	compress(t, r.sibling("-20261118"), ".gz")
	compress(t, r.sibling("-20261119"), ".gz")
	r.start(p, p)
	r.drain()
	w.check()
	r.checkGaps()
}

func TestSiblingsFromBeforeTheFirstStartAreNeverRead(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	for range 20 {
		w.write(3)
		r.shift()
		w.open()
	}
	compress(t, r.sibling(".5"), ".gz")
	w.write(1)
	r.drain()
	w.checkFrom(20, 0)
	r.restart()
	r.drain()
	compress(t, r.sibling(".2"), ".gz")
	compress(t, r.sibling(".1"), ".zst")
	r.shift()
	w.open()
	r.restart()
	w.write(1)
	r.drain()
	w.checkFrom(20, 0)
	r.checkGaps()
}

func TestASiblingCompressedWhileDownWithoutItsTimeIsNotReadAgain(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	w.write(200)
	r.drain()
	r.shift()
	w.open()
	w.write(2)
	r.drain()
	r.pass(2 * time.Minute)
	r.drain()
	p := r.f.Position()
	r.stop()
	compress(t, r.sibling(".1"), ".gz")
	later := time.Now().Add(time.Minute)
	if err := os.Chtimes(r.sibling(".1.gz"), later, later); err != nil {
		t.Fatal(err)
	}
	r.start(p, p)
	r.drain()
	w.check()
	r.checkGaps()
}

func TestAMissingRemainderIsAGapOnce(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	w.write(5)
	r.drain()
	p := r.f.Position()
	r.stop()
	r.remove(r.path)
	w.open()
	w.write(3)
	r.start(p, p)
	r.drain()
	w.check()
	r.checkGaps(GapMissing)
	r.restart()
	r.drain()
	r.checkGaps(GapMissing)
}

func TestAFileThatIsGoneWhileDownAndComesBackLater(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	w.write(2)
	r.drain()
	p := r.f.Position()
	r.stop()
	r.shift()
	r.start(p, p)
	r.drain()
	w.write(1) // the server still has the old file
	r.drain()
	w.open()
	w.write(1)
	r.drain()
	w.check()
	r.checkGaps()
}

func TestARestartDuringRotateWaitKeepsBothFilesOpen(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	w.write(2)
	r.drain()
	r.shift()
	old := w.file
	w.file = nil
	w.open()
	w.write(2)
	r.drain()
	defer old.Close()
	r.restart()
	r.drain()
	late := "a late line\n"
	if _, err := old.WriteString(late); err != nil {
		t.Fatal(err)
	}
	w.gens[0].text += late
	r.drain()
	w.check()
}

func TestACheckpointInTheMiddleOfACompressedFileIsFoundAgain(t *testing.T) {
	for _, ext := range []string{".gz", ".zst"} {
		t.Run(ext, func(t *testing.T) {
			r := newRig(t)
			w := r.writer()
			w.write(10)
			r.drain()
			p := r.f.Position()
			r.stop()
			w.write(20000)
			r.shift()
			w.open()
			w.write(2)
			compress(t, r.sibling(".1"), ext)
			r.start(p, p)
			for range 3 {
				r.one()
				r.restart()
			}
			r.shift() // to .2.gz
			w.open()
			w.write(2)
			r.restart()
			r.drain()
			w.check()
			r.checkGaps()
		})
	}
}

func TestADamagedSiblingIsAGap(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	w.write(2)
	r.drain()
	r.shift()
	w.open()
	w.write(20000)
	r.shift()
	compress(t, r.sibling(".1"), ".gz")
	info, err := os.Stat(r.sibling(".1.gz"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(r.sibling(".1.gz"), info.Size()/2); err != nil {
		t.Fatal(err)
	}
	w.open()
	w.write(1)
	r.drain()
	r.checkGaps(GapUnreadable)
	if last := r.lines[len(r.lines)-1].text; last != w.lines(2)[0] {
		t.Errorf("last line is %q", last)
	}
}

func TestLogsMovedToAnotherHostAreRecognisedByTheirContent(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	w.write(50)
	r.drain()
	r.shift()
	w.open()
	w.write(50)
	r.drain()
	p := r.f.Position()
	r.stop()
	w.write(1)
	for _, path := range []string{r.path, r.sibling(".1")} {
		copyFile(t, path, path+"-copy")
		r.rename(path+"-copy", path)
	}
	r.start(p, p)
	r.drain()
	w.check()
	r.checkGaps()
}

func TestSiblingsOfALinksTargetAreFound(t *testing.T) {
	r := newRig(t)
	link := r.path
	mkdir(t, filepath.Join(r.dir, "real"))
	r.path = filepath.Join(r.dir, "real", "postfix.log")
	symlink(t, r.path, link)
	w := r.writer()
	w.write(2)
	target := r.path
	r.path = link
	r.drain()
	p := r.f.Position()
	r.stop()
	r.path = target
	w.write(2)
	r.shift()
	w.open()
	w.write(2)
	r.path = link
	r.start(p, p)
	r.drain()
	w.check()
	r.checkGaps()
}

func TestLinesBetweenMemoryAndCheckpointAreSilent(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	w.write(3)
	r.drain()
	memory := r.f.Position()
	w.write(3)
	r.drain()
	checkpoint := r.f.Position()
	r.stop()
	w.write(3)
	r.start(checkpoint, memory)
	if p := r.f.Position(); !slices.Equal(p.p.Open, checkpoint.p.Open) {
		t.Error("the position fell behind the checkpoint")
	}
	r.drain()
	w.check()
	r.checkSilent(w.lines(0)[3:6]...)
}

func TestSilentLinesSpanGenerations(t *testing.T) {
	for _, ext := range []string{"", ".gz", ".zst"} {
		t.Run("siblings "+ext, func(t *testing.T) {
			r := newRig(t)
			w := r.writer()
			w.write(100)
			r.drain()
			memory := r.f.Position()
			var silent []string
			for range 2 {
				w.write(100)
				r.drain()
				r.shift()
				w.open()
				r.drain()
			}
			w.write(3)
			r.drain()
			r.pass(2 * time.Minute) // the old ones are closed
			r.drain()
			checkpoint := r.f.Position()
			r.stop()
			silent = append(silent, w.lines(0)[100:]...)
			silent = append(silent, w.lines(1)...)
			silent = append(silent, w.lines(2)...)
			w.write(3)
			if ext != "" {
				compress(t, r.sibling(".1"), ext)
				compress(t, r.sibling(".2"), ext)
			}
			r.start(checkpoint, memory)
			r.drain()
			w.check()
			r.checkSilent(silent...)
			r.checkGaps()
			if n := len(r.f.gens); n != 1 {
				t.Errorf("%d generations open, want 1", n)
			}
		})
	}
}

func TestAMemoryWhoseFileIsGoneIsIgnored(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	w.write(3)
	r.drain()
	memory := r.f.Position()
	w.write(3)
	r.shift()
	w.open()
	w.write(3)
	r.drain()
	r.pass(2 * time.Minute)
	r.drain()
	checkpoint := r.f.Position()
	r.stop()
	r.remove(r.sibling(".1"))
	r.start(checkpoint, memory)
	w.write(1)
	r.drain()
	w.check()
	r.checkSilent(w.lines(1)[:3]...)
	r.checkGaps()
}
