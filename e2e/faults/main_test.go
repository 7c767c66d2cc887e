//go:build e2e

package faults

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

var (
	userConfig = flag.String("config", "", "configuration whose sinks are put to the test, instead of a Kafka of the lab")
	userTopic  = flag.String("topic", "mtatap.faults", "topic to use in place of that of -config; made events go there")
	update     = flag.Bool("update", false, "write the table of docs/reliability.md")
	soak       = flag.Duration("soak", 30*time.Second, "how long TestSoak lasts")
	atOnce     = flag.Int("at-once", 8, "scenarios at once")
)

// binary is the program under test, built once from the tree.
var binary string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	flag.Parse()
	// Scenarios wait most of the time, so there may be more than processors.
	// A user's topic takes one after the other.
	if *userConfig != "" {
		*atOnce = 1
	}
	if err := flag.Set("test.parallel", fmt.Sprint(*atOnce)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	dir, err := os.MkdirTemp("", "mtatap-faults-build-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "make folder for the binary:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "mtatap")
	if out, err := exec.Command("go", "build", "-o", binary, "../..").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build mtatap: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}
