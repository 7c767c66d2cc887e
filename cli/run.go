package cli

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"mtatap/config"
	"mtatap/pipeline"
	"mtatap/rules"
	"mtatap/sinks"
	"mtatap/suppress"
	"mtatap/suppress/local"
	"mtatap/tailers"
)

type run struct {
	env       Environment
	log       logFlags
	config    string
	listen    string
	webConfig string
	pprof     bool
	profiling profiling
}

func newRun(env Environment) *cobra.Command {
	r := &run{env: env}
	cmd := &cobra.Command{
		Use:   "run [flags] [FILE...]",
		Short: "Follow logs and publish an event for each delivery status",
		Long: `Follow the logs of the configuration and publish an event for each delivery
status. With FILEs and no configuration: read them from the beginning and follow
them, print events on standard output, keep no state. With neither: take
` + defaultConfig + ` if it is there, else do the same with the logs of the mail
servers that are found here, as "mtatap init" finds them.

SIGHUP and POST /-/reload load the rules and the log level again.`,
		Example: `  mtatap run --config.file /etc/mtatap/mtatap.yaml
  mtatap run /var/log/mail.log
  mtatap run`,
		RunE: func(cmd *cobra.Command, files []string) error {
			return r.profiling.around(func() error { return r.run(cmd.Context(), files) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&r.config, "config.file", "", "configuration file")
	f.StringVar(&r.listen, "web.listen-address", "", "address of metrics and health (default: that of the configuration, else "+config.DefaultListenAddress+")")
	f.StringVar(&r.webConfig, "web.config.file", "", "TLS and basic auth of metrics and health, in the exporter toolkit's form")
	f.BoolVar(&r.pprof, "web.pprof", false, "serve profiles of this process under /debug/pprof/, to whoever may read metrics")
	r.profiling.register(f)
	r.log.register(f)
	return cmd
}

func (r *run) run(ctx context.Context, files []string) error {
	cfg, err := r.choose(ctx, files)
	if err != nil {
		return err
	}
	log, level, err := r.log.logger(r.env.Stderr, cfg.Log.Level, cfg.Log.Format)
	if err != nil {
		return err
	}
	if err := cfg.announce(log); err != nil {
		return err
	}
	set, err := loadRules(cfg.Rules, r.env.Rules)
	if err != nil {
		return err
	}
	s, err := r.build(cfg.Config, set, log)
	if err != nil {
		return err
	}
	defer s.close()
	s.reloadLevel = func() error { return r.reloadLevel(level) }
	return s.serve(ctx)
}

// reloadLevel takes the log level from the configuration again, unless a flag
// has set it.
func (r *run) reloadLevel(level *slog.LevelVar) error {
	if r.config == "" || r.log.level != "" {
		return nil
	}
	cfg, err := loadConfig(r.config, r.env)
	if err != nil {
		return err
	}
	return setLevel(level, cfg.Log.Level)
}

// service is a running sidecar.
type service struct {
	wiring
	logs        []pipeline.Log
	pipeline    *pipeline.Pipeline
	counters    *sinks.Metrics
	local       *local.Local   // nil: suppression is not decided here
	control     *http.Server   // of local; nil: none
	store       *tailers.Store // nil: no state is kept
	web         *webServer
	reloadLevel func() error
	reloading   sync.Mutex
}

// build makes everything that can fail before anything runs.
func (r *run) build(cfg *config.Config, set *rules.Set, log *slog.Logger) (s *service, err error) {
	preferMemory(r.env)
	recent := new(recentTrouble)
	log = recent.keepTrouble(log)
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), buildInfoCollector())
	metrics := pipeline.NewMetrics(registry)
	s = &service{wiring: wiring{env: r.env, config: cfg, metrics: metrics, log: log}}
	s.logs = s.followed()
	options := pipeline.Options{Metrics: metrics, Logger: log}
	if err := s.connect(&options); err != nil {
		return nil, err
	}
	if s.local, err = s.suppressHere(set, registry, &options); err != nil {
		return nil, err
	}
	if s.counters, err = sinks.NewMetrics(registry, s.labels(set)); err != nil {
		return nil, err
	}
	options.Sinks = append(options.Sinks, pipeline.Sink{Name: "metrics", Writer: s.counters, Patient: true})
	s.pipeline = pipeline.New(set, options)
	listen, webConfig := firstOf(r.listen, cfg.Web.ListenAddress), firstOf(r.webConfig, cfg.Web.ConfigFile)
	home := landing{ready: func() error { return s.pipeline.Ready(cfg.ReadyMaxLag) }, status: s.pipeline.Status, recent: recent}
	if s.web, err = newWebServer(listen, webConfig, r.pprof, registry, s.reload, home, log); err != nil {
		return nil, err
	}
	if s.local != nil {
		if err := s.offerSuppressions(); err != nil {
			s.close()
			return nil, err
		}
	}
	if cfg.StateDir != "" {
		if s.store, err = tailers.OpenStore(cfg.StateDir); err != nil {
			s.close()
			return nil, adviseOnState(err, cfg.StateDir)
		}
		if problem := s.store.Problem(); problem != nil {
			log.Error("checkpoint cannot be read: logs are read from the beginning, events may repeat with the same ids", "err", problem)
		}
	}
	return s, nil
}

func (s *service) close() {
	_ = s.web.listener.Close() // already closed after an orderly stop
	if s.control != nil {
		_ = s.control.Close() // only ends connections
	}
	if s.local != nil {
		if err := s.local.Close(); err != nil {
			s.log.Error("suppressions not closed", "err", err)
		}
	}
	if s.store != nil {
		if err := s.store.Close(); err != nil {
			s.log.Error("state directory not closed", "err", err)
		}
	}
}

// serve runs until ctx ends: the web server stops last, so that metrics can be
// read while sinks drain.
func (s *service) serve(ctx context.Context) error {
	webCtx, stopWeb := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWeb()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var group errgroup.Group
	group.Go(func() error {
		err := s.web.run(webCtx)
		if err != nil {
			stop()
		}
		return err
	})
	group.Go(func() error { s.handleSignals(ctx); return nil })
	group.Go(func() error { s.beat(ctx); return nil })
	s.notify(daemon.SdNotifyReady)
	s.log.Info("mtatap started", "version", readBuildInfo().version, "sources", len(s.config.Sources), "sinks", len(s.config.Sinks), "rules", s.pipeline.Rules().Version())
	err := s.pipeline.Run(ctx, s.logs, s.store)
	stop()
	s.notify(daemon.SdNotifyStopping)
	stopWeb()
	err = errors.Join(err, group.Wait())
	if errors.Is(err, sinks.ErrOutputClosed) {
		return nil // the reader of our output has seen enough
	}
	s.log.Info("mtatap stopped")
	return err
}

func (s *service) handleSignals(ctx context.Context) {
	for {
		select {
		case <-s.env.Reload:
			_ = s.reload() // logged and shown by a gauge
		case <-ctx.Done():
			return
		}
	}
}

// reload loads the rules, runs their examples and swaps them in. After an error
// the old ones stay.
func (s *service) reload() error {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	s.notify(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec())
	defer s.notify(daemon.SdNotifyReady)
	set, err := loadRules(s.config.Rules, s.env.Rules)
	if err == nil {
		err = s.reloadLevel()
	}
	if err != nil {
		s.pipeline.ReloadFailed()
		s.log.Error("reload failed, the old rules stay", "err", err)
		return err
	}
	if s.local != nil {
		policy, err := suppress.PolicyOf(set)
		if err != nil {
			s.pipeline.ReloadFailed()
			s.log.Error("reload failed, the old rules stay", "err", err)
			return err
		}
		s.local.SetPolicy(policy)
	}
	s.counters.Adopt(s.labels(set))
	s.pipeline.SetRules(set)
	s.log.Info("rules reloaded", "rules", len(set.RuleIDs()), "version", set.Version())
	return nil
}

// beat tells systemd's watchdog, at half its interval, that every part of the
// pipeline shows signs of life. Where one hangs it falls silent, and systemd
// starts us anew.
func (s *service) beat(ctx context.Context) {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil || interval == 0 {
		return
	}
	tick := time.NewTicker(interval / 2)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := s.pipeline.Stuck(); err != nil {
				s.log.Error("pipeline hangs, waiting for systemd to start it anew", "err", err)
				continue
			}
			s.notify(daemon.SdNotifyWatchdog)
		case <-ctx.Done():
			return
		}
	}
}

// notify tells systemd, where we were started by it.
func (s *service) notify(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		s.log.Warn("systemd not notified", "err", err)
	}
}

func buildInfoCollector() prometheus.Collector {
	b := readBuildInfo()
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "mtatap_build_info", Help: "What this binary was built from; always 1.",
		ConstLabels: prometheus.Labels{"version": b.version, "revision": b.revision, "goversion": b.goVersion}})
	g.Set(1)
	return g
}
