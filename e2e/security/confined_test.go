//go:build e2e

package security

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"mtatap/e2e/lab"
)

// site is a host as the unit expects it: logs of root that the group adm may
// read, a state folder of the user's own, and the program. None of it is below
// /tmp, which the unit hides.
type site struct {
	logs, state, programs string
}

func newSite(t *testing.T) site {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("restricting a process as systemd does takes root")
	}
	folder := func(parent string, mode fs.FileMode, uid, gid int) string {
		dir, err := os.MkdirTemp(parent, "mtatap-e2e-")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		own(t, dir, mode, uid, gid)
		return dir
	}
	s := site{
		logs:     folder("/var/log", 0o750, 0, groupAdm),
		state:    folder("/var/lib", 0o700, confinedUser, confinedUser),
		programs: folder("/run", 0o755, 0, 0),
	}
	return s
}

func own(t *testing.T, path string, mode fs.FileMode, uid, gid int) {
	t.Helper()
	if err := os.Chown(path, uid, gid); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// program copies a program to where the confined user may run it.
func (s site) program(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(s.programs, filepath.Base(path))
	if err := os.WriteFile(to, b, 0o755); err != nil {
		t.Fatal(err)
	}
	own(t, to, 0o755, 0, 0)
	return to
}

// file writes a file of root that the confined user may read by its group.
func (s site) file(t *testing.T, dir, name, text string, gid int) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	own(t, path, 0o640, 0, gid)
	return path
}

const confinedRules = `schema: 1
version: "%s"
extends: default
rules:
  - {id: %s, match: [user unknown], category: hard, reason: user-unknown, examples: ["550 5.1.1 User unknown"]}
`

func TestMtatapDoesItsWorkUnderTheRestrictionsOfItsUnit(t *testing.T) {
	s, u := newSite(t), readUnit(t)
	journal := lab.NewJournal(t)
	journal.Append("a.journal", 1, lab.JournalEntry{Unit: "postfix@-.service", Identifier: "postfix/smtp",
		Message: "4E5845325CC: to=<journal@remote.example>, relay=none, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (gone)"})
	journals := filepath.Join(s.logs, "journal")
	if err := os.Mkdir(journals, 0o755); err != nil {
		t.Fatal(err)
	}
	own(t, journals, 0o750, 0, groupAdm)
	entries, err := os.ReadFile(filepath.Join(journal.Dir, "a.journal"))
	if err != nil {
		t.Fatal(err)
	}
	s.file(t, journals, "a.journal", string(entries), groupAdm)

	log := s.file(t, s.logs, "mail.log", bounce("first@remote.example"), groupAdm)
	rules := s.file(t, s.programs, "rules.yaml", fmt.Sprintf(confinedRules, "one", "rule-one"), confinedUser)
	addr := lab.FreeAddr(t)
	events := filepath.Join(s.state, "events.ndjson")
	config := s.file(t, s.programs, "mtatap.yaml", fmt.Sprintf(`sources:
  - {path: %s, format: postfix, start: beginning}
  - {journald: {units: ["postfix*"], directory: %s}, format: postfix, start: beginning}
rules: %s
state_dir: %s
sinks:
  file: {path: %s}
web: {listen_address: %q}
`, log, journals, rules, s.state, events, addr), confinedUser)
	program := s.program(t, binary)
	p := startConfined(t, u, "http://"+addr, s.state, nil, program, "run", "--config.file", config)
	seen := func(text string) func() bool {
		return func() bool { b, _ := os.ReadFile(events); return strings.Contains(string(b), text) }
	}
	p.awaitReady()
	p.await("the first event", seen(`"recipient":"first@remote.example"`))
	p.await("the event of the journal", seen(`"recipient":"journal@remote.example"`))

	restricted(t, p.cmd.Process.Pid)

	// A line that comes, a reload, and rotation as logrotate does it.
	addLine(t, log, bounce("second@remote.example"))
	p.await("the second event", seen(`"recipient":"second@remote.example"`))
	s.file(t, s.programs, "rules.yaml", fmt.Sprintf(confinedRules, "two", "rule-two"), confinedUser)
	p.signal(syscall.SIGHUP)
	p.await("the reload", func() bool { return strings.Contains(p.stderr.String(), "version=two") })
	if err := os.Rename(log, log+".1"); err != nil {
		t.Fatal(err)
	}
	s.file(t, s.logs, "mail.log", bounce("third@remote.example"), groupAdm)
	p.await("the event after the rotation", seen(`"recipient":"third@remote.example"`))
	if !seen(`"rule":"rule-two"`)() {
		t.Error("no event was decided by the new rules")
	}
	p.stop()
	if _, err := os.Stat(filepath.Join(s.state, "checkpoint.json")); err != nil {
		t.Error(err)
	}
	for line := range strings.Lines(p.stderr.String()) {
		if strings.Contains(line, "level=ERROR") || strings.Contains(line, "not permitted") || strings.Contains(line, "polling") {
			t.Errorf("a restriction was felt: %s", line)
		}
	}
}

