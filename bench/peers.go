package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// peer is another program that reads the same log.
type peer struct {
	name     string
	does     string
	packages []string // of Debian
	// run gives it the log and returns what it took and how many outcomes it
	// found; a peer that does nothing is none.
	run     func(ctx context.Context, k *kit, log input) (usage, int, error)
	version func(k *kit) *exec.Cmd
}

// peers of reading a log. How each is set up is in bench/peers.
var peers = []peer{
	{"grep -c", "counts the lines with `, status=`", nil, runGrep,
		func(*kit) *exec.Cmd { return exec.Command("grep", "--version") }},
	{"nxadm/tail", "hands on lines, those with `, status=` are counted", nil, runTail, nil},
	{"pflogsumm", "a report of sums", []string{"pflogsumm"}, runPflogsumm,
		func(k *kit) *exec.Cmd { return k.command("usr/sbin/pflogsumm", "--version") }},
	{"rsyslog", "mmnormalize, six regular expressions, JSON", []string{"rsyslog"}, runRsyslog,
		func(k *kit) *exec.Cmd { return k.command("usr/sbin/rsyslogd", "-v") }},
	{"syslog-ng", "one regular expression to take apart, six more, JSON", []string{"syslog-ng-core"}, runSyslogNG,
		func(k *kit) *exec.Cmd { return k.command("usr/sbin/syslog-ng", "--version") }},
	{"mtail", "counters, a cheap pattern before the costly one", []string{"mtail"}, runMtail("postfix.mtail"),
		func(k *kit) *exec.Cmd { return k.command("usr/bin/mtail", "--version") }},
	{"mtail, plain", "counters, one pattern", []string{"mtail"}, runMtail("plain.mtail"),
		func(k *kit) *exec.Cmd { return k.command("usr/bin/mtail", "--version") }},
}

// kit is where peers are and how they are started.
type kit struct {
	root string // of unpacked packages
	conf string // bench/peers
	work string // an empty folder for one run
}

// install unpacks packages that the system does not have.
func (b *bench) install(ctx context.Context, packages ...string) (*kit, error) {
	conf, err := filepath.Abs("bench/peers")
	if err != nil {
		return nil, err
	}
	k := &kit{root: filepath.Join(b.cache, "peers"), conf: conf}
	if k.work, err = b.folder(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(conf, "install"), append([]string{k.root}, packages...)...)
	cmd.WaitDelay = time.Second // what it started may hold its output open
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("install %v: %w: %s", packages, err, out)
	}
	return k, nil
}

// command returns the command that starts an unpacked program, or that of the
// system. Libraries and modules are looked for at both places.
func (k *kit) command(path string, args ...string) *exec.Cmd {
	program := filepath.Join(k.root, path)
	if _, err := os.Stat(program); err != nil {
		program = "/" + path
	}
	cmd := exec.Command(program, args...)
	libs := []string{filepath.Join(k.root, "usr/lib/syslog-ng")}
	for _, pattern := range []string{"usr/lib/*-linux-gnu*", "lib/*-linux-gnu*"} {
		found, _ := filepath.Glob(filepath.Join(k.root, pattern)) // the pattern is fine
		libs = append(libs, found...)
	}
	perl := []string{filepath.Join(k.root, "usr/share/perl5")}
	found, _ := filepath.Glob(filepath.Join(k.root, "usr/lib/*/perl5/*")) // the pattern is fine
	cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+strings.Join(libs, ":"), "PERL5LIB="+strings.Join(append(perl, found...), ":"))
	return cmd
}

// glob returns the first path that matches, among what was unpacked and then what
// the system has, or "".
func (k *kit) glob(pattern string) string {
	for _, root := range []string{k.root, "/"} {
		if found, _ := filepath.Glob(filepath.Join(root, pattern)); len(found) > 0 {
			return found[0]
		}
	}
	return ""
}

var versionNumber = regexp.MustCompile(`\d+\.\d+[\w.~+-]*`)

// versionOf returns the version of a program from what it prints.
func versionOf(cmd *exec.Cmd) string {
	out, _ := cmd.CombinedOutput() // some end with an error all the same
	if v := versionNumber.Find(out); v != nil {
		return string(v)
	}
	return "unknown version"
}

