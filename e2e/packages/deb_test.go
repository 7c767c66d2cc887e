//go:build e2e

package packages

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestDebianPackage takes a host from installation to purge. The steps follow each
// other; what one leaves the next one finds.
func TestDebianPackage(t *testing.T) {
	needRoot(t)
	h := newHost(t)

	for _, step := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"it installs", func(t *testing.T) { h.install(t, first.deb(t)) }},
		{"what has landed belongs to whom it should", h.testOwners},
		{"dpkg finds all files as they were packed", h.testVerify},
		{"the user mtatap is a member of adm and cannot log in", h.testUser},
		{"the binary says version, commit, date and Go", h.testVersion},
		{"man shows the pages", h.testManual},
		{"bash completes commands", h.testCompletion},
		{"the samples lead editors to the schemas of the program", h.testModelines},
		{"the configuration passes check", h.testCheck},
		{"the unit's command publishes every delivery of a log that adm may read", h.testFirstRun},
		{"an upgrade keeps what was changed", h.testUpgrade},
		{"the upgraded program goes on where the old one stopped", h.testSecondRun},
		{"removal keeps configuration, state and secrets, and ends what was enabled", h.testRemove},
		{"purge leaves the user and the operator's own secrets, nothing else", h.testPurge},
	} {
		if !t.Run(step.name, step.run) {
			t.FailNow()
		}
	}
}

// host is this machine, and how to put it back as it was.
type host struct {
	t      *testing.T
	before []string // files with our name
	log    string   // that is followed
	web    string
}

const (
	configFile  = "/etc/mtatap/mtatap.yaml"
	rulesFile   = "/etc/mtatap/rules.yaml"
	secretFile  = "/etc/mtatap/secrets/kafka.password"
	stateFolder = "/var/lib/mtatap"
	wants       = "/etc/systemd/system/multi-user.target.wants/mtatap.service"
)

func newHost(t *testing.T) *host {
	t.Helper()
	if exec.Command("dpkg-query", "-W", "mtatap").Run() == nil {
		t.Fatal("mtatap is installed on this machine: the test would replace and purge it")
	}
	for _, path := range []string{"/etc/mtatap", stateFolder} {
		if _, err := os.Lstat(path); err == nil {
			t.Fatalf("%s is there: the test would remove it", path)
		}
	}
	h := &host{t: t, before: ours(t)}
	_, err := user.Lookup("mtatap")
	newUser := err != nil
	t.Cleanup(func() {
		if exec.Command("dpkg-query", "-W", "mtatap").Run() == nil {
			h.clean("dpkg", "--purge", "mtatap")
		}
		h.clean("rm", "-rf", "/etc/mtatap", stateFolder, wants)
		if _, err := user.Lookup("mtatap"); newUser && err == nil {
			h.clean("userdel", "mtatap")
		}
		if left := ours(t); !slices.Equal(left, h.before) {
			t.Errorf("the machine had %q and has %q", h.before, left)
		}
	})
	return h
}

func (h *host) clean(args ...string) {
	if err := run(root(args...)); err != nil {
		h.t.Errorf("put the machine back: %v", err)
	}
}

// ours are the files of the system that carry our name.
func ours(t *testing.T) []string {
	t.Helper()
	found := strings.Fields(output(t, root("find", "/etc", "/usr", "/lib/", "/var/lib", "/run", "-xdev", "-path", "/var/lib/dpkg", "-prune", "-o", "-iname", "*mtatap*", "-print")))
	slices.Sort(found)
	return slices.Compact(found)
}

func (h *host) install(t *testing.T, deb string) {
	t.Helper()
	// Slim images leave out manual pages and documents.
	cmd := root("dpkg", "--path-include=*", "--force-confdef", "--force-confold", "--install", deb)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	must(t, cmd)
}

