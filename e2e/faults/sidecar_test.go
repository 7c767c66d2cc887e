//go:build e2e

package faults

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"mtatap/e2e/lab"
)

// sidecar is `mtatap run` as an own process, which may be ended and started
// again on the same configuration and state.
type sidecar struct {
	t        *testing.T
	dir      string
	web      string
	begins   string         // start: of the source
	settings map[string]any // of the configuration, beside source, state and web
	log      string         // path of what it logs
	source   string         // path of the log that it follows

	process *exec.Cmd
	ended   chan error
	cpu     time.Duration // of the processes that have ended
	highest atomic.Int64  // resident memory of any of them, in KiB
}

// newSidecar returns a sidecar that is not started and has no sinks. It follows
// mail.log in a folder of the test from its beginning.
func newSidecar(t *testing.T) *sidecar {
	t.Helper()
	dir := t.TempDir()
	s := &sidecar{
		t: t, dir: dir, web: lab.FreeAddr(t), begins: "beginning", settings: map[string]any{},
		log: filepath.Join(dir, "mtatap.log"), source: filepath.Join(dir, "log", "mail.log"),
	}
	if err := os.Mkdir(filepath.Dir(s.source), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.kill()
		if t.Failed() {
			log := s.logText()
			t.Logf("end of mtatap's log:\n%s", log[max(0, len(log)-6000):])
		}
	})
	return s
}

// start starts the process and waits until its web listener answers.
func (s *sidecar) start() {
	s.t.Helper()
	s.launch()
	s.await(10*time.Second, "the web listener answers", s.answers)
}

func (s *sidecar) answers() bool {
	_, code, err := s.request(http.MethodGet, "/-/healthy")
	return err == nil && code == http.StatusOK
}

// launch starts the process and waits for nothing.
func (s *sidecar) launch() {
	s.t.Helper()
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	s.process = exec.Command(binary, "run", "--config.file", s.writeConfig())
	s.process.Stdout, s.process.Stderr = log, log
	s.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // not to outlive a test that was killed
	if err := s.process.Start(); err != nil {
		s.process = nil
		s.t.Fatalf("start mtatap: %v", err)
	}
	s.ended = make(chan error, 1)
	go s.sample(s.process.Process.Pid)
	go func(p *exec.Cmd, ended chan<- error) { ended <- p.Wait() }(s.process, s.ended)
}

// writeConfig writes the configuration; JSON is YAML.
func (s *sidecar) writeConfig() string {
	s.t.Helper()
	c := map[string]any{
		"sources":   []any{map[string]any{"path": s.source, "format": "postfix", "start": s.begins}},
		"state_dir": filepath.Join(s.dir, "state"),
		"web":       map[string]any{"listen_address": s.web},
	}
	maps.Copy(c, s.settings)
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		s.t.Fatal(err)
	}
	path := filepath.Join(s.dir, "mtatap.yaml")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// sample notes the most memory that the process has had, until it ends.