func runGrep(_ context.Context, _ *kit, log input) (usage, int, error) {
	// To a pipe: it stops at the first hit where output is /dev/null.
	return counted(exec.Command("grep", "-c", ", status=", log.path), regexp.MustCompile(`^(\d+)`))
}

func runTail(ctx context.Context, k *kit, log input) (usage, int, error) {
	program := filepath.Join(k.work, "tail")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", program, "./bench/peers/tail").CombinedOutput(); err != nil {
		return usage{}, 0, fmt.Errorf("build tail: %w: %s", err, out)
	}
	return counted(exec.Command(program, log.path), regexp.MustCompile(`^(\d+)`))
}

func runPflogsumm(_ context.Context, k *kit, log input) (usage, int, error) {
	return counted(k.command("usr/sbin/pflogsumm", log.path), regexp.MustCompile(`(?m)^ *(\d+)(k?) +(?:delivered|deferred|bounced)`))
}

func runMtail(program string) func(context.Context, *kit, input) (usage, int, error) {
	return func(_ context.Context, k *kit, log input) (usage, int, error) {
		cmd := k.command("usr/bin/mtail", "--one_shot", "--one_shot_format", "prometheus", "--progs", filepath.Join(k.conf, program), "--logs", log.path, "--log_dir", k.work)
		return counted(cmd, regexp.MustCompile(`(?m)^deliveries\{.*\} (\d+)$`))
	}
}

// counted runs cmd to its end and adds up the numbers that it prints where found
// says.
func counted(cmd *exec.Cmd, found *regexp.Regexp) (usage, int, error) {
	var out strings.Builder
	cmd.Stdout = &out
	u, err := toEnd(cmd)
	sum := 0
	for _, m := range found.FindAllStringSubmatch(out.String(), -1) {
		n, _ := strconv.Atoi(m[1]) // digits
		if len(m) > 2 && m[2] == "k" {
			n *= 1024
		}
		sum += n
	}
	return u, sum, err
}

func runRsyslog(_ context.Context, k *kit, log input) (usage, int, error) {
	out := filepath.Join(k.work, "out.ndjson")
	cmd := k.command("usr/sbin/rsyslogd", "-n", "-f", filepath.Join(k.conf, "rsyslog.conf"), "-i", filepath.Join(k.work, "pid"))
	cmd.Env = append(cmd.Env, "LOG="+log.path, "OUT="+out, "WORK="+k.work, "RULEBASE="+filepath.Join(k.conf, "postfix.rulebase"))
	return followed(cmd, log, out)
}

func runSyslogNG(_ context.Context, k *kit, log input) (usage, int, error) {
	out := filepath.Join(k.work, "out.ndjson")
	modules := filepath.Dir(k.glob("usr/lib/syslog-ng/*/libjson-plugin.so"))
	cmd := k.command("usr/sbin/syslog-ng", "-F", "--no-caps", "-f", filepath.Join(k.conf, "syslog-ng.conf"), "--module-path="+modules,
		"-R", filepath.Join(k.work, "persist"), "-p", filepath.Join(k.work, "pid"), "-c", filepath.Join(k.work, "control"))
	cmd.Env = append(cmd.Env, "LOG="+log.path, "OUT="+out)
	return followed(cmd, log, out)
}

// followed runs a program that follows the log for ever until it has written all
// outcomes to out. What it takes to stop does not count.
func followed(cmd *exec.Cmd, log input, out string) (usage, int, error) {
	_, want, err := count(log.path, []byte(", status="))
	if err != nil {
		return usage{}, 0, err
	}
	p, err := start(cmd)
	if err != nil {
		return usage{}, 0, err
	}
	tally := &tally{path: out}
	err = p.until(atMost, func() bool { return tally.lines() >= want })
	u := p.now()
	if err := errors.Join(err, p.stop()); err != nil {
		return u, tally.n, err
	}
	return u, tally.lines(), nil
}

// tally counts the lines of a file that grows.
type tally struct {
	path string
	file *os.File
	n    int
	buf  []byte
}

// lines returns how many whole lines there are by now.
func (t *tally) lines() int {
	if t.file == nil {
		file, err := os.Open(t.path)
		if err != nil {
			return 0 // not there yet
		}
		t.file, t.buf = file, make([]byte, 1<<20)
	}
	for {
		n, err := t.file.Read(t.buf)
		t.n += bytes.Count(t.buf[:n], []byte("\n"))
		if err != nil || n == 0 {
			return t.n
		}
	}
}
