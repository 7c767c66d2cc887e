package tailers

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func openStore(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := OpenStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func somePosition(offset int64) Position {
	offset += 1000
	return Position{positionData{
		Next: 3, Horizon: time.Date(2026, 11, 21, 10, 0, 0, 5, time.UTC),
		Open: []record{{Seq: 2, Dev: 1, Inode: 99, Offset: offset, Marker: fingerprintOf([]byte("x\n")), Lead: fingerprintOf([]byte("x\n"))}},
		Done: []record{{Seq: 1, Offset: 7}},
	}}
}

func save(t *testing.T, s *Store, positions map[string]Position) {
	t.Helper()
	if err := s.Save(positions); err != nil {
		t.Fatal(err)
	}
}

func equalPositions(p, q Position) bool {
	a, errA := p.MarshalJSON()
	b, errB := q.MarshalJSON()
	return errA == nil && errB == nil && bytes.Equal(a, b)
}

func TestASavedPositionIsFoundAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state", "mtatap")
	s := openStore(t, dir)
	s.Position("/var/log/*.log", "/var/log/mail.log")
	strange := "/var/log/\xff\"\n.log"
	want := map[string]Position{"/var/log/mail.log": somePosition(100), strange: somePosition(200), `"quoted"`: somePosition(300)}
	save(t, s, want)
	s.Close()
	s = openStore(t, dir)
	if err := s.Problem(); err != nil {
		t.Fatal(err)
	}
	for file, p := range want {
		q, found := s.Position("/var/log/*.log", file)
		if found != Known || !equalPositions(p, q) {
			t.Errorf("position of %q is %v, %+v", file, found, q)
		}
	}
}

func TestWhatAStoreKnowsDecidesWhereToStart(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	expect := func(source, file string, want Found, start Start) {
		t.Helper()
		_, found := s.Position(source, file)
		if found != want || found.Start(StartEnd) != start {
			t.Errorf("%s of %s: found %d, start %d", file, source, found, found.Start(StartEnd))
		}
	}
	expect("a*", "a1", NoCheckpoint, StartEnd)
	expect("b*", "", NoCheckpoint, StartEnd) // matches nothing yet
	save(t, s, map[string]Position{"a1": somePosition(10)})
	expect("a*", "a2", NewFile, StartBeginning) // appeared while running
	s.Close()

	s = openStore(t, dir)
	expect("a*", "a1", Known, StartBeginning)
	expect("a*", "a3", NewFile, StartBeginning) // appeared while down
	expect("b*", "b1", NewFile, StartBeginning)
	expect("c*", "c1", NewSource, StartEnd)
	s.Close()

	if err := os.WriteFile(filepath.Join(dir, checkpointName), []byte(`{"version":1`), 0o600); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, dir)
	expect("a*", "a1", Unreadable, StartBeginning)
}

func TestAnUnreadableCheckpointIsReportedAndKept(t *testing.T) {
	for name, c := range map[string]struct{ content, problem string }{
		"truncated":             {`{"version":1,"files":{"a":`, "unexpected end"},
		"empty":                 {``, "unexpected end"},
		"a newer version":       {`{"version":2,"files":"else"}`, "version is 2"},
		"no JSON":               {"\x00\x00", "invalid character"},
		"a negative offset":     {`{"version":1,"files":{"a":{"position":{"next":2,"open":[{"seq":1,"offset":-1}]}}}}`, "negative offset"},
		"a marker out of range": {`{"version":1,"files":{"a":{"position":{"next":2,"open":[{"seq":1,"offset":5,"marker":{"length":99}}]}}}}`, "marker"},
		"a number out of range": {`{"version":1,"files":{"a":{"position":{"next":1,"open":[{"seq":1}]}}}}`, "number"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, checkpointName)
			if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			s := openStore(t, dir)
			if err := s.Problem(); err == nil || !strings.Contains(err.Error(), c.problem) {
				t.Fatalf("problem %v, want %q", err, c.problem)
			}
			for range 2 {
				save(t, s, map[string]Position{"a": somePosition(1)})
			}
			if b, err := os.ReadFile(path + ".unreadable"); err != nil || string(b) != c.content {
				t.Errorf("kept %q, %v", b, err)
			}
			s.Close()
			if s = openStore(t, dir); s.Problem() != nil {
				t.Error(s.Problem())
			}
		})
	}
}

