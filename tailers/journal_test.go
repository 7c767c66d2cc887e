package tailers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// one returns the next chunk with lines: its messages, silent ones in brackets.
func (f *fakeJournal) one() []string {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), 20*time.Second)
	defer cancel()
	for {
		c, err := f.j.Next(ctx)
		if err != nil {
			f.t.Fatal(err)
		}
		if c.Observed.Location() != time.UTC || c.Observed.IsZero() || c.Origin.Path != "journald:"+strings.Join(f.units, ",") {
			f.t.Errorf("observed %v of %v", c.Observed, c.Origin)
		}
		var messages []string
		for it := c.Each(); ; {
			line, _, ok := it.Next()
			if !ok {
				break
			}
			var record struct{ MESSAGE string }
			if err := json.Unmarshal(line, &record); err != nil {
				f.t.Fatalf("%v: %q", err, line)
			}
			if c.Silent {
				record.MESSAGE = "(" + record.MESSAGE + ")"
			}
			messages = append(messages, record.MESSAGE)
		}
		if len(messages) > 0 {
			return messages
		}
	}
}

// want reads until the last of those messages is there.
func (f *fakeJournal) want(messages string) {
	f.t.Helper()
	var got []string
	for want := strings.Fields(messages); len(got) < len(want); {
		got = append(got, f.one()...)
	}
	if s := strings.Join(got, " "); s != messages {
		f.t.Fatalf("read %q, want %q", s, messages)
	}
}

func (f *fakeJournal) wantGaps(n int) {
	f.t.Helper()
	if len(f.gaps) != n {
		f.t.Errorf("gaps %v, want %d", f.gaps, n)
	}
}

const unit = "postfix.service"

func TestAJournalIsReadAndFollowed(t *testing.T) {
	f := newFakeJournal(t)
	f.add(unit, "a", "b")
	f.start(Position{}, Position{})
	f.want("a b")
	f.add(unit, "c")
	f.want("c")
	f.add(unit, "d", "e")
	f.want("d e")
	f.wantGaps(0)
}

func TestAJournalIsReadFromItsEndWhereNothingElseIsAskedFor(t *testing.T) {
	f := newFakeJournal(t)
	f.opts.Start = StartEnd
	f.add(unit, "old")
	f.start(Position{}, Position{})
	p := f.j.Position()
	if p.p.Cursor != f.cursor(1) {
		t.Errorf("first position is %q, want that of the last entry", p.p.Cursor)
	}
	f.stop()
	f.add(unit, "while", "down")
	f.start(p, Position{})
	f.want("while down")
	f.wantGaps(0)
}

func TestAnEmptyJournalIsReadFromItsFirstEntry(t *testing.T) {
	f := newFakeJournal(t)
	f.opts.Start = StartEnd
	f.start(Position{}, Position{})
	p := f.j.Position()
	if p.IsZero() {
		t.Error("no position to save before the first entry")
	}
	f.add(unit, "first")
	f.want("first")
	f.start(p, Position{})
	f.want("first")
	f.wantGaps(0)
}

// A crash leaves the position of some chunk: from each nothing is lost.
func TestAJournalGoesOnFromEachPosition(t *testing.T) {
	f := newFakeJournal(t)
	var all []string
	for i := range 40 {
		all = append(all, fmt.Sprint("m", i))
	}
	f.start(Position{}, Position{})
	type crash struct {
		at   Position
		left []string
	}
	crashes := []crash{{f.j.Position(), all}}
	for i := 0; i < len(all); i += 10 {
		f.add(unit, all[i:i+10]...)
		for read := 0; read < 10; {
			read += len(f.one())
			crashes = append(crashes, crash{f.j.Position(), all[i+read:]})
		}
	}
	f.add(unit, "last")
	for _, c := range crashes {
		f.start(c.at, Position{})
		f.want(strings.Join(append(c.left[:len(c.left):len(c.left)], "last"), " "))
	}
	f.wantGaps(0)
}

