package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets the scripts call this test binary as mtatap, and mtatap call it as a
// journalctl that may not read the journal.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"mtatap": func() {
		rules, err := os.ReadFile(os.Getenv("MTATAP_TEST_RULES"))
		if err != nil {
			panic(err)
		}
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		os.Exit(Main(ctx, os.Args[1:], Environment{Rules: rules, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.LookupEnv}))
	}, "journalctl": func() {
		fmt.Fprintln(os.Stderr, "No journal files were opened due to insufficient permissions.")
		os.Exit(1)
	}})
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
			return nil
		},
	})
}
