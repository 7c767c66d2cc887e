//go:build e2e

package security

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"mtatap/e2e/lab"
)

// binary is the program under test, built once from the tree.
var binary string

func TestMain(m *testing.M) {
	if plan := os.Getenv(confineVariable); plan != "" {
		confine(plan) // this process becomes the confined one
	}
	os.Exit(lab.WithMtatap(func(program string) int { binary = program; return m.Run() }))
}

// output is what a process has written up to now.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// process is a running "mtatap run".
type process struct {
	t              *testing.T
	cmd            *exec.Cmd
	web            string // base URL
	stdout, stderr output
	ended          chan struct{}
	err            error // once ended is closed
}

// launch starts cmd by run; web is where its listener will be, if it has one. It
// waits for nothing. The process ends with the test.
func launch(t *testing.T, web string, cmd *exec.Cmd, run func(*exec.Cmd) error) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, web: web, ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.stdout, &p.stderr
	if err := run(cmd); err != nil {
		t.Fatal(err)
	}
	go func() { p.err = cmd.Wait(); close(p.ended) }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-p.ended
		if t.Failed() {
			said := p.stderr.String()
			t.Logf("mtatap said:\n%s", said[:min(len(said), 6000)])
		}
	})
	return p
}

// await polls for a state of the process, which nothing announces.
func (p *process) await(what string, reached func() bool) {
	p.t.Helper()
	const within = 20 * time.Second
	for deadline := time.Now().Add(within); !reached(); time.Sleep(20 * time.Millisecond) {
		select {
		case <-p.ended:
			p.t.Fatalf("mtatap ended (%v) while waiting for %s", p.err, what)
		default:
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("waited %v for %s", within, what)
		}
	}
}

func (p *process) awaitReady() {
	p.t.Helper()
	p.await("mtatap to be ready", func() bool { code, _ := p.get("/-/ready"); return code == http.StatusOK })
}

// get asks for a path; code is 0 where there was no answer.
func (p *process) get(path string) (code int, body string) {
	return ask(http.DefaultClient, http.MethodGet, p.web+path, nil)
}

func ask(client *http.Client, method, url string, prepare func(*http.Request)) (code int, body string) {
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		return 0, err.Error()
	}
	if prepare != nil {
		prepare(r)
	}
	res, err := client.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(b)
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// stop asks the process to end and fails unless it does so, and well.
func (p *process) stop() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	select {
	case <-p.ended:
		if p.err != nil {
			p.t.Errorf("mtatap ended with %v", p.err)
		}
	case <-time.After(20 * time.Second):
		p.t.Fatal("mtatap did not stop when asked to")
	}
}

// bounce is a log line of Postfix about a failed delivery to to.
func bounce(to string) string {
	return fmt.Sprintf("2026-11-23T19:26:51.000000+00:00 mta-out postfix/smtp[485]: 4E5845325CB: to=<%s>, relay=mx.text.example[198.51.100.1]:25, delay=0.04, delays=0.01/0.02/0.01/0, dsn=5.1.1, status=bounced (host mx.text.example[198.51.100.1] said: 550 5.1.1 User unknown (in reply to RCPT TO command))\n", to)
}

// addLine appends to a log.
func addLine(t *testing.T, path, line string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(line); err != nil {
		t.Fatal(err)
	}
}
