//go:build e2e

package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// Variants of Options for Haraka, beside its default of no time at all.
const (
	HarakaTimestamps = "timestamps"
	HarakaLogfmt     = "logfmt"
	HarakaJSON       = "json"
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
	script := cacheDir(t, "haraka", "node_modules", "haraka", "bin", "haraka")
	if _, err := os.Stat(script); err != nil {
		t.Fatal("Haraka is not installed: run .ci/install (Haraka)")
	}
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
	timestamps, format := "false", "default"
	switch opts.Variant {
	case HarakaTimestamps:
		timestamps = "true"
	case HarakaLogfmt, HarakaJSON:
		timestamps, format = "true", opts.Variant
	}
	// What "haraka -i" does: the package's own configuration, then ours on top.
	shipped := filepath.Join(filepath.Dir(filepath.Dir(script)), "config")
	if err := os.CopyFS(filepath.Join(dir, "config"), os.DirFS(shipped)); err != nil {
		t.Fatal(err)
	}
	writeFiles(t, dir, map[string]string{
		"config/smtp.ini":     fmt.Sprintf("listen=127.0.0.1:%d\nnodes=0\n", h.port),
		"config/plugins":      plugins,
		"config/log.ini":      "[main]\nlevel=info\ntimestamps=" + timestamps + "\nformat=" + format + "\n",
		"config/outbound.ini": "enable_tls=false\ntemp_fail_intervals=5s*2\nlocal_mx_ok=true\n",
		"config/me":           MailHost + "\n",
		"plugins/lab.js":      fmt.Sprintf(harakaPlugin, routes),
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

// The plugin lets everybody relay and routes without DNS.
const harakaPlugin = `'use strict'
const routes = %s
exports.register = function () {
  this.register_hook('connect_init', 'relay')
}
exports.relay = function (next, connection) {
  connection.relaying = true
  next()
}
exports.hook_get_mx = function (next, hmail, domain) {
  const route = routes[domain.toLowerCase()]
  if (!route) return next(DENY, 'no route')
  const [exchange, port] = route.split(':')
  next(OK, { priority: 0, exchange, port: Number(port) })
}
`
