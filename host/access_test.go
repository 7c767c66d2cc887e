package host_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mtatap/host"
)

func TestWhyALogCannotBeReadIsSaidWithWhatToDo(t *testing.T) {
	alice := host.Account{Name: "alice", UID: 1000, GIDs: []int{1000}}
	for _, tt := range []struct {
		name    string
		account host.Account
		host    func(*fake)
		path    string
		says    string // "" for no problem
	}{
		{"a group may read it", alice, func(f *fake) { own(f.put("/var/log/mail.log", "x\n"), 0o640, 102, 4) }, "/var/log/mail.log",
			"/var/log/mail.log: permission denied (syslog:adm, mode 0640): add user alice to group adm: usermod -aG adm alice"},
		{"everybody may read it", alice, func(f *fake) { own(f.put("/var/log/mail.log", "x\n"), 0o644, 102, 4) }, "/var/log/mail.log", ""},
		{"one is in the group", host.Account{Name: "alice", UID: 1000, GIDs: []int{1000, 4}}, func(f *fake) { own(f.put("/var/log/mail.log", "x\n"), 0o640, 102, 4) }, "/var/log/mail.log", ""},
		{"root reads everything", host.Account{Name: "root"}, func(f *fake) { own(f.put("/var/log/mail.log", "x\n"), 0, 102, 4) }, "/var/log/mail.log", ""},
		{"the owner alone may read it", alice, func(f *fake) { own(f.put("/var/log/maillog", "x\n"), 0o600, 0, 0) }, "/var/log/maillog",
			`/var/log/maillog: permission denied (root:root, mode 0600): let group adm in: chgrp adm /var/log/maillog && chmod g+r /var/log/maillog && usermod -aG adm alice, and so that it lasts, "create 0640" in logrotate or $FileGroup and $FileCreateMode in rsyslog`},
		{"the folder is closed", alice, func(f *fake) {
			f.folder("/var/log/exim4", 0o2750, 105, 4)
			f.put("/var/log/exim4/mainlog", "x\n")
		}, "/var/log/exim4/mainlog",
			"/var/log/exim4/mainlog: permission denied, for /var/log/exim4 may not be entered (Debian-exim:adm, mode 0750): add user alice to group adm: usermod -aG adm alice"},
		{"nobody of a number has a name", alice, func(f *fake) { own(f.put("/var/log/mail.log", "x\n"), 0o640, 77, 78) }, "/var/log/mail.log",
			"/var/log/mail.log: permission denied (77:78, mode 0640): add user alice to group 78: usermod -aG 78 alice"},
		{"there is another one", alice, func(f *fake) {
			f.put("/var/log/maillog", "x\n")
			f.put("/var/log/mail.log.1", "x\n")
			f.put("/var/log/auth.log", "x\n")
		}, "/var/log/mail.log", "/var/log/mail.log: no such file: did you mean /var/log/maillog?"},
		{"there is nothing", alice, func(*fake) {}, "/srv/mail.log", "/srv/mail.log: no such file"},
		{"it is a pipe, which nobody may write to", alice, func(f *fake) { f.put("/var/log/mail.log", "").Mode |= fs.ModeNamedPipe }, "/var/log/mail.log",
			"/var/log/mail.log: is no regular file: name the file in which the log is kept, or pipe lines into mtatap replay -"},
		{"a name in the folder would play with the terminal", alice, func(f *fake) { f.put("/srv/logs/mail\x1b[2J.log", "") }, "/srv/logs", "/srv/logs: is a folder: name the log in it"},
		{"it is a folder", alice, func(f *fake) {
			f.put("/var/log/exim4/mainlog", "x\n")
			f.put("/var/log/exim4/mainlog.1", "x\n")
		}, "/var/log/exim4", "/var/log/exim4: is a folder: name the log in it, such as /var/log/exim4/mainlog"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake()
			tt.host(f)
			f.as = tt.account
			for _, tries := range []bool{true, false} {
				p := host.Check(f, tt.account, tt.path, tries)
				switch {
				case p == nil && tt.says != "":
					t.Errorf("no problem, want %s", tt.says)
				case p != nil && p.Error() != tt.says:
					t.Errorf("got  %s\nwant %s", p, tt.says)
				case p != nil && !errors.Is(p, fs.ErrNotExist) && !errors.Is(p, fs.ErrPermission) && !errors.Is(p, fs.ErrInvalid):
					t.Errorf("its kind cannot be told: %v", p.Cause)
				}
			}
		})
	}
}

