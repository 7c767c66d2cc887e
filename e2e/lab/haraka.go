//go:build e2e

package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Words of Options.Variant for Haraka, joined by "+". Its default is the default
// format at the level info, without any time.
const (
	HarakaTimestamps = "timestamps"
	HarakaLogfmt     = "logfmt"
	HarakaJSON       = "json"
	HarakaNotice     = "notice"
	HarakaProtocol   = "protocol"
	HarakaDebug      = "debug"
	// HarakaArriving takes mail in for lab.SenderDomain and lets nobody relay.
	HarakaArriving = "arriving"
)

// Earlier versions for Options.Version: the last ones whose logs differ.
const (
	Haraka28 = "2.8.28"
	Haraka30 = "3.0.3"
)

type haraka struct {
	log     string
	port    int
	process *process
	stopped bool
}

// StartHaraka starts a Haraka whose standard output is the log, that delivers
// along the routes, tries deferred mail again after five seconds, twice, and
// then gives up. With Syslog it logs through its syslog plugin as well.
func StartHaraka(t testing.TB, opts Options) MTA {
	t.Helper()
	script := harakaScript(t, opts.Version)
	// Where the system's Node is too old the install step brings its own.
	node := program(t, "Haraka", cacheDir(t, "haraka", "node_modules", "node", "bin", "node"), "node")
	dir := workDir(t, opts.Dir, "haraka")
	h := &haraka{log: filepath.Join(dir, "log", "haraka.log"), port: freePort(t)}

	routes, err := json.Marshal(opts.Routes)
	if err != nil {
		t.Fatal(err)
	}
	plugins := "lab\n"
	if opts.Syslog {
		plugins = "syslog\n" + plugins
	}
	// What "haraka -i" does: the package's own configuration, then ours on top.
	shipped := filepath.Join(filepath.Dir(filepath.Dir(script)), "config")
	if err := os.CopyFS(filepath.Join(dir, "config"), os.DirFS(shipped)); err != nil {
		t.Fatal(err)
	}
	writeFiles(t, dir, map[string]string{
		"config/smtp.ini":     fmt.Sprintf("listen=127.0.0.1:%d\nnodes=0\n", h.port),
		"config/plugins":      plugins,
		"config/log.ini":      harakaLogSettings(opts.Variant),
		"config/outbound.ini": "enable_tls=false\ntemp_fail_intervals=5s*2\nlocal_mx_ok=true\n",
		"config/me":           MailHost + "\n",
		"plugins/lab.js":      fmt.Sprintf(harakaPlugin, routes, strings.Contains(opts.Variant, HarakaArriving), SenderDomain),
		"log/haraka.log":      "",
	})
	if err := os.MkdirAll(filepath.Join(dir, "queue"), 0o755); err != nil {
		t.Fatal(err)
	}
	log, err := os.OpenFile(h.log, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := command(opts.Host, node, script, "-c", dir)
	cmd.Stdout, cmd.Stderr = log, log
	h.process = startProcess(t, cmd)
	t.Cleanup(func() {
		if err := h.Stop(); err != nil {
			t.Error(err)
		}
	})
	awaitSMTP(t, h.port)
	return h
}

// harakaScript returns the program of that version, "" being the usual one. Its
// package was spelt with a capital before version 3.1.
func harakaScript(t testing.TB, version string) string {
	t.Helper()
	script := cacheDir(t, "haraka", "node_modules", "haraka", "bin", "haraka")
	install := ".ci/install"
	if version != "" {
		script = cacheDir(t, "haraka-"+version, "node_modules", "Haraka", "bin", "haraka")
		install += " old-haraka"
	}
	if _, err := os.Stat(script); err != nil {
		t.Fatalf("Haraka is not installed: run %s", install)
	}
	return script
}

// harakaLogSettings returns log.ini for the words of a variant.
func harakaLogSettings(variant string) string {
	timestamps, format, level := false, "default", "info"
	for word := range strings.SplitSeq(variant, "+") {
		switch word {
		case HarakaTimestamps:
			timestamps = true
		case HarakaLogfmt, HarakaJSON:
			format = word
		case HarakaNotice, HarakaProtocol, HarakaDebug:
			level = word
		}
	}
	return fmt.Sprintf("[main]\nlevel=%s\ntimestamps=%t\nformat=%s\n", level, timestamps, format)
}

// HarakaTakes returns what of messages that version takes: those before 3.1
// refuse quoted local parts.
func HarakaTakes(version string, messages []Submission) []Submission {
	if version == "" {
		return messages
	}
	return without(messages, quoted)
}

func (h *haraka) Name() string    { return "haraka" }
func (h *haraka) LogPath() string { return h.log }

func (h *haraka) Submit(ctx context.Context, from string, to []string, body string) error {
	return submit(ctx, h.port, from, to, body)
}

// Rotate always copies and truncates: Haraka never opens its output itself.
func (h *haraka) Rotate(Rotation) error { return copyTruncate(h.log) }

func (h *haraka) Stop() error {
	if h.stopped {
		return nil
	}
	h.stopped = true
	return h.process.stop()
}

// The plugin routes without DNS. It lets everybody relay, or takes mail in.
const harakaPlugin = `'use strict'
const routes = %s
const arriving = %t
const here = '%s'
exports.register = function () {
  this.register_hook('connect_init', 'relay')
}
exports.relay = function (next, connection) {
  connection.relaying = !arriving
  next()
}
exports.hook_rcpt = function (next, connection, params) {
  next(arriving && params[0].host === here ? OK : CONT)
}
exports.hook_queue = function (next) {
  next(OK)
}
exports.hook_get_mx = function (next, hmail, domain) {
  const route = routes[domain.toLowerCase()]
  if (!route) return next(DENY, 'no route')
  const [exchange, port] = route.split(':')
  next(OK, { priority: 0, exchange, port: Number(port) })
}
`