func TestWhatStandsBetweenMemoryAndCheckpointIsReadSilently(t *testing.T) {
	f := newFakeJournal(t)
	at := func(n int) Position { return Position{positionData{Next: 1, Cursor: f.cursor(n)}} }
	f.add(unit, "a", "b", "c", "d", "e")
	f.start(at(4), at(1))
	f.want("(b) (c) (d)")
	if p := f.j.Position(); p.p.Cursor != f.cursor(4) {
		t.Errorf("position %q behind the silent entries", p.p.Cursor)
	}
	f.want("e")
	f.start(at(4), Position{positionData{Next: 1}})
	f.want("(a) (b) (c) (d) e")
	f.start(at(4), at(4))
	f.want("e")
	f.wantGaps(0)
}

func TestTheLossOfTheEntryOfTheCheckpointIsAGap(t *testing.T) {
	at := func(f *fakeJournal, n int) Position { return Position{positionData{Next: 1, Cursor: f.cursor(n)}} }
	for name, c := range map[string]struct {
		entries, vacuumed  int
		checkpoint, memory int // 0 for none
		want               string
		gaps               int
	}{
		"the entry is there":                      {entries: 4, vacuumed: 1, checkpoint: 2, want: "m3 m4"},
		"later entries are there":                 {entries: 4, vacuumed: 2, checkpoint: 2, want: "m3 m4", gaps: 1},
		"later entries are gone too":              {entries: 4, vacuumed: 3, checkpoint: 2, want: "m4", gaps: 1},
		"nothing is left":                         {entries: 3, vacuumed: 3, checkpoint: 2, want: "", gaps: 1},
		"only that of the memory is gone":         {entries: 4, vacuumed: 2, checkpoint: 3, memory: 1, want: "(m3) m4"},
		"those of memory and checkpoint are gone": {entries: 4, vacuumed: 3, checkpoint: 3, memory: 1, want: "m4", gaps: 1},
		"nothing is left for the memory":          {entries: 3, vacuumed: 3, checkpoint: 3, memory: 1, want: "", gaps: 1},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeJournal(t)
			for i := range c.entries {
				f.add(unit, fmt.Sprint("m", i+1))
			}
			f.vacuum(c.vacuumed)
			memory := Position{}
			if c.memory > 0 {
				memory = at(f, c.memory)
			}
			f.start(at(f, c.checkpoint), memory)
			f.want(c.want)
			f.add(unit, "new")
			f.want("new")
			f.wantGaps(c.gaps)
			// A child that comes back finds what was read last, and no further gap.
			f.write("die", "")
			f.add(unit, "newer")
			f.want("newer")
			f.wantGaps(c.gaps)
		})
	}
}

func TestJournalctlIsStartedAgainWhereItEnded(t *testing.T) {
	f := newFakeJournal(t)
	f.start(Position{}, Position{})
	for i := range 4 {
		f.add(unit, fmt.Sprint("m", i))
		f.want(fmt.Sprint("m", i))
		f.write("die", "")
	}
	f.add(unit, "end")
	f.want("end")
	f.wantGaps(0)
	if n := len(f.starts()); n < 6 {
		t.Errorf("journalctl was started %d times only", n)
	}
}

