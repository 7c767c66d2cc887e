//go:build e2e

package security

import (
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"mtatap/e2e/lab"
)

var patience = flag.Duration("patience", 0, "how long TestTheWatchdogFallsSilentWhereASinkHangs may take, which is passed over below 17m")

// gate is a webhook that answers while it is open, and holds requests while it is
// not. It begins closed.
type gate struct {
	server *httptest.Server
	mu     sync.Mutex
	open   chan struct{} // closed while requests pass
	taken  atomic.Int64  // requests with events that were answered
}

func newGate(t *testing.T) *gate {
	g := &gate{open: make(chan struct{})}
	g.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		open := g.open
		g.mu.Unlock()
		select {
		case <-open:
			if r.Method == http.MethodPost {
				g.taken.Add(1)
			}
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(func() { g.set(true); g.server.CloseClientConnections(); g.server.Close() })
	return g
}

func (g *gate) set(open bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if isOpen := g.isOpen(); open && !isOpen {
		close(g.open)
	} else if !open && isOpen {
		g.open = make(chan struct{})
	}
}

func (g *gate) isOpen() bool {
	select {
	case <-g.open:
		return true
	default:
		return false
	}
}

// manager plays systemd: it hears what services say to it.
type manager struct {
	path string
	mu   sync.Mutex
	said []string
	at   []time.Time
}

func newManager(t *testing.T) *manager {
	t.Helper()
	// Not t.TempDir, which may be too long for a socket.
	dir, err := os.MkdirTemp("", "mtatap-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	m := &manager{path: filepath.Join(dir, "notify")}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := conn.Read(b)
			if err != nil {
				return
			}
			m.mu.Lock()
			m.said, m.at = append(m.said, string(b[:n])), append(m.at, time.Now())
			m.mu.Unlock()
		}
	}()
	return m
}

// heard returns how often a message came that begins so, and when the last did.
func (m *manager) heard(begin string) (n int, last time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, s := range m.said {
		if strings.HasPrefix(s, begin) {
			n, last = n+1, m.at[i]
		}
	}
	return n, last
}

func (m *manager) env(watchdog time.Duration) []string {
	return []string{"NOTIFY_SOCKET=" + m.path, fmt.Sprintf("WATCHDOG_USEC=%d", watchdog.Microseconds())}
}

func TestReadinessWaitsForEveryDurableSinkToAnswerAndForTheLogToBeRead(t *testing.T) {
	g, dir, addr := newGate(t), t.TempDir(), lab.FreeAddr(t)
	log := write(t, dir, "mail.log", bounce("first@remote.example"))
	p := follow(t, dir, "http://"+addr, fmt.Sprintf("sources: [{path: %s, format: postfix, start: beginning}]\nstate_dir: %s\nready_max_lag: 1s\nsinks:\n  file: {path: %s}\n  hook: {kind: webhook, url: %q, required: true}\nweb: {listen_address: %q}\n",
		log, dir, filepath.Join(dir, "events.ndjson"), g.server.URL, addr), nil)
	says := func(code int, words string) func() bool {
		return func() bool {
			got, body := p.get("/-/ready")
			return got == code && strings.Contains(body, words)
		}
	}
	p.await("a sink that has not answered", says(http.StatusServiceUnavailable, "sink hook has not answered yet"))
	// The file has the event, which alone must not be enough.
	p.await("the event in the file", func() bool { b, _ := os.ReadFile(filepath.Join(dir, "events.ndjson")); return len(b) > 0 })
	if !says(http.StatusServiceUnavailable, "sink hook has not answered yet")() {
		t.Error("it is ready with one of two sinks")
	}
	if code, _ := p.get("/-/healthy"); code != http.StatusOK {
		t.Errorf("it is not healthy: %d", code)
	}
	g.set(true)
	p.await("readiness", says(http.StatusOK, "ready"))

	g.set(false)
	addLine(t, log, bounce("second@remote.example"))
	p.await("a log that is behind", says(http.StatusServiceUnavailable, "source "+log+" is "))
	if code, home := p.get("/"); code != http.StatusOK || !strings.Contains(home, "Not ready") {
		t.Errorf("the page at / says nothing of it: %d", code)
	}
	g.set(true)
	p.await("readiness again", says(http.StatusOK, "ready"))
	p.stop()
}

func TestALogThatIsNotThereYetIsNoReasonNotToBeReady(t *testing.T) {
	dir, addr := t.TempDir(), lab.FreeAddr(t)
	p := follow(t, dir, "http://"+addr, fmt.Sprintf("sources: [{path: %s, format: postfix}]\nstate_dir: %s\nsinks: {file: {path: %s}}\nweb: {listen_address: %q}\n",
		filepath.Join(dir, "none.log"), dir, filepath.Join(dir, "events.ndjson"), addr), nil)
	p.awaitReady()
	p.stop()
}

