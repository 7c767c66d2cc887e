//go:build e2e

package security

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"mtatap/e2e/lab"
)

// secretFiles are the keys of the configuration that name a file with a secret, and
// how they are written below.
var secretFiles = map[string]string{
	"privacy.key_file":                  "privacy.key",
	"sinks.kafka.sasl.password_file":    "kafka.password",
	"sinks.kafka.tls.key_file":          "kafka.key",
	"sinks.webhook.secret_file":         "webhook.secret",
	"sinks.webhook.tls.key_file":        "webhook.key",
	"suppress.webhook.secret_file":      "suppress.secret",
	"suppress.webhook.tls.key_file":     "suppress.key",
	"suppress.kafka.sasl.password_file": "fleet.password",
	"suppress.kafka.tls.key_file":       "fleet.key",
}

// publicFiles are those whose content is no secret to mtatap itself. The web
// configuration is checked beside the others.
var publicFiles = []string{"ca_file", "cert_file", "config_file"}

// secrets is a host with a different secret in every place that can have one.
type secrets struct {
	dir         string
	markers     map[string]string // by file, and those that are in no file
	certificate certificate       // of the listener and of the webhook
	password    string            // of the listener
	token       string            // in the URL of the webhook
}

func newSecrets(t *testing.T) *secrets {
	t.Helper()
	s := &secrets{dir: t.TempDir(), markers: map[string]string{}, certificate: newCertificate(t), password: rand.Text(), token: rand.Text()}
	for _, name := range secretFiles {
		if before, isKey := strings.CutSuffix(name, ".key"); isKey && name != "privacy.key" {
			c := newCertificate(t)
			write(t, s.dir, before+".crt", c.cert)
			write(t, s.dir, name, c.key)
			s.markers[name] = strings.Split(c.key, "\n")[2]
			continue
		}
		s.markers[name] = rand.Text()
		write(t, s.dir, name, s.markers[name]+"\n")
	}
	write(t, s.dir, "ca.pem", s.certificate.cert)
	_, hash := webConfig(t, s.dir, s.certificate, s.password)
	s.markers["web.yml"], s.markers["password of the listener"] = hash, s.password
	s.markers["web.key"] = strings.Split(s.certificate.key, "\n")[2]
	s.markers["token in the URL"] = s.token
	return s
}

// config is for "mtatap run" with every kind of secret in it, some of them as
// credentials of systemd.
func (s *secrets) config(log, web, hook string) string {
	return fmt.Sprintf(`sources: [{path: %s, format: postfix, start: beginning}]
state_dir: state
privacy: {addresses: hmac, key_file: "${CREDENTIALS_DIRECTORY}/privacy.key"}
sinks:
  file: {path: state/events.ndjson}
  kafka:
    brokers: [%q]
    required: false
    tls: {cert_file: kafka.crt, key_file: kafka.key}
    sasl: {mechanism: plain, username: mt, password_file: "${CREDENTIALS_DIRECTORY}/kafka.password"}
  webhook:
    url: "%s/${HOOK_TOKEN}/events?token=${HOOK_TOKEN}"
    required: true
    secret_file: webhook.secret
    tls: {ca_file: ca.pem, cert_file: webhook.crt, key_file: webhook.key}
suppress:
  webhook:
    url: "%s/${HOOK_TOKEN}/suppressions?token=${HOOK_TOKEN}"
    secret_file: suppress.secret
    tls: {ca_file: ca.pem, cert_file: suppress.crt, key_file: suppress.key}
web: {listen_address: %q, config_file: web.yml}
log: {level: debug}
`, log, "127.0.0.1:1", hook, hook, strings.TrimPrefix(web, "https://"))
}

func (s *secrets) fleet(web string) string {
	return fmt.Sprintf(`state_dir: fleet
suppress:
  kafka:
    brokers: [%q]
    tls: {cert_file: fleet.crt, key_file: fleet.key}
    sasl: {mechanism: scram-sha-512, username: mt, password_file: "${CREDENTIALS_DIRECTORY}/fleet.password"}
web: {listen_address: %q, config_file: web.yml}
log: {level: debug, format: json}
`, "127.0.0.1:1", web)
}

func (s *secrets) env() []string {
	return append(os.Environ(), "CREDENTIALS_DIRECTORY="+s.dir, "HOOK_TOKEN="+s.token)
}