func TestWhatJournalctlSaysIsLoggedOnce(t *testing.T) {
	f := newFakeJournal(t)
	var logged strings.Builder
	f.opts.Logger = slog.New(slog.NewTextHandler(&logged, nil))
	f.start(Position{}, Position{})
	if f.j.Behind() {
		t.Error("behind before anything is known")
	}
	f.write("trouble", "Failed to iterate through journal: Bad message 17\n")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for len(f.starts()) < 5 {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	for {
		c, err := f.j.Next(ctx)
		if errors.Is(err, context.Canceled) {
			break
		}
		if err != nil || len(c.Lines) > 0 {
			t.Fatalf("read %q, %v", c.Lines, err)
		}
	}
	if !f.j.Behind() {
		t.Error("not behind although nothing can be read")
	}
	if s := logged.String(); strings.Count(s, "journalctl says") != 1 || strings.Count(s, "Bad message") != 2 {
		t.Errorf("logged %q", s)
	}
	if err := os.Remove(filepath.Join(f.dir, "trouble")); err != nil {
		t.Fatal(err)
	}
	f.add(unit, "again")
	f.want("again")
}

func TestBeginSaysWhatIsMissing(t *testing.T) {
	for name, c := range map[string]struct {
		trouble string
		want    error // nil: none
	}{
		"no permission": {"No journal files were opened due to insufficient permissions.\n", errJournalForbidden},
		"no journal":    {"No journal files were found.\n", nil},
		"no folder":     {"Failed to open /var/log/nothing: No such file or directory\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeJournal(t)
			f.write("trouble", c.trouble)
			j := NewJournal(JournalSelection{Units: f.units}, f.opts)
			j.program = os.Args[0]
			if _, err := j.Begin(t.Context()); !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
		})
	}
	t.Run("only entries of this user", func(t *testing.T) {
		f := newFakeJournal(t)
		f.write("hint", "Hint: You are currently not seeing messages from other users and the system.\n")
		j := NewJournal(JournalSelection{Units: f.units}, f.opts)
		j.program = os.Args[0]
		if _, err := j.Begin(t.Context()); !errors.Is(err, errJournalForbidden) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("something else", func(t *testing.T) {
		f := newFakeJournal(t)
		f.write("trouble", "journalctl: unrecognized option '--output-fields'\n")
		j := NewJournal(JournalSelection{Units: f.units}, f.opts)
		j.program = os.Args[0]
		if _, err := j.Begin(t.Context()); err == nil || !strings.Contains(err.Error(), "unrecognized option") {
			t.Errorf("error %v", err)
		}
		f.start(Position{positionData{Next: 1, Cursor: f.cursor(1)}}, Position{}) // a checkpoint: tried again
	})
	t.Run("no journalctl", func(t *testing.T) {
		j := NewJournal(JournalSelection{Units: []string{unit}}, Options{})
		j.program = filepath.Join(t.TempDir(), "journalctl")
		if _, err := j.Begin(t.Context()); !errors.Is(err, errJournalAbsent) {
			t.Errorf("error %v", err)
		}
	})
}

func TestCloseLeavesNoChild(t *testing.T) {
	f := newFakeJournal(t)
	f.start(Position{}, Position{})
	f.add(unit, "a")
	f.want("a")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	for { // a chunk that is still promised comes first
		if _, err := f.j.Next(ctx); err != nil {
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v of a context that has ended", err)
			}
			break
		}
	}
	if f.j.child == nil {
		t.Fatal("no child to stop")
	}
	f.stop()
	for _, start := range f.starts() {
		pid, err := strconv.Atoi(strings.Fields(start)[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process %d is still there: %v", pid, err)
		}
	}
}

func TestGlobsChooseAmongAllUnits(t *testing.T) {
	f := newFakeJournal(t)
	f.units = []string{"postfix*", "exim4"}
	f.add("cron.service", "no1")
	f.add("postfix@-.service", "a")
	f.add("exim4.service", "b")
	f.add("cron.service", "no2")
	f.start(Position{}, Position{})
	f.want("a b")
	if p := f.j.Position(); p.p.Cursor != f.cursor(4) {
		t.Errorf("position %q, want that of the last entry of all", p.p.Cursor)
	}
	f.add("postfix@new.service", "c")
	f.want("c")
	for _, args := range f.starts() {
		if strings.Contains(args, "--unit") {
			t.Errorf("units are given to journalctl: %s", args)
		}
	}
}

func TestPositionsAdvanceOverEntriesOfOthers(t *testing.T) {
	f := newFakeJournal(t)
	now := time.Now()
	f.opts.Now = func() time.Time { now = now.Add(journalIdle); return now }
	f.units = []string{"postfix*"}
	f.start(Position{}, Position{})
	f.add("cron.service", "no1", "no2")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for f.j.Position().p.Cursor != f.cursor(2) {
		c, err := f.j.Next(ctx)
		if err != nil || len(c.Lines) > 0 {
			t.Fatalf("read %q, %v", c.Lines, err)
		}
	}
}

func TestAnEntryThatIsTooLongIsLeftOut(t *testing.T) {
	f := newFakeJournal(t)
	f.opts.MaxLineBytes = minMaxLine
	f.add(unit, "a", strings.Repeat("x", 1<<20), "b")
	f.start(Position{}, Position{})
	f.want("a b")
	if f.cuts != 1 {
		t.Errorf("%d entries counted as cut", f.cuts)
	}
}

func TestArgumentsOfJournalctl(t *testing.T) {
	s := JournalSelection{Units: []string{"postfix@-.service", "exim4"}, Directory: "/host/journal"}
	got := s.arguments("s=1;i=2", s.following()...)
	want := []string{"--output=json", "--all", "--no-pager", journalFields, "--follow", "--no-tail", "--merge",
		"--directory=/host/journal", "--unit=postfix@-.service", "--unit=exim4", "--cursor=s=1;i=2"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("arguments %q\nwant      %q", got, want)
	}
	if name := s.Name(); name != "journald:/host/journal:postfix@-.service,exim4" {
		t.Errorf("name %q", name)
	}
}

func TestAPositionIsReadWithOrWithoutACursor(t *testing.T) {
	for text, good := range map[string]bool{
		`{"horizon":"2026-11-23T00:00:00Z","next":1}`:                    true, // of a version without journals
		`{"horizon":"0001-01-01T00:00:00Z","next":1,"cursor":"s=1;i=2"}`: true,
		`{"next":1,"cursor":"s=1 i=2"}`:                                  false,
		`{"next":1,"cursor":"s=\n"}`:                                     false,
		`{"next":0,"cursor":"s=1"}`:                                      false,
		`{"next":1,"cursor":"` + strings.Repeat("x", 2000) + `"}`:        false,
	} {
		var p Position
		if err := json.Unmarshal([]byte(text), &p); (err == nil) != good {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestCursorOfFindsTheKeyAndNothingElse(t *testing.T) {
	for name, c := range map[string]struct{ record, want string }{
		"first":                   {`{"__CURSOR":"s=1;i=2","MESSAGE":"x"}`, "s=1;i=2"},
		"last, with spaces":       {`{ "MESSAGE" : "x", "__CURSOR" : "s=1" }`, "s=1"},
		"a message that is a key": {`{"MESSAGE":"__CURSOR","__CURSOR":"s=1"}`, "s=1"},
		"a message with a record": {`{"MESSAGE":"{\"__CURSOR\":\"s=9\"}","__CURSOR":"s=1"}`, "s=1"},
		"no string":               {`{"__CURSOR":17}`, ""},
		"no record":               {`"__CURSOR":"s=1"`, ""},
		"cut":                     {`{"__CURSOR":"s=1`, ""},
		"with an escape":          {`{"__CURSOR":"s=\n"}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := string(cursorOf([]byte(c.record))); got != c.want {
				t.Errorf("cursor %q, want %q", got, c.want)
			}
		})
	}
}

func FuzzJournalRecord(f *testing.F) {
	f.Add(`{"__CURSOR":"s=1;i=2;t=3","MESSAGE":"x","_SYSTEMD_UNIT":"postfix.service"}`)
	f.Add(`{"MESSAGE":"__CURSOR","__CURSOR":"s=1"}`)
	f.Add(`{"MESSAGE":[1,2],"__CURSOR":"\u0041"}`)
	f.Fuzz(func(t *testing.T, line string) {
		got := cursorOf([]byte(line))
		var record map[string]json.RawMessage
		if json.Unmarshal([]byte(line), &record) != nil || line[0] != '{' {
			return
		}
		var want string
		if err := json.Unmarshal(record["__CURSOR"], &want); err != nil || strings.Count(line, `"__CURSOR"`) != 1 || strings.ContainsAny(line, "\t\r\n") {
			return
		}
		if !strings.Contains(string(record["__CURSOR"]), `\`) && len(want) <= maxCursor && string(record["__CURSOR"]) == `"`+want+`"` && string(got) != want {
			t.Errorf("cursor %q, want %q", got, want)
		}
		_ = units{"postfix*"}.match([]byte(line))
	})
}
