package docs

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mtatap/e2e/port"
)

// rulesVariable names the environment variable with the default rules file.
const rulesVariable = "MTATAP_TEST_RULES"

// rootVariable names that with the folder in which the host is.
const rootVariable = "MTATAP_TEST_ROOT"

// host is the machine that a page talks of, in a folder: /etc, /var and a home
// folder that looks like this repository, in which commands run.
type host struct {
	t    *testing.T
	root string
	home string
	port string // in place of 10525
	runs bool   // the service does
	stop func() // ends what runs
}

// newHost makes the host of a page: testdata/host, and over it the folder of
// testdata with the page's name.
func newHost(t *testing.T, page string) *host {
	t.Helper()
	root := t.TempDir()
	h := &host{t: t, root: root, home: filepath.Join(root, "home"), port: freePort(t)}
	for _, dir := range []string{"home", "bin", "var/lib/mtatap", "var/log", "etc/mtatap/secrets"} {
		h.check(os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	for _, from := range []string{"host", page} {
		h.copy(filepath.Join("testdata", from))
	}
	here, err := filepath.Abs(top)
	h.check(err)
	files, err := os.ReadDir(here)
	h.check(err)
	for _, f := range files {
		if f.Name() == "mtatap" {
			continue // somebody's build
		}
		h.check(os.Symlink(filepath.Join(here, f.Name()), filepath.Join(h.home, f.Name())))
	}
	program, err := os.Executable()
	h.check(err)
	h.check(os.Symlink(program, filepath.Join(root, "bin", "mtatap")))
	h.check(os.WriteFile(filepath.Join(root, "bin", "sudo"), []byte("#!/bin/sh\nexec \"$@\"\n"), 0o755))
	h.check(os.Symlink(program, filepath.Join(h.home, "mtatap"))) // what go build leaves
	h.makeSecrets()
	return h
}

// makeEvents writes the file of events that pages ask questions to.
func (h *host) makeEvents() {
	events, _, err := h.run("mtatap replay --quiet /var/log/mail.log")
	h.check(err)
	h.check(os.WriteFile(filepath.Join(h.home, "events.ndjson"), []byte(events), 0o600))
}

// copy lays a folder over the host, with the paths in configurations adapted.
func (h *host) copy(dir string) {
	if _, err := os.Stat(dir); err != nil {
		return
	}
	h.check(filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if filepath.Ext(name) == ".yaml" {
			data = []byte(h.adapt(string(data)))
		}
		to := filepath.Join(h.root, name)
		return errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, data, 0o644))
	}))
}

// makeSecrets writes what configurations name: keys, passwords, certificates.
func (h *host) makeSecrets() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	h.check(err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	h.check(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	h.check(err)
	inPEM := func(kind string, data []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data})
	}
	for name, data := range map[string][]byte{
		"ca.pem":                 inPEM("CERTIFICATE", certificate),
		"cert.pem":               inPEM("CERTIFICATE", certificate),
		"key.pem":                inPEM("PRIVATE KEY", private),
		"privacy.key":            []byte("0123456789abcdef0123456789abcdef\n"),
		"secrets/kafka.password": []byte("secret\n"),
		"secrets/webhook.secret": []byte("secret\n"),
		"secrets/privacy.key":    []byte("0123456789abcdef0123456789abcdef\n"),
	} {
		h.check(os.WriteFile(filepath.Join(h.root, "etc/mtatap", name), data, 0o600))
	}
}

// save writes a file that a page shows, in the host's own paths.
func (h *host) save(name, text string) string {
	h.t.Helper()
	path := h.adapt(name)
	if !filepath.IsAbs(path) {
		path = filepath.Join(h.home, path)
	}
	h.check(os.MkdirAll(filepath.Dir(path), 0o755))
	h.check(os.WriteFile(path, []byte(h.adapt(text)), 0o600))
	return path
}

var rooted = regexp.MustCompile(`(^|[\s"'=:(\[])(/(?:etc|var|host|usr/bin|usr/lib)/)`)

// adapt leads the paths and the port in text to this host.
func (h *host) adapt(text string) string {
	text = rooted.ReplaceAllString(text, "${1}"+h.root+"${2}")
	return strings.ReplaceAll(text, ":10525", ":"+h.port)
}

// restore is the way back.
func (h *host) restore(text string) string {
	text = strings.ReplaceAll(text, h.home+"/", "")
	return strings.ReplaceAll(strings.ReplaceAll(text, h.root, ""), ":"+h.port, ":10525")
}

func (h *host) command(ctx context.Context, text string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "sh", "-c", h.adapt(text))
	cmd.Dir = h.home
	cmd.Env = []string{
		"PATH=" + filepath.Join(h.root, "bin") + ":" + os.Getenv("PATH"),
		"HOME=" + h.home, "TZ=UTC", "LC_ALL=C.UTF-8",
		"CREDENTIALS_DIRECTORY=" + filepath.Join(h.root, "etc/mtatap/secrets"),
		rulesVariable + "=" + filepath.Join(h.home, "rules.yaml"),
		rootVariable + "=" + h.root,
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// run runs a command to its end and gives what it prints.
func (h *host) run(text string) (stdout, stderr string, err error) {
	ctx, cancel := context.WithTimeout(h.t.Context(), time.Minute)
	defer cancel()
	cmd := h.command(ctx, text)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return h.restore(out.String()), h.restore(errs.String()), err
}

// serve starts what the unit starts.
func (h *host) serve() *transcript {
	unit, err := os.ReadFile(filepath.Join(top, "systemd/mtatap.service"))
	h.check(err)
	_, command, found := strings.Cut(string(unit), "\nExecStart=/usr/bin/")
	if !found {
		h.t.Fatal("the unit starts nothing")
	}
	command, _, _ = strings.Cut(command, "\n")
	h.runs = true
	return h.start(command)
}

// start runs a command until the next one is started or the page ends. It must
// end well.
func (h *host) start(text string) *transcript {
	if h.stop != nil {
		h.stop()
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := h.command(ctx, "exec "+text+" --web.listen-address 127.0.0.1:"+h.port)
	printed := &transcript{host: h, more: make(chan struct{}, 1)}
	cmd.Stdout, cmd.Stderr = printed, printed
	h.check(cmd.Start())
	h.stop = sync.OnceFunc(func() {
		cancel()
		if err := cmd.Wait(); err != nil && cmd.ProcessState.ExitCode() != 0 {
			h.t.Errorf("%s: %v\n%s", text, err, clip(printed.String()))
		}
	})
	h.t.Cleanup(h.stop)
	return printed
}

// transcript is what a command prints while it runs.
type transcript struct {
	host *host
	more chan struct{}
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *transcript) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case o.more <- struct{}{}:
	default:
	}
	return o.text.Write(p)
}

func (o *transcript) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.host.restore(o.text.String())
}

// wait gives what was printed when ok says yes to it, or after ten seconds.
func (o *transcript) wait(ok func(string) bool) string {
	late := time.After(10 * time.Second)
	for !ok(o.String()) {
		select {
		case <-o.more:
		case <-late:
			return o.String()
		}
	}
	return o.String()
}

func (h *host) check(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	addr, release, err := port.Reserve(netip.MustParseAddr("127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return strconv.Itoa(int(addr.Port()))
}