func TestSystemdIsToldOfStartLifeReloadAndStop(t *testing.T) {
	const watchdog = 400 * time.Millisecond
	g, m, dir, addr := newGate(t), newManager(t), t.TempDir(), lab.FreeAddr(t)
	g.set(true)
	log := write(t, dir, "mail.log", "")
	p := follow(t, dir, "http://"+addr, fmt.Sprintf("sources: [{path: %s, format: postfix, start: beginning}]\nstate_dir: %s\nsinks: {hook: {kind: webhook, url: %q, required: true, timeout: 500ms}}\nweb: {listen_address: %q}\n",
		log, dir, g.server.URL, addr), m.env(watchdog))
	beats := func(n int) func() bool {
		before, _ := m.heard("WATCHDOG=1")
		return func() bool { now, _ := m.heard("WATCHDOG=1"); return now >= before+n }
	}
	p.await("READY=1", func() bool { n, _ := m.heard("READY=1"); return n == 1 })
	p.await("signs of life of an idle log", beats(4))
	addLine(t, log, bounce("first@remote.example"))
	p.await("an event", func() bool { return g.taken.Load() == 1 })
	p.await("signs of life while mail flows", beats(4))

	// A webhook that does not answer is tried again and again: that is life, and a
	// restart would mend nothing.
	g.set(false)
	addLine(t, log, bounce("second@remote.example"))
	p.await("a failed try", func() bool { return strings.Contains(p.stderr.String(), "Sink failed") })
	p.await("signs of life in an outage", beats(4))
	g.set(true)
	p.await("the event after the outage", func() bool { return g.taken.Load() >= 2 })

	p.signal(syscall.SIGHUP)
	p.await("RELOADING=1", func() bool { n, _ := m.heard("RELOADING=1\nMONOTONIC_USEC="); return n == 1 })
	p.await("READY=1 after it", func() bool { n, _ := m.heard("READY=1"); return n == 2 })

	// A process that stands still is silent.
	p.signal(syscall.SIGSTOP)
	silentSince, _ := m.heard("WATCHDOG=1")
	time.Sleep(4 * watchdog) // nothing announces that nothing happens
	if n, _ := m.heard("WATCHDOG=1"); n > silentSince+1 {
		t.Errorf("%d signs of life of a stopped process", n-silentSince)
	}
	p.signal(syscall.SIGCONT)
	p.await("signs of life again", beats(2))

	if n, _ := m.heard("STOPPING=1"); n != 0 {
		t.Error("STOPPING=1 came before the stop")
	}
	p.stop()
	if n, _ := m.heard("STOPPING=1"); n != 1 {
		t.Errorf("STOPPING=1 came %d times", n)
	}
}

// A write to a pipe that nobody reads never returns and never fails, so it cannot
// be told from a hang.
func TestTheWatchdogFallsSilentWhereASinkHangs(t *testing.T) {
	if *patience < 17*time.Minute {
		t.Skip("takes a quarter of an hour: -patience 17m -timeout 20m")
	}
	m, dir, addr := newManager(t), t.TempDir(), lab.FreeAddr(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var lines strings.Builder
	for i := range 1000 { // more than fits into a pipe
		lines.WriteString(bounce(fmt.Sprintf("user-%d@remote.example", i)))
	}
	file := write(t, dir, "mtatap.yaml", fmt.Sprintf("sources: [{path: %s, format: postfix, start: beginning}]\nstate_dir: %s\nsinks: {stdout: {}}\nweb: {listen_address: %q}\n",
		write(t, dir, "mail.log", lines.String()), dir, addr))
	cmd := exec.Command(binary, "run", "--config.file", file)
	cmd.Env = append(os.Environ(), m.env(time.Second)...)
	p := launch(t, "http://"+addr, cmd, func(c *exec.Cmd) error { c.Stdout = w; return c.Start() })
	w.Close()
	began := time.Now()
	for deadline := began.Add(*patience); ; time.Sleep(time.Second) {
		if _, last := m.heard("WATCHDOG=1"); !last.IsZero() && time.Since(last) > 10*time.Second {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("there are still signs of life after %v", *patience)
		}
	}
	if _, last := m.heard("WATCHDOG=1"); last.Sub(began) < 14*time.Minute {
		t.Errorf("it was silent after %v already", last.Sub(began))
	}
	if !strings.Contains(p.stderr.String(), "pipeline hangs, waiting for systemd to start it anew") {
		t.Error("the log does not say so")
	}
}
