//go:build e2e

package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// The variants of Options.
const (
	// EximAll turns on nearly all log selectors.
	EximAll = "all"
	// EximPrecise logs milliseconds, the zone and the process, and to syslog
	// neither a time stamp nor the process: syslog has its own.
	EximPrecise = "precise"
	// EximBounces delivers to BounceDomain on this host, by the head of the local
	// part: "box" to a file, "alias" to a command by way of an alias, "told" to a
	// command that writes whose mail bounced and why, others to one that writes
	// only why. A system filter hands what goes to
	// "archived" to a command that fails.
	EximBounces = "bounces"
)

// BounceDomain is where bounces go that the variant EximBounces takes.
const BounceDomain = "bounces.example"

// EximBounceMail returns messages to and from addresses that carry the recipient.
func EximBounceMail() []Submission {
	verp := func(how, local string) string { return how + "+" + local + "=" + DefaultDomain + "@" + BounceDomain }
	return []Submission{
		{ID: "to-mailbox@" + SenderDomain, To: []string{verp("box", "john")}},
		{ID: "to-command@" + SenderDomain, To: []string{verp("command", "jane")}},
		{ID: "to-alias@" + SenderDomain, To: []string{verp("alias", "jim")}},
		{ID: "told@" + SenderDomain, To: []string{"told@" + BounceDomain}},
		{ID: "to-nobody@" + SenderDomain, To: []string{"box@" + BounceDomain}},
		{ID: "own-notice@" + SenderDomain, From: verp("box", "unknown"), To: []string{"unknown@" + DefaultDomain}},
		{ID: "from-somebody@" + SenderDomain, From: "sender@" + SenderDomain, To: []string{verp("box", "ann")}},
		{ID: "failed-filter@" + SenderDomain, From: verp("box", "joe"), To: []string{"ok+archived@" + DefaultDomain}},
	}
}

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
	settings, routers, transports := "", "", ""
	switch opts.Variant {
	case EximAll:
		// "arguments" and "unknown_in_list" only tell of this machine.
		settings = "log_selector = +all -arguments -unknown_in_list"
	case EximPrecise:
		settings = eximPreciseSettings
	case EximBounces:
		settings = fmt.Sprintf(eximBounceSettings, dir)
		routers, transports = fmt.Sprintf(eximBounceRouters, BounceDomain), fmt.Sprintf(eximBounceTransports, dir)
	}
	writeFiles(t, dir, map[string]string{
		"exim.conf": fmt.Sprintf(eximConf, dir, MailHost, logTo, settings, e.port, AliasRecipient, AliasTarget, eximCommand, routers, transports),
		"filter":    eximFilter,
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
%[9]s
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
%[10]s
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

const eximPreciseSettings = `log_selector = +millisec +pid +queue_time +queue_time_overall +deliver_time +delivery_size \
  +sender_on_delivery +return_path_on_delivery +outgoing_port +outgoing_interface +8bitmime
log_timezone
timezone = CET-1
syslog_timestamp = false
syslog_pid = false`

const eximBounceSettings = `system_filter = %[1]s/filter
system_filter_user = Debian-exim
system_filter_pipe_transport = to_command`

const eximFilter = `# Exim filter
if $recipients contains "archived@" then
  unseen pipe "/bin/false"
endif
`

const eximBounceRouters = `bounce_alias:
  driver = redirect
  domains = %[1]s
  condition = ${if match{$local_part}{^alias}}
  data = |/bin/true
  pipe_transport = to_command
  user = Debian-exim

bounce:
  driver = accept
  domains = %[1]s
  transport = ${if match{$local_part}{^box}{to_box}{${if eq{$local_part}{told}{to_telling_command}{to_bounce_command}}}}
`

const eximBounceTransports = `to_box:
  driver = appendfile
  file = %[1]s/spool/box
  user = Debian-exim

to_command:
  driver = pipe
  user = Debian-exim

to_bounce_command:
  driver = pipe
  command = /bin/echo "550 5.1.1 User unknown"
  ignore_status
  log_output
  user = Debian-exim

to_telling_command:
  driver = pipe
  command = /bin/echo "550 5.1.1 <mary@remote.example>: User unknown"
  ignore_status
  log_output
  user = Debian-exim
`
