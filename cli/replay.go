package cli

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"mtatap/config"
	"mtatap/pipeline"
	"mtatap/sinks"
	"mtatap/tailers"
)

type replay struct {
	env       Environment
	log       logFlags
	files     logFiles
	config    string
	toSinks   bool
	quiet     bool
	profiling profiling
}

func newReplay(env Environment) *cobra.Command {
	r := &replay{env: env}
	cmd := &cobra.Command{
		Use:   "replay [flags] FILE...|-",
		Short: "Read finished logs to their end: events on standard output, a summary on standard error",
		Long: `Read finished logs (plain, gzip or zstd; - is standard input) to their end and
print one event a line. Nothing is remembered and no metrics are counted. The
same lines give the same event ids as they did live.`,
		Example: `  mtatap replay /var/log/mail.log.1
  zcat mail.log.2.gz | mtatap replay --format postfix --quiet - | jq .category`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{errors.New("replay needs at least one FILE, or - for standard input")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.profiling.around(func() error { return r.run(cmd.Context(), args) })
		},
	}
	f := cmd.Flags()
	r.files.register(f)
	f.StringVar(&r.config, "config.file", "", "configuration whose rules, privacy and, with --to-sinks, sinks to use")
	f.BoolVar(&r.toSinks, "to-sinks", false, "send the events to the sinks of --config.file instead of standard output")
	f.BoolVar(&r.quiet, "quiet", false, "no progress bar and no summary")
	r.profiling.register(f)
	r.log.register(f)
	return cmd
}

func (r *replay) run(ctx context.Context, files []string) error {
	if r.toSinks && r.config == "" {
		return usageError{errors.New("--to-sinks needs --config.file")}
	}
	if r.toSinks {
		preferMemory(r.env)
	}
	if err := r.files.check(); err != nil {
		return err
	}
	var err error
	cfg := &config.Config{}
	if r.config != "" {
		if cfg, err = loadConfig(r.config, r.env); err != nil {
			return err
		}
	}
	log, _, err := r.log.logger(r.env.Stderr, cfg.Log.Level, cfg.Log.Format)
	if err != nil {
		return err
	}
	set, err := loadRules(cfg.Rules, r.env.Rules)
	if err != nil {
		return err
	}
	metrics := pipeline.NewMetrics(prometheus.NewRegistry()) // not scraped: history must not look like now
	counted := newSummary()
	options := pipeline.Options{Limits: defaultLimits, Metrics: metrics, Logger: log}
	if r.toSinks {
		w := &wiring{env: r.env, config: cfg, metrics: metrics, log: log}
		if err := w.connect(&options); err != nil {
			return err
		}
		if _, err := w.suppressHere(set, prometheus.NewRegistry(), &options); err != nil {
			return err
		}
	} else {
		stdout := sinks.NewStdout(r.env.Stdout, sinks.Deps{Name: "stdout", Log: log, Failed: metrics.SinkFailed("stdout")})
		options.Sinks = []pipeline.Sink{{Name: "stdout", Writer: stdout, Required: true}}
		if err := hideAddresses(cfg.Privacy, &options); err != nil {
			return err
		}
	}
	if !r.quiet {
		options.Sinks = append(options.Sinks, pipeline.Sink{Name: "summary", Writer: counted, Patient: true})
	}
	p := pipeline.New(set, options)
	progress := newProgress(r.env.Stderr, r.quiet)
	recordings := r.files.recordings(files, tailers.Options{Logger: log, MaxLineBytes: cfg.MaxLineBytes}, r.env.Stdin, progress)
	start := time.Now()
	stopProgress := progress.start()
	err = p.Replay(ctx, recordings)
	stopProgress()
	if errors.Is(err, sinks.ErrOutputClosed) {
		return nil // the reader of our output has seen enough
	}
	if err == nil && ctx.Err() != nil {
		err = errors.New("replay interrupted")
	}
	if err != nil || r.quiet {
		return err
	}
	return counted.print(r.env.Stderr, p.Lines(), time.Since(start))
}

// defaultLimits bound what sinks are given at once where no configuration does:
// standard output gains nothing from more, and batches stay in the cache.
var defaultLimits = pipeline.Limits{Events: 250, Bytes: 250_000, Linger: 50 * time.Millisecond}
