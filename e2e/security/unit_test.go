//go:build e2e

package security

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const unitFile = "../../systemd/mtatap.service"

// unit is the [Service] section of a unit: the values of each setting in order.
type unit map[string][]string

func readUnit(t *testing.T) unit {
	t.Helper()
	text, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	u, section := unit{}, ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		switch name, value, ok := strings.Cut(line, "="); {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			section = line
		case !ok:
			t.Fatalf("%s: no setting: %s", unitFile, line)
		case section == "[Service]":
			u[name] = append(u[name], value)
		}
	}
	return u
}

// one returns the only value of a setting.
func (u unit) one(t *testing.T, name string) string {
	t.Helper()
	if len(u[name]) != 1 {
		t.Fatalf("%s is set %d times in the unit, want once", name, len(u[name]))
	}
	return u[name][0]
}

func (u unit) on(name string) bool { return len(u[name]) == 1 && u[name][0] == "yes" }

// systemdAnalyze returns the program, which Debian has in its package systemd.
func systemdAnalyze(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	return path
}

func TestTheUnitIsExposedNoMoreThanWePromise(t *testing.T) {
	program := systemdAnalyze(t)
	judge := func(path string) (string, error) {
		// In tenths: 15 is an exposure of 1.5.
		out, err := exec.Command(program, "security", "--offline=yes", "--no-pager", "--threshold=15", path).CombinedOutput()
		return string(out), err
	}
	out, err := judge(unitFile)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	_, score, found := strings.Cut(out, "Overall exposure level for ")
	if !found {
		t.Fatalf("no score in\n%s", out)
	}
	t.Log(strings.TrimSpace(score))

	// That the check can fail: two restrictions fewer are too few.
	text, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	weak := strings.NewReplacer("SystemCallFilter=", "#", "CapabilityBoundingSet=", "#").Replace(string(text))
	path := filepath.Join(t.TempDir(), "weak.service")
	if err := os.WriteFile(path, []byte(weak), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := judge(path); err == nil {
		t.Errorf("a unit without filters passes:\n%s", out)
	}
}

func TestSystemdUnderstandsEverySettingOfTheUnit(t *testing.T) {
	out, _ := exec.Command(systemdAnalyze(t), "verify", "--man=no", unitFile).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "mtatap") && !strings.Contains(line, "is not executable") {
			t.Error(strings.TrimSpace(line))
		}
	}
}

func TestSysusersMakesAUserThatMayReadLogsAndNoMore(t *testing.T) {
	program, err := exec.LookPath("systemd-sysusers")
	if err != nil {
		t.Skip("systemd-sysusers is not installed")
	}
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"passwd": "root:x:0:0::/root:/bin/sh\n", "group": "root:x:0:\nadm:x:4:\n"} {
		if err := os.WriteFile(filepath.Join(root, "etc", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	rules, err := filepath.Abs("../../systemd/mtatap.sysusers")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(program, "--root="+root, rules).CombinedOutput(); err != nil {
		// With --root the file is looked for below it.
		text, readErr := os.ReadFile(rules)
		if readErr != nil {
			t.Fatal(readErr)
		}
		cmd := exec.Command(program, "--root="+root, "-")
		cmd.Stdin = strings.NewReader(string(text))
		if again, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s%s", err, out, again)
		}
	}
	for name, want := range map[string]string{"passwd": ":/var/lib/mtatap:/usr/sbin/nologin", "group": "adm:x:4:mtatap"} {
		text, err := os.ReadFile(filepath.Join(root, "etc", name))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in %s:\n%s", want, name, text)
		}
	}
}