// mtatap runs a command to its end.
func (s *secrets) mtatap(args ...string) (said string, err error) {
	cmd := exec.Command(binary, args...)
	cmd.Dir, cmd.Env = s.dir, s.env()
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// silent fails if a secret is in what was said somewhere.
func (s *secrets) silent(t *testing.T, where, said string) {
	t.Helper()
	for name, marker := range s.markers {
		if strings.Contains(said, marker) {
			t.Errorf("%s: the secret of %s is in it:\n%s", where, name, said[:min(len(said), 2000)])
		}
	}
}

// chatty is a webhook that repeats all that it is told: it fails, refuses the
// events with "refused" in them and takes the others.
func chatty(t *testing.T, c certificate) (url string, signed *atomic.Int64) {
	t.Helper()
	signed = new(atomic.Int64)
	var requests atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		echo := fmt.Sprintf("Cannot %s %s with %s", r.Method, r.RequestURI, r.Header)
		if r.Header.Get("X-Mtatap-Signature") != "" {
			signed.Add(1)
		}
		switch n := requests.Add(1); {
		case r.Method == http.MethodHead:
		case n < 4:
			http.Error(w, echo, http.StatusNotFound)
		case strings.Contains(string(body), "mailbox full"):
			http.Error(w, echo, http.StatusUnprocessableEntity)
		}
	}))
	server.TLS = serverTLS(t, c)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL, signed
}

