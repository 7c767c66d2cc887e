//go:build e2e

package lab

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// OpenSMTPDLocal is the variant of Options that delivers on this host: to a folder,
// to commands that fail for good or for now, and to an LMTP server that is away.
// It insists on TLS for one domain and looks up another, without DNS.
const OpenSMTPDLocal = "local"

// The domains of the variant OpenSMTPDLocal, besides SenderDomain.
const (
	failingDomain = "failing.example"
	busyDomain    = "busy.example"
	lmtpDomain    = "lmtp.example"
	secureDomain  = "secure.example"
	lookedUp      = "looked-up.example"
)

// OpenSMTPDLocalMail returns messages for the variant OpenSMTPDLocal.
func OpenSMTPDLocalMail() []Submission {
	const sender = "sender@" + SenderDomain
	return []Submission{
		{ID: "folder@" + SenderDomain, From: sender, To: []string{"box@" + SenderDomain}},
		{ID: "commands@" + SenderDomain, From: sender, To: []string{"user@" + failingDomain, "user@" + busyDomain, "user@" + lmtpDomain}},
		{ID: "no-way@" + SenderDomain, From: sender, To: []string{"user@" + secureDomain, "user@" + lookedUp}},
		{ID: "bounce@" + DefaultDomain, From: "", To: []string{"bounces+john=remote.example@" + SenderDomain}},
	}
}

type openSMTPD struct {
	log     string
	port    int
	process *process
	stopped bool
}

// StartOpenSMTPD starts an OpenSMTPD that delivers along the routes, tries
// deferred mail again every three seconds and gives up after 20. It sees the
// folders that are built into it through mounts of its own, so it needs root,
// and the users opensmtpd and opensmtpq.
func StartOpenSMTPD(t testing.TB, opts Options) MTA {
	t.Helper()
	program(t, "OpenSMTPD", cacheDir(t, "opensmtpd", "usr", "sbin", "smtpd"))
	dir := workDir(t, opts.Dir, "opensmtpd")
	s := &openSMTPD{log: filepath.Join(dir, "log", "maillog"), port: freePort(t)}
	conf := fmt.Sprintf(openSMTPDConf, MailHost, s.port, dir)
	if opts.Variant == OpenSMTPDLocal {
		conf += fmt.Sprintf(openSMTPDLocal, dir, SenderDomain, failingDomain, busyDomain, lmtpDomain, secureDomain, lookedUp, freePort(t), opts.Routes[DefaultDomain])
	}
	for _, domain := range slices.Sorted(maps.Keys(opts.Routes)) {
		conf += fmt.Sprintf("action \"%[1]s\" relay host smtp://%[2]s\nmatch from any for domain \"%[1]s\" action \"%[1]s\"\n", domain, opts.Routes[domain])
	}
	aliasName, _, _ := strings.Cut(AliasRecipient, "@")
	writeFiles(t, dir, map[string]string{
		"smtpd.conf":  conf,
		"aliases":     aliasName + ": " + AliasTarget + "\n",
		"resolv.conf": "nameserver 127.0.0.1\n",
		"start":       openSMTPDStart,
		"log/maillog": "",
	})
	if err := os.MkdirAll(filepath.Join(dir, "mail"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "mail"), 0o777); err != nil {
		t.Fatal(err)
	}
	how := "-d"
	if opts.Syslog {
		how = "-F"
	}
	cmd := command(opts.Host, "unshare", "--mount", "sh", filepath.Join(dir, "start"), cacheDir(t, "opensmtpd"), dir, how)
	log, err := os.OpenFile(s.log, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	s.process = startProcess(t, cmd)
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	awaitSMTP(t, s.port)
	return s
}

func (s *openSMTPD) Name() string    { return "opensmtpd" }
func (s *openSMTPD) LogPath() string { return s.log }

func (s *openSMTPD) Submit(ctx context.Context, from string, to []string, body string) error {
	return submit(ctx, s.port, from, to, body)
}

// Rotate always copies and truncates: OpenSMTPD never opens a log itself.
func (s *openSMTPD) Rotate(Rotation) error { return copyTruncate(s.log) }

func (s *openSMTPD) Stop() error {
	if s.stopped {
		return nil
	}
	s.stopped = true
	return s.process.stop()
}

// OpenSMTPD waits 400 seconds before it tries again, and a host that failed is
// left alone for 15 at least; an administrator may ask for both at once.
const openSMTPDStart = `set -e
root=$1 dir=$2 how=$3
for folder in /run /var/spool /var/lib; do mount -t tmpfs tmpfs $folder; done
mkdir -p /var/lib/opensmtpd/empty
mount --bind "$root/usr/libexec" /usr/libexec
mount --bind "$dir/resolv.conf" /etc/resolv.conf
cp "$root/usr/sbin/smtpctl" /run/smtpctl
chgrp opensmtpq /run/smtpctl
chmod 2755 /run/smtpctl # it insists
while sleep 3; do
	for route in $(/run/smtpctl show routes | sed -n 's/^\([0-9]*\)\..*/\1/p'); do /run/smtpctl resume route "$route"; done
	/run/smtpctl schedule all
done >/dev/null 2>&1 &
exec "$root/usr/sbin/smtpd" "$how" -f "$dir/smtpd.conf"
`

const openSMTPDConf = `smtp max-message-size 1M
queue ttl 20s
table aliases file:%[3]s/aliases
listen on 127.0.0.1 port %[2]d hostname %[1]s
action "alias" expand-only alias <aliases>
match from any for domain "alias.example" action "alias"
`

const openSMTPDLocal = `table users { "@" = nobody }
action "folder" maildir "%[1]s/mail/box" virtual <users>
action "failing" mda "echo '550 5.1.1 user unknown' >&2; exit 67" virtual <users>
action "busy" mda "echo 'mailbox is locked: try again \"later\"' >&2; exit 75" virtual <users>
action "lmtp" lmtp "127.0.0.1:%[8]d" rcpt-to virtual <users>
action "secure" relay host smtp+tls://%[9]s
action "looked up" relay
match from any for domain "%[2]s" action "folder"
match from any for domain "%[3]s" action "failing"
match from any for domain "%[4]s" action "busy"
match from any for domain "%[5]s" action "lmtp"
match from any for domain "%[6]s" action "secure"
match from any for domain "%[7]s" action "looked up"
`
