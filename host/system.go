package host

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// System is what is asked of a machine.
type System interface {
	fs.StatFS // whose root is "/"
	// Owner returns the numbers of a file's user and group, ok false where files
	// have none.
	Owner(fs.FileInfo) (uid, gid int, ok bool)
	// Query returns what a program prints, or an error if it is not there, fails,
	// or takes long. The program is a path.
	Query(ctx context.Context, program string, args ...string) (string, error)
}

// queryTime bounds how long a mail server may take to tell a setting.
const queryTime = 2 * time.Second

// maxAnswer bounds what it may say.
const maxAnswer = 64 << 10

type machine struct {
	fs.FS
	root string
}

// Machine is the one we run on, or that whose files are below root. Programs are
// asked only where root is "/": elsewhere they would tell of another machine.
func Machine(root string) System { return machine{os.DirFS(root), filepath.Clean(root)} }

// Stat needs no right to read the file, only the way to it.
func (m machine) Stat(name string) (fs.FileInfo, error) { return fs.Stat(m.FS, name) }

func (m machine) Query(ctx context.Context, program string, args ...string) (string, error) {
	if m.root != "/" {
		return "", fmt.Errorf("ask %s: its settings are those of another machine", program)
	}
	ctx, cancel := context.WithTimeout(ctx, queryTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	cmd.WaitDelay = time.Second
	var out bytes.Buffer
	cmd.Stdout = &limited{&out}
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("ask %s: %w", program, err)
	}
	return strings.TrimSpace(out.String()), nil
}

// limited keeps the beginning of what is written.
type limited struct{ kept *bytes.Buffer }

func (l *limited) Write(b []byte) (int, error) {
	l.kept.Write(b[:min(len(b), maxAnswer-l.kept.Len())])
	return len(b), nil
}

// name is path as fs.FS wants it.
func name(path string) string {
	if path = strings.TrimPrefix(filepath.ToSlash(filepath.Clean(path)), "/"); path == "" {
		return "."
	}
	return path
}