func (s *sidecar) sample(pid int) {
	for {
		kib, err := statusOf(pid, "VmHWM:")
		if err != nil {
			return
		}
		for {
			most := s.highest.Load()
			if kib <= most || s.highest.CompareAndSwap(most, kib) {
				break
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// statusOf returns a number of kB of the status of a process.
func statusOf(pid int, name string) (kib int64, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			return strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
		}
	}
	return 0, errors.New("no " + name)
}

// peak is the most resident memory that a process has had, in MiB.
func (s *sidecar) peak() float64 { return float64(s.highest.Load()) / 1024 }

// over notes that the process has ended.
func (s *sidecar) over() {
	s.cpu += s.process.ProcessState.UserTime() + s.process.ProcessState.SystemTime()
	s.process = nil
}

// kill ends the process as a crash would. It is fine where none runs.
func (s *sidecar) kill() {
	if s.process == nil {
		return
	}
	_ = s.process.Process.Kill()
	<-s.ended
	s.over()
}

// terminate asks the process to stop and fails unless it does so in time and
// says that all is well.
func (s *sidecar) terminate(within time.Duration) {
	s.t.Helper()
	s.signal(syscall.SIGTERM)
	begun := time.Now()
	select {
	case err := <-s.ended:
		s.over()
		if err != nil {
			s.t.Errorf("mtatap ended with %v after SIGTERM", err)
		}
		s.t.Logf("mtatap stopped in %v", time.Since(begun).Round(time.Millisecond))
	case <-time.After(patience(within)):
		s.kill()
		s.t.Errorf("mtatap did not stop within %v of SIGTERM", within)
	}
}

func (s *sidecar) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.process.Process.Signal(sig); err != nil {
		s.t.Fatalf("send %v to mtatap: %v", sig, err)
	}
}

// runs reports whether the process is still there.
func (s *sidecar) runs() bool {
	select {
	case err := <-s.ended:
		s.ended <- err
		return false
	default:
		return true
	}
}

func (s *sidecar) request(method, path string) (body string, code int, err error) {
	req, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+s.web+path, nil)
	if err != nil {
		return "", 0, err
	}
	client := &http.Client{Timeout: patience(5 * time.Second)}
	defer client.CloseIdleConnections()
	res, err := client.Do(req)
	if err != nil {
		return "", 0, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return string(b), res.StatusCode, err
}

// metric returns the sum of the series of that name with these labels, such as
// `sink="kafka"`. It fails if there is none.
func (s *sidecar) metric(name string, labels ...string) float64 {
	s.t.Helper()
	body, code, err := s.request(http.MethodGet, "/metrics")
	if err != nil || code != http.StatusOK {
		s.t.Fatalf("scrape mtatap: %d, %v", code, err)
	}
	v, ok := metricOf(body, name, labels...)
	if !ok {
		s.t.Fatalf("mtatap has no metric %s with %q", name, labels)
	}
	return v
}

func metricOf(scrape, name string, labels ...string) (sum float64, found bool) {
	for line := range strings.Lines(scrape) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		for _, label := range labels {
			ok = ok && strings.Contains(rest, label)
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(rest[strings.LastIndexByte(strings.TrimSpace(rest), ' ')+1:]), 64)
		if ok && err == nil {
			sum, found = sum+v, true
		}
	}
	return sum, found
}

// resident returns the resident memory of the process in MiB.
func (s *sidecar) resident() float64 {
	s.t.Helper()
	kib, err := statusOf(s.process.Process.Pid, "VmRSS:")
	if err != nil {
		s.t.Fatalf("read memory of mtatap: %v", err)
	}
	return float64(kib) / 1024
}

// logText returns all that the processes have logged.
func (s *sidecar) logText() string {
	b, err := os.ReadFile(s.log)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.t.Errorf("read mtatap's log: %v", err)
	}
	return string(b)
}

// patience returns a limit of time as it is on a machine that is as busy as
// this one: more than twice as many want a processor than there are.
func patience(limit time.Duration) time.Duration {
	var load float64
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		_, _ = fmt.Sscan(string(text), &load)
	}
	crowd := load / float64(2*runtime.NumCPU())
	return time.Duration(float64(limit) * max(1, min(crowd, 20)))
}

// await fails unless what becomes true in time and mtatap lives meanwhile.
func (s *sidecar) await(within time.Duration, what string, done func() bool) {
	s.t.Helper()
	within = patience(within)
	for deadline := time.Now().Add(within); !done(); time.Sleep(25 * time.Millisecond) {
		if !s.runs() {
			s.t.Fatalf("mtatap ended while waiting until %s", what)
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("waited %v until %s", within, what)
		}
	}
}

// awaitLog fails unless the log gets to hold all texts in one line.
func (s *sidecar) awaitLog(within time.Duration, texts ...string) {
	s.t.Helper()
	s.await(within, fmt.Sprintf("the log says %q", texts), func() bool { return countLines(s.logText(), texts...) > 0 })
}

// countLines counts the lines of log that have all texts.
func countLines(log string, texts ...string) (n int) {
	for line := range strings.Lines(log) {
		all := true
		for _, text := range texts {
			all = all && strings.Contains(line, text)
		}
		if all {
			n++
		}
	}
	return n
}

// awaitCaughtUp waits until all that the log has is acknowledged.
func (s *sidecar) awaitCaughtUp(within time.Duration) {
	s.t.Helper()
	s.await(within, "there is no lag", func() bool {
		return s.metric("mtatap_lines_total") > 0 && s.metric("mtatap_tail_lag_bytes") == 0 && s.metric("mtatap_tail_lag_seconds") == 0
	})
}

// replay returns the events of each file, one a line, read one file at a time.
func replay(t *testing.T, files []string) []string {
	t.Helper()
	cmd := exec.Command(binary, append([]string{"replay", "--quiet", "--format", "postfix"}, files...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("replay: %v\n%s", err, &stderr)
	}
	var events []string
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		events = append(events, lines.Text())
	}
	if err := lines.Err(); err != nil {
		t.Fatalf("replay: %v", err)
	}
	return events
}
