package cli

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestReloadIsForThisHostOrForThoseWhoShowWhoTheyAre(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tlsOnly := write("tls.yml", "tls_server_config: {cert_file: c, key_file: k}\n")
	users := write("users.yml", "basic_auth_users: {ops: $2y$10$hash}\n")
	certificates := write("mtls.yml", "tls_server_config: {client_auth_type: RequireAndVerifyClientCert}\n")
	asked := write("ask.yml", "tls_server_config: {client_auth_type: RequestClientCert}\n")
	broken := write("broken.yml", "basic_auth_users: [\n")
	for _, c := range []struct {
		remote, config string
		want           bool
	}{
		{"127.0.0.1:4000", "", true},
		{"[::1]:4000", "", true},
		{"[::ffff:127.0.0.1]:4000", "", true},
		{"192.0.2.7:4000", "", false},
		{"[2001:db8::1]:4000", tlsOnly, false},
		{"192.0.2.7:4000", asked, false},
		{"192.0.2.7:4000", broken, false},
		{"192.0.2.7:4000", users, true},
		{"192.0.2.7:4000", certificates, true},
	} {
		if got := mayReload(c.remote, c.config); got != c.want {
			t.Errorf("%s with %s may reload: %v, want %v", c.remote, filepath.Base(c.config), got, c.want)
		}
	}
}

func TestAReloadIsRefusedWhereItMustBe(t *testing.T) {
	for _, c := range []struct {
		name, method, remote, site string
		want                       int
	}{
		{"a POST from this host reloads", http.MethodPost, "127.0.0.1:4000", "", http.StatusOK},
		{"one from another host does not", http.MethodPost, "192.0.2.7:4000", "", http.StatusForbidden},
		{"a page of another site in a browser on this host does not", http.MethodPost, "127.0.0.1:4000", "cross-site", http.StatusForbidden},
		{"a GET does not", http.MethodGet, "127.0.0.1:4000", "", http.StatusMethodNotAllowed},
	} {
		reloads := 0
		server, err := newWebServer("127.0.0.1:0", "", false, prometheus.NewRegistry(), func() error { reloads++; return nil }, landing{}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		server.listener.Close()
		r := httptest.NewRequest(c.method, "/-/reload", nil)
		r.RemoteAddr = c.remote
		if c.site != "" {
			r.Header.Set("Sec-Fetch-Site", c.site)
		}
		w := httptest.NewRecorder()
		server.server.Handler.ServeHTTP(w, r)
		if w.Code != c.want || reloads != map[bool]int{true: 1}[c.want == http.StatusOK] {
			t.Errorf("%s: %d and %d reloads, want %d", c.name, w.Code, reloads, c.want)
		}
	}
}

func TestProfilesAreServedOnlyWhereTheyAreAskedFor(t *testing.T) {
	for asked, want := range map[bool]int{false: http.StatusNotFound, true: http.StatusOK} {
		server, err := newWebServer("127.0.0.1:0", "", asked, prometheus.NewRegistry(), nil, landing{}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		server.listener.Close()
		for _, page := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline"} {
			w := httptest.NewRecorder()
			server.server.Handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, page, nil))
			if w.Code != want {
				t.Errorf("asked for %v, %s: %d, want %d", asked, page, w.Code, want)
			}
		}
	}
}
