package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets the scripts call this test binary as mtatap, and mtatap call it as a
// journalctl that may not read the journal. "until WORDS ARGS" is mtatap ARGS until
// it has printed WORDS.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"mtatap": func() {
		os.Exit(mtatap(os.Args[1:], os.Stdout, os.Stderr, nil))
	}, "until": func() {
		seen := make(chan struct{})
		watched := &watch{words: os.Args[1], seen: sync.OnceFunc(func() { close(seen) })}
		late := time.AfterFunc(20*time.Second, func() { os.Exit(3) })
		defer late.Stop()
		os.Exit(mtatap(os.Args[2:], watched.over(os.Stdout), watched.over(os.Stderr), seen))
	}, "journalctl": func() {
		fmt.Fprintln(os.Stderr, "No journal files were opened due to insufficient permissions.")
		os.Exit(1)
	}})
}

// mtatap runs a command until it ends or enough is closed.
func mtatap(args []string, stdout, stderr io.Writer, enough <-chan struct{}) int {
	rules, err := os.ReadFile(os.Getenv("MTATAP_TEST_RULES"))
	if err != nil {
		panic(err)
	}
	if os.Getenv("MTATAP_TEST_NOBODY") != "" {
		becomeNobody()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() {
		<-enough
		stop()
	}()
	return Main(ctx, args, Environment{Rules: rules, Stdin: os.Stdin, Stdout: stdout, Stderr: stderr, Getenv: os.LookupEnv, Root: os.Getenv("MTATAP_TEST_ROOT")})
}

// watch calls seen when words were written.
type watch struct {
	words string
	seen  func()
	mu    sync.Mutex
	text  bytes.Buffer
}

func (w *watch) over(to io.Writer) io.Writer { return io.MultiWriter(to, w) }

func (w *watch) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.text.Write(p); bytes.Contains(w.text.Bytes(), []byte(w.words)) {
		w.seen()
	}
	return len(p), nil
}

// TestScripts runs each testdata/script/*.txt: a story of commands and what they
// must print.
func TestScripts(t *testing.T) {
	top := root(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("MTATAP_TEST_RULES", filepath.Join(top, "rules.yaml"))
			env.Setenv("SAMPLES", filepath.Join(top, "testdata"))
			env.Setenv("MTATAP_TEST_ROOT", filepath.Join(env.WorkDir, "host")) // and never this machine
			// Nobody, as whom some scripts run it, has to get there.
			return os.Chmod(filepath.Dir(env.WorkDir), 0o755)
		},
		Condition: func(name string) (bool, error) {
			if name == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", name)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"taken": takeAddress},
	})
}

// takeAddress listens somewhere until the script ends, and says where by TAKEN.
func takeAddress(ts *testscript.TestScript, _ bool, _ []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	ts.Setenv("TAKEN", l.Addr().String())
}

// becomeNobody gives up root for good, so that files can be out of reach.
func becomeNobody() {
	const nobody = 65534
	for _, err := range []error{syscall.Setgroups(nil), syscall.Setgid(nobody), syscall.Setuid(nobody)} {
		if err != nil {
			panic(err)
		}
	}
}
