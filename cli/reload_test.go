package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mtatap/rules"
)

const smallRules = `schema: 1
version: small
categories:
  general: {type: soft, compat: 20, action: watch}
  transient: {type: soft, compat: 70, action: retry}
  delivered: {type: none, compat: 1, action: none}
`

// reloadRules are rules that name themselves in the reason, with a category of
// their own.
func reloadRules(version string) string {
	return fmt.Sprintf(`schema: 1
version: %[1]s
extends: default
categories:
  of-%[1]s: {type: soft, compat: 99, action: watch}
rules:
  - {id: probe, category: of-%[1]s, reason: %[1]s, match: [no such user], examples: [no such user]}
`, version)
}

// sidecar is `mtatap run` inside the test, on one log with one file of events.
type sidecar struct {
	*testing.T
	dir    string
	reload chan os.Signal
	stop   context.CancelFunc
	ended  chan int

	mu     sync.Mutex
	logged strings.Builder
}

func (s *sidecar) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logged.Write(p)
}

func (s *sidecar) log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logged.String()
}

func (s *sidecar) path(name string) string { return filepath.Join(s.dir, name) }

func (s *sidecar) write(name, text string) {
	s.Helper()
	next := s.path(name + ".next")
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}
	if err := os.Rename(next, s.path(name)); err != nil {
		s.Fatal(err)
	}
}

// await waits until done holds.
func (s *sidecar) await(what string, done func() bool) {
	s.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			s.Fatalf("%s: waited in vain\n%s", what, s.log())
		}
	}
}

var servedAt = regexp.MustCompile(`address=(127\.0\.0\.1:\d+)`)

func startSidecar(t *testing.T, base, own string) *sidecar {
	t.Helper()
	s := &sidecar{T: t, dir: t.TempDir(), reload: make(chan os.Signal, 1), ended: make(chan int, 1)}
	s.write("rules.yaml", own)
	s.write("mail.log", "")
	s.write("mtatap.yaml", fmt.Sprintf(`sources: [{path: %[1]s/mail.log, format: postfix, start: beginning}]
state_dir: %[1]s/state
rules: %[1]s/rules.yaml
sinks: {file: {path: %[1]s/events.ndjson}}
web: {listen_address: "127.0.0.1:0"}
`, s.dir))
	ctx, stop := context.WithCancel(t.Context())
	s.stop = stop
	env := Environment{Rules: []byte(base), Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: s, Getenv: os.LookupEnv, Reload: s.reload}
	go func() { s.ended <- Main(ctx, []string{"run", "--config.file", s.path("mtatap.yaml")}, env) }()
	s.await("start", func() bool { return servedAt.MatchString(s.log()) })
	return s
}

