//go:build e2e

package packages

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// debOnly and rpmOnly are the files that only one of the packages has.
var (
	debOnly = []string{
		"/lib/systemd/system/mtatap.service",
		"/usr/share/lintian/overrides/mtatap",
		"/usr/share/zsh/vendor-completions/_mtatap",
	}
	rpmOnly = []string{
		"/usr/lib/systemd/system/mtatap.service",
		"/usr/share/zsh/site-functions/_mtatap",
	}
)

func TestTheRPMHasTheFilesOfTheDeb(t *testing.T) {
	var deb []string
	for line := range strings.Lines(output(t, exec.Command("dpkg-deb", "-c", first.deb(t)))) {
		fields := strings.Fields(line) // mode, owner, size, date, time, name
		if name := strings.TrimPrefix(fields[5], "."); fields[0][0] != 'd' && !slices.Contains(debOnly, name) {
			deb = append(deb, fields[0]+" "+fields[1]+" "+name)
		}
	}
	var rpm []string
	for line := range strings.Lines(output(t, exec.Command("rpm", "-qp", "--qf", "[%{FILEMODES:perms} %{FILEUSERNAME}/%{FILEGROUPNAME} %{FILENAMES}\n]", first.rpm(t)))) {
		line = strings.TrimSpace(line)
		if name := line[strings.LastIndexByte(line, ' ')+1:]; line[0] != 'd' && !slices.Contains(rpmOnly, name) {
			rpm = append(rpm, line)
		}
	}
	slices.Sort(deb)
	slices.Sort(rpm)
	if len(deb) < 30 || !slices.Equal(deb, rpm) {
		t.Errorf("the deb has\n%s\nthe rpm has\n%s", strings.Join(deb, "\n"), strings.Join(rpm, "\n"))
	}
	all := strings.Split(output(t, exec.Command("rpm", "-qpl", first.rpm(t))), "\n")
	for _, name := range rpmOnly {
		if !slices.Contains(all, name) {
			t.Errorf("the rpm has no %s", name)
		}
	}
}

func TestTheRPMKeepsChangedRulesAndRunsTheSameScripts(t *testing.T) {
	if config := output(t, exec.Command("rpm", "-qpc", first.rpm(t))); config != rulesFile {
		t.Errorf("configuration files are %q", config)
	}
	flags := output(t, exec.Command("rpm", "-qp", "--qf", "[%{FILEFLAGS:fflags} %{FILENAMES}\n]", first.rpm(t)))
	if !strings.Contains(flags, "cn "+rulesFile) {
		t.Errorf("an upgrade would replace changed rules:\n%s", flags)
	}
	if requires := output(t, exec.Command("rpm", "-qpR", first.rpm(t))); !slices.Contains(strings.Fields(requires), "systemd") {
		t.Errorf("the rpm requires %q, its scripts need systemd", requires)
	}
	for tag, file := range map[string]string{"POSTIN": "postinstall", "PREUN": "preremove", "POSTUN": "postremove"} {
		want := strings.TrimSpace(string(read(t, filepath.Join(first.dir, "packaging/scripts", file))))
		if got := output(t, exec.Command("rpm", "-qp", "--qf", "%{"+tag+"}", first.rpm(t))); got != want {
			t.Errorf("%s is\n%s", tag, got)
		}
	}
}

// In a folder of its own, since the host is not one of rpm: its files and what they
// leave, without scripts.
func TestTheRPMInstallsAndErases(t *testing.T) {
	needRoot(t)
	top, err := os.MkdirTemp("", "mtatap-e2e-rpm-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { must(t, root("rm", "-rf", top)) })
	rpm := func(args ...string) *exec.Cmd {
		return root(append([]string{"rpm", "--root", top, "--dbpath", "/db", "--nodeps", "--noscripts"}, args...)...)
	}
	must(t, exec.Command("rpm", "-K", "--nosignature", first.rpm(t)))
	must(t, rpm("--install", first.rpm(t)))
	if differs := output(t, rpm("--verify", "mtatap")); differs != "" {
		t.Error(differs)
	}
	if got, want := output(t, exec.Command(filepath.Join(top, "usr/bin/mtatap"), "version")), first.git(t, "rev-parse", "HEAD"); !strings.Contains(got, want) {
		t.Errorf("version says %s at %s", got, want)
	}
	must(t, rpm("--erase", "mtatap"))
	if left := output(t, root("find", top, "-path", filepath.Join(top, "db"), "-prune", "-o", "-not", "-type", "d", "-print")); left != "" {
		t.Errorf("erasing leaves %s", left)
	}
}
