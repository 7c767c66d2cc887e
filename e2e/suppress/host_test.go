//go:build e2e

package suppress

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"mtatap/e2e/lab"
)

func TestAHostKilledInTheMiddleDecidesAsOneProcessDoes(t *testing.T) {
	dir := t.TempDir()
	log, decisions := filepath.Join(dir, "mail.log"), filepath.Join(dir, "suppressions.ndjson")
	hook := newHook(t)
	config := save(t, filepath.Join(dir, "mtatap.yaml"), fmt.Sprintf(`state_dir: %s
sources: [{path: %s, format: postfix, start: beginning}]
sinks: {file: {path: %s}}
web: {listen_address: %q}
suppress: {store: %s, file: %s, webhook: {url: %q}}
`, dir, log, filepath.Join(dir, "events.ndjson"), lab.FreeAddr(t), filepath.Join(dir, "list.db"), decisions, hook.url))
	lines := mailLog(6000)
	// What would be a comment, a pattern or two words in a map stays out of it.
	strange := []string{"#gone@text.example", "*@text.example", `"a b"@text.example`, "/x/@text.example"}
	for i, address := range strange {
		lines = append(lines, bounce(len(lines)+i, address))
	}
	lines = append(lines, bounce(len(lines), "last@text.example"))

	save(t, log, "")
	p := startCommand(t, "run", config)
	written := 0
	write := func(share float64) {
		t.Helper()
		to := int(share * float64(len(lines)))
		appendTo(t, log, lines[written:to])
		written = to
	}
	for i := range 4 {
		write(0.2 * float64(i+1))
		// In the middle of what was written: some of it is decided, some is not.
		before := len(stored(t, decisions))
		hook.refuse(i == 1)
		appendTo(t, log, lines[written:written+300])
		written += 300
		until(t, time.Minute, "another decision", func() bool { return len(stored(t, decisions)) > before || hook.refused() })
		p.kill()
		hook.refuse(false)
		p = startCommand(t, "run", config)
	}
	write(1)
	until(t, time.Minute, "the last line to be decided on", func() bool { return strings.HasPrefix(p.ask(t, "last@text.example"), "{") })
	want, _ := oracleOf(t, log)

	ndjson := stored(t, decisions)
	compare(t, folded(t, ndjson), want)
	hooked := hook.taken()
	compare(t, folded(t, hooked), want)
	// A crash repeats decisions, to the letter, and makes no other.
	distinct := func(records []string) string {
		seen, all := map[string]bool{}, strings.Builder{}
		for _, r := range records {
			if !seen[r] {
				seen[r] = true
				all.WriteString(r)
			}
		}
		return all.String()
	}
	if file, web := distinct(ndjson), distinct(hooked); file != web {
		t.Errorf("file and webhook differ:\n%.1000s\n%.1000s", file, web)
	}
	for address, record := range want {
		if got := canonicalAnswer(t, p.ask(t, address)); got != record {
			t.Fatalf("%s: %s, want %s", address, got, record)
		}
	}
	t.Logf("%d decisions, %d repeated, %d suppressed", len(ndjson), len(ndjson)-strings.Count(distinct(ndjson), "\n"), len(want))

	// The list reads the same from the running process, and from the store that a
	// killed one left.
	running := must(t, "suppress", "export", "--config.file", config, "--format", "json")
	p.kill()
	left := must(t, "suppress", "export", "--config.file", config, "--format", "json")
	if running != left {
		t.Errorf("the list of the running process and of its store differ:\n%.1000s\n%.1000s", running, left)
	}
	compare(t, folded(t, splitLines(left)), want)
	expectMaps(t, config, want, strange)
}

