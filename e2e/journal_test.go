//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mtatap/e2e/lab"
)

// journalRun is mtatap on a journal, which may be ended and started again.
type journalRun struct {
	t       *testing.T
	dir     string
	journal *lab.Journal
	mtatap  *mtatap
	sent    []string
}

func (r *journalRun) start() {
	r.t.Helper()
	r.mtatap = startMtatapIn(r.t, r.dir, fmt.Sprintf(`sources:
  - {journald: {units: ["postfix*"], directory: %s}, format: postfix, start: beginning}
sinks:
  file: {path: %s}
`, r.journal.Dir, r.events()))
}

func (r *journalRun) events() string { return filepath.Join(r.dir, "events.ndjson") }

// bounces appends n bounces, each of a recipient of its own, and as many entries of
// another unit.
func (r *journalRun) bounces(file string, boot byte, n int) {
	r.t.Helper()
	var entries []lab.JournalEntry
	for range n {
		to := fmt.Sprintf("u%d@remote.example", len(r.sent))
		message := fmt.Sprintf("4E5845325C%d: to=<%s>, relay=none, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (caf\xe9 \"x\" %s)", 1000+len(r.sent), to, strings.Repeat("long ", 1000))
		r.sent = append(r.sent, to)
		entries = append(entries, lab.JournalEntry{Unit: "postfix@-.service", Identifier: "postfix/smtp", Message: message},
			lab.JournalEntry{Unit: "cron.service", Identifier: "postfix/smtp", Message: strings.ReplaceAll(message, to, "forged@remote.example")})
	}
	r.journal.Append(file, boot, entries...)
}

type journalEvent struct {
	ID        string
	Recipient string
	Source    struct{ Journal, Cursor string }
}

func decodeJournalEvents(t *testing.T, text []byte) []journalEvent {
	t.Helper()
	var events []journalEvent
	for line := range bytes.Lines(text) {
		var e journalEvent
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("%v: %q", err, line)
		}
		events = append(events, e)
	}
	return events
}

// recipients returns those of the events up to now, each once, in the order of
// their first event, and the id of each.
func (r *journalRun) recipients() (list []string, ids map[string]string) {
	r.t.Helper()
	text, err := os.ReadFile(r.events())
	if err != nil && !os.IsNotExist(err) {
		r.t.Fatal(err)
	}
	ids = map[string]string{}
	whole := text[:bytes.LastIndexByte(text, '\n')+1]
	for _, e := range decodeJournalEvents(r.t, whole) {
		if id, seen := ids[e.Recipient]; !seen {
			list = append(list, e.Recipient)
		} else if id != e.ID {
			r.t.Fatalf("%s has the ids %s and %s", e.Recipient, id, e.ID)
		}
		ids[e.Recipient] = e.ID
	}
	return list, ids
}

// awaitAll waits until there is an event of every bounce, in order.
func (r *journalRun) awaitAll() {
	r.t.Helper()
	until(r.t, 30*time.Second, "an event of each bounce", func() bool {
		list, _ := r.recipients()
		return len(list) >= len(r.sent)
	})
	if list, _ := r.recipients(); !slices.Equal(list, r.sent) {
		r.t.Errorf("recipients %v, want %v", list, r.sent)
	}
}

func (r *journalRun) metric(name string) string {
	r.t.Helper()
	resp, err := http.Get(r.mtatap.web + "/metrics")
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			return strings.TrimSpace(rest[strings.LastIndexByte(rest, ' ')+1:])
		}
	}
	return ""
}

// children returns the journalctl processes on the journal.
func (r *journalRun) children() (pids []string) {
	all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range all {
		if text, _ := os.ReadFile(path); bytes.HasPrefix(text, []byte("journalctl\x00")) && bytes.Contains(text, []byte(r.journal.Dir)) {
			pids = append(pids, filepath.Base(filepath.Dir(path)))
		}
	}
	return pids
}

func (r *journalRun) awaitNoChild() {
	r.t.Helper()
	until(r.t, 10*time.Second, "journalctl to end", func() bool { return len(r.children()) == 0 })
}

func TestJournal(t *testing.T) {
	r := &journalRun{t: t, dir: t.TempDir(), journal: lab.NewJournal(t)}
	r.bounces("a.journal", 1, 50)
	r.start()
	r.awaitAll()
	if n := len(r.children()); n != 1 {
		t.Errorf("%d children while following", n)
	}

	// Live, into the file that is read, a new one, and one of the next boot.
	r.bounces("a.journal", 1, 1)
	r.awaitAll()
	r.bounces("b.journal", 1, 5)
	r.awaitAll()
	r.bounces("c.journal", 2, 5)
	r.awaitAll()

	for round := range 4 {
		r.bounces("c.journal", 2, 20)
		if err := r.mtatap.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		<-r.mtatap.done
		r.awaitNoChild()
		r.bounces(fmt.Sprintf("d%d.journal", round), byte(3+round), 20) // while down
		r.start()
		r.awaitAll()
	}
	if gaps := r.metric("mtatap_tail_gaps_total"); gaps != "0" {
		t.Errorf("%s gaps", gaps)
	}
	until(t, 10*time.Second, "nothing to be behind", func() bool { return r.metric("mtatap_tail_lag_seconds") == "0" })
	if bytes := r.metric("mtatap_tail_lag_bytes"); bytes != "" {
		t.Errorf("lag of %s bytes, which nobody can know", bytes)
	}

	// A child that is killed comes back.
	for _, pid := range r.children() {
		if out, err := exec.Command("kill", "-9", pid).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	r.bounces("d3.journal", 6, 5)
	r.awaitAll()

	// Stopped, the journal rotates away.
	if err := r.mtatap.stop(); err != nil {
		t.Fatal(err)
	}
	r.awaitNoChild()
	r.sameIDs()
	for _, old := range []string{"a", "b", "c", "d0", "d1", "d2", "d3"} {
		if err := os.Remove(filepath.Join(r.journal.Dir, old+".journal")); err != nil {
			t.Fatal(err)
		}
	}
	r.bounces("e.journal", 7, 5)
	r.start()
	r.awaitAll()
	if gaps := r.metric("mtatap_tail_gaps_total"); gaps != "1" {
		t.Errorf("%s gaps after the loss of the checkpoint's entry", gaps)
	}
	if err := r.mtatap.stop(); err != nil {
		t.Fatal(err)
	}
	r.awaitNoChild()
}

// sameIDs checks that what journalctl exports, replayed, has the ids it had live.
func (r *journalRun) sameIDs() {
	r.t.Helper()
	cmd := exec.Command(binary, "replay", "--quiet", "-")
	cmd.Stdin = bytes.NewReader(r.journal.Export())
	out, err := cmd.Output()
	if err != nil {
		r.t.Fatal(err)
	}
	_, live := r.recipients()
	same := 0
	for _, e := range decodeJournalEvents(r.t, out) {
		if e.Recipient == "forged@remote.example" {
			continue // no unit is left out of an export
		}
		if live[e.Recipient] != e.ID || e.Source.Cursor == "" || e.Source.Journal != "-" {
			r.t.Errorf("replayed %+v, live %s", e, live[e.Recipient])
		}
		same++
	}
	if same != len(r.sent) {
		r.t.Errorf("%d of %d events replayed", same, len(r.sent))
	}
}