func (h *host) testOwners(t *testing.T) {
	for path, want := range map[string]string{
		"/usr/bin/mtatap":                            "-rwxr-xr-x root root",
		"/lib/systemd/system/mtatap.service":         "-rw-r--r-- root root",
		"/usr/lib/sysusers.d/mtatap.conf":            "-rw-r--r-- root root",
		"/usr/lib/tmpfiles.d/mtatap.conf":            "-rw-r--r-- root root",
		"/etc/mtatap":                                "drwxr-x--- root mtatap",
		"/etc/mtatap/secrets":                        "drwx------ root root",
		rulesFile:                                    "-rw-r--r-- root root",
		stateFolder:                                  "drwx------ mtatap mtatap",
		"/usr/share/doc/mtatap/copyright":            "-rw-r--r-- root root",
		"/usr/share/doc/mtatap/examples/mtatap.yaml": "-rw-r--r-- root root",
		"/usr/share/mtatap/default-rules.yaml":       "-rw-r--r-- root root",
		"/usr/share/mtatap/schema/config.json":       "-rw-r--r-- root root",
		"/usr/share/mtatap/grafana/alerts.yaml":      "-rw-r--r-- root root",
	} {
		if got := output(t, root("stat", "-c", "%A %U %G", path)); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
	if conffiles := output(t, exec.Command("dpkg-query", "-W", "-f", "${Conffiles}", "mtatap")); len(strings.Fields(conffiles)) != 2 || !strings.HasPrefix(conffiles, rulesFile+" ") {
		t.Errorf("conffiles are %q, want %s only", conffiles, rulesFile)
	}
	// No package knows the logs of a host, and dpkg should ask no questions about
	// a file that the program or the operator has written.
	if _, err := os.Lstat(configFile); err == nil {
		t.Errorf("the package brings a %s", configFile)
	}
}

func (h *host) testVerify(t *testing.T) {
	if differs := output(t, root("dpkg", "--verify", "mtatap")); differs != "" {
		t.Error(differs)
	}
}

func (h *host) testUser(t *testing.T) {
	if groups := strings.Fields(output(t, exec.Command("id", "-Gn", "mtatap"))); !slices.Contains(groups, "adm") || slices.Contains(groups, "root") {
		t.Errorf("mtatap is in %v", groups)
	}
	entry := strings.Split(output(t, exec.Command("getent", "passwd", "mtatap")), ":")
	if len(entry) != 7 || entry[5] != stateFolder || entry[6] != "/usr/sbin/nologin" {
		t.Errorf("the user is %q", entry)
	}
	if id, err := strconv.Atoi(entry[2]); err != nil || id == 0 || id >= 1000 {
		t.Errorf("the user has the number %s, which is not of the system", entry[2])
	}
}

func (h *host) testVersion(t *testing.T) {
	want := fmt.Sprintf("mtatap %s (commit %s, %s, %s)",
		output(t, exec.Command("dpkg-query", "-W", "-f", "${Version}", "mtatap")), first.git(t, "rev-parse", "HEAD"),
		first.git(t, "log", "-1", "--date=format-local:%Y-%m-%dT%H:%M:%SZ", "--format=%cd"), strings.Fields(output(t, exec.Command("go", "version")))[2])
	if got := output(t, exec.Command("/usr/bin/mtatap", "version")); got != want {
		t.Errorf("version says\n%s, want\n%s", got, want)
	}
}

func (h *host) testManual(t *testing.T) {
	for _, page := range []struct{ section, name, says string }{
		{"1", "mtatap", "replay"}, {"5", "mtatap.yaml", "state_dir"}, {"5", "mtatap-rules", "counterexamples"},
	} {
		cmd := exec.Command("man", "--warnings", page.section, page.name)
		cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "MANWIDTH=80", "MANPAGER=cat", "MANROFFOPT=-c")
		var errs bytes.Buffer
		cmd.Stderr = &errs
		out, err := cmd.Output()
		// Bold is a letter struck twice where there is no terminal.
		text := strings.Join(strings.Split(string(out), "\b"), "")
		if err != nil || errs.Len() > 0 || !strings.Contains(text, page.says) || !strings.Contains(text, "NAME") {
			t.Errorf("man %s %s: %v\n%s%s", page.section, page.name, err, errs.Bytes(), out)
		}
	}
}

