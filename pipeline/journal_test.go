package pipeline

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mtatap/parsers"
	"mtatap/tailers"
)

// TestMain lets the pipeline call this test binary as journalctl.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "journalctl" {
		fakeJournalctl(os.Args[1:])
		return
	}
	os.Exit(m.Run())
}

// fakeJournalctl prints the file "journal" from the cursor on, all of it where that is
// not there, and waits to be killed where it is to follow.
func fakeJournalctl(args []string) {
	text, err := os.ReadFile(os.Getenv("FAKE_JOURNAL"))
	if err != nil {
		panic(err)
	}
	for _, a := range args {
		if from, ok := strings.CutPrefix(a, "--cursor="); ok {
			if i := bytes.Index(text, []byte(`{"__CURSOR":"`+from)); i >= 0 {
				text = text[i:]
			}
		}
	}
	os.Stdout.Write(text)
	if slices.Contains(args, "--follow") {
		time.Sleep(time.Hour)
	}
}

// journalEntry is a record of a bounce to NAME@remote.example.
func journalEntry(n int, name string) string {
	return fmt.Sprintf(`{"__CURSOR":"s=1;i=%x;t=%x","__REALTIME_TIMESTAMP":"1795000004000000","SYSLOG_IDENTIFIER":"postfix/smtp",`+
		`"MESSAGE":"40C2053261%d: to=<%s@remote.example>, relay=none, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (no)"}`, n, n, n, name)
}

func TestAJournalIsFollowedOverRestarts(t *testing.T) {
	dir := t.TempDir()
	journal := filepath.Join(dir, "journal")
	t.Setenv("FAKE_JOURNAL", journal)
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	t.Setenv("GORACE", "atexit_sleep_ms=0") // or each child ends a second late
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(dir, "journalctl")); err != nil {
		t.Fatal(err)
	}
	selection := tailers.JournalSelection{Units: []string{"postfix.service"}}
	l := Log{Pattern: selection.Name(), Journal: &selection, Tail: tailers.Options{Start: tailers.StartBeginning},
		Parser: func(parsers.Counts) (parsers.Parser, error) { return parsers.New("postfix", parsers.Options{}) }}
	for round, c := range []struct {
		journal []string
		want    string
		gaps    float64
	}{
		{[]string{journalEntry(1, "a"), journalEntry(2, "b")}, "a b", 0},
		{[]string{journalEntry(1, "a"), journalEntry(2, "b"), journalEntry(3, "c")}, "c", 0},
		{[]string{journalEntry(5, "e")}, "e", 1},
	} {
		if err := os.WriteFile(journal, []byte(strings.Join(c.journal, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		store, err := tailers.OpenStore(filepath.Join(dir, "state"))
		if err != nil {
			t.Fatal(err)
		}
		s := &sink{}
		p := newBench(t, nil, Sink{Name: "s", Writer: s, Required: true})
		stop := start(t, p, l, store)
		want := strings.ReplaceAll(c.want+" ", " ", "@remote.example ")
		eventually(t, fmt.Sprintf("round %d gives %s", round, want), func() bool { return s.recipients()+" " == want })
		eventually(t, "nothing is behind", func() bool { return p.Ready(time.Nanosecond) == nil })
		if got := p.value(t, "mtatap_tail_gaps_total"); got != c.gaps {
			t.Errorf("round %d: %v gaps, want %v", round, got, c.gaps)
		}
		if got := p.Status().Sources; len(got) != 1 || got[0].Files != 0 || got[0].LagBytes != -1 {
			t.Errorf("status %+v", got)
		}
		families, err := p.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		names := map[string]bool{}
		for _, f := range families {
			names[f.GetName()] = true
		}
		if names["mtatap_tail_lag_bytes"] || !names["mtatap_tail_lag_seconds"] {
			t.Error("the lag of a journal is known in seconds, not in bytes")
		}
		stop()
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
