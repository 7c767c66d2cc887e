package pipeline

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mtatap/parsers"
	"mtatap/tailers"
)

// eventually waits until ok holds, by looking again and again.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// start runs a pipeline over a log in the background and returns what stops it.
func start(t *testing.T, b *bench, l Log, store *tailers.Store) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx, []Log{l}, store) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func testLog(pattern string, from tailers.Start) Log {
	return Log{Pattern: pattern, Parser: func(parsers.Counts) (parsers.Parser, error) { return toParser{}, nil }, Tail: tailers.Options{Start: from}}
}

func appendLines(t *testing.T, path string, lines ...string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(strings.Join(lines, "\n") + "\n"); err != nil {
		t.Fatal(err)
	}
}

func TestARestartGoesOnBehindWhatWasAcknowledged(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "mail.log")
	appendLines(t, log, "to a1", "to a2")
	for round, want := range []string{"a1 a2", "a3 a4"} {
		store, err := tailers.OpenStore(filepath.Join(dir, "state"))
		if err != nil {
			t.Fatal(err)
		}
		s := &sink{}
		p := newBench(t, nil, Sink{Name: "s", Writer: s, Required: true})
		stop := start(t, p, testLog(log, tailers.StartBeginning), store)
		if round == 1 {
			appendLines(t, log, "to a4")
		}
		eventually(t, fmt.Sprintf("round %d gives %s", round, want), func() bool { return s.recipients() == want })
		stop()
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		appendLines(t, log, "to a3") // while nobody reads
	}
}

func TestFilesThatAppearForAGlobAreReadFromTheirStart(t *testing.T) {
	dir := t.TempDir()
	store, err := tailers.OpenStore(filepath.Join(dir, "state"))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	appendLines(t, filepath.Join(dir, "old.log"), "to old")
	s := &sink{}
	p := newBench(t, nil, Sink{Name: "s", Writer: s, Required: true})
	stop := start(t, p, testLog(filepath.Join(dir, "*.log"), tailers.StartEnd), store)
	defer stop()
	eventually(t, "the logs are open", func() bool { return p.Ready(time.Minute) == nil })
	appendLines(t, filepath.Join(dir, "new.log"), "to new1", "to new2")
	eventually(t, "the new file is read", func() bool { return s.recipients() == "new1 new2" })
}

func TestLagIsWhatTheRequiredSinkHasNotAcknowledged(t *testing.T) {
	log := filepath.Join(t.TempDir(), "mail.log")
	appendLines(t, log, "to a1")
	slow := &sink{blocked: make(chan struct{})}
	p := newBench(t, nil, Sink{Name: "slow", Writer: slow, Required: true})
	stop := start(t, p, testLog(log, tailers.StartBeginning), nil)
	defer stop()
	eventually(t, "the line is behind", func() bool {
		return p.value(t, "mtatap_tail_lag_bytes") == 6 && p.value(t, "mtatap_tail_lag_seconds") > 0
	})
	if err := p.Ready(time.Nanosecond); err == nil {
		t.Error("ready in spite of a lag above the limit")
	}
	close(slow.blocked)
	eventually(t, "nothing is behind", func() bool {
		return p.value(t, "mtatap_tail_lag_bytes") == 0 && p.value(t, "mtatap_tail_lag_seconds") == 0
	})
	if err := p.Ready(time.Nanosecond); err != nil {
		t.Error(err)
	}
}
