//go:build e2e

package packages

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// first is a checkout of the tree with the packages that were built in it, next one
// of a later version, which comes with other rules and another maintainer.
var first, next checkout

const (
	anyone = "mtatap maintainers <maintainers@mtatap.example>"
	team   = "Mail Team <mail@site.example>"
)

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "mtatap-e2e-packages-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "make folder for the packages:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, "open folder of the packages:", err)
		return 1
	}
	first, err = newCheckout(filepath.Join(dir, "first"))
	if err == nil {
		err = first.build()
	}
	if err == nil {
		next, err = newCheckout(filepath.Join(dir, "next"))
	}
	if err == nil {
		err = appendTo(filepath.Join(next.dir, "packaging/rules.yaml"), "\n# Of the next version.\n")
	}
	if err == nil {
		err = next.build("VERSION=99.0.0", "MAINTAINER="+team)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// checkout is a copy of the repository.
type checkout struct{ dir string }

// newCheckout copies the commit and what was changed since in files that git knows.
func newCheckout(dir string) (checkout, error) {
	c := checkout{dir}
	if err := run(exec.Command("git", "clone", "--quiet", "--shared", "../..", dir)); err != nil {
		return c, err
	}
	changes, err := exec.Command("git", "-C", "../..", "diff", "--binary", "HEAD").Output()
	if err != nil || len(changes) == 0 {
		return c, err
	}
	apply := exec.Command("git", "-C", dir, "apply", "--whitespace=nowarn")
	apply.Stdin = bytes.NewReader(changes)
	return c, run(apply)
}

// build makes the packages with additions to the environment.
func (c checkout) build(env ...string) error {
	cmd := exec.Command("packaging/build")
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), env...)
	return run(cmd)
}

// deb and rpm are the packages that were built.
func (c checkout) deb(t *testing.T) string { return c.pkg(t, "*.deb") }
func (c checkout) rpm(t *testing.T) string { return c.pkg(t, "*.rpm") }

func (c checkout) pkg(t *testing.T, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(c.dir, "dist", pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("packages %s: %v, %v", pattern, found, err)
	}
	return found[0]
}

// git asks the repository.
func (c checkout) git(t *testing.T, args ...string) string {
	t.Helper()
	return output(t, exec.Command("git", append([]string{"-C", c.dir}, args...)...))
}

func run(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return nil
}

func must(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := run(cmd); err != nil {
		t.Fatal(err)
	}
}

// output is what a command that must succeed prints, without white space around it.
func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(cmd.Args, " "), err, out, errs.Bytes())
	}
	return strings.TrimSpace(string(out))
}

// root is a command of root.
func root(args ...string) *exec.Cmd {
	if os.Getuid() != 0 {
		args = append([]string{"sudo", "-n"}, args...)
	}
	return exec.Command(args[0], args[1:]...)
}

// needRoot skips a test that changes the host and may not.
func needRoot(t *testing.T) {
	t.Helper()
	if err := run(root("true")); err != nil {
		t.Skipf("NOT TESTED: packages are installed by root only, and sudo does not do without a password: %v", err)
	}
}

// appendTo adds text to a file that this process may write.
func appendTo(path, text string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}
