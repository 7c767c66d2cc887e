//go:build e2e

package suppress

import (
	"context"
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
	"strings"
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

// instance is a running "mtatap suppress", or "mtatap run".
type instance struct {
	t      *testing.T
	cmd    *exec.Cmd
	config string
	web    string
	log    string
	ended  chan error
}

// fleet is what a group of instances has of its own on a broker that they may share
// with others: the names of its topics begin with its name.
type fleet struct {
	broker *lab.Kafka
	name   string
}

func (f fleet) events() string       { return f.name + ".events" }
func (f fleet) suppressions() string { return f.name + ".suppressions" }
func (f fleet) group() string        { return f.name + "-suppress" }

// configure writes a configuration of its own for each instance. more are further
// sections.
func (f fleet) configure(t *testing.T, more string) string {
	t.Helper()
	return f.configureSuppress(t, "", more)
}

// configureSuppress is configure with more keys in the section suppress.
func (f fleet) configureSuppress(t *testing.T, keys, more string) string {
	t.Helper()
	dir := t.TempDir()
	text := fmt.Sprintf("state_dir: %s\n", dir)
	if !strings.Contains(more, "web:") {
		text += fmt.Sprintf("web: {listen_address: %q}\n", lab.FreeAddr(t))
	}
	text += fmt.Sprintf("suppress:\n  kafka: {brokers: [%q], create_topic: true, topic: %s, suppressions: %s, commands: %s.commands, state: %s.state, group: %s}\n",
		f.broker.Addr(), f.events(), f.suppressions(), f.name, f.name, f.group())
	return save(t, filepath.Join(dir, "mtatap.yaml"), text+keys+more)
}

// save writes a file and returns its path.
func save(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// mtatap runs a command to its end.
func mtatap(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	var out, trouble strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &trouble
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err = cmd.Run()
	return out.String(), trouble.String(), err
}

// must is what a command prints, which has to succeed.
func must(t *testing.T, args ...string) string {
	t.Helper()
	stdout, stderr, err := mtatap(t, args...)
	if err != nil {
		t.Fatalf("mtatap %s: %v\n%s", strings.Join(args, " "), err, stderr)
	}
	return stdout
}

// refused is what a command that has to fail says on standard error.
func refused(t *testing.T, args ...string) string {
	t.Helper()
	stdout, stderr, err := mtatap(t, args...)
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("mtatap %s: %v, want exit code 1\n%s%s", strings.Join(args, " "), err, stdout, stderr)
	}
	return stderr
}

var listenAddress = regexp.MustCompile(`listen_address: "([^"]+)"`)

// start runs the processor with a configuration.
func start(t *testing.T, config string) *instance {
	t.Helper()
	return startCommand(t, "suppress", config)
}

func startCommand(t *testing.T, command, config string) *instance {
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
	p.cmd = exec.Command(binary, command, "--config.file", config)
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

// answer is the body of a request, or its status if that is not 200, or "" if there
// is none.
func answer(req *http.Request) string {
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return ""
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return ""
	}
	if res.StatusCode != http.StatusOK {
		return strconv.Itoa(res.StatusCode)
	}
	return string(body)
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
