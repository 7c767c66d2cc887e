//go:build e2e

package security

import (
	"crypto/tls"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mtatap/e2e/lab"
)

// listening returns the configuration of a run that decides about suppressions, so
// that everything it can be asked for is there.
func listening(t *testing.T, dir, address, more string) string {
	t.Helper()
	return fmt.Sprintf("sources: [{path: %s, format: postfix, start: beginning}]\nstate_dir: %s\nsinks: {file: {path: %s}}\nsuppress: {}\nweb: {listen_address: %q%s}\n",
		write(t, dir, "mail.log", bounce("first@remote.example")), dir, filepath.Join(dir, "events.ndjson"), address, more)
}

// outside returns an address of this machine that is not loopback: who asks there
// seems to come from elsewhere, though nothing leaves the machine.
func outside(t *testing.T) string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() {
			return n.IP.String()
		}
	}
	t.Skip("this machine has only loopback addresses")
	return ""
}

func TestTheListenerAsksForTLSAndAPasswordOnEveryPage(t *testing.T) {
	dir, c := t.TempDir(), newCertificate(t)
	webConfig(t, dir, c, "right")
	addr := lab.FreeAddr(t)
	p := follow(t, dir, "https://"+addr, listening(t, dir, addr, ", config_file: web.yml"), nil, "--web.pprof")
	client := c.client()
	p.await("the listener", func() bool {
		code, _ := ask(client, http.MethodGet, p.web+"/-/healthy", withPassword("right"))
		return code == http.StatusOK
	})
	for _, page := range []string{"GET /", "GET /metrics", "GET /-/healthy", "GET /-/ready", "POST /-/reload", "GET /debug/pprof/", "GET /v1/suppressions/x@remote.example", "GET /none"} {
		method, path, _ := strings.Cut(page, " ")
		for password, prepare := range map[string]func(*http.Request){"no": nil, "a wrong": withPassword("wrong"), "an empty": withPassword("")} {
			if code, body := ask(client, method, p.web+path, prepare); code != http.StatusUnauthorized || strings.Contains(body, "mtatap") {
				t.Errorf("%s with %s password: %d %s", page, password, code, body)
			}
		}
		if code, _ := ask(client, method, p.web+path, withPassword("right")); code != http.StatusOK && code != http.StatusNotFound {
			t.Errorf("%s with the right password: %d", page, code)
		}
	}
	if code, _ := ask(http.DefaultClient, http.MethodGet, "http://"+addr+"/metrics", withPassword("right")); code == http.StatusOK {
		t.Error("plain HTTP is answered")
	}
	old := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	if conn, err := tls.Dial("tcp", addr, old); err == nil {
		conn.Close()
		t.Error("TLS 1.1 is spoken")
	}
	p.stop()
}

func TestNobodyElsewhereChangesStateWithoutAPassword(t *testing.T) {
	elsewhere := outside(t)
	dir, addr := t.TempDir(), lab.FreeAddr(t)
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	p := follow(t, dir, "http://"+addr, listening(t, dir, net.JoinHostPort("0.0.0.0", port), ""), nil)
	p.awaitReady()
	p.await("a suppression", func() bool { code, _ := p.get("/v1/suppressions/first@remote.example"); return code == http.StatusOK })
	site := func(value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", value) }
	}
	forwarded := func(r *http.Request) {
		r.Header.Set("X-Forwarded-For", "127.0.0.1")
		r.Header.Set("X-Real-IP", "127.0.0.1")
		r.Host = "127.0.0.1"
	}
	accepted := 0
	for _, c := range []struct {
		name, method, host, path string
		prepare                  func(*http.Request)
		want                     int
	}{
		{"this host reloads", http.MethodPost, "127.0.0.1", "/-/reload", nil, http.StatusOK},
		{"so it does by any of its loopback addresses", http.MethodPost, "127.0.0.2", "/-/reload", nil, http.StatusOK},
		{"another does not", http.MethodPost, elsewhere, "/-/reload", nil, http.StatusForbidden},
		{"it does not by a header that says that it is this one", http.MethodPost, elsewhere, "/-/reload", forwarded, http.StatusForbidden},
		{"nor does a page of another site in a browser here", http.MethodPost, "127.0.0.1", "/-/reload", site("cross-site"), http.StatusForbidden},
		{"a GET reloads nothing", http.MethodGet, "127.0.0.1", "/-/reload", nil, http.StatusMethodNotAllowed},
		{"metrics are for everybody", http.MethodGet, elsewhere, "/metrics", nil, http.StatusOK},
		{"a suppression cannot be made here", http.MethodPut, "127.0.0.1", "/v1/suppressions/x@remote.example", nil, http.StatusMethodNotAllowed},
		{"nor released", http.MethodDelete, "127.0.0.1", "/v1/suppressions/first@remote.example", nil, http.StatusMethodNotAllowed},
		{"nor are they listed", http.MethodGet, "127.0.0.1", "/v1/suppressions", nil, http.StatusNotFound},
		{"there is no way to stop it", http.MethodPost, "127.0.0.1", "/-/quit", nil, http.StatusNotFound},
		{"there are no profiles", http.MethodGet, "127.0.0.1", "/debug/pprof/", nil, http.StatusNotFound},
		{"not one", http.MethodGet, "127.0.0.1", "/debug/pprof/heap", nil, http.StatusNotFound},
	} {
		code, body := ask(http.DefaultClient, c.method, "http://"+net.JoinHostPort(c.host, port)+c.path, c.prepare)
		if code != c.want {
			t.Errorf("%s: %d, want %d\n%s", c.name, code, c.want, body)
		}
		if c.path == "/-/reload" && code == http.StatusOK {
			accepted++
		}
	}
	// Suppressions are changed by a socket that is for the user of mtatap alone.
	info, err := os.Stat(filepath.Join(dir, "suppressions.db.sock"))
	if err != nil || info.Mode().Type() != fs.ModeSocket || info.Mode().Perm() != 0o600 {
		t.Errorf("control socket: %v, %v", info.Mode(), err)
	}
	p.stop()
	if done := strings.Count(p.stderr.String(), "rules reloaded"); done != accepted {
		t.Errorf("%d reloads, %d were accepted", done, accepted)
	}
}

func TestSomebodyElsewhereReloadsWithAPassword(t *testing.T) {
	elsewhere := outside(t)
	dir, addr, c := t.TempDir(), lab.FreeAddr(t), newCertificate(t)
	path, _ := webConfig(t, dir, c, "right")
	users := text(t, path)
	_, users, _ = strings.Cut(users, "\n")
	write(t, dir, "web.yml", users) // no TLS, whose certificate is of 127.0.0.1
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	// By the flag, for once.
	p := follow(t, dir, "http://"+addr, listening(t, dir, net.JoinHostPort("0.0.0.0", port), ""), nil, "--web.config.file", path)
	p.await("the listener", func() bool { code, _ := p.get("/"); return code == http.StatusUnauthorized })
	for password, want := range map[string]int{"wrong": http.StatusUnauthorized, "right": http.StatusOK} {
		if code, _ := ask(http.DefaultClient, http.MethodPost, "http://"+net.JoinHostPort(elsewhere, port)+"/-/reload", withPassword(password)); code != want {
			t.Errorf("a %s password: %d, want %d", password, code, want)
		}
	}
	p.stop()
}
