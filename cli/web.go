package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/exporter-toolkit/web"

	"mtatap/config"
)

// webServer serves metrics, health and reload.
type webServer struct {
	mux        *http.ServeMux
	listener   net.Listener
	configFile string
	server     *http.Server
	log        *slog.Logger
}

// newWebServer listens on address at once, so that a taken port is told before
// anything starts, and refuses a configFile that is wrong. reload loads the rules again; home is the page at "/", whose
// ready says why not, if it is not. profiles adds pages that tell what this process
// does.
func newWebServer(address, configFile string, profiles bool, gatherer prometheus.Gatherer, reload func() error, home landing, log *slog.Logger) (*webServer, error) {
	if err := config.CheckWebFile(configFile); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	if profiles {
		servePprof(mux)
	}
	mux.Handle("GET /{$}", home)
	mux.Handle("GET /metrics", promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /-/healthy", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "mtatap is healthy.") })
	mux.HandleFunc("GET /-/ready", func(w http.ResponseWriter, _ *http.Request) {
		if err := home.ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "mtatap is ready.")
	})
	mux.HandleFunc("POST /-/reload", func(w http.ResponseWriter, r *http.Request) {
		if !mayReload(r.RemoteAddr, configFile) {
			http.Error(w, "reload is for this host only, unless web.config.file asks for a password or a client certificate", http.StatusForbidden)
			return
		}
		if err := reload(); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprintln(w, "rules reloaded")
	})
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, adviseOnListen(fmt.Errorf("listen for metrics: %w", err), address)
	}
	return &webServer{
		mux: mux, listener: listener, configFile: configFile, log: log,
		// Pages of other sites must not reload from within an operator's browser.
		server: &http.Server{Handler: http.NewCrossOriginProtection().Handler(mux), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute},
	}, nil
}

// mayReload reports whether who asks from remote may reload the rules: who is on
// this host, and who had to show a password or certificate, as configFile then
// says.
func mayReload(remote, configFile string) bool {
	if from, err := netip.ParseAddrPort(remote); err == nil && from.Addr().Unmap().IsLoopback() {
		return true
	}
	f, err := config.ReadWebFile(configFile)
	return err == nil && f.Identifies()
}

// run serves until ctx ends.
func (s *webServer) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		shutdown, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.server.Shutdown(shutdown) // a scrape that hangs must not delay the stop
		_ = s.server.Close()
	})
	defer stop()
	s.log.Info("serving metrics and health", "address", s.listener.Addr().String())
	systemdSocket := false
	flags := &web.FlagConfig{WebSystemdSocket: &systemdSocket, WebConfigFile: &s.configFile}
	err := web.Serve(s.listener, s.server, flags, s.log)
	if errors.Is(err, http.ErrServerClosed) || ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("serve metrics: %w", err)
}
