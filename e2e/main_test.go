//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
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

// mtatap is a running "mtatap run".
type mtatap struct {
	cmd  *exec.Cmd
	web  string // base URL
	done chan error
	err  error
}

// startMtatap runs the binary with a configuration, to which it adds a state
// folder and a free web address, and waits until it is ready.
func startMtatap(t *testing.T, config string) *mtatap {
	t.Helper()
	return startMtatapIn(t, t.TempDir(), config)
}

// startMtatapIn does so with the state that an earlier one has left in dir.
func startMtatapIn(t *testing.T, dir, config string) *mtatap {
	t.Helper()
	addr := lab.FreeAddr(t)
	config += fmt.Sprintf("state_dir: %s\ndead_letters: {path: %s}\nweb: {listen_address: %q}\n", dir, filepath.Join(dir, "dead-letters.ndjson"), addr)
	file := filepath.Join(dir, "mtatap.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "mtatap.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	p := &mtatap{cmd: exec.Command(binary, "run", "--config.file", file), web: "http://" + addr, done: make(chan error, 1)}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.done <- p.cmd.Wait(); close(p.done) }()
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			said, _ := os.ReadFile(log.Name())
			t.Logf("mtatap said:\n%s", said)
		}
	})
	until(t, 15*time.Second, "mtatap to be ready", func() bool {
		resp, err := http.Get(p.web + "/-/ready")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return p
}

// stop asks the program to end and returns how it did. Stopping twice is fine.
func (p *mtatap) stop() error {
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err, ok := <-p.done:
		if ok {
			p.err = err
		}
		return p.err
	case <-time.After(30 * time.Second):
		p.cmd.Process.Kill()
		<-p.done
		p.err = errors.New("mtatap did not stop when asked to")
		return p.err
	}
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

// runMail sends messages through a mail server and waits until all is over.
func runMail(t *testing.T, server *lab.Server, mta lab.MTA, messages []lab.Submission) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	for _, s := range messages {
		if err := mta.Submit(ctx, s.From, s.To, lab.Message(s.From, s.ID)); err != nil {
			t.Fatal(err)
		}
	}
	awaitQuiet(ctx, t, server)
}

// awaitQuiet returns once the remote side has heard nothing for quietTime.
func awaitQuiet(ctx context.Context, t *testing.T, server *lab.Server) {
	t.Helper()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	last, since := -1, time.Now()
	for time.Since(since) < quietTime {
		if n := len(server.Oracle()); n != last {
			last, since = n, time.Now()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("mail still moves")
		}
	}
}

// quietTime is longer than any mail server in the lab waits between attempts.
const quietTime = 12 * time.Second

// source is the configuration of one followed file, read from its beginning.
func source(mta lab.MTA) string {
	return fmt.Sprintf("sources:\n  - {path: %s, format: %s, start: beginning}\n", mta.LogPath(), mta.Name())
}
