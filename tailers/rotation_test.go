package tailers

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestLinesAreReadAsTheyAreWritten(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	for range 5 {
		w.write(3)
		r.drain()
	}
	w.check()
	r.checkGaps()
}

func TestAMissingFileIsReadFromItsBeginningOnceItAppears(t *testing.T) {
	r := newRig(t)
	r.opts.Start = StartEnd
	r.drain()
	w := r.writer()
	w.write(2)
	r.drain()
	w.check()
	if r.rotated != 0 {
		t.Errorf("%d rotations", r.rotated)
	}
}

func TestStartAtTheEndLeavesOutWhatIsThere(t *testing.T) {
	r := newRig(t)
	r.opts.Start = StartEnd
	w := r.writer()
	w.write(1000)
	r.drain()
	w.write(2)
	r.drain()
	w.checkFrom(0, 1000)
}

func TestStartAtTheEndDeliversALineThatWasHalfWrittenThen(t *testing.T) {
	r := newRig(t)
	r.opts.Start = StartEnd
	w := r.writer()
	w.write(2)
	w.text("the first half")
	r.drain()
	w.text(" and the second\n")
	r.drain()
	w.checkFrom(0, 2)
}

func TestStartAtTheEndOfAFileOfOneHalfLine(t *testing.T) {
	r := newRig(t)
	r.opts.Start = StartEnd
	w := r.writer()
	w.text("the first half")
	r.drain()
	w.text(" and the second\n")
	r.drain()
	w.check()
}

func TestLinesBetweenRenameAndReopenAreNotLost(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	w.write(3)
	r.drain()
	r.shift()
	w.write(3) // the server has not reopened yet
	r.drain()
	w.open()
	w.write(3)
	r.drain()
	w.check()
	if r.rotated != 1 {
		t.Errorf("%d rotations, want 1", r.rotated)
	}
}

func TestLinesOfAMissingPathAreFollowedHoweverLongItTakes(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	w.write(1)
	r.drain()
	r.shift()
	r.drain()
	r.pass(time.Hour)
	r.drain()
	w.write(1)
	r.drain()
	w.check()
}

func TestLateLinesOfTheOldFileComeBeforeNewerOnesOfTheNext(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	w.write(3)
	r.drain()
	old := w.file
	w.file = nil
	r.shift()
	w.open()
	w.write(2)
	r.drain()
	defer old.Close()
	late := "a late line\n"
	if _, err := old.WriteString(late); err != nil {
		t.Fatal(err)
	}
	w.gens[0].text += late
	w.write(1)
	before := len(r.lines)
	r.drain()
	w.check()
	if r.lines[before].text != "a late line" {
		t.Errorf("%q comes before the late line", r.lines[before].text)
	}
}

func TestTheLastChunkOfTheOldFileSaysThatTheNextHasMore(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	w.write(1)
	r.drain()
	r.shift()
	w.open()
	w.write(1)
	r.drain() // both are open now
	appendTo(t, r.sibling(".1"), "late\n")
	w.gens[0].text += "late\n"
	w.write(1)
	r.one()
	if !r.more {
		t.Error("no more is promised")
	}
	r.one()
	if r.more {
		t.Error("more is promised at the end")
	}
	w.check()
}

func TestAnOldFileIsClosedOnceItHasNotGrownForRotateWait(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	w.write(1)
	r.drain()
	r.shift()
	w.open()
	w.write(1)
	r.drain()
	if n := len(r.f.gens); n != 2 {
		t.Fatalf("%d generations open, want 2", n)
	}
	r.pass(time.Minute + time.Second)
	r.drain()
	if n := len(r.f.gens); n != 1 || r.watched != 1 {
		t.Errorf("%d generations open and %d watched, want 1", n, r.watched)
	}
	w.check()
}

func TestLinesWrittenToAClosedOldFileAreFoundAtTheNextRotation(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	w.write(1)
	r.drain()
	r.shift()
	w.open()
	w.write(1)
	r.drain()
	r.pass(2 * time.Minute)
	r.drain()
	late := "a very late line\n"
	appendTo(t, r.sibling(".1"), late)
	w.gens[0].text += late
	for range 3 {
		w.write(1)
		r.pass(2 * time.Second)
		r.drain()
	}
	r.shift()
	w.open()
	w.write(1)
	r.drain()
	w.check()
}

func TestEightRotationsBetweenTwoLooks(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	w.write(2)
	r.drain()
	for range 8 {
		w.write(2)
		r.shift()
		w.open()
	}
	w.write(2)
	r.drain()
	w.check()
	r.checkGaps()
	if r.rotated != 8 {
		t.Errorf("%d rotations, want 8", r.rotated)
	}
}

