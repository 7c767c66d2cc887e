package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mtatap/event"
)

// deciding is a run that has its store open, and commands beside it.
type deciding struct {
	*service
	t      *testing.T
	config string
}

// newDeciding builds the service of a single host in a folder of a short name: the
// path of a socket has at most 107 bytes.
func newDeciding(t *testing.T) deciding {
	t.Helper()
	dir, err := os.MkdirTemp("", "mt")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "mtatap.yaml")
	text := fmt.Sprintf("sources: [{path: %s, format: postfix}]\nstate_dir: %s\nsinks: {file: {path: %s}}\nweb: {listen_address: \"127.0.0.1:0\"}\nsuppress: {}\n",
		filepath.Join(dir, "mail.log"), dir, filepath.Join(dir, "events.ndjson"))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return deciding{built(t, path), t, path}
}

// bounce lets messages to recipients bounce hard.
func (d deciding) bounce(recipients ...string) {
	d.t.Helper()
	var events []*event.Event
	for i, who := range recipients {
		e := &event.Event{}
		e.Time = time.Date(2026, 11, 1, 12, 0, i, 0, time.UTC)
		e.Recipient, e.MessageID, e.Status = who, fmt.Sprint(i), event.Bounced
		e.Category, e.BounceType, e.Action, e.Reason = event.CategoryHard, event.Hard, event.Suppress, "user-unknown"
		events = append(events, e)
	}
	if err := d.local.Write(d.t.Context(), events); err != nil {
		d.t.Fatal(err)
	}
}

// suppress runs a command beside it.
func (d deciding) suppress(command string, args ...string) (stdout, stderr string, code int) {
	d.t.Helper()
	var out, err bytes.Buffer
	code = Main(d.t.Context(), append([]string{"suppress", command, "--config.file", d.config}, args...), testEnvironment(d.t, "", &out, &err))
	return out.String(), err.String(), code
}

func TestCommandsReachARunThatHasTheStoreOpen(t *testing.T) {
	d := newDeciding(t)
	d.bounce("Gone@b.example", "a/b?c=%2F@b.example")
	if out, said, code := d.suppress("list"); code != 0 || strings.Count(out, "\n") != 2 || !strings.Contains(out, "gone@b.example") {
		t.Errorf("list: %q %q %d", out, said, code)
	}
	if out, said, code := d.suppress("show", "GONE@b.example"); code != 0 || !strings.Contains(out, `"reason": "user-unknown"`) {
		t.Errorf("show: %q %q %d", out, said, code)
	}
	for _, who := range []string{"gone@b.example", "a/b?c=%2F@b.example"} {
		if _, said, code := d.suppress("release", who); code != 0 {
			t.Errorf("release %s: %q %d", who, said, code)
		}
		if r, err := d.local.Lookup(who); r != nil || err != nil {
			t.Errorf("%s after its release: %+v, %v", who, r, err)
		}
	}
	if _, said, code := d.suppress("add", "--reason", `asked "us"`, "new@b.example"); code != 0 {
		t.Errorf("add: %q %d", said, code)
	}
	if r, err := d.local.Lookup("new@b.example"); err != nil || r == nil || !r.Expires.IsZero() || r.Reason != `asked "us"` {
		t.Errorf("after the addition: %+v, %v", r, err)
	}
	if _, said, code := d.suppress("show", "gone@b.example"); code != 1 || !strings.Contains(said, "is not suppressed") {
		t.Errorf("show: %q %d", said, code)
	}
	if _, said, code := d.suppress("add", strings.Repeat("a", 2000)); code != 2 || !strings.Contains(said, "1 to 1000 bytes") {
		t.Errorf("add: %q %d", said, code)
	}
	file, err := os.ReadFile(d.service.config.Suppress.File)
	if err != nil || bytes.Count(file, []byte("\n")) != 5 {
		t.Errorf("decisions: %s, %v", file, err)
	}
	if info, err := os.Stat(controlSocket(d.service.config.Suppress.Store)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v", info, err)
	}
	d.close()
	if _, said, code := d.suppress("list"); code != 0 {
		t.Errorf("list after the run has ended: %q %d", said, code)
	}
}

func TestTablesHoldWhatMeansTheAddressAndNothingElse(t *testing.T) {
	d := newDeciding(t)
	good := []string{"plain@b.example", "o'neil+x@b.example", "zoë@müller.example"}
	hostile := []string{
		"*@b.example", "#a@b.example", "a:b@b.example", `"a b"@b.example`, "a@b.example OK", "a@b.example\nroot REJECT", "a\t@b.example", "/^.*/@b.example",
		"!a@b.example", "a\u2028b@c.example", "a\xff@b.example", "@b.example", "b.example", "${x}@b.example", "a,b@b.example", `a\@b.example`, "a@[192.0.2.1]", "=cmd|x@b.example\r",
	}
	d.bounce(slices.Concat(good, hostile)...)
	for format, line := range map[string]string{
		formatPostfix: "%s REJECT 5.1.1 suppressed: user-unknown since 2026-11-01\n",
		formatExim:    "%s: suppressed user-unknown since 2026-11-01\n",
	} {
		out, said, code := d.suppress("export", "--format", format)
		want := ""
		for _, who := range slices.Sorted(slices.Values(good)) {
			want += fmt.Sprintf(line, who)
		}
		if out != want || code != 0 || !strings.Contains(said, fmt.Sprintf("%d addresses are left out", len(hostile))) {
			t.Errorf("%s: %d\n%s\nwant\n%s\n%s", format, code, out, want, said)
		}
	}
	out, _, code := d.suppress("export", "--format", formatJSON)
	if code != 0 || strings.Count(out, "\n") != len(good)+len(hostile) {
		t.Errorf("json: %d\n%s", code, out)
	}
}
