package host_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"mtatap/host"
)

// owned is what a fake file has for its owner.
type owned struct{ uid, gid int }

// fake is a machine in memory, seen by somebody who may open only what modes allow.
type fake struct {
	files   fstest.MapFS
	answers map[string]string // of programs
	as      host.Account      // who opens files; the zero value is root
	asked   []string
}

// newFake has users and groups as Debian has them.
func newFake() *fake {
	f := &fake{files: fstest.MapFS{}, answers: map[string]string{}}
	f.put("/etc/passwd", "root:x:0:0::/root:/bin/sh\nsyslog:x:102:102::/:\nDebian-exim:x:105:110::/:\nalice:x:1000:1000::/:\n")
	f.put("/etc/group", "root:x:0:\nadm:x:4:syslog\nsystemd-journal:x:101:\nDebian-exim:x:110:\nalice:x:1000:\n")
	return f
}

func (f *fake) put(path, text string) *fstest.MapFile {
	file := &fstest.MapFile{Data: []byte(text), Mode: 0o644, Sys: owned{}, ModTime: time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC)}
	f.files[strings.TrimPrefix(path, "/")] = file
	return file
}

// folder makes one with an owner; other folders are root's and open to all.
func (f *fake) folder(path string, mode fs.FileMode, uid, gid int) {
	f.files[strings.TrimPrefix(path, "/")] = &fstest.MapFile{Mode: mode | fs.ModeDir, Sys: owned{uid, gid}}
}

// log puts a real log of testdata at path.
func (f *fake) log(t *testing.T, path, sample string) *fstest.MapFile {
	t.Helper()
	text, err := os.ReadFile("../testdata/" + sample)
	if err != nil {
		t.Fatal(err)
	}
	return f.put(path, string(text))
}

func own(file *fstest.MapFile, mode fs.FileMode, uid, gid int) {
	file.Mode, file.Sys = mode, owned{uid, gid}
}

func (f *fake) Open(name string) (fs.File, error) {
	if f.as.UID != 0 {
		for at, want := name, fs.FileMode(4); at != "."; at, want = path.Dir(at), 1 {
			if info, err := f.files.Stat(at); err == nil && !f.may(info, want) {
				return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
			}
		}
	}
	return f.files.Open(name)
}

// Stat needs only the way to a file.
func (f *fake) Stat(name string) (fs.FileInfo, error) {
	if dir := path.Dir(name); f.as.UID != 0 && dir != "." {
		if info, err := f.files.Stat(dir); err == nil && !f.may(info, 1) {
			return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrPermission}
		}
	}
	return f.files.Stat(name)
}

func (f *fake) may(info fs.FileInfo, want fs.FileMode) bool {
	uid, gid, ok := f.Owner(info)
	if !ok {
		return true
	}
	mode := info.Mode()
	if uid == f.as.UID {
		mode >>= 6
	} else {
		for _, g := range f.as.GIDs {
			if g == gid {
				mode >>= 3
				break
			}
		}
	}
	return mode&want != 0
}

func (f *fake) Owner(info fs.FileInfo) (uid, gid int, ok bool) {
	o, ok := info.Sys().(owned)
	return o.uid, o.gid, ok
}

func (f *fake) Query(_ context.Context, program string, args ...string) (string, error) {
	f.asked = append(f.asked, strings.Join(append([]string{program}, args...), " "))
	answer, ok := f.answers[program]
	if !ok {
		return "", errors.New("it does not answer")
	}
	return answer, nil
}

// postfix installs Postfix, whose postconf answers with its maillog_file.
func (f *fake) postfix(maillogFile string) {
	f.put("/etc/postfix/main.cf", "# empty\n")
	f.put("/usr/sbin/postconf", "")
	f.answers["/usr/sbin/postconf"] = maillogFile
}

// rsyslog installs it as Debian sets it up.
func (f *fake) rsyslog() {
	f.put("/usr/sbin/rsyslogd", "")
	f.put("/etc/rsyslog.conf", "# rules\nauth,authpriv.*\t\t\t/var/log/auth.log\n*.*;auth,authpriv.none\t\t-/var/log/syslog\nmail.*\t\t\t\t-/var/log/mail.log\nmail.err\t\t\t/var/log/mail.err\n")
}

// journald keeps a journal, and has journalctl and units.
func (f *fake) journald(units ...string) {
	f.put("/var/log/journal/0123/system.journal", "")
	f.put("/usr/bin/journalctl", "")
	for _, u := range units {
		f.put("/usr/lib/systemd/system/"+u, "")
	}
}