// expectMaps fails unless Postfix and Exim find in the exported maps who is
// suppressed, and nobody else; strange addresses are left out.
func expectMaps(t *testing.T, config string, want map[string]string, strange []string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "mtatap-e2e-maps-")
	if err == nil {
		err = os.Chmod(dir, 0o755) // Exim reads as its own user
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	export := func(format string) (path string) {
		text, trouble, err := mtatap(t, "suppress", "export", "--config.file", config, "--format", format)
		if err != nil || !strings.Contains(trouble, fmt.Sprintf("%d addresses are left out", len(strange))) {
			t.Errorf("export of %s: %v, %q", format, err, trouble)
		}
		path = save(t, filepath.Join(dir, format), text)
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	postfix, exim := export("postfix-access"), export("exim-lsearch")
	asked := []string{"user.3@text.example", "nobody@text.example", "text.example", "gone@text.example"}
	for address := range want {
		asked = append(asked, address)
	}
	found := map[string]map[string]string{
		"Postfix": lab.PostfixLookups(t, postfix, asked),
		"Exim":    lab.EximLookups(t, exim, asked),
	}
	like := map[string]*regexp.Regexp{
		"Postfix": regexp.MustCompile(`^REJECT 5\.1\.1 suppressed: (user-unknown|mailbox-full) since 2026-\d\d-\d\d$`),
		"Exim":    regexp.MustCompile(`^suppressed (user-unknown|mailbox-full) since 2026-\d\d-\d\d$`),
	}
	for _, address := range strange {
		delete(want, strings.ToLower(address))
	}
	for mta, answers := range found {
		for _, address := range asked {
			answer, suppressed := answers[address], want[address] != ""
			if suppressed && !like[mta].MatchString(answer) || !suppressed && answer != "" {
				t.Errorf("%s finds %q for %s, who is suppressed: %v", mta, answer, address, suppressed)
			}
		}
	}
	expectRefusals(t, "Postfix", `^554 5\.1\.1 <%s>: Recipient address rejected: suppressed: `, want, func(few []string) map[string]string {
		return lab.PostfixRefusals(t, example(t, "postfix.cf", "/etc/postfix/suppressed", postfix), few)
	})
	expectRefusals(t, "Exim", `^550 5\.1\.1 suppressed (?:user-unknown|mailbox-full) since `, want, func(few []string) map[string]string {
		return lab.EximRefusals(t, example(t, "exim.acl", "/etc/exim4/suppressed", exim), few)
	})
}

// expectRefusals fails unless a mail server refuses who is suppressed, however
// written, and nobody else.
func expectRefusals(t *testing.T, mta, like string, want map[string]string, ask func([]string) map[string]string) {
	t.Helper()
	few := []string{"nobody@text.example", "last@text.example", "LAST@Text.Example", "other@text.example"}
	refused := ask(few)
	for _, address := range few {
		if want[strings.ToLower(address)] == "" {
			if answer := refused[address]; answer != "" {
				t.Errorf("%s refuses %s: %s", mta, address, answer)
			}
			continue
		}
		pattern := strings.Replace(like, "%s", regexp.QuoteMeta(address), 1)
		if !regexp.MustCompile(pattern).MatchString(refused[address]) {
			t.Errorf("%s says %q to %s, who is suppressed; want %s", mta, refused[address], address, pattern)
		}
	}
}

// example is a file of the folder examples with another path in it.
func example(t *testing.T, name, path, another string) string {
	t.Helper()
	text, err := os.ReadFile("../../examples/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), path) {
		t.Fatalf("%s does not name %s", name, path)
	}
	return strings.ReplaceAll(string(text), path, another)
}

// stored returns the lines of a file that are complete, none if there is no file.
func stored(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return splitLines(string(text[:bytes.LastIndexByte(text, '\n')+1]))
}

func splitLines(text string) []string {
	var all []string
	for line := range strings.Lines(text) {
		all = append(all, line)
	}
	return all
}

// folded is the table that decisions make.
func folded(t *testing.T, records []string) map[string]string {
	t.Helper()
	now := map[string]string{}
	for _, text := range records {
		var r struct{ Recipient, Status string }
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		switch r.Status {
		case "suppressed":
			now[r.Recipient] = canonical(t, text)
		case "released":
			delete(now, r.Recipient)
		default:
			t.Fatalf("decision %s", text)
		}
	}
	return now
}

// hook is a webhook that keeps the decisions it takes.
type hook struct {
	url string

	mu       sync.Mutex
	down     bool
	refusals int // since it is down
	received strings.Builder
}

func newHook(t *testing.T) *hook {
	h := &hook{}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	h.url = server.URL
	return h
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil || h.down {
		h.refusals++
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	h.received.Write(body)
}

func (h *hook) refuse(down bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.down, h.refusals = down, 0
}

func (h *hook) refused() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.refusals > 0
}

func (h *hook) taken() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return splitLines(h.received.String())
}
