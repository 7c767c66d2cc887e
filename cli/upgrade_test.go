package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

// TestTodaysProgramGoesOnFromTheStateOfFirstVersions starts in folders that the first
// versions left, on logs that have grown since: everything they had not published comes,
// nothing they had, and what parsers remembered of messages under way is still known:
// where its form has changed, by gathering it again from the log, which is said.
func TestTodaysProgramGoesOnFromTheStateOfFirstVersions(t *testing.T) {
	for _, c := range []struct {
		made      string
		forgotten []string // logs whose memory had another form
	}{
		{"checkpoint", []string{"exim.log", "haraka.log"}},
		{"suppression", nil},
	} {
		t.Run(c.made, func(t *testing.T) {
			f := newFormerHost(t, c.made)
			want := f.readEvents(t, "whole.ndjson")
			published := f.readEvents(t, "published.ndjson")
			if len(published) < 40 || len(want) < len(published)+40 {
				t.Fatalf("%d events were published of %d", len(published), len(want))
			}
			maps.DeleteFunc(want, func(id string, _ map[string]string) bool { return published[id] != nil })

			said := f.run(t)
			got := f.readEvents(t, "events.ndjson")
			for id, e := range want {
				if !maps.Equal(got[id], e) {
					t.Errorf("event %s is %v, want %v", id, got[id], e)
				}
			}
			for id, e := range got {
				if want[id] == nil && e["recipient"] != last {
					t.Errorf("event %s of %v is new or was published before", id, e)
				}
			}
			for _, log := range c.forgotten {
				if !regexp.MustCompile(`level=WARN msg="what was remembered .*file=` + log + ` err="read parser snapshot: version is \d, this program knows \d"`).MatchString(said) {
					t.Errorf("nothing is said of the memory of %s", log)
				}
			}
			if t.Failed() || strings.Count(said, "level=WARN") != len(c.forgotten) || strings.Contains(said, "level=ERROR") {
				t.Errorf("mtatap said\n%s", said)
			}
		})
	}
}

func TestDecisionsOfTheFirstVersionStandAndAreNotRepeated(t *testing.T) {
	f := newFormerHost(t, "suppression")
	f.run(t)
	list, stderr, code := f.command("suppress", "list", "--config.file", "mtatap.yaml")
	if code != 0 {
		t.Fatalf("exit code %d\n%s", code, stderr)
	}
	var decided, listed []string
	for _, d := range f.read(t, "decided.ndjson") {
		decided = append(decided, d["recipient"].(string))
		since, _, _ := strings.Cut(strings.TrimSuffix(d["since"].(string), "Z"), ".")
		if !regexp.MustCompile(`(?m)^` + since + `Z .* ` + d["recipient"].(string) + `$`).MatchString(list) {
			t.Errorf("%s, suppressed since %s, is not listed so:\n%s", d["recipient"], since, list)
		}
	}
	for _, d := range f.read(t, "decisions.ndjson") {
		if r := d["recipient"].(string); slices.Contains(decided, r) {
			t.Errorf("the decision about %s is repeated: %v", r, d)
		} else {
			listed = append(listed, r)
		}
	}
	if !slices.Contains(listed, "unknown+some@remote.example") || len(decided) < 10 {
		t.Errorf("after %d earlier decisions these are new: %v", len(decided), listed)
	}
}

// A newer version's positions are not understood, so all is read again, rather twice
// than never; the file is kept for the program that can read it.
func TestACheckpointOfANewerVersionIsKeptAndAllIsReadAgain(t *testing.T) {
	f := newFormerHost(t, "checkpoint")
	newer := bytes.Replace(f.content(t, "state/checkpoint.json"), []byte(`"version": 1`), []byte(`"version": 2`), 1)
	f.write(t, "state/checkpoint.json", newer)
	said := f.run(t)
	want, got := f.readEvents(t, "whole.ndjson"), f.readEvents(t, "events.ndjson")
	for id := range want {
		if got[id] == nil {
			t.Errorf("event %s is lost", id)
		}
	}
	if !bytes.Equal(f.content(t, "state/checkpoint.json.unreadable"), newer) {
		t.Error("the newer checkpoint was not kept")
	}
	if !strings.Contains(said, "version is 2, this program knows 1") {
		t.Errorf("mtatap said\n%s", said)
	}
}