func TestNoSecretIsEverShown(t *testing.T) {
	s := newSecrets(t)
	hook, signed := chatty(t, s.certificate)
	log := write(t, s.dir, "mail.log", bounce("first@remote.example")+
		strings.Replace(bounce("refused@remote.example"), "550 5.1.1 User unknown", "552 5.2.2 mailbox full", 1))
	web := "https://" + lab.FreeAddr(t)
	config := s.config(log, web, hook)
	write(t, s.dir, "mtatap.yaml", config)
	cmd := exec.Command(binary, "run", "--config.file", "mtatap.yaml", "--web.pprof")
	cmd.Dir, cmd.Env = s.dir, s.env()
	p := launch(t, web, cmd, (*exec.Cmd).Start)
	client := s.certificate.client()
	letters := filepath.Join(s.dir, "state", "dead-letters.ndjson")
	p.await("the dead letter", func() bool { b, _ := os.ReadFile(letters); return len(b) > 0 })
	p.await("the failure of Kafka", func() bool { return strings.Contains(p.stderr.String(), "sink=kafka") })
	p.await("readiness", func() bool {
		code, _ := ask(client, http.MethodGet, web+"/-/ready", withPassword(s.password))
		return code == http.StatusOK
	})
	for _, page := range []string{"/", "/metrics", "/-/ready", "/-/healthy", "/-/status", "/debug/pprof/cmdline", "/debug/pprof/goroutine?debug=2", "/v1/suppressions/first@remote.example"} {
		for password, known := range map[string]bool{s.password: true, s.password + "x": false} {
			code, body := ask(client, http.MethodGet, web+page, withPassword(password))
			if (code == http.StatusUnauthorized) == known || code == 0 {
				t.Errorf("%s: %d with a password that is right: %v", page, code, known)
			}
			s.silent(t, page, body)
		}
	}
	if code, body := ask(client, http.MethodPost, web+"/-/reload", withPassword(s.password)); code != http.StatusOK {
		t.Errorf("reload: %d %s", code, body)
	}
	for _, args := range [][]string{
		{"check", "--config.file", "mtatap.yaml"},
		{"suppress", "list", "--config.file", "mtatap.yaml"},
		{"suppress", "show", "first@remote.example", "--config.file", "mtatap.yaml"},
		{"replay", "--config.file", "mtatap.yaml", log},
	} {
		said, err := s.mtatap(args...)
		if err != nil && args[1] != "show" {
			t.Errorf("%v: %v\n%s", args, err, said)
		}
		s.silent(t, strings.Join(args, " "), said)
	}
	p.stop()

	logged := p.stderr.String()
	s.silent(t, "the log", logged)
	s.silent(t, "standard output", p.stdout.String())
	state := 0
	if err := filepath.WalkDir(filepath.Join(s.dir, "state"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		state++
		s.silent(t, path, string(b))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for what, there := range map[string]bool{
		"a reload in the log":                       strings.Contains(logged, "rules reloaded"),
		"what the webhook said":                     strings.Contains(logged, "Cannot POST"),
		"the checkpoint, events and letters":        state >= 3,
		"a signature in the requests":               signed.Load() > 0,
		"what the webhook said in the dead letters": strings.Contains(text(t, letters), "Cannot POST"),
	} {
		if !there {
			t.Errorf("this test did not see %s:\n%s", what, logged)
		}
	}
}

func TestTheProcessorOfAFleetShowsNoSecret(t *testing.T) {
	s := newSecrets(t)
	addr := lab.FreeAddr(t)
	write(t, s.dir, "fleet.yaml", s.fleet(addr))
	cmd := exec.Command(binary, "suppress", "--config.file", "fleet.yaml")
	cmd.Dir, cmd.Env = s.dir, s.env()
	p := launch(t, "https://"+addr, cmd, (*exec.Cmd).Start)
	p.await("a complaint about Kafka", func() bool { return strings.Contains(p.stderr.String(), `"level":"ERROR"`) })
	for _, page := range []string{"/", "/metrics", "/-/ready"} {
		_, body := ask(s.certificate.client(), http.MethodGet, p.web+page, withPassword(s.password))
		s.silent(t, page, body)
	}
	p.signal(syscall.SIGTERM)
	<-p.ended
	s.silent(t, "the log", p.stderr.String())
}

func TestASecretOpenToEveryUserIsRefusedWithItsPlaceInTheConfiguration(t *testing.T) {
	s := newSecrets(t)
	log := write(t, s.dir, "mail.log", "")
	write(t, s.dir, "mtatap.yaml", s.config(log, "https://127.0.0.1:1", "https://127.0.0.1:2"))
	write(t, s.dir, "fleet.yaml", s.fleet("127.0.0.1:1"))
	files := maps.Clone(secretFiles)
	files["web.config_file"], files["web.config_file: key_file"] = "web.yml", "web.key"
	for _, config := range []string{"mtatap.yaml", "fleet.yaml"} {
		if said, err := s.mtatap("check", "--config.file", config); err != nil {
			t.Fatalf("refused before: %v\n%s", err, said)
		}
	}
	for key, name := range files {
		t.Run(key, func(t *testing.T) {
			config := "mtatap.yaml"
			if strings.HasPrefix(key, "suppress.kafka") {
				config = "fleet.yaml"
			}
			path := filepath.Join(s.dir, name)
			if err := os.Chmod(path, 0o604); err != nil {
				t.Fatal(err)
			}
			command := "run"
			if config == "fleet.yaml" {
				command = "suppress"
			}
			for _, args := range [][]string{{"check", "--config.file", config}, {command, "--config.file", config}} {
				said, err := s.mtatap(args...)
				if err == nil || !strings.Contains(said, name) || !strings.Contains(said, "is open to every user") {
					t.Errorf("%v: %v\n%s", args, err, said)
				}
				if !strings.HasPrefix(key, "web.") && !strings.Contains(said, ": "+key+": ") {
					t.Errorf("%v: no %q in\n%s", args, key, said)
				}
				s.silent(t, strings.Join(args, " "), said)
			}
			// What is no secret at all in its place is not shown either.
			if err := os.Chmod(path, 0o600); err != nil {
				t.Fatal(err)
			}
			before := text(t, path)
			write(t, s.dir, name, strings.ReplaceAll(before, "-----", "")+"x")
			said, _ := s.mtatap("check", "--config.file", config)
			s.silent(t, "check with a broken "+name, said)
			write(t, s.dir, name, before)
		})
	}
}

func TestEveryFileOfTheConfigurationIsKnownAsSecretOrNot(t *testing.T) {
	out, err := exec.Command(binary, "schema", "config").Output()
	if err != nil {
		t.Fatal(err)
	}
	var schema any
	if err := json.Unmarshal(out, &schema); err != nil {
		t.Fatal(err)
	}
	known := slices.Clone(publicFiles)
	for key := range secretFiles {
		known = append(known, key[strings.LastIndexByte(key, '.')+1:])
	}
	found := 0
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, inner := range v {
				if strings.HasSuffix(name, "_file") {
					found++
					if !slices.Contains(known, name) {
						t.Errorf("the configuration knows a %s: say in this test whether it is a secret", name)
					}
				}
				walk(inner)
			}
		case []any:
			for _, inner := range v {
				walk(inner)
			}
		}
	}
	walk(schema)
	if found < len(secretFiles) {
		t.Errorf("only %d files in the schema", found)
	}
}

func text(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