func (h *host) testCompletion(t *testing.T) {
	// As an interactive shell does it: the script is found by the name of the command.
	const script = `. /usr/share/bash-completion/bash_completion
_completion_loader mtatap
complete -p mtatap
COMP_LINE="mtatap repl" COMP_POINT=11 COMP_WORDS=(mtatap repl) COMP_CWORD=1 COMP_TYPE=9
__start_mtatap mtatap repl mtatap
printf '%s\n' "${COMPREPLY[@]}"`
	const want = "complete -o default -F __start_mtatap mtatap\nreplay"
	if got := output(t, exec.Command("bash", "--norc", "-c", script)); got != want {
		t.Errorf("mtatap repl is completed to %q", got)
	}
}

func (h *host) testModelines(t *testing.T) {
	const modeline = "# yaml-language-server: $schema="
	for sample, name := range map[string]string{"/usr/share/doc/mtatap/examples/mtatap.yaml": "config", rulesFile: "rules"} {
		first, _, _ := strings.Cut(string(read(t, sample)), "\n")
		path, found := strings.CutPrefix(first, modeline)
		if !found {
			t.Errorf("%s begins with %q", sample, first)
			continue
		}
		if got, want := strings.TrimSpace(string(read(t, path))), output(t, exec.Command("/usr/bin/mtatap", "schema", name)); got != want {
			t.Errorf("%s leads to %s, which is not what mtatap schema %s prints", sample, path, name)
		}
	}
}

func (h *host) testRemove(t *testing.T) {
	must(t, root("systemctl", "enable", "mtatap.service"))
	if _, err := os.Lstat(wants); err != nil {
		t.Fatalf("the service was not enabled: %v", err)
	}
	packed := strings.Split(output(t, exec.Command("dpkg", "-L", "mtatap")), "\n")
	must(t, root("dpkg", "--remove", "mtatap"))
	for _, path := range packed {
		if s, err := os.Stat(path); err == nil && !s.IsDir() && path != rulesFile {
			t.Errorf("%s is left", path)
		}
	}
	if _, err := os.Lstat(wants); err == nil {
		t.Errorf("%s leads nowhere", wants)
	}
	for _, path := range []string{configFile, rulesFile, secretFile, stateFolder + "/checkpoint.json", stateFolder + "/events.ndjson"} {
		must(t, root("test", "-s", path))
	}
}

func (h *host) testPurge(t *testing.T) {
	must(t, root("dpkg", "--purge", "mtatap"))
	if exec.Command("dpkg-query", "-W", "mtatap").Run() == nil {
		t.Error("dpkg still knows the package")
	}
	left := slices.DeleteFunc(ours(t), func(path string) bool { return slices.Contains(h.before, path) })
	if want := []string{"/etc/mtatap"}; !slices.Equal(left, want) {
		t.Errorf("purge leaves %q, want %q for the secret in it", left, want)
	}
	if files := output(t, root("find", "/etc/mtatap", "-type", "f")); files != secretFile {
		t.Errorf("purge leaves %s in /etc/mtatap", files)
	}
	if _, err := user.Lookup("mtatap"); err != nil {
		t.Errorf("the user should stay, as the documents say: %v", err)
	}
}

// write makes a file of the system, as an operator does.
func write(t *testing.T, path, text string, mode fs.FileMode, owner string) {
	t.Helper()
	cmd := root("sh", "-c", `umask 077; cat >"$1" && chmod "$2" "$1" && chown "$3" "$1"`, "sh", path, strconv.FormatUint(uint64(mode), 8), owner)
	cmd.Stdin = strings.NewReader(text)
	must(t, cmd)
}
