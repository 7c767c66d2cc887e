package sinks

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"mtatap/config"
)

func TestDeadLettersAreOneJSONObjectALine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dead.ndjson")
	counts := map[string]int{}
	d := NewDeadLetters(config.DeadLetters{Path: path}, func(sink string, cause Cause) { counts[sink+" "+string(cause)]++ })
	defer d.Close()
	e := makeEvent(1, "a@example.org")
	e.JSON = []byte(`{"id":"1","diagnostic":"<a> & \u2028 b"}`)
	err := d.Put(
		DeadLetter{Sink: "kafka", Cause: CauseTooLarge, Detail: "said \"no\"", Event: e},
		UnparsedLine("/var/log/mail.log", 0, []byte("status=odd \xff\x00\x1b[2J <x>")),
	)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(readFile(t, path), "\n")
	if len(lines) != 3 || lines[2] != "" {
		t.Fatalf("lines %q", lines)
	}
	for i, want := range []string{
		`"sink":"kafka","cause":"too_large","detail":"said \"no\"","event":{"id":"1","diagnostic":"<a> & \u2028 b"}}` + "\n",
		`"sink":"parser","cause":"unparsed","source":"/var/log/mail.log","offset":0,"line":"status=odd ` + `\ufffd\u0000\u001b[2J <x>"}` + "\n",
	} {
		if !strings.HasSuffix(lines[i], want) {
			t.Errorf("got %s want %s", lines[i], want)
		}
		var object struct{ Time time.Time }
		if err := json.Unmarshal([]byte(lines[i]), &object); err != nil || time.Since(object.Time) > time.Minute {
			t.Errorf("time %v, %v", object.Time, err)
		}
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v", info.Mode())
	}
	if fmt.Sprint(counts) != "map[kafka too_large:1 parser unparsed:1]" {
		t.Errorf("counts %v", counts)
	}
}

func TestALineOfAJournalIsFoundByItsCursor(t *testing.T) {
	var b bytes.Buffer
	letter := UnparsedLine("journald:postfix*", 77, []byte("x"))
	letter.Cursor = "s=1;i=2"
	if err := encodeLetter(&b, time.Unix(0, 0).UTC(), &letter); err != nil {
		t.Fatal(err)
	}
	want := `{"time":"1970-01-01T00:00:00Z","sink":"parser","cause":"unparsed","source":"journald:postfix*","cursor":"s=1;i=2","line":"x"}` + "\n"
	if b.String() != want {
		t.Errorf("got  %swant %s", b.String(), want)
	}
}

func TestDeadLettersStayUnderTheirLimit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dead.ndjson")
	const limit = 10_000
	d := NewDeadLetters(config.DeadLetters{Path: path, MaxBytes: limit}, nil)
	defer d.Close()
	var done sync.WaitGroup
	for w := range 4 {
		done.Go(func() {
			for i := range 50 {
				if err := d.Put(UnparsedLine("f", int64(w*50+i), make([]byte, 100))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done.Wait()
	for _, p := range []string{path, path + ".1"} {
		content := readFile(t, p)
		if len(content) == 0 || len(content) > limit {
			t.Errorf("%s has %d bytes", filepath.Base(p), len(content))
		}
		for line := range strings.Lines(content) {
			if !json.Valid([]byte(line)) {
				t.Errorf("torn line %q", line)
			}
		}
	}
	if err := d.Put(UnparsedLine("f", 1, make([]byte, limit))); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(readFile(t, path), "\n"); n != 1 {
		t.Errorf("a letter beyond the limit shares its file with %d others", n-1)
	}
}

func TestADeadLetterBeyondTheLimitDoesNotRotateAnEmptyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dead.ndjson")
	for name, content := range map[string]string{path: "", path + ".1": "earlier letters\n"} {
		if err := os.WriteFile(name, []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	d := NewDeadLetters(config.DeadLetters{Path: path, MaxBytes: 100}, nil)
	defer d.Close()
	if err := d.Put(UnparsedLine("f", 1, make([]byte, 500))); err != nil {
		t.Fatal(err)
	}
	if got := readFile(t, path+".1"); got != "earlier letters\n" {
		t.Errorf("the earlier letters became %q", got)
	}
}

func TestEventStaysUntilItsDeadLetterIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutside(t)
		fails := 5
		o.DeadLetters.file.write = func(f *os.File, b []byte) (int, error) {
			if fails--; fails >= 0 {
				return 0, syscall.ENOSPC
			}
			return f.Write(b)
		}
		err := o.bury(t.Context(), newTrouble(o.Deps), o.letter(CauseRefused, syscall.EINVAL, makeEvent(1, "a@b")))
		if err != nil || o.failures != 5 || o.buried["under-test refused"] != 1 {
			t.Errorf("err %v, %d failures, buried %v", err, o.failures, o.buried)
		}
	})
}
