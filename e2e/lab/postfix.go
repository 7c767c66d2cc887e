//go:build e2e

package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

type postfix struct {
	config  string
	log     string
	port    int
	stopped bool
}

// PostfixBounces is the variant that takes bounces, for each in another way:
// mail for anybody at lists.example is delivered to a silent pipe, at
// handler.example to a pipe that tells whose mail bounced, at virtual.example to
// the mailbox news, at local.example to a command by the alias news. The address
// news@alias.example is an alias of a mailbox, with whatever follows its "+".
const PostfixBounces = "bounces"

// PostfixSettings is the variant with settings that change what the log looks
// like: another syslog name, long queue ids, addresses in internal form, soft
// bounces, and connections that are kept.
const PostfixSettings = "settings"

// StartPostfix starts a Postfix that delivers along the routes, tries deferred
// mail again every three seconds or so and gives up after twelve. It needs root.
func StartPostfix(t testing.TB, opts Options) MTA {
	t.Helper()
	postfixCommand := program(t, "packages", "postfix", "/usr/sbin/postfix")
	dir := workDir(t, opts.Dir, "postfix")
	p := &postfix{config: filepath.Join(dir, "etc"), log: filepath.Join(dir, "log", "mail.log"), port: freePort(t)}

	routes, ends, services := routeTable(opts.Routes, " { %s = smtp:[%s]:%d }"), postfixNoEnds, ""
	if opts.Variant == PostfixBounces {
		routes += postfixBounceRoutes
		ends, services = fmt.Sprintf(postfixBounceEnds, dir), postfixBounceServices
	}
	if opts.Variant == PostfixSettings {
		ends += postfixSettings
	}
	main := fmt.Sprintf(postfixMain, dir, MailHost, routes, AliasRecipient, AliasTarget) + ends
	if !opts.Syslog {
		main += "maillog_file = " + p.log + "\nmaillog_file_prefixes = " + dir + "\n"
	}
	writeFiles(t, dir, map[string]string{
		"etc/main.cf":   main,
		"etc/master.cf": fmt.Sprintf(postfixMaster, p.port) + services,
	})
	for _, sub := range []string{"spool", "data", "log", "mail"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for sub, owner := range map[string]string{"data": "postfix", "mail": "nobody"} {
		if err := run(exec.Command("chown", owner, filepath.Join(dir, sub))); err != nil {
			t.Fatal(err)
		}
	}
	if err := run(command(opts.Host, postfixCommand, "-c", p.config, "start")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	awaitSMTP(t, p.port)
	return p
}

func (p *postfix) Name() string    { return "postfix" }
func (p *postfix) LogPath() string { return p.log }

func (p *postfix) Submit(ctx context.Context, from string, to []string, body string) error {
	return submit(ctx, p.port, from, to, body)
}

// Rotate by rename does what "postfix logrotate" does, less its compression:
// rename, then have postlogd, which keeps the file open, end.
func (p *postfix) Rotate(how Rotation) error {
	if how == RotateCopyTruncate {
		return copyTruncate(p.log)
	}
	if err := os.Rename(p.log, p.log+".1"); err != nil {
		return fmt.Errorf("rename log: %w", err)
	}
	return p.control("reload")
}

func (p *postfix) Stop() error {
	if p.stopped {
		return nil
	}
	p.stopped = true
	return p.control("stop")
}

func (p *postfix) control(verb string) error {
	return run(exec.Command("postfix", "-c", p.config, verb))
}

const postfixMain = `compatibility_level = 3.6
queue_directory = %[1]s/spool
data_directory = %[1]s/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = %[2]s
mydomain = example
myorigin = $myhostname
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_database =
local_recipient_maps =
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_peername_lookup = no
transport_maps = inline:{%[3]s }
virtual_alias_maps = inline:{ { %[4]s = %[5]s } { news@alias.example = bounces@virtual.example } }
smtp_host_lookup = native
smtp_dns_support_level = disabled
smtp_tls_security_level = none
smtp_connect_timeout = 5s
minimal_backoff_time = 4s
maximal_backoff_time = 5s
queue_run_delay = 1s
maximal_queue_lifetime = 12s
bounce_queue_lifetime = 12s
`

const postfixMaster = `127.0.0.1:%d inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
tlsmgr unix - - n 1000? 1 tlsmgr
postlog unix-dgram n - n - 1 postlogd
`

const postfixNoEnds = `mydestination =
alias_maps =
`

const postfixBounceRoutes = ` { lists.example = silent: } { handler.example = handler: }`

const postfixBounceEnds = `mydestination = local.example
recipient_delimiter = +
alias_maps = inline:{ { news = |/bin/true } }
virtual_mailbox_domains = virtual.example
virtual_mailbox_maps = inline:{ { news@virtual.example = news/ } { bounces@virtual.example = bounces/ } }
virtual_mailbox_base = %[1]s/mail
virtual_minimum_uid = 100
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
`

const postfixSettings = `syslog_name = mx-1/postfix
enable_long_queue_ids = yes
info_log_address_format = internal
soft_bounce = yes
smtp_connection_cache_on_demand = yes
smtp_connection_cache_destinations = static:all
`

const postfixBounceServices = `silent unix - n n - - pipe
  flags=R user=nobody argv=/bin/sh -c {cat >/dev/null}
handler unix - n n - - pipe
  flags=R user=nobody argv=/bin/sh -c {cat >/dev/null; echo "550 5.1.1 <gone@remote.example>: User unknown"}
`
