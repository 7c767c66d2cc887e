//go:build e2e

package suppress

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"mtatap/e2e/lab"
)

// binary is the program under test, built once from the tree.
var binary string

func TestMain(m *testing.M) {
	os.Exit(lab.WithMtatap(func(program string) int { binary = program; return m.Run() }))
}

// instance is a running "mtatap suppress".
type instance struct {
	t      *testing.T
	cmd    *exec.Cmd
	config string
	web    string
	log    string
	ended  chan error
}

// configure writes a configuration of its own for each instance.
func configure(t *testing.T, broker *lab.Kafka, more string) string {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "mtatap.yaml")
	text := fmt.Sprintf("state_dir: %s\nweb: {listen_address: %q}\nsuppress:\n  kafka: {brokers: [%q], create_topic: true}\n%s", dir, lab.FreeAddr(t), broker.Addr(), more)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

var listenAddress = regexp.MustCompile(`listen_address: "([^"]+)"`)

// start runs the processor with a configuration.
func start(t *testing.T, config string) *instance {
	t.Helper()
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.OpenFile(filepath.Join(filepath.Dir(config), "mtatap.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	p := &instance{t: t, config: config, web: "http://" + listenAddress.FindStringSubmatch(string(text))[1], log: log.Name(), ended: make(chan error, 1)}
	p.cmd = exec.Command(binary, "suppress", "--config.file", config)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- p.cmd.Wait(); close(p.ended) }()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			said, _ := os.ReadFile(p.log)
			t.Logf("an instance said:\n%s", said[max(0, len(said)-3000):])
		}
	})
	return p
}

// kill ends the instance as a power failure would. Killing twice is fine.
func (p *instance) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

func (p *instance) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// stop asks the instance to end.
func (p *instance) stop() {
	p.t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-p.ended:
		if err != nil {
			p.t.Errorf("an instance ended with %v", err)
		}
	case <-time.After(30 * time.Second):
		p.t.Error("an instance did not stop when asked to")
		p.kill()
	}
}

var errStatus = errors.New("status")

func (p *instance) get(path string) (string, error) {
	res, err := http.Get(p.web + path)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%w %d", errStatus, res.StatusCode)
	}
	return string(body), err
}

func (p *instance) ready() {
	p.t.Helper()
	until(p.t, time.Minute, "an instance to be ready", func() bool { _, err := p.get("/-/ready"); return err == nil })
}

// metric returns the sum of a metric's series.
func (p *instance) metric(name string) (sum float64, series int) {
	body, err := p.get("/metrics")
	if err != nil {
		return 0, 0
	}
	for _, m := range regexp.MustCompile(`(?m)^`+name+`(?:\{[^}]*\})? (\S+)$`).FindAllStringSubmatch(body, -1) {
		v, _ := strconv.ParseFloat(m[1], 64)
		sum, series = sum+v, series+1
	}
	return sum, series
}

// memory is the most that the process ever held, in MiB.
func (p *instance) memory() int {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	m := regexp.MustCompile(`VmHWM:\s+(\d+)`).FindSubmatch(status)
	if m == nil {
		return 0
	}
	kib, _ := strconv.Atoi(string(m[1]))
	return kib >> 10
}

// until polls for a state of another process, which nothing announces.
func until(t *testing.T, limit time.Duration, what string, reached func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !reached(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for %s", limit, what)
		}
	}
}

// canonical makes JSON comparable.
func canonical(t *testing.T, text string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