// What was suppressed cannot be read again from anywhere: the program must not begin
// anew by itself.
func TestSuppressionsOfANewerVersionAreRefused(t *testing.T) {
	f := newFormerHost(t, "suppression")
	db, err := bbolt.Open("state/suppressions.db", 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte("format"))
		if err != nil {
			return err
		}
		return b.Put([]byte("version"), []byte("2"))
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	_, stderr, code := f.command("run", "--config.file", "mtatap.yaml")
	if code == 0 || !strings.Contains(stderr, `suppressions.db: is of version "2", this program knows 1`) {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
	if _, err := os.Stat("events.ndjson"); err == nil {
		t.Error("events were published without being decided about")
	}
}

// formerHost is the folder of a host that ran a first version, which is the working
// directory of the test: its paths are relative.
type formerHost struct{ rules []byte }

// last is the recipient in the last line of each log.
const last = "last@remote.example"

func newFormerHost(t *testing.T, made string) *formerHost {
	t.Helper()
	rules, err := os.ReadFile(filepath.Join(root(t), "rules.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, from := range []string{made, "logs"} {
		if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata/upgrade", from))); err != nil {
			t.Fatal(err)
		}
	}
	whole, err := os.ReadFile("testdata/upgrade/whole.ndjson")
	if err != nil {
		t.Fatal(err)
	}
	f := &formerHost{rules}
	t.Chdir(dir)
	f.write(t, "whole.ndjson", whole)
	for log, line := range map[string]string{
		"postfix.log": "2026-11-23T22:00:00.000000+00:00 mta-out postfix/smtp[1]: FFFFFFFFFFF: to=<" + last + ">, relay=127.0.0.2[127.0.0.2]:25, delay=1, delays=1/0/0/0, dsn=2.0.0, status=sent (250 2.0.0 Ok)",
		"exim.log":    "2026-11-23 22:00:00 1xVbZZ-0005wC-0B => " + last + " R=remote T=remote_smtp H=127.0.0.2 [127.0.0.2] C=\"250 2.0.0 Ok\"",
		"haraka.log":  "[NOTICE] [00000000-93F7-4CEE-AD84-39B08F69CB58.1.1] [outbound] recipient <" + last + "> deferred: 452 4.2.2 The mailbox is over its quota",
	} {
		f.write(t, log, append(f.content(t, log), line+"\n"...))
	}
	return f
}

func (f *formerHost) content(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func (f *formerHost) write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// run runs the sidecar until the last line of every log is published, and gives what
// it said.
func (f *formerHost) run(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var said bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		ended <- Main(ctx, []string{"run", "--config.file", "mtatap.yaml"}, Environment{Rules: f.rules, Stdout: &said, Stderr: &said, Getenv: os.LookupEnv})
	}()
	again := time.NewTicker(20 * time.Millisecond) // nothing announces a line of the file
	defer again.Stop()
	for {
		if text, err := os.ReadFile("events.ndjson"); err == nil && bytes.Count(text, []byte(last)) >= 3 {
			break
		}
		select {
		case <-again.C:
		case code := <-ended:
			t.Fatalf("mtatap ended with %d before all was published\n%s", code, said.String())
		}
	}
	cancel()
	if code := <-ended; code != 0 {
		t.Fatalf("mtatap ended with %d\n%s", code, said.String())
	}
	return said.String()
}

// command runs another command to its end.
func (f *formerHost) command(args ...string) (stdout, stderr string, code int) {
	var out, errs bytes.Buffer
	code = Main(context.Background(), args, Environment{Rules: f.rules, Stdout: &out, Stderr: &errs, Getenv: os.LookupEnv})
	return out.String(), errs.String(), code
}

func (f *formerHost) read(t *testing.T, name string) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range bytes.Lines(f.content(t, name)) {
		var m map[string]any
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all = append(all, m)
	}
	return all
}

// readEvents gives the events of a file by id, each of which it may have once, with
// what whole.ndjson has of them.
func (f *formerHost) readEvents(t *testing.T, name string) map[string]map[string]string {
	t.Helper()
	all := map[string]map[string]string{}
	for _, e := range f.read(t, name) {
		id := e["id"].(string)
		if all[id] != nil {
			t.Errorf("%s has event %s twice", name, id)
		}
		all[id] = map[string]string{}
		for _, field := range []string{"mta", "status", "sender", "message_id", "recipient"} {
			if text, ok := e[field].(string); ok {
				all[id][field] = text
			}
		}
	}
	return all
}
