//go:build e2e

package faults

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"mtatap/e2e/lab"
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

func TestMain(m *testing.M) {
	flag.Parse()
	// Scenarios wait most of the time, so there may be more than processors.
	// A user's topic takes one after the other.
	if *userConfig != "" {
		*atOnce = 1
	}
	if err := flag.Set("test.parallel", fmt.Sprint(*atOnce)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	os.Exit(lab.WithMtatap(func(program string) int { binary = program; return m.Run() }))
}