// request returns the status code and the body of an answer.
func (s *sidecar) request(method, path string) (int, string) {
	s.Helper()
	url := "http://" + servedAt.FindStringSubmatch(s.log())[1] + path
	request, err := http.NewRequestWithContext(s.Context(), method, url, nil)
	if err != nil {
		s.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		s.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		s.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

func (s *sidecar) hasMetric(line string) bool {
	_, body := s.request(http.MethodGet, "/metrics")
	return strings.Contains(body, "\n"+line+"\n")
}

// end stops the sidecar.
func (s *sidecar) end() {
	s.Helper()
	s.stop()
	if code := <-s.ended; code != exitFine {
		s.Errorf("exit code %d\n%s", code, s.log())
	}
}

// mailLog appends failed deliveries to a log until it is told to stop.
type mailLog struct {
	file    *os.File
	stop    chan struct{}
	written chan int
}

func (s *sidecar) writeLog() *mailLog {
	s.Helper()
	file, err := os.OpenFile(s.path("mail.log"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		s.Fatal(err)
	}
	m := &mailLog{file, make(chan struct{}), make(chan int, 1)}
	go func() {
		pause := time.NewTicker(time.Millisecond)
		defer pause.Stop()
		for n := 0; ; n++ {
			fmt.Fprintf(file, "2026-11-23T10:00:00.000000+00:00 mx postfix/smtp[1]: 4F00000001: to=<u%d@b.example>, relay=mx.b.example[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (host mx.b.example[192.0.2.1] said: 550 5.1.1 no such user (in reply to RCPT TO command))\n", n)
			if n%20 != 0 {
				continue
			}
			select {
			case <-pause.C:
			case <-m.stop:
				file.Close()
				m.written <- n + 1
				return
			}
		}
	}()
	return m
}

func (m *mailLog) end() int {
	close(m.stop)
	return <-m.written
}

// Under load, with rules that come and go by SIGHUP and POST, each line gives one
// event, in order, and each event is decided by the set that it names.
func TestReloadUnderLoadLosesAndMixesNothing(t *testing.T) {
	versions := map[string]string{} // of rules_version: the reason
	base, err := rules.Parse("base", []byte(smallRules), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []string{"alpha", "beta"} {
		set, err := rules.Parse(v, []byte(reloadRules(v)), base)
		if err != nil {
			t.Fatal(err)
		}
		versions[set.SHA256()] = v
	}
	s := startSidecar(t, smallRules, reloadRules("alpha"))
	signal.Notify(s.reload, syscall.SIGHUP)
	defer signal.Stop(s.reload)
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	log := s.writeLog()
	for i := range 24 {
		version := []string{"beta", "alpha"}[i%2]
		if i%8 == 5 {
			s.write("rules.yaml", strings.Replace(reloadRules(version), "match: [no such user]", "regex: '(no'", 1))
			if code, body := s.request(http.MethodPost, "/-/reload"); code != http.StatusInternalServerError || !strings.Contains(body, "rules.yaml:7: rule probe: regex:") {
				t.Errorf("a bad file is answered with %d %q", code, body)
			}
			if !s.hasMetric("mtatap_rules_last_reload_successful 0") {
				t.Error("the gauge does not show that the reload failed")
			}
		}
		s.write("rules.yaml", reloadRules(version))
		reloaded := strings.Count(s.log(), "rules reloaded")
		if i%4 < 2 {
			if err := self.Signal(syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
			s.await("reload by signal", func() bool { return strings.Count(s.log(), "rules reloaded") > reloaded })
		} else if code, body := s.request(http.MethodPost, "/-/reload"); code != http.StatusOK {
			t.Errorf("POST /-/reload: %d %q", code, body)
		}
	}
	if !s.hasMetric("mtatap_rules_last_reload_successful 1") || !s.hasMetric(`mtatap_events_total{category="of-alpha",mta="postfix",provider="other",status="expired"} 0`) {
		t.Error("the metrics do not know the rules that are in use")
	}
	if !regexp.MustCompile(`level=ERROR msg="reload failed.*rules.yaml:7: rule probe: regex:`).MatchString(s.log()) {
		t.Errorf("the log does not say what is wrong and where:\n%s", s.log())
	}
	want := log.end()
	s.await("events", func() bool { return countLines(t, s.path("events.ndjson")) >= want })
	s.end()
	checkReloadedEvents(t, s.path("events.ndjson"), want, versions)
}

func countLines(t *testing.T, path string) int {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Count(string(data), "\n")
}

func checkReloadedEvents(t *testing.T, path string, want int, versions map[string]string) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	seen, n := map[string]int{}, 0
	for lines := bufio.NewScanner(file); lines.Scan(); n++ {
		var e struct {
			Recipient, Rule, Category, Reason string
			RulesVersion                      string `json:"rules_version"`
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		seen[e.Reason]++
		if e.Recipient != fmt.Sprintf("u%d@b.example", n) {
			t.Fatalf("event %d is about %s: lost, doubled or out of order", n, e.Recipient)
		}
		if v := versions[e.RulesVersion]; v == "" || e.Rule != "probe" || e.Reason != v || e.Category != "of-"+v {
			t.Fatalf("event %d of rules %.8s (%s) is %s, %s by %s", n, e.RulesVersion, v, e.Category, e.Reason, e.Rule)
		}
	}
	if n != want || seen["alpha"] == 0 || seen["beta"] == 0 {
		t.Errorf("%d events, %v; want %d by both sets", n, seen, want)
	}
}
