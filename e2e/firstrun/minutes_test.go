//go:build e2e

package firstrun

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// prepare makes the machine what a new user has: Postfix as Debian configures it
// for local mail, rsyslog and logrotate as they come, and nothing of ours.
const prepare = `
rm -rf /etc/mtatap /var/lib/mtatap /usr/bin/mtatap /var/log/mail.* /var/log/syslog* /var/spool/postfix /var/lib/postfix
sed -i /^mtatap:/d /etc/passwd /etc/group /etc/shadow
sed -i /imklog/d /etc/rsyslog.conf # the kernel's log is that of the real machine
echo mail.example > /etc/mailname
cp /usr/share/postfix/main.cf.debian /etc/postfix/main.cf
cp /usr/share/postfix/master.cf.dist /etc/postfix/master.cf
postconf -e compatibility_level=3.6 myhostname=mail.example 'mydestination=$myhostname, localhost' inet_interfaces=loopback-only \
	inet_protocols=ipv4 default_transport=error relay_transport=error alias_maps=hash:/etc/aliases alias_database=hash:/etc/aliases
mkdir -p /var/spool/rsyslog /var/spool/postfix/dev /var/lib/postfix && chown postfix: /var/lib/postfix
rsyslogd
for i in $(seq 100); do [ -S /dev/log ] && break; sleep 0.05; done
postfix check
newaliases
postfix start
`

// install is what docs/getting-started.md has for a binary without a package.
const install = `
install -D mtatap /usr/bin/mtatap
install -D -m 0644 systemd/mtatap.service /usr/lib/systemd/system/mtatap.service
install -D -m 0644 systemd/mtatap.sysusers /usr/lib/sysusers.d/mtatap.conf
install -D -m 0644 systemd/mtatap.tmpfiles /usr/lib/tmpfiles.d/mtatap.conf
systemd-sysusers mtatap.conf
systemd-tmpfiles --create mtatap.conf
`

const events = "/var/lib/mtatap/events.ndjson"

func TestAnEventIsSeenWithinTheFirstFiveMinutes(t *testing.T) {
	if os.Getenv(folderVariable) == "" {
		inside(t)
		return
	}
	run(t, prepare)
	m := &minutes{t: t, start: time.Now()}

	m.step("install", func() { run(t, install) })
	m.step("mtatap init", func() {
		said := run(t, "mtatap init")
		for _, want := range []string{"Postfix is here: /etc/postfix/main.cf", "/var/log/mail.log: Postfix, ", "/etc/rsyslog.conf sends mail there", "wrote /etc/mtatap/mtatap.yaml"} {
			if !strings.Contains(said, want) {
				t.Errorf("init does not say %q", want)
			}
		}
		if strings.Contains(said, "permission denied") {
			t.Errorf("the service may read the log of Debian, but init says\n%s", said)
		}
	})
	m.step("mtatap check", func() {
		if said := run(t, "mtatap check"); !strings.Contains(said, "/etc/mtatap/mtatap.yaml: ok, 1 sources, 1 sinks") || strings.Contains(said, "warning") {
			t.Errorf("check says\n%s", said)
		}
	})
	var service *exec.Cmd
	m.step("mtatap run", func() {
		service = start(t, "setpriv --reuid=mtatap --regid=mtatap --init-groups mtatap run") // as whom the unit runs it
		await(t, "readiness", func() bool { return get("http://127.0.0.1:10525/-/ready") == http.StatusOK })
	})
	m.step("a mail that bounces", func() { send(t, "nobody-of-that-name@localhost") })
	m.step("its event", func() { m.see("nobody-of-that-name@localhost") })
	m.step("logrotate, and another one", func() {
		// Without systemd, what rsyslog-rotate asks of it.
		run(t, "logrotate --force /etc/logrotate.d/rsyslog && test -s /var/log/mail.log.1 && kill -HUP $(cat /run/rsyslogd.pid)")
		send(t, "nor-of-this@localhost")
		m.see("nor-of-this@localhost")
	})
	m.step("the same by another user", func() { m.askAsAlice() })
	m.step("stop", func() {
		if err := service.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := service.Wait(); err != nil {
			t.Errorf("mtatap ended with %v", err)
		}
	})
	m.sum()
}

// advised is the command that an error tells to run.
var advised = regexp.MustCompile(`: (usermod -aG \S+ alice)\n`)

// askAsAlice has somebody without rights look at the log, and do as she is told.
func (m *minutes) askAsAlice() {
	const asAlice = "setpriv --reuid=alice --regid=alice --init-groups "
	run(m.t, "useradd alice")
	said := run(m.t, asAlice+"mtatap replay --quiet /var/log/mail.log && exit 1 || true")
	command := advised.FindStringSubmatch(said)
	if command == nil {
		m.t.Fatalf("no advice in\n%s", said)
	}
	run(m.t, command[1])
	if said := run(m.t, asAlice+"mtatap replay --quiet /var/log/mail.log"); !strings.Contains(said, "nor-of-this@localhost") {
		m.t.Errorf("the advice did not help:\n%s", said)
	}
}

// minutes keeps the time.
type minutes struct {
	t     *testing.T
	start time.Time
	table strings.Builder
	last  string // event that was seen
}

func (m *minutes) step(name string, do func()) {
	begin := time.Now()
	do()
	fmt.Fprintf(&m.table, "%-28s %7.2f s\n", name, time.Since(begin).Seconds())
}

// sum prints what each step took; all must be over in five minutes.
func (m *minutes) sum() {
	took := time.Since(m.start)
	m.t.Logf("%s\n%-28s %7.2f s\n%s", &m.table, "in all", took.Seconds(), m.last)
	if took > 5*time.Minute {
		m.t.Errorf("the first five minutes took %v", took)
	}
}

// see waits for the event of a bounce, which must have its category.
func (m *minutes) see(recipient string) {
	m.t.Helper()
	await(m.t, "event of "+recipient, func() bool {
		text, err := os.ReadFile(events)
		if err != nil {
			return false
		}
		for line := range bytes.Lines(text) {
			var e struct{ Recipient, Status, Category, Reason, Rule string }
			if err := json.Unmarshal(line, &e); err != nil || e.Recipient != recipient {
				continue
			}
			if e.Status != "bounced" || e.Category != "hard" || e.Reason != "user-unknown" || e.Rule == "" {
				m.t.Errorf("not what a bounce of an unknown user is: %s", line)
			}
			m.last = string(line)
			return true
		}
		return false
	})
}

// send hands a mail over as a program on the machine does.
func send(t *testing.T, recipient string) {
	t.Helper()
	run(t, "printf 'Subject: hello\\n\\nHello.\\n' | sendmail -f root@localhost "+recipient)
}

// run runs commands as a user types them and returns what they print.
func run(t *testing.T, script string) string {
	t.Helper()
	cmd := exec.Command("sh", "-e", "-c", script)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "HOME=/root"}
	err := cmd.Run()
	t.Logf("%s\n%s", strings.TrimSpace(script), &out)
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func start(t *testing.T, script string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sh", "-c", "exec "+script)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// await polls for what nothing announces.
func await(t *testing.T, what string, reached func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !reached(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			log, _ := os.ReadFile("/var/log/mail.log")
			t.Fatalf("no %s within a minute; the log:\n%s", what, log)
		}
	}
}

func get(url string) int {
	res, err := http.Get(url)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body) // what it says is of no interest
	return res.StatusCode
}
