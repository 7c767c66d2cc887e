//go:build e2e

package faults

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

var rotationScenarios = []scenario{
	{"a busy log is not rotated at all", func(r *rig) {
		r.log.rate = 4 * linesASecond
		r.begin()
		time.Sleep(4 * time.Second)
		r.settle()
	}},
	{"the writer goes on in the renamed file for a second", func(r *rig) {
		r.begin()
		for range 3 {
			r.log.rename()
			r.log.create()
			time.Sleep(time.Second)
			r.log.reopen()
			time.Sleep(time.Second)
		}
		r.settle()
	}},
	{"no file is at the path for two seconds", func(r *rig) {
		r.begin()
		for range 2 {
			r.log.rename()
			time.Sleep(2 * time.Second)
			r.log.reopen()
			time.Sleep(time.Second)
		}
		r.settle()
	}},
	{"the log is renamed and made anew at once, six times", func(r *rig) {
		r.begin()
		for range 6 {
			r.log.rotate()
			time.Sleep(500 * time.Millisecond)
		}
		r.settle()
	}},
	{"the log is renamed eight times within a tenth of a second", func(r *rig) {
		r.begin()
		for range 2 {
			for range 8 {
				r.log.rotate()
				time.Sleep(10 * time.Millisecond)
			}
			time.Sleep(time.Second)
		}
		r.settle()
	}},
	{"logrotate rotates as Debian does for Postfix, and gzips after a second", func(r *rig) {
		// The stanza of rsyslog, which writes Postfix's log there.
		hangUp := filepath.Join(r.dir, "hup")
		r.logrotate("rotate 4\n weekly\n missingok\n notifempty\n compress\n sharedscripts\n postrotate\n touch "+hangUp+"\n sleep 1\n endscript", func() {
			if os.Remove(hangUp) == nil {
				r.log.reopen()
			}
		})
	}},
	{"logrotate rotates as Debian does for Exim", func(r *rig) {
		// Nobody tells Exim, which opens its log for each line.
		r.logrotate("daily\n missingok\n rotate 10\n compress\n delaycompress\n notifempty\n nosharedscripts\n create 640", r.log.reopen)
	}},
	{"the log is rotated twice and the oldest file deleted while the reader stands still", func(r *rig) {
		r.begin()
		r.signal(syscall.SIGSTOP)
		time.Sleep(300 * time.Millisecond)
		r.log.rotate()
		time.Sleep(500 * time.Millisecond)
		r.log.rotate()
		oldest := r.log.sibling(2, "")
		r.log.keep(oldest)
		remove(r.t, oldest)
		time.Sleep(500 * time.Millisecond)
		r.signal(syscall.SIGCONT)
		time.Sleep(time.Second)
		r.settle()
	}},
	{"the path is a link that is pointed to another file", func(r *rig) {
		first, second := filepath.Join(r.dir, "one.log"), filepath.Join(r.dir, "two.log")
		for _, path := range []string{first, second} {
			if err := os.WriteFile(path, nil, 0o644); err != nil {
				r.t.Fatal(err)
			}
		}
		link(r.t, first, r.source)
		r.begin()
		link(r.t, second, r.source)
		time.Sleep(500 * time.Millisecond)
		r.log.reopen()
		r.log.keep(first)
		time.Sleep(time.Second)
		r.settle()
	}},
	{"the folder of the log is replaced", func(r *rig) {
		folder := filepath.Dir(r.source)
		r.begin()
		r.log.move(folder, folder+".old")
		time.Sleep(500 * time.Millisecond)
		if err := os.Mkdir(folder, 0o755); err != nil {
			r.t.Fatal(err)
		}
		r.log.reopen()
		r.log.keep(filepath.Join(folder+".old", "mail.log"))
		time.Sleep(time.Second)
		r.settle()
	}},
	{"a new log gets the inode of an old one", func(r *rig) {
		r.settings["rotate_wait"] = "1s"
		r.begin()
		r.log.rotate()
		time.Sleep(3 * time.Second) // until the reader lets go of it
		r.log.renameOnto(r.log.compressAndReuse(1))
		time.Sleep(time.Second)
		r.settle()
	}},
	{"two logs begin with the same line", func(r *rig) {
		const same = "2026-11-20T10:00:00.000000+00:00 mx1 postfix/master[1]: daemon started -- version 3.9.1\n"
		r.log.open()
		r.log.raw(same)
		r.begin()
		for range 2 {
			r.log.held(func() {
				r.log.rename()
				r.log.open()
				r.log.raw(same)
			})
			time.Sleep(500 * time.Millisecond)
		}
		r.kill()
		r.start()
		r.settle()
	}},
}

// logrotate rotates the log three times with that stanza, while told is called
// often, as the writer's ear for what logrotate tells.
func (r *rig) logrotate(stanza string, told func()) {
	r.t.Helper()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
				told()
			}
		}
	}()
	file := filepath.Join(r.dir, "logrotate.conf")
	if err := os.WriteFile(file, fmt.Appendf(nil, "%s {\n %s\n}\n", r.source, stanza), 0o644); err != nil {
		r.t.Fatal(err)
	}
	r.begin()
	for range 3 {
		time.Sleep(time.Second)
		if out, err := exec.Command("/usr/sbin/logrotate", "--force", "--state", filepath.Join(r.dir, "logrotate.state"), file).CombinedOutput(); err != nil {
			r.t.Fatalf("logrotate: %v\n%s", err, out)
		}
	}
	time.Sleep(time.Second)
	close(stop)
	<-stopped
	if n := len(r.log.generations()); n != 4 {
		r.t.Errorf("logrotate left %d files", n)
	}
	r.settle()
}

// link makes path a link to the file, in one step.
func link(t *testing.T, file, path string) {
	t.Helper()
	if err := os.Symlink(file, path+".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// compressAndReuse compresses sibling n and returns a new empty file that has
// its inode, as file systems give it again after a deletion.
func (l *mailLog) compressAndReuse(n int) (path string) {
	l.t.Helper()
	path = filepath.Join(filepath.Dir(l.path), "next")
	if err := os.Link(l.sibling(n, ""), path); err != nil {
		l.t.Fatal(err)
	}
	l.compress(n)
	if err := os.Truncate(path, 0); err != nil {
		l.t.Fatal(err)
	}
	return path
}

// renameOnto rotates the log and lets the writer go on in file, moved to the
// path.
func (l *mailLog) renameOnto(file string) {
	l.t.Helper()
	l.held(func() {
		l.rename()
		l.move(file, l.path)
		l.open()
	})
}