// restricted fails unless the process pid is what the unit says, so that a
// confinement that does not confine is noticed.
func restricted(t *testing.T, pid int) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		fmt.Sprintf("Uid:\t%d\t%[1]d\t%[1]d\t%[1]d\n", confinedUser), fmt.Sprintf("Gid:\t%d\t%[1]d\t%[1]d\t%[1]d\n", confinedUser),
		fmt.Sprintf("Groups:\t%d \n", groupAdm), "CapEff:\t0000000000000000\n", "CapBnd:\t0000000000000000\n", "NoNewPrivs:\t1\n", "Seccomp:\t2\n",
	} {
		if !strings.Contains(string(status), want) {
			t.Errorf("the confined process has not %q:\n%s", want, status)
		}
	}
}

// TestTheRestrictionsBite runs shells in place of mtatap that try what it may not.
func TestTheRestrictionsBite(t *testing.T) {
	s, u := newSite(t), readUnit(t)
	secret := s.file(t, s.logs, "secret", "s", 0)
	readable := s.file(t, s.logs, "mail.log", "readable\n", groupAdm)
	for name, c := range map[string]struct{ script, want string }{
		"a log of adm is read":              {"cat " + readable, "readable"},
		"the state folder can be written":   {"echo written >" + s.state + "/x; cat " + s.state + "/x", "written"},
		"a file of root alone is not read":  {"cat " + secret, "Permission denied"},
		"a log cannot be changed":           {"echo x >>" + readable, "Permission denied"},
		"nothing else can be written":       {"echo x >/var/lib/mtatap-e2e-probe", "Read-only file system"},
		"temporary files of others are hid": {"ls /tmp | wc -l", "0"},
		"homes are hid":                     {"ls /root", "Permission denied"},
		"there are no disks":                {"ls /dev", "full null random urandom zero"},
		"other processes are hid":           {"ls -d /proc/1", "No such file"},
		"the kernel is not tuned":           {"echo 1 >/proc/sys/vm/drop_caches", "Read-only file system"},
		"nothing is given away":             {"chown 0 " + s.state, "Operation not permitted"},
		"no namespace is made":              {"unshare --user true", "Operation not permitted"},
		"no network settings are read":      {"exec 3<>/dev/tcp/127.0.0.1/1", "refused"},
		"nothing is mounted":                {"mount -t tmpfs x " + s.state, "must be superuser"},
		"no priority is raised":             {"nice -n -5 true", "cannot set niceness"},
	} {
		t.Run(name, func(t *testing.T) {
			p := startConfined(t, u, "", s.state, nil, "/bin/bash", "-c", c.script)
			<-p.ended
			if got := strings.Join(strings.Fields(p.stdout.String()+p.stderr.String()), " "); !strings.Contains(got, c.want) {
				t.Errorf("%s\nsays %q, want %q", c.script, got, c.want)
			}
		})
	}
}

func TestReloadByTheUnitsOwnCommandIsAllowed(t *testing.T) {
	u := readUnit(t)
	words := strings.Fields(u.one(t, "ExecReload"))
	if _, err := exec.LookPath(words[0]); err != nil {
		t.Skipf("%s is not installed", words[0])
	}
	if signal.Ignored(syscall.SIGHUP) {
		t.Skip("SIGHUP is ignored here, as by nohup: a shell cannot trap it")
	}
	s := newSite(t)
	p := startConfined(t, u, "", s.state, nil, "/bin/bash", "-c", "trap 'echo reloaded; exit' HUP; "+words[0]+" -HUP $$; sleep 5")
	<-p.ended
	if got := p.stdout.String(); got != "reloaded\n" {
		t.Errorf("said %q and %q", got, p.stderr.String())
	}
}