func TestWhatCanBeOpenedAfterAllIsNoProblem(t *testing.T) {
	f := newFake() // opens as root: as an access list would let alice
	own(f.put("/var/log/mail.log", "x\n"), 0o600, 0, 0)
	if p := host.Check(f, host.Account{Name: "alice", UID: 1000}, "/var/log/mail.log", true); p != nil {
		t.Error(p)
	}
}

// Root's question is for the user that the service runs as.
func TestTheServiceNeedNotBeThereToBeAskedFor(t *testing.T) {
	f := newFake()
	f.postfix("")
	f.rsyslog()
	own(f.log(t, "/var/log/mail.log", "postfix/iso.log"), 0o640, 102, 4)
	if found := host.Look(t.Context(), f, host.Request{Account: host.Service(f)}); found.Logs[0].Problem != nil {
		t.Errorf("the unit's group adm may read it, but: %v", found.Logs[0].Problem)
	}
	own(f.files["var/log/mail.log"], 0o640, 105, 110)
	found := host.Look(t.Context(), f, host.Request{Account: host.Service(f)})
	const do = "add user mtatap to group Debian-exim: usermod -aG Debian-exim mtatap"
	if p := found.Logs[0].Problem; p == nil || p.Do != do || !strings.Contains(found.Report(), do) {
		t.Errorf("got %v\n%s", p, found.Report())
	}
	if text := string(found.Config("/var/lib/mtatap")); !strings.Contains(text, "usermod -aG Debian-exim") {
		t.Errorf("the configuration does not say so:\n%s", text)
	}
}

func TestTheJournalIsForItsGroups(t *testing.T) {
	f := newFake()
	f.postfix("")
	f.journald("postfix.service")
	if found := host.Look(t.Context(), f, host.Request{Account: host.Service(f)}); found.Journal == nil || found.Journal.Problem != nil {
		t.Errorf("adm reads the journal: %+v", found.Journal)
	}
	found := host.Look(t.Context(), f, host.Request{Account: host.Account{Name: "alice", UID: 1000, GIDs: []int{1000}}, Own: true})
	if want := "add user alice to group systemd-journal: usermod -aG systemd-journal alice"; !strings.Contains(found.Report(), want) {
		t.Errorf("the report lacks %q:\n%s", want, found.Report())
	}
	delete(f.files, "usr/bin/journalctl")
	if found := host.Look(t.Context(), f, host.Request{Own: true}); !strings.Contains(found.Report(), "no journalctl") {
		t.Errorf("the report does not say what is missing:\n%s", found.Report())
	}
}

func TestARealFolderIsLookedAtAsItIs(t *testing.T) {
	root := t.TempDir()
	for path, text := range map[string]string{
		"etc/postfix/main.cf": "maillog_file = /var/log/own.log\n", "var/log/own.log": "2026-11-24T01:00:00+00:00 mx postfix/qmgr[372]: 3F1: removed\n", "usr/sbin/postconf": "",
	} {
		path = filepath.Join(root, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	sys := host.Machine(root)
	found := host.Look(t.Context(), sys, host.Request{Root: root, Account: host.Named(sys, os.Getuid(), nil), Own: true})
	if len(found.Logs) != 1 || found.Logs[0].Path != filepath.Join(root, "var/log/own.log") || found.Logs[0].Format != "postfix" || found.Logs[0].Problem != nil {
		t.Errorf("got %+v", found.Logs)
	}
}

func TestAProgramIsGivenLittleTime(t *testing.T) {
	if _, err := host.Machine("/").Query(t.Context(), "/nowhere/postconf"); err == nil {
		t.Error("a program that is not there answered")
	}
	if _, err := host.Machine("/other").Query(t.Context(), "/bin/sh", "-c", "echo hello"); err == nil {
		t.Error("a program was asked about another machine")
	}
	out, err := host.Machine("/").Query(t.Context(), "/bin/sh", "-c", "echo hello; head -c 1000000 /dev/zero")
	if err != nil || !strings.HasPrefix(out, "hello") || len(out) > 64<<10 {
		t.Errorf("got %d bytes, %v", len(out), err)
	}
}
