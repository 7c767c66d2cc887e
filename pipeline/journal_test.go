package pipeline

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mtatap/parsers"
	"mtatap/tailers"
)

// fakeJournalctl prints the file "journal" from the cursor on, and waits for ever
// where it is to follow.
const fakeJournalctl = `#!/bin/sh
from=
for arg; do
	case $arg in
	--cursor=*) from=${arg#--cursor=} ;;
	--follow) follow=1 ;;
	esac
done
if [ -n "$from" ] && grep -q "$from" "$FAKE_JOURNAL"; then sed -n "/$from/,\$p" "$FAKE_JOURNAL"; else cat "$FAKE_JOURNAL"; fi
[ -z "$follow" ] || exec sleep 1000
`

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
	if err := os.WriteFile(filepath.Join(dir, "journalctl"), []byte(fakeJournalctl), 0o700); err != nil {
		t.Fatal(err)
	}
	selection := tailers.JournalSelection{Units: []string{"postfix.service"}}
	l := Log{Pattern: selection.Name(), Journal: &selection, Tail: tailers.Options{Start: tailers.StartBeginning},
		Parser: func(func()) (parsers.Parser, error) { return parsers.New("postfix", parsers.Options{}) }}
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
