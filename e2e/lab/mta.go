//go:build e2e

package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"mtatap/e2e/port"
)

// MTA is a real mail server that the lab started. It ends with its test.
type MTA interface {
	// Name is that of its log format: postfix.
	Name() string
	// Submit hands one message over by SMTP and returns once it is queued.
	Submit(ctx context.Context, from string, to []string, body string) error
	// LogPath is the live log file.
	LogPath() string
	// Rotate moves the log away, as LogPath + ".1", the given way.
	Rotate(how Rotation) error
	// Stop ends the server and waits for it. Stopping twice is fine.
	Stop() error
}

// Rotation is a way to rotate a log.
type Rotation string

// The ways: rename and have the server open a new file; or copy and truncate.
const (
	RotateRename       Rotation = "rename"
	RotateCopyTruncate Rotation = "copytruncate"
)

// Options vary how a mail server is set up. The zero value logs to a file.
type Options struct {
	// Routes is where mail for each recipient domain goes.
	Routes map[string]netip.AddrPort
	// Dir is an empty folder for the server's files; "" makes one.
	Dir string
	// Syslog logs to /dev/log, where Rsyslog listens; LogPath is then unused
	// unless the server can log both ways.
	Syslog bool
	// Host is what the server takes for the machine's host name; "" keeps it.
	// Setting it needs the right to make a UTS namespace.
	Host string
	// Variant chooses among the server's log formats; "" is its default.
	Variant string
	// Version is that of the server; "" is the usual one. Only Haraka has others.
	Version string
}

// MailHost is the name by which every mail server of the lab goes.
const MailHost = "mta-out.example"

// cacheDir is where .ci/install keeps what is not a Debian package.
func cacheDir(t testing.TB, parts ...string) string {
	t.Helper()
	dir, err := os.UserCacheDir()
	if err != nil {
		t.Fatalf("find cache folder: %v", err)
	}
	return filepath.Join(append([]string{dir, "mtatap-e2e"}, parts...)...)
}

// program returns the first of paths that exists, else fails the test.
func program(t testing.TB, step string, paths ...string) string {
	t.Helper()
	for _, p := range paths {
		if found, err := exec.LookPath(p); err == nil {
			return found
		}
	}
	t.Fatalf("%s is not installed: run .ci/install (%s)", paths[0], step)
	return ""
}

// workDir returns opts.Dir or a new folder that every user may enter, unlike
// the test's own temporary folder.
func workDir(t testing.TB, dir, name string) string {
	t.Helper()
	if dir == "" {
		made, err := os.MkdirTemp("", "mtatap-e2e-"+name+"-")
		if err != nil {
			t.Fatalf("make work folder: %v", err)
		}
		t.Cleanup(func() {
			if t.Failed() {
				showLogs(t, made)
			}
			os.RemoveAll(made)
		})
		dir = made
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatalf("open work folder to all: %v", err)
	}
	return dir
}

// showLogs adds the ends of a server's logs to a failed test's output.
func showLogs(t testing.TB, dir string) {
	logs, _ := filepath.Glob(filepath.Join(dir, "log", "*"))
	for _, path := range logs {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Log(err)
			continue
		}
		t.Logf("end of %s:\n%s", path, content[max(0, len(content)-4000):])
	}
}

// writeFiles writes files, by path under dir, and makes their folders.
func writeFiles(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatalf("make folder: %v", err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatalf("write %s: %v", name, err)
		}
	}
}

// routeTable writes domain, address and port of each route in a stable order.
func routeTable(routes map[string]netip.AddrPort, format string) string {
	var b strings.Builder
	for _, domain := range slices.Sorted(maps.Keys(routes)) {
		fmt.Fprintf(&b, format, domain, routes[domain].Addr(), routes[domain].Port())
	}
	return b.String()
}

func freePort(t testing.TB) int {
	t.Helper()
	addr, release, err := port.Reserve(netip.MustParseAddr("127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return int(addr.Port())
}

// FreeAddr returns an address of 127.0.0.1 where nothing listens, reserved until
// the test ends.
func FreeAddr(t testing.TB) string {
	t.Helper()
	return loopback(freePort(t))
}

// command runs args with the machine's name set to host.
func command(host string, args ...string) *exec.Cmd {
	if host != "" {
		args = append([]string{"unshare", "--uts", "sh", "-c", `hostname "$0"; exec "$@"`, host}, args...)
	}
	return exec.Command(args[0], args[1:]...)
}

// process is a child of ours in a process group of its own.
type process struct {
	cmd  *exec.Cmd
	done chan error
}

func startProcess(t testing.TB, cmd *exec.Cmd) *process {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", cmd.Path, err)
	}
	p := &process{cmd: cmd, done: make(chan error, 1)}
	go func() { p.done <- cmd.Wait(); close(p.done) }()
	return p
}

// stop asks the group to end and, after ten seconds, makes it.
func (p *process) stop() error {
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM)
	select {
	case <-p.done:
		return nil
	case <-time.After(10 * time.Second):
	}
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
	return errors.New("process did not end when asked to")
}

// awaitSMTP waits until a mail server greets on that port.
func awaitSMTP(t testing.TB, port int) {
	t.Helper()
	var last error
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		var c *smtp.Client
		if c, last = smtp.Dial(loopback(port)); last == nil {
			c.Quit()
			return
		}
	}
	t.Fatalf("no greeting on port %d: %v", port, last)
}

// submit sends one message through the server on that port. An address may
// hold whatever the server accepts.
func submit(ctx context.Context, port int, from string, to []string, body string) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", loopback(port))
	if err != nil {
		return fmt.Errorf("connect to mail server: %w", err)
	}
	if deadline, ok := ctx.Deadline(); ok {
		conn.SetDeadline(deadline)
	}
	c, err := smtp.NewClient(conn, "127.0.0.1")
	if err != nil {
		conn.Close()
		return fmt.Errorf("greet mail server: %w", err)
	}
	defer c.Close()
	if err := c.Hello("client.example"); err != nil {
		return fmt.Errorf("greet mail server: %w", err)
	}
	if err := c.Mail(from); err != nil {
		return fmt.Errorf("submit from %s: %w", from, err)
	}
	for _, r := range to {
		if err := c.Rcpt(r); err != nil {
			return fmt.Errorf("submit to %s: %w", r, err)
		}
	}
	w, err := c.Data()
	if err != nil {
		return fmt.Errorf("submit body: %w", err)
	}
	if _, err := io.WriteString(w, body); err != nil {
		return fmt.Errorf("submit body: %w", err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("submit body: %w", err)
	}
	return c.Quit()
}

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// Message returns a small message; id is the Message-ID without brackets.
func Message(from, id string) string {
	return "From: <" + from + ">\r\nTo: undisclosed-recipients:;\r\nMessage-ID: <" + id + ">\r\n" +
		"Date: Mon, 23 Nov 2026 10:00:00 +0000\r\nSubject: lab\r\n\r\nHello.\r\n"
}

// copyTruncate rotates path as logrotate's copytruncate does.
func copyTruncate(path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("copy log: %w", err)
	}
	if err := os.WriteFile(path+".1", content, 0o644); err != nil {
		return fmt.Errorf("copy log: %w", err)
	}
	if err := os.Truncate(path, 0); err != nil {
		return fmt.Errorf("truncate log: %w", err)
	}
	return nil
}

// run runs a command to its end and returns an error with its output.
func run(cmd *exec.Cmd) error {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("run %s: %w\n%s", strings.Join(cmd.Args, " "), err, out.Bytes())
	}
	return nil
}