func TestAFailedSaveKeepsTheOldCheckpoint(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	save(t, s, map[string]Position{"a": somePosition(1)})
	// A folder in place of the temporary file fails for root too.
	mkdir(t, filepath.Join(dir, checkpointName+".tmp"))
	if err := s.Save(map[string]Position{"a": somePosition(2)}); err == nil {
		t.Fatal("saved")
	}
	if p, _ := s.Position("a", "a"); !equalPositions(p, somePosition(1)) {
		t.Error("a position that was not saved is given out")
	}
	s.Close()
	s = openStore(t, dir)
	if p, found := s.Position("a", "a"); found != Known || !equalPositions(p, somePosition(1)) {
		t.Errorf("found %d, %+v", found, p)
	}
}

func TestTwoProcessesDoNotShareAFolder(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	if other, err := OpenStore(dir); err == nil {
		other.Close()
		t.Fatal("opened twice")
	} else if !strings.Contains(err.Error(), "another process uses it") {
		t.Error(err)
	}
	s.Close()
	openStore(t, dir)
}

func TestFilesThatAreAwayKeepTheirPositionForAWeek(t *testing.T) {
	s := openStore(t, t.TempDir())
	now := time.Now()
	s.now = func() time.Time { return now }
	save(t, s, map[string]Position{"a": somePosition(1), "b": somePosition(1)})
	now = now.Add(6 * 24 * time.Hour)
	save(t, s, map[string]Position{"a": somePosition(2)})
	if _, found := s.Position("*", "b"); found != Known {
		t.Errorf("found %d after six days", found)
	}
	now = now.Add(2 * 24 * time.Hour)
	save(t, s, map[string]Position{"a": somePosition(3)})
	if _, found := s.Position("*", "b"); found == Known {
		t.Error("still known after eight days")
	}
}

func TestAParsersMemoryIsFoundAgain(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	if p, b, err := s.Memory("a"); !p.IsZero() || b != nil || err != nil {
		t.Errorf("%v, %q, %v where there is none", p, b, err)
	}
	snapshot := []byte("anything\n\x00at all")
	if err := s.SaveMemory("a", somePosition(5), snapshot); err != nil {
		t.Fatal(err)
	}
	p, b, err := s.Memory("a")
	if err != nil || !bytes.Equal(b, snapshot) || !equalPositions(p, somePosition(5)) {
		t.Errorf("%v, %q, %v", p, b, err)
	}
	path := s.memoryPath("a")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, b, err := s.Memory("a"); err == nil {
			t.Fatalf("%q of the first %d bytes", b, n)
		}
	}
}

func TestTheStoreIsReadableByItsOwnerOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	s := openStore(t, dir)
	save(t, s, nil)
	if err := s.SaveMemory("a", Position{}, nil); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			err = errors.New(path + " is " + info.Mode().String())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func FuzzDecodeCheckpoint(f *testing.F) {
	b, err := encodeCheckpoint(checkpointFile{
		Sources: []string{"/var/log/*"},
		Files:   map[string]storedFile{"/var/log/\xff": {Position: somePosition(9)}},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"version":1,"files":{"a":{"position":{"next":1}}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decodeCheckpoint(b)
		if err != nil {
			return
		}
		again, err := encodeCheckpoint(c)
		if err != nil {
			t.Fatal(err)
		}
		d, err := decodeCheckpoint(again)
		if err != nil {
			t.Fatalf("cannot read back %s: %v", again, err)
		}
		for path, file := range c.Files {
			if !equalPositions(file.Position, d.Files[path].Position) {
				t.Errorf("position of %q changed", path)
			}
		}
	})
}
