package host

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strings"
	"unicode"
)

// Problem is why a log cannot be followed and what to do about it.
type Problem struct {
	Path  string
	What  string
	Do    string // "" if there is no advice
	Cause error  // fs.ErrNotExist, fs.ErrPermission, fs.ErrInvalid, or what the system said
}

// Error gives "path: what: do".
func (p *Problem) Error() string { return p.Path + ": " + p.Says() }

// Says gives "what: do".
func (p *Problem) Says() string {
	if p.Do == "" {
		return p.What
	}
	return p.What + ": " + p.Do
}

// Unwrap lets errors.Is tell the kinds apart.
func (p *Problem) Unwrap() error { return p.Cause }

// Check says what keeps account from reading the log at path, nil if nothing does
// that can be seen. It looks at owners and modes, and tries to open the file where
// that says nothing of another account: where tries is true.
func Check(sys System, account Account, path string, tries bool) *Problem {
	info, err := fs.Stat(sys, name(path))
	if p := obstacle(sys, account, path); p != nil && !(tries && opens(sys, path)) {
		return p
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return missing(sys, path)
	case errors.Is(err, fs.ErrPermission):
		return refused(path)
	case err != nil:
		return &Problem{Path: path, What: bare(err).Error(), Cause: bare(err)}
	case info.IsDir():
		return isFolder(sys, path)
	case !info.Mode().IsRegular(): // opening a pipe would wait for its writer
		return &Problem{Path: path, Cause: fs.ErrInvalid, What: "is no regular file", Do: "name the file in which the log is kept, or pipe lines into mtatap replay -"}
	}
	if !tries {
		return nil
	}
	f, err := sys.Open(name(path))
	switch {
	case errors.Is(err, fs.ErrPermission):
		return refused(path)
	case err != nil:
		return &Problem{Path: path, What: bare(err).Error(), Cause: bare(err)}
	}
	_ = f.Close() // nothing was written
	return nil
}

// opens reports whether path can be opened after all: by an access list, say.
func opens(sys System, path string) bool {
	if info, err := fs.Stat(sys, name(path)); err != nil || !info.Mode().IsRegular() {
		return false
	}
	f, err := sys.Open(name(path))
	if err != nil {
		return false
	}
	_ = f.Close() // nothing was written
	return true
}

// obstacle is the first folder on the way to file, or file itself, that by its mode
// account may not enter or read. What cannot be looked at is left to the others.
func obstacle(sys System, account Account, file string) *Problem {
	const read, enter = 4, 1
	if account.UID == 0 {
		return nil
	}
	way := []string{file}
	for dir := path.Dir(name(file)); dir != "."; dir = path.Dir(dir) {
		way = append([]string{"/" + dir}, way...)
	}
	for _, at := range way {
		info, err := fs.Stat(sys, name(at))
		if err != nil {
			return nil
		}
		uid, gid, ok := sys.Owner(info)
		if !ok {
			continue
		}
		want, mode := fs.FileMode(enter), info.Mode().Perm()
		if at == file && !info.IsDir() {
			want = read
		}
		switch {
		case uid == account.UID:
			mode >>= 6
		case account.in(gid):
			mode >>= 3
		}
		if mode&want == 0 {
			return denied(sys, account, file, at, info, want)
		}
	}
	return nil
}

func denied(sys System, account Account, file, at string, info fs.FileInfo, want fs.FileMode) *Problem {
	uid, gid, _ := sys.Owner(info)
	owner, group := nameIn(sys, "/etc/passwd", uid), nameIn(sys, "/etc/group", gid)
	p := &Problem{Path: file, Cause: fs.ErrPermission, What: "permission denied"}
	if at != file {
		p.What += ", for " + at + " may not be entered"
	}
	p.What += fmt.Sprintf(" (%s:%s, mode %04o)", owner, group, info.Mode().Perm())
	if info.Mode().Perm()>>3&want != 0 && gid != 0 && !account.in(gid) {
		p.Do = joinGroup(account, group)
		return p
	}
	allow, lasting := "chgrp adm "+at+" && chmod g+r "+at, `, and so that it lasts, "create 0640" in logrotate or $FileGroup and $FileCreateMode in rsyslog`
	if want == 1 {
		allow, lasting = "chgrp adm "+at+" && chmod g+x "+at, ""
	}
	if !account.in(groupNumber(sys, serviceGroup)) {
		allow += " && usermod -aG " + serviceGroup + " " + account.Name
	}
	p.Do = "let group adm in: " + allow + lasting
	return p
}

func joinGroup(account Account, group string) string {
	return "add user " + account.Name + " to group " + group + ": usermod -aG " + group + " " + account.Name
}

func refused(path string) *Problem {
	return &Problem{Path: path, Cause: fs.ErrPermission, What: "permission denied",
		Do: "its owner and mode do not say why: look at SELinux or AppArmor (ausearch -m avc -ts recent, journalctl -k -g apparmor)"}
}

func isFolder(sys System, dir string) *Problem {
	p := &Problem{Path: dir, Cause: fs.ErrInvalid, What: "is a folder", Do: "name the log in it"}
	entries, err := fs.ReadDir(sys, name(dir))
	if err != nil {
		return p
	}
	var names []string
	for _, e := range entries {
		if mayBeLog(e) {
			names = append(names, path.Join(filepath.ToSlash(dir), e.Name()))
		}
	}
	switch {
	case len(names) > 0:
		p.Do = "name the log in it, such as " + strings.Join(names[:min(len(names), 3)], ", ")
	case len(entries) == 0:
		p.Do = "it is empty; name a log"
	}
	return p
}

// mayBeLog reports whether to name a file to people who look for a log.
func mayBeLog(e fs.DirEntry) bool {
	return e.Type().IsRegular() && !looksRotated(e.Name()) && strings.IndexFunc(e.Name(), unicode.IsControl) < 0
}

func missing(sys System, path string) *Problem {
	p := &Problem{Path: path, Cause: fs.ErrNotExist, What: "no such file"}
	if alike := alike(sys, path); len(alike) > 0 {
		p.Do = "did you mean " + strings.Join(alike, ", ") + "?"
	}
	return p
}

// bare is err without the name of the file.
func bare(err error) error {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		return pathError.Err
	}
	return err
}
