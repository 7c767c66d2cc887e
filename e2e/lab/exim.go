//go:build e2e

package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// EximAll is the variant of Options that turns on nearly all log selectors.
const EximAll = "all"

type exim struct {
	log     string
	port    int
	process *process
	stopped bool
}

// StartExim starts an Exim that delivers along the routes, tries deferred mail
// again every three seconds and gives up after nine. With Syslog it logs both
// to LogPath and to syslog. It needs root and the user Debian-exim.
func StartExim(t testing.TB, opts Options) MTA {
	t.Helper()
	eximCommand := program(t, "Exim", cacheDir(t, "exim", "usr", "sbin", "exim4"), "exim4", "/usr/sbin/exim4")
	dir := workDir(t, opts.Dir, "exim")
	// Exim runs itself anew as its own user, who may not enter the cache.
	eximCommand = copySetuid(t, eximCommand, filepath.Join(dir, "exim"))
	e := &exim{log: filepath.Join(dir, "log", "mainlog"), port: freePort(t)}

	logTo := filepath.Join(dir, "log", "%slog")
	if opts.Syslog {
		logTo = "syslog : " + logTo
	}
	selector := ""
	if opts.Variant == EximAll {
		// "arguments" and "unknown_in_list" only tell of this machine.
		selector = "log_selector = +all -arguments -unknown_in_list"
	}
	writeFiles(t, dir, map[string]string{
		"exim.conf": fmt.Sprintf(eximConf, dir, MailHost, logTo, selector, e.port, AliasRecipient, AliasTarget, eximCommand),
		"routes":    routeTable(opts.Routes, "%s: %s::%d\n"),
	})
	for _, sub := range []string{"spool", "log"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := run(command("", "chown", "Debian-exim:Debian-exim", filepath.Join(dir, sub))); err != nil {
			t.Fatal(err)
		}
	}
	cmd := command(opts.Host, eximCommand, "-C", filepath.Join(dir, "exim.conf"), "-bdf", "-q1s")
	cmd.Stderr = os.Stderr
	e.process = startProcess(t, cmd)
	t.Cleanup(func() {
		if err := e.Stop(); err != nil {
			t.Error(err)
		}
	})
	awaitSMTP(t, e.port)
	return e
}

func (e *exim) Name() string    { return "exim" }
func (e *exim) LogPath() string { return e.log }

func (e *exim) Submit(ctx context.Context, from string, to []string, body string) error {
	return submit(ctx, e.port, from, to, body)
}

// Rotate by rename is all that exicyclog does: every Exim process notices that
// the file of that name is another one.
func (e *exim) Rotate(how Rotation) error {
	if how == RotateCopyTruncate {
		return copyTruncate(e.log)
	}
	if err := os.Rename(e.log, e.log+".1"); err != nil {
		return fmt.Errorf("rename log: %w", err)
	}
	return nil
}

func (e *exim) Stop() error {
	if e.stopped {
		return nil
	}
	e.stopped = true
	return e.process.stop()
}

func copySetuid(t testing.TB, from, to string) string {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, content, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(to, 0o755|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	return to
}

const eximConf = `primary_hostname = %[2]s
qualify_domain = %[2]s
exim_path = %[8]s
pid_file_path = %[1]s/spool/exim.pid
spool_directory = %[1]s/spool
log_file_path = %[3]s
%[4]s
keep_environment =
local_interfaces = 127.0.0.1
daemon_smtp_ports = %[5]d
disable_ipv6 = true
host_lookup =
dns_ipv4_lookup =
rfc1413_query_timeout = 0s
tls_advertise_hosts =
smtputf8_advertise_hosts =
chunking_advertise_hosts =
pipelining_connect_advertise_hosts =
allow_utf8_domains = true
never_users =
deliver_drop_privilege = true
queue_run_in_order = true
timeout_frozen_after = 20s
ignore_bounce_errors_after = 5s
acl_smtp_rcpt = accept_all
acl_smtp_data = accept_all

begin acl
accept_all:
  accept

begin routers
aliases:
  driver = redirect
  domains = alias.example
  data = ${if eq{$local_part@$domain}{%[6]s}{%[7]s}}
remote:
  driver = manualroute
  route_data = ${lookup{$domain}lsearch{%[1]s/routes}}
  transport = remote_smtp
  self = send
  no_more

begin transports
remote_smtp:
  driver = smtp
  allow_localhost
  hosts_avoid_tls = *
  hosts_try_fastopen =
  hosts_try_chunking =
  hosts_pipe_connect =
  connect_timeout = 5s

begin retry
* * F,9s,3s
`
