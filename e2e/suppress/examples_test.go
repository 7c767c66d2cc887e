//go:build e2e

package suppress

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mtatap/e2e/lab"
)

// testExamples runs what the folder examples holds, as the guide shows it. The
// examples read the topic of the default name.
func testExamples(t *testing.T, f fleet) {
	goExample := filepath.Join(t.TempDir(), "suppressed")
	if out, err := exec.Command("go", "build", "-o", goExample, "../../examples/suppressed").CombinedOutput(); err != nil {
		t.Fatalf("build the example: %v\n%s", err, out)
	}
	python := lab.Python(t)
	config := f.configure(t, "")
	instances, want := f.decided(t, 2500, config)
	lists := map[string]*listing{
		"Go":     startListing(t, goExample, f.broker.Addr()),
		"Python": startListing(t, python, "../../examples/suppressed.py", f.broker.Addr()),
	}
	expect := func(what string) {
		t.Helper()
		for language, l := range lists {
			until(t, time.Minute, "the list in "+language+" to hold "+what, func() bool { return sameKeys(l.recipients(), want) })
		}
	}
	expect("what is suppressed")
	app := newListmonk(t)
	feed := func() *exec.Cmd {
		return program(python, "../../examples/listmonk.py", f.broker.Addr(), app.url, "mtatap", save(t, filepath.Join(t.TempDir(), "token"), "s3cret\n"))
	}
	// It ends where listmonk is down, and goes on when it is started again.
	app.refuseAfter(10)
	if out, err := feed().CombinedOutput(); err == nil || !strings.Contains(string(out), "503") {
		t.Errorf("with listmonk down it ends with %v:\n%s", err, out)
	}
	app.refuseAfter(1 << 30)
	feeding := feed()
	feeding.Stderr = os.Stderr
	if err := feeding.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = feeding.Process.Kill(); _ = feeding.Wait() })
	told := map[string]string{} // who was ever suppressed
	for _, r := range f.broker.ReadAll(f.suppressions()) {
		if r.Value != "" {
			told[r.Key] = ""
		}
	}
	until(t, time.Minute, "listmonk to know who was suppressed", func() bool { return sameKeys(app.bounced(), told) })

	// One is released, of whom listmonk is not told; one is no address to listmonk;
	// one is new.
	var released string
	for r := range want {
		released = max(released, r)
	}
	must(t, "suppress", "release", "--config.file", config, released)
	delete(want, released)
	for _, address := range []string{"two..dots@example.org", "new@example.org"} {
		must(t, "suppress", "add", "--config.file", config, "--reason", "asked for it", address)
		want[address] = ""
	}
	expect("what was changed by hand")
	told["new@example.org"] = ""
	until(t, time.Minute, "listmonk to know who was added", func() bool { return sameKeys(app.bounced(), told) })
	until(t, time.Minute, "listmonk to refuse an address", func() bool { return app.refusals() == 1 })

	// Who starts later reads the same.
	lists = map[string]*listing{"Python, started later,": startListing(t, python, "../../examples/suppressed.py", f.broker.Addr())}
	expect("what is suppressed")
	instances[0].stop()
}

func sameKeys(a map[string]bool, b map[string]string) bool {
	for key := range b {
		if !a[key] {
			return false
		}
	}
	return len(a) == len(b)
}

// program is a command that does not outlive the test.
func program(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// listing is a running example that prints each change of its list.
type listing struct {
	mu  sync.Mutex
	now map[string]bool
}

var changed = regexp.MustCompile(`^(suppressed|released) ("[^"]*"), (\d+) in all$`)

func startListing(t *testing.T, name string, args ...string) *listing {
	t.Helper()
	cmd := program(name, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	l := &listing{now: map[string]bool{}}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if err := l.take(lines.Text()); err != nil {
				t.Error(err)
			}
		}
	}()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-read; _ = cmd.Wait() })
	return l
}

func (l *listing) take(line string) error {
	m := changed.FindStringSubmatch(line)
	if m == nil {
		return fmt.Errorf("it prints %q", line)
	}
	recipient, err := strconv.Unquote(m[2])
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if m[1] == "suppressed" {
		l.now[recipient] = true
	} else {
		delete(l.now, recipient)
	}
	if m[3] != strconv.Itoa(len(l.now)) {
		return fmt.Errorf("%q, but there are %d", line, len(l.now))
	}
	return nil
}

func (l *listing) recipients() map[string]bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.now)
}

// listmonk is the bounce webhook as listmonk documents it, with its checks.
type listmonk struct {
	url string

	mu      sync.Mutex
	left    int // requests until it answers 503
	refused int
	known   map[string]bool
}

func newListmonk(t *testing.T) *listmonk {
	l := &listmonk{known: map[string]bool{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /webhooks/bounce", func(w http.ResponseWriter, r *http.Request) {
		status, err := l.take(r)
		if err != nil {
			t.Errorf("listmonk would answer %d: %v", status, err)
		}
		w.WriteHeader(status)
		io.WriteString(w, `{"data": true}`)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	l.url = server.URL
	return l
}

// take returns an error for what no feeder must send.
func (l *listmonk) take(r *http.Request) (status int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left--; l.left < 0 {
		return http.StatusServiceUnavailable, nil
	}
	if user, password, ok := r.BasicAuth(); !ok || user != "mtatap" || password != "s3cret" {
		return http.StatusForbidden, fmt.Errorf("user %q, password %q", user, password)
	}
	if kind := r.Header.Get("Content-Type"); kind != "application/json" {
		return http.StatusBadRequest, fmt.Errorf("content type %q", kind)
	}
	var b struct {
		Email, Source, Type, Meta string
		CreatedAt                 time.Time `json:"created_at"`
	}
	body := json.NewDecoder(r.Body)
	body.DisallowUnknownFields() // listmonk would pass over a mistake
	if err := body.Decode(&b); err != nil {
		return http.StatusBadRequest, err
	}
	// The types are hard, soft and complaint; a suppression is the first. meta is
	// "an optional escaped JSON string".
	if b.Type != "hard" || b.Source == "" || b.CreatedAt.Year() < 2026 || !strings.HasPrefix(b.Meta, "{") || !json.Valid([]byte(b.Meta)) {
		return http.StatusBadRequest, fmt.Errorf("bounce %+v", b)
	}
	if a, err := mail.ParseAddress(b.Email); err != nil || a.Address != b.Email || b.Email != strings.ToLower(b.Email) {
		l.refused++
		return http.StatusBadRequest, nil
	}
	l.known[b.Email] = true
	return http.StatusOK, nil
}

func (l *listmonk) refuseAfter(requests int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left = requests
}

func (l *listmonk) bounced() map[string]bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.known)
}

func (l *listmonk) refusals() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refused
}
