package docs

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mtatap/config"
	"mtatap/event"
	"mtatap/sinks"
)

const webhookPage = "docs/webhook.md"

// The programs around the functions of the page: a body is read from standard input,
// secret and header are arguments; the exit code is 0 where the signature is right.
const (
	goBefore = "package main\n\nimport (\n\t\"crypto/hmac\"\n\t\"crypto/sha256\"\n\t\"fmt\"\n\t\"io\"\n\t\"os\"\n)\n\n"
	goAfter  = "\nfunc main() {\n\tbody, _ := io.ReadAll(os.Stdin)\n\tif !signed([]byte(os.Args[1]), body, os.Args[2]) {\n\t\tos.Exit(3)\n\t}\n}\n"
	pyAfter  = "\nimport sys\nsys.exit(0 if signed(sys.argv[1].encode(), sys.stdin.buffer.read(), sys.argv[2]) else 3)\n"
)

func TestTheVerifiersOfThePageKnowRequestsOfTheSink(t *testing.T) {
	const secret = "hush, it is a secret"
	body, header := request(t, secret)
	dir := t.TempDir()
	verifiers := map[string]func(secret, header string) *exec.Cmd{}
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			if p.name != webhookPage || b.language != "go" && b.language != "python" {
				continue
			}
			verifiers[b.language] = func(secret, header string) *exec.Cmd {
				return exec.Command("python3", filepath.Join(dir, "verify.py"), secret, header)
			}
			name, program := "verify.py", b.text+pyAfter
			if b.language == "go" {
				name, program = "verify.go", goBefore+b.text+goAfter
				verifiers[b.language] = func(secret, header string) *exec.Cmd {
					return exec.Command(filepath.Join(dir, "verify"), secret, header)
				}
			}
			if err := os.WriteFile(filepath.Join(dir, name), []byte(program), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(verifiers) != 2 {
		t.Fatalf("the page has %d verifiers, want Go and Python", len(verifiers))
	}
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "verify"), filepath.Join(dir, "verify.go"))
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the verifier in Go: %v\n%s", err, out)
	}
	for language, verify := range verifiers {
		t.Run(language, func(t *testing.T) {
			if _, err := exec.LookPath(verify("", "").Path); err != nil {
				t.Skip(err)
			}
			for _, c := range []struct {
				name, secret, header string
				body                 []byte
				want                 int
			}{
				{"a request of the sink is right", secret, header, body, 0},
				{"one with another body is not", secret, header, append(bytes.Clone(body), ' '), 3},
				{"nor is one by another secret", secret + "x", header, body, 3},
				{"nor one without signature", secret, "", body, 3},
				{"nor one without the name of the hash", secret, strings.TrimPrefix(header, "sha256="), body, 3},
				{"nor one that is no ASCII", secret, "sha256=ü", body, 3},
			} {
				cmd := verify(c.secret, c.header)
				cmd.Stdin = bytes.NewReader(c.body)
				out, _ := cmd.CombinedOutput()
				if got := cmd.ProcessState.ExitCode(); got != c.want {
					t.Errorf("%s: exit code %d, want %d\n%s", c.name, got, c.want, out)
				}
			}
		})
	}
}

// request returns body and signature of what the sink posts.
func request(t *testing.T, secret string) (body []byte, header string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ = io.ReadAll(r.Body)
		header = r.Header.Get("X-Mtatap-Signature")
	}))
	defer server.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "webhook.secret")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	dead := sinks.NewDeadLetters(config.DeadLetters{Path: filepath.Join(dir, "dead")}, nil)
	w, err := sinks.NewWebhook(config.Webhook{URL: server.URL, SecretFile: file}, sinks.Deps{Name: "hook", DeadLetters: dead})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Write(t.Context(), []*event.Event{{JSON: []byte(`{"id":"1","diagnostic":"ü\u001b"}`)}, {JSON: []byte(`{"id":"2"}`)}}); err != nil {
		t.Fatal(err)
	}
	if len(body) == 0 || header == "" {
		t.Fatalf("no request: %q %q", body, header)
	}
	return body, header
}
