package tailers

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fakeDir names the folder of a fakeJournal to a test binary that is to be its
// journalctl.
const fakeDir = "MTATAP_FAKE_JOURNAL"

func TestMain(m *testing.M) {
	if dir := os.Getenv(fakeDir); dir != "" {
		os.Exit(fakeJournalctl(dir, os.Args[1:]))
	}
	os.Exit(m.Run())
}

// fakeJournalctl prints the records of the file "journal" in dir. What is in the
// files "hint" and "trouble" it says on its standard error, and fails after the
// latter; when the file "die" is
// there while it follows, it removes that and fails.
func fakeJournalctl(dir string, args []string) int {
	fmt.Fprintln(must(os.OpenFile(filepath.Join(dir, "starts"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)), os.Getpid(), strings.Join(args, " "))
	if trouble, err := os.ReadFile(filepath.Join(dir, "trouble")); err == nil {
		os.Stderr.Write(trouble)
		return 1
	}
	if hint, err := os.ReadFile(filepath.Join(dir, "hint")); err == nil {
		os.Stderr.Write(hint)
	}
	var from cursor
	follow, last := false, false
	for _, a := range args {
		if c, ok := strings.CutPrefix(a, "--cursor="); ok {
			from = cursor(c)
		}
		follow = follow || a == "--follow"
		last = last || a == "--lines=1"
	}
	journal := must(os.Open(filepath.Join(dir, "journal")))
	var rest, tail []byte
	out := bufio.NewWriterSize(os.Stdout, journalPage)
	defer out.Flush()
	for {
		added := must(io.ReadAll(journal))
		rest = append(rest, added...)
		for {
			line, after, ok := bytes.Cut(rest, []byte{'\n'})
			if !ok {
				break
			}
			rest = after
			switch c := cursor(cursorOf(line)); {
			case last:
				tail = append(line[:len(line):len(line)], '\n')
			case from == "" || c == from || c.after(from):
				out.Write(append(line[:len(line):len(line)], '\n'))
			}
		}
		if !follow {
			out.Write(tail)
			return 0
		}
		out.Flush()
		if os.Remove(filepath.Join(dir, "die")) == nil {
			return 1
		}
		time.Sleep(time.Millisecond) // a real one is woken; nothing waits for us to sleep
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// fakeJournal is a journal in a folder and what follows it.
type fakeJournal struct {
	t       *testing.T
	dir     string
	entries int
	opts    Options
	units   []string
	j       *Journal
	gaps    []string
	cuts    int
}

func newFakeJournal(t *testing.T) *fakeJournal {
	f := &fakeJournal{t: t, dir: t.TempDir(), units: []string{"postfix.service"}}
	t.Setenv(fakeDir, f.dir)
	t.Setenv("GORACE", "atexit_sleep_ms=0") // or each child ends a second late
	f.opts = Options{Start: StartBeginning, Events: f}
	f.write("journal", "")
	t.Cleanup(f.stop)
	return f
}

func (f *fakeJournal) Rotated()        { f.t.Error("a journal has no rotations") }
func (f *fakeJournal) Gap(kind string) { f.gaps = append(f.gaps, kind) }
func (f *fakeJournal) Cut()            { f.cuts++ }

func (f *fakeJournal) write(name, text string) {
	f.t.Helper()
	if err := os.WriteFile(filepath.Join(f.dir, name), []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fakeJournal) cursor(n int) cursor { return cursor(fmt.Sprintf("s=1;i=%x;t=%x", n, 1000+n)) }

// add adds entries with messages, all of one unit.
func (f *fakeJournal) add(unit string, messages ...string) {
	f.t.Helper()
	file, err := os.OpenFile(filepath.Join(f.dir, "journal"), os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		f.t.Fatal(err)
	}
	defer file.Close()
	var b bytes.Buffer
	for _, m := range messages {
		f.entries++
		record, _ := json.Marshal(map[string]string{"MESSAGE": m, "_SYSTEMD_UNIT": unit, "__CURSOR": string(f.cursor(f.entries))})
		b.Write(append(record, '\n'))
	}
	if _, err := file.Write(b.Bytes()); err != nil {
		f.t.Fatal(err)
	}
}

// vacuum removes the first n entries of those that are there.
func (f *fakeJournal) vacuum(n int) {
	f.t.Helper()
	text, err := os.ReadFile(filepath.Join(f.dir, "journal"))
	if err != nil {
		f.t.Fatal(err)
	}
	f.write("journal", strings.Join(strings.SplitAfter(string(text), "\n")[n:], ""))
}

// start begins to follow from a checkpoint and the memory's position.
func (f *fakeJournal) start(checkpoint, memory Position) {
	f.t.Helper()
	f.stop()
	f.j = NewJournal(JournalSelection{Units: f.units}, f.opts)
	f.j.program, f.j.pause = os.Args[0], time.Millisecond
	f.j.Resume(roundTrip(f.t, checkpoint), roundTrip(f.t, memory))
	if _, err := f.j.Begin(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fakeJournal) stop() {
	if f.j != nil {
		if err := f.j.Close(); err != nil {
			f.t.Error(err)
		}
		f.j = nil
	}
}

// starts returns how often journalctl was started, with what.
func (f *fakeJournal) starts() []string {
	text, err := os.ReadFile(filepath.Join(f.dir, "starts"))
	if err != nil {
		f.t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}