func TestManyBurstsOfRotations(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	for burst := range 6 {
		for range burst {
			w.write(1)
			r.shift()
			w.open()
		}
		w.write(1)
		r.drain()
		r.pass(2 * time.Minute)
		r.drain()
	}
	w.check()
	r.checkGaps()
}

func TestAStalledReaderSurvivesTwoRotationsAndAnUnlink(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	w.write(3)
	r.drain()
	w.write(3)
	r.shift()
	w.open()
	w.write(3)
	r.shift()
	r.remove(r.sibling(".2"))
	w.open()
	w.write(3)
	r.drain()
	w.check()
	r.checkGaps()
}

func TestAnUnlinkedFileIsReadToItsEnd(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	w.write(1)
	r.drain()
	r.remove(r.path)
	w.write(1)
	r.drain()
	w.write(1)
	w.open()
	w.write(1)
	r.drain()
	w.check()
}

func TestRotationByDate(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	w.write(1)
	r.drain()
	for day := 18; day < 22; day++ {
		w.write(1)
		r.rename(r.path, r.sibling(fmt.Sprintf("-202611%d", day)))
		w.open()
		w.write(1)
	}
	r.drain()
	w.check()
	r.checkGaps()
}

func TestACompressedOldFileIsNotReadAgain(t *testing.T) {
	for _, ext := range []string{".gz", ".zst"} {
		t.Run(ext, func(t *testing.T) {
			r := newRig(t)
			w := r.writer()
			w.write(100)
			r.drain()
			for range 4 {
				r.shift()
				w.open()
				w.write(100)
				r.drain()
				compress(t, r.sibling(".1"), ext)
			}
			w.check()
			r.checkGaps()
		})
	}
}

func TestAGenerationThatWasCompressedBeforeItWasSeenIsReadWhole(t *testing.T) {
	for _, ext := range []string{".gz", ".zst"} {
		t.Run(ext, func(t *testing.T) {
			r := newRig(t)
			w := r.writer()
			w.write(100)
			r.drain()
			r.shift()
			w.open()
			w.write(100)
			r.shift()
			compress(t, r.sibling(".1"), ext)
			w.open()
			w.write(1)
			r.drain()
			w.check()
			r.checkGaps()
		})
	}
}

func TestTwoGenerationsWithTheSameFirstLine(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	for i := range 4 {
		w.text("log opened\n")
		if i%2 == 0 {
			r.drain()
		}
		w.write(3)
		r.shift()
		w.open()
	}
	r.drain()
	w.check()
	r.checkGaps()
}

func TestASwappedSymlinkIsARotation(t *testing.T) {
	r := newRig(t)
	w := &writer{r: r}
	link := r.path
	r.path = filepath.Join(r.dir, "first")
	w.open()
	w.write(2)
	symlink(t, r.path, link)
	r.path = link
	r.drain()

	r.path = filepath.Join(r.dir, "second")
	w.open()
	defer w.file.Close()
	w.write(2)
	r.remove(link)
	symlink(t, r.path, link)
	r.path = link
	r.drain()
	w.check()
	if r.rotated != 1 {
		t.Errorf("%d rotations, want 1", r.rotated)
	}
}

func TestAReplacedFolderIsARotation(t *testing.T) {
	r := newRig(t)
	r.path = filepath.Join(r.dir, "log", "mail.log")
	mkdir(t, filepath.Dir(r.path))
	w := r.writer()
	w.write(2)
	r.drain()
	w.write(1)
	r.rename(filepath.Dir(r.path), filepath.Join(r.dir, "old"))
	r.drain()
	mkdir(t, filepath.Dir(r.path))
	w.open()
	w.write(2)
	r.drain()
	w.check()
}

func TestAFolderAtThePathIsWaitedOut(t *testing.T) {
	r := newRig(t)
	mkdir(t, r.path)
	r.drain()
	r.remove(r.path)
	w := r.writer()
	w.write(1)
	r.drain()
	w.check()
}

func TestAFileThatComesBackToThePathGoesOn(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	w.write(1)
	r.drain()
	r.rename(r.path, r.sibling(".aside"))
	w.write(1)
	r.drain()
	r.rename(r.sibling(".aside"), r.path)
	w.write(1)
	r.drain()
	w.check()
	if len(r.f.gens) != 1 || r.rotated != 0 {
		t.Errorf("%d generations, %d rotations", len(r.f.gens), r.rotated)
	}
}

func TestAnInodeUsedAgainIsANewGeneration(t *testing.T) {
	r := newRig(t)
	w := r.writer()
	w.write(3)
	r.drain()
	p := r.f.Position()
	r.stop()
	// The same inode with other content is what a file system gives that uses
	// inodes again.
	if err := os.Truncate(r.path, 0); err != nil {
		t.Fatal(err)
	}
	w.open()
	w.write(5)
	r.start(p, p)
	r.drain()
	w.check()
	r.checkGaps(GapMissing)
}
