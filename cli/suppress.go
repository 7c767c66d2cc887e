package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

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
	"mtatap/suppress/cluster"
	"mtatap/suppress/store"
)

// suppressor is the command that decides on Kafka whom not to mail any more.
type suppressor struct {
	env       Environment
	log       logFlags
	config    string
	listen    string
	webConfig string
}

func newSuppress(env Environment) *cobra.Command {
	s := &suppressor{env: env}
	cmd := &cobra.Command{
		Use:   "suppress",
		Short: "Decide from the events on Kafka whom not to mail any more; list, show and change that",
		Long: `Decide from the events on Kafka whom not to mail any more: hard bounces at once,
soft ones that keep coming back. Any number of instances share the work. On a
single host without Kafka, "mtatap run" does this itself; the commands below work
for both.`,
		Example: `  mtatap suppress --config.file /etc/mtatap/mtatap.yaml
  mtatap suppress show --config.file /etc/mtatap/mtatap.yaml someone@example.org
  mtatap suppress export --config.file /etc/mtatap/mtatap.yaml --format postfix-access`,
		Args: exactArgs(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return s.run(cmd.Context()) },
	}
	f := cmd.Flags()
	cmd.PersistentFlags().StringVar(&s.config, "config.file", "", "configuration file with the section suppress")
	f.StringVar(&s.listen, "web.listen-address", "", "address of metrics, health and look-ups (default: that of the configuration)")
	f.StringVar(&s.webConfig, "web.config.file", "", "TLS and basic auth of the listener, in the exporter toolkit's form")
	s.log.register(f)
	cmd.AddCommand(newSuppressList(s), newSuppressShow(s), newSuppressAdd(s), newSuppressRelease(s), newSuppressExport(s))
	return cmd
}

// load returns a configuration that has the section suppress.
func (s *suppressor) load() (*config.Config, error) {
	if s.config == "" {
		return nil, usageError{errors.New("suppress needs --config.file")}
	}
	cfg, err := loadConfig(s.config, s.env)
	if err == nil && cfg.Suppress == nil {
		err = fmt.Errorf("%s has no section suppress; write at least suppress: {}", s.config)
	}
	return cfg, err
}

func (s *suppressor) run(ctx context.Context) error {
	cfg, err := s.load()
	if err != nil {
		return err
	}
	if cfg.Suppress.Kafka == nil {
		return fmt.Errorf("%s has no suppress.kafka: without Kafka, mtatap run decides by itself", s.config)
	}
	log, _, err := s.log.logger(s.env.Stderr, cfg.Log.Level, cfg.Log.Format)
	if err != nil {
		return err
	}
	set, err := loadRules(cfg.Rules, s.env.Rules)
	if err != nil {
		return err
	}
	p, err := s.build(cfg, set, log)
	if err != nil {
		return err
	}
	return errors.Join(p.serve(ctx), p.store.Close())
}

// processor is the running command.
type processor struct {
	*cluster.Processor
	env    Environment
	config *config.Config
	kafka  *sinks.KafkaConnection
	store  *store.Store
	web    *webServer
	log    *slog.Logger
}

// build makes everything that can fail before anything runs.
func (s *suppressor) build(cfg *config.Config, set *rules.Set, log *slog.Logger) (*processor, error) {
	preferMemory(s.env)
	recent := new(recentTrouble)
	p := &processor{env: s.env, config: cfg, log: recent.keepTrouble(log)}
	policy, err := suppress.PolicyOf(set)
	if err != nil {
		return nil, err
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), buildInfoCollector())
	metrics, err := cluster.NewMetrics(registry, set.Reasons())
	if err != nil {
		return nil, err
	}
	address, err := addressOf(cfg)
	if err != nil {
		return nil, err
	}
	c := cfg.Suppress
	connection, topics, err := connectSuppress(c.Kafka)
	if err != nil {
		return nil, err
	}
	p.kafka = connection
	if err := os.MkdirAll(filepath.Dir(c.Store), 0o700); err != nil {
		return nil, fmt.Errorf("make state directory: %w", err)
	}
	if p.store, err = store.Open(c.Store, store.Options{Cache: true}); err != nil {
		return nil, err
	}
	p.Processor = cluster.New(policy, cluster.Options{
		Kafka: clusterKafka(connection, c.Kafka), Topics: topics, Group: c.Kafka.Group, Create: c.Kafka.CreateTopic,
		Observe: c.Observe, Store: p.store, MaxRecipients: c.MaxRecipients, Metrics: metrics, Logger: p.log,
	})
	state := func() pipeline.Status { return pipeline.Status{Rules: set.Version(), RuleCount: len(set.RuleIDs())} }
	listen, webConfig := firstOf(s.listen, cfg.Web.ListenAddress), firstOf(s.webConfig, cfg.Web.ConfigFile)
	if p.web, err = newWebServer(listen, webConfig, false, registry, p.reload, landing{ready: p.Ready, status: state, recent: recent}, p.log); err != nil {
		return nil, errors.Join(err, p.store.Close())
	}
	p.web.mux.Handle(lookupRoute, lookup{p.Lookup, address})
	return p, nil
}

func connectSuppress(c *config.SuppressKafka) (*sinks.KafkaConnection, cluster.Topics, error) {
	topics := cluster.Topics{Events: c.Topic, Suppressions: c.Suppressions, Commands: c.Commands, State: c.State}
	connection, err := sinks.ConnectKafka(c.Kafka, topics.Events, topics.Suppressions, topics.Commands, topics.State)
	return connection, topics, err
}

func clusterKafka(c *sinks.KafkaConnection, cfg *config.SuppressKafka) *cluster.Kafka {
	return &cluster.Kafka{Client: c.Client, Dialer: c.Dialer, Brokers: cfg.Brokers, Compression: c.Compression, Hint: c.Hint}
}

// serve runs until ctx ends.
func (p *processor) serve(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return p.web.run(ctx) })
	group.Go(func() error {
		err := p.Run(ctx)
		p.kafka.Close()
		if err == nil {
			err = context.Canceled // so that the listener ends too
		}
		return err
	})
	group.Go(func() error { p.handleSignals(ctx); return nil })
	p.notify(daemon.SdNotifyReady)
	p.log.Info("mtatap suppress started", "version", readBuildInfo().version, "group", p.config.Suppress.Kafka.Group, "observe", p.config.Suppress.Observe)
	err := group.Wait()
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	p.log.Info("mtatap suppress stopped")
	return err
}

func (p *processor) handleSignals(ctx context.Context) {
	for {
		select {
		case <-p.env.Reload:
			_ = p.reload() // logged
		case <-ctx.Done():
			return
		}
	}
}

// reload loads the rules again and takes the policy of them.
func (p *processor) reload() error {
	p.notify(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec())
	defer p.notify(daemon.SdNotifyReady)
	set, err := loadRules(p.config.Rules, p.env.Rules)
	var policy suppress.Policy
	if err == nil {
		policy, err = suppress.PolicyOf(set)
	}
	if err != nil {
		p.log.Error("reload failed, the old rules stay", "err", err)
		return err
	}
	p.SetPolicy(policy)
	p.log.Info("rules reloaded", "version", set.Version())
	return nil
}

// notify tells systemd, where we were started by it.
func (p *processor) notify(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		p.log.Warn("systemd not notified", "err", err)
	}
}
