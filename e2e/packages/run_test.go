//go:build e2e

package packages

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"mtatap/e2e/lab"
)

// testCheck configures the host: a log that only adm may read, own rules, a file.
func (h *host) testCheck(t *testing.T) {
	dir, err := os.MkdirTemp("", "mtatap-e2e-log-")
	if err != nil {
		t.Fatal(err)
	}
	h.t.Cleanup(func() { h.clean("rm", "-rf", dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	h.log, h.web = filepath.Join(dir, "mail.log"), lab.FreeAddr(h.t)
	write(t, h.log, string(read(t, sample+".log")), 0o640, "root:adm")
	write(t, secretFile, "secret\n", 0o600, "root:root")
	write(t, configFile, fmt.Sprintf(`sources:
  - {path: %s, format: postfix, start: beginning}
rules: %s
sinks:
  file: {path: %s/events.ndjson}
web: {listen_address: %q}
`, h.log, rulesFile, stateFolder, h.web), 0o640, "root:mtatap")

	said := output(t, asUnitUser(t, "/usr/bin/mtatap check --config.file "+configFile))
	if !strings.Contains(said, configFile+": ok, 1 sources, 1 sinks") || !strings.Contains(said, rulesFile+": ok") {
		t.Errorf("check says\n%s", said)
	}
}

// sample is a log of a real Postfix, and the events that must come of it.
const sample = "../../testdata/postfix/iso"

// bounce is a line that comes later.
const bounce = "2026-11-23T23:59:59.000000+00:00 mta-out postfix/smtp[485]: 4E5845325CB: to=<late@text.example>, relay=mx.text.example[198.51.100.1]:25, delay=0.04, delays=0.01/0.02/0.01/0, dsn=5.1.1, status=bounced (host mx.text.example[198.51.100.1] said: 550 5.1.1 User unknown (in reply to RCPT TO command))\n"

func (h *host) testFirstRun(t *testing.T) {
	want := ids(t, read(t, sample+".golden.ndjson"))
	if len(want) < 50 {
		t.Fatalf("only %d events are expected", len(want))
	}
	h.runUnit(t, want)
}

func (h *host) testSecondRun(t *testing.T) {
	before := h.published(t)
	cmd := root("tee", "-a", h.log)
	cmd.Stdin = strings.NewReader(bounce)
	must(t, cmd)
	all := ids(t, []byte(output(t, root("/usr/bin/mtatap", "replay", "--quiet", "--format", "postfix", h.log))))
	if len(all) != len(before)+1 {
		t.Fatalf("%d events for the whole log after %d", len(all), len(before))
	}
	h.runUnit(t, append(before, all[len(all)-1]))
}

// runUnit starts what the installed unit starts, as its user, and ends it when the
// events are published that have these ids, in any order.
func (h *host) runUnit(t *testing.T, want []string) {
	t.Helper()
	var said bytes.Buffer
	cmd := asUnitUser(t, unitSetting(t, "ExecStart"))
	cmd.Env = append(os.Environ(), unitSetting(t, "Environment"))
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	stop := func() {
		_ = root("kill", strconv.Itoa(cmd.Process.Pid)).Run() // it may have ended
		select {
		case err := <-ended:
			if err != nil || t.Failed() {
				t.Errorf("the service ended with %v and said\n%s", err, said.Bytes())
			}
		case <-time.After(20 * time.Second):
			_ = root("kill", "-KILL", strconv.Itoa(cmd.Process.Pid)).Run()
			t.Errorf("the service did not end when asked to: %v\n%s", <-ended, said.Bytes())
		}
	}
	ready := func() bool {
		res, err := http.Get("http://" + h.web + "/-/ready")
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	}
	var got []string
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		if ready() {
			if got = h.published(t); len(got) >= len(want) {
				break
			}
		}
		if time.Now().After(deadline) {
			t.Errorf("%d events were published, want %d", len(got), len(want))
			break
		}
	}
	stop()
	got = h.published(t) // what came after the last look is too much
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d events were published, want %d, not all the same", len(got), len(want))
	}
}

func (h *host) published(t *testing.T) []string {
	t.Helper()
	return ids(t, []byte(output(t, root("sh", "-c", "cat "+stateFolder+"/events.ndjson 2>/dev/null || true"))))
}

// ids are those of the events in NDJSON, in order.
func ids(t *testing.T, ndjson []byte) []string {
	t.Helper()
	var all []string
	for line := range bytes.Lines(ndjson) {
		var e struct{ ID string }
		if err := json.Unmarshal(line, &e); err != nil || e.ID == "" {
			t.Fatalf("no event: %s: %v", line, err)
		}
		all = append(all, e.ID)
	}
	return all
}

// asUnitUser is a command line of the unit, run as its user with the groups that the
// system gives him. A restriction of the unit is not tested here, but in e2e/security.
func asUnitUser(t *testing.T, line string) *exec.Cmd {
	t.Helper()
	return root(append([]string{"setpriv", "--reuid", unitSetting(t, "User"), "--regid", unitSetting(t, "Group"), "--init-groups", "--inh-caps=-all", "--no-new-privs"}, strings.Fields(line)...)...)
}

// unitSetting reads the installed unit.
func unitSetting(t *testing.T, key string) string {
	t.Helper()
	var values []string
	for line := range strings.Lines(string(read(t, "/lib/systemd/system/mtatap.service"))) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), key+"="); ok {
			values = append(values, v)
		}
	}
	if len(values) != 1 || values[0] == "" {
		t.Fatalf("the unit sets %s to %q", key, values)
	}
	return values[0]
}

func (h *host) testUpgrade(t *testing.T) {
	own := string(read(t, rulesFile)) + "\n# Our own remark.\n"
	write(t, rulesFile, own, 0o644, "root:root")
	config := output(t, root("cat", configFile))

	h.install(t, next.deb(t))
	if said := output(t, exec.Command("/usr/bin/mtatap", "version")); !strings.HasPrefix(said, "mtatap 99.0.0") {
		t.Errorf("the upgraded program says %s", said)
	}
	if got := string(read(t, rulesFile)); got != own {
		t.Errorf("the changed rules are now\n%s", got)
	}
	if !bytes.Contains(read(t, rulesFile+".dpkg-dist"), []byte("# Of the next version.")) {
		t.Error("the new rules are not beside the changed ones")
	}
	if got := output(t, root("cat", configFile)); got != config {
		t.Errorf("the configuration is now\n%s", got)
	}
	for path, want := range map[string]string{configFile: "-rw-r----- root mtatap", secretFile: "-rw------- root root", stateFolder: "drwx------ mtatap mtatap"} {
		if got := output(t, root("stat", "-c", "%A %U %G", path)); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
}
