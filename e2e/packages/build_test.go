//go:build e2e

package packages

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The second build is of another folder, user settings, clock zone and language, and
// later: what a package must not depend on.
func TestTheSameCommitGivesTheSameBytes(t *testing.T) {
	second, err := newCheckout(filepath.Join(t.TempDir(), "another", "folder"))
	if err != nil {
		t.Fatal(err)
	}
	if err := second.build("TZ=Pacific/Chatham", "LC_ALL=C.UTF-8", "USER=somebody", "HOSTNAME=somewhere"); err != nil {
		t.Fatal(err)
	}
	for _, pair := range [][2]string{{first.deb(t), second.deb(t)}, {first.rpm(t), second.rpm(t)}} {
		if a, b := read(t, pair[0]), read(t, pair[1]); !bytes.Equal(a, b) {
			t.Errorf("%s has %d bytes at first and other %d then", filepath.Base(pair[0]), len(a), len(b))
		}
	}
	if a, b := read(t, filepath.Join(first.dir, "dist/SHA256SUMS")), read(t, filepath.Join(second.dir, "dist/SHA256SUMS")); !bytes.Equal(a, b) {
		t.Errorf("checksums are\n%s and\n%s", a, b)
	}
	if host := output(t, exec.Command("rpm", "-qp", "--qf", "%{BUILDHOST}", first.rpm(t))); host != "reproducible" {
		t.Errorf("the rpm names the machine it was built on, %s", host)
	}
}

func TestLintianFindsNoError(t *testing.T) {
	out, err := exec.Command("lintian", "--allow-root", "--fail-on", "error,warning", "--tag-display-limit", "0", first.deb(t)).CombinedOutput()
	if err != nil {
		t.Errorf("lintian: %v\n%s", err, out)
	}
}

func TestTheMaintainerIsWhoeverTheBuilderNames(t *testing.T) {
	for want, c := range map[string]checkout{anyone: first, team: next} {
		if m := output(t, exec.Command("dpkg-deb", "-f", c.deb(t), "Maintainer")); m != want {
			t.Errorf("the deb has the maintainer %s, want %s", m, want)
		}
		if m := output(t, exec.Command("rpm", "-qp", "--qf", "%{PACKAGER}", c.rpm(t))); m != want {
			t.Errorf("the rpm has the packager %s, want %s", m, want)
		}
	}
}

// Without a tag the version of a package ends in date and commit; with one it is the
// tag. Either way a changed tree says so.
func TestThePackagesHaveTheVersionOfTheCommit(t *testing.T) {
	got := output(t, exec.Command("dpkg-deb", "-f", first.deb(t), "Version"))
	want := first.git(t, "rev-parse", "--short=12", "HEAD")
	if tag, err := exec.Command("git", "-C", first.dir, "describe", "--tags", "--exact-match", "--match", "v*").Output(); err == nil {
		want = strings.TrimPrefix(strings.TrimSpace(string(tag)), "v")
	}
	if !strings.Contains(got, want) {
		t.Errorf("the deb has version %s at %s", got, want)
	}
	if dirty := first.git(t, "status", "--porcelain", "--untracked-files=no") != ""; dirty != strings.HasSuffix(got, "+dirty") {
		t.Errorf("the deb has version %s, the tree is changed: %t", got, dirty)
	}
	if rpm := output(t, exec.Command("rpm", "-qp", "--qf", "%{VERSION}", first.rpm(t))); rpm != got {
		t.Errorf("the rpm has version %s and the deb %s", rpm, got)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
