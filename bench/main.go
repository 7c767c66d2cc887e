// Command bench measures mtatap against its targets and against other programs on
// this machine, and writes what it finds into docs/performance.md.
//
//	go run ./bench                    # everything
//	go run ./bench peers follow       # some
//	go run ./bench --quick --document "" # a try: small logs, one run each, nothing written
//
// Peers that are not installed are unpacked from Debian packages into the cache
// folder, without changing the system; where that fails the row says so. Kafka is
// the one that .ci/install puts there for the end-to-end tests. It must never write a
// figure that it did not measure, or measure a peer with settings it would not run with.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// measurement is one sub-command: it returns rows for the table of targets.
type measurement struct {
	name  string
	about string
	run   func(ctx context.Context, b *bench) ([]row, error)
}

var measurements = []measurement{
	{"peers", "other programs and mtatap in turn on the same log", sideBySide},
	{"failed", "a log of nothing but failures, each with a reply of its own", failedOnly},
	{"mtas", "Exim's and Haraka's logs beside Postfix's", mailServers},
	{"linear", "2, 8 and 20 million lines", linearity},
	{"rules", "ten times as many rules", moreRules},
	{"backlog", "start to first event with a long log", backlog},
	{"follow", "100,000 lines a second, followed", follow},
	{"stdout", "from a line to its event on standard output", stdoutLatency},
	{"idle", "100 files where nothing happens", idle},
	{"kafka", "a file to Kafka, beside kcat and rsyslog", kafkaRate},
	{"latency", "from a line to its event in Kafka", kafkaLatency},
	{"outage", "memory while Kafka is away", kafkaOutage},
}

// bench is what measurements share.
type bench struct {
	mtatap   string // the program
	cache    string // for logs and peers
	work     string // for what one run leaves, removed at the end
	document string // "" writes nothing
	pairs    int
	quick    bool
}

func main() {
	var b bench
	var list bool
	flag.StringVar(&b.document, "document", "docs/performance.md", "document to write the figures into; empty: print only")
	flag.IntVar(&b.pairs, "pairs", 5, "how often each is run, in turn with the others; medians are taken")
	flag.BoolVar(&b.quick, "quick", false, "logs of a tenth of the size: to try the harness, not to quote")
	flag.BoolVar(&list, "list", false, "name the measurements and end")
	flag.Parse()
	if list {
		for _, m := range measurements {
			fmt.Printf("%-10s %s\n", m.name, m.about)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := b.all(ctx, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

// all runs the named measurements, or every one.
func (b *bench) all(ctx context.Context, names []string) error {
	for _, name := range names {
		if !slices.ContainsFunc(measurements, func(m measurement) bool { return m.name == name }) {
			return fmt.Errorf("no measurement %q: see --list", name)
		}
	}
	if err := b.prepare(ctx); err != nil {
		return err
	}
	defer os.RemoveAll(b.work)
	if b.document != "" && len(names) == 0 { // nothing of an older run stays
		if err := replaceText(b.document, "targets", targetsHead); err != nil {
			return err
		}
	}
	var failed []string
	for _, m := range measurements {
		if len(names) > 0 && !slices.Contains(names, m.name) {
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		fmt.Fprintf(os.Stderr, "== %s: %s\n", m.name, m.about)
		rows, err := m.run(ctx, b)
		if err != nil {
			fmt.Fprintf(os.Stderr, "bench: %s: %v\n", m.name, err)
			failed = append(failed, m.name)
			rows = append(rows, row{what: m.about, measured: "not measured: " + oneLine(err), verdict: verdict(false)})
		}
		for i := range rows {
			rows[i].how = "`go run ./bench " + m.name + "`"
			fmt.Print(rows[i])
		}
		if b.document == "" || len(rows) == 0 {
			continue
		}
		if err := replaceRows(b.document, "targets", rows); err != nil {
			return err
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("not measured: %s", strings.Join(failed, ", "))
	}
	return nil
}

// prepare builds mtatap and makes folders.
func (b *bench) prepare(ctx context.Context) error {
	base, err := os.UserCacheDir()
	if err != nil {
		return fmt.Errorf("find cache folder: %w", err)
	}
	b.cache = filepath.Join(base, "mtatap-bench")
	if err := os.MkdirAll(b.cache, 0o755); err != nil {
		return fmt.Errorf("make cache folder: %w", err)
	}
	if b.work, err = os.MkdirTemp(b.cache, "work-"); err != nil {
		return fmt.Errorf("make work folder: %w", err)
	}
	b.mtatap = filepath.Join(b.work, "mtatap")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", b.mtatap, ".").CombinedOutput(); err != nil {
		return fmt.Errorf("build mtatap: %w: %s", err, out)
	}
	if b.document == "" {
		return nil
	}
	return replaceText(b.document, "machine", b.machine())
}

// machine describes where this runs.
func (b *bench) machine() string {
	model := "unknown processor"
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(info)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	load := "unknown"
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		load = strings.Fields(string(text))[0]
	}
	size := ""
	if b.quick {
		size = " **A try with small logs: these figures mean nothing.**"
	}
	return fmt.Sprintf("%s on %d cores (%s), %s, load average %s when it began.%s\n",
		time.Now().UTC().Format("2 January 2006"), runtime.NumCPU(), model, runtime.Version(), load, size)
}

// enough reports whether a program was run often enough: a slow one, whose times
// differ little from run to run, twice or as often as fits into a minute.
func (b *bench) enough(runs []usage) bool {
	var spent time.Duration
	for _, u := range runs {
		spent += u.wall
	}
	n := len(runs)
	return n >= b.pairs || n >= 2 && spent+spent/time.Duration(n) > time.Minute
}

// folder makes a new empty folder for one run.
func (b *bench) folder() (string, error) { return os.MkdirTemp(b.work, "run-") }
