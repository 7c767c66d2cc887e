package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"mtatap/config"
	"mtatap/parsers"
	"mtatap/pipeline"
	"mtatap/sinks"
	"mtatap/tailers"
)

type replay struct {
	env       Environment
	log       logFlags
	format    string
	timezone  string
	reference string
	config    string
	toSinks   bool
	quiet     bool
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
		RunE: func(cmd *cobra.Command, args []string) error { return r.run(cmd.Context(), args) },
	}
	f := cmd.Flags()
	f.StringVar(&r.format, "format", parsers.Auto, "log format: auto, postfix, exim, haraka")
	f.StringVar(&r.timezone, "timezone", "Local", "time zone of stamps without one, such as Europe/Berlin")
	f.StringVar(&r.reference, "reference-time", "", "time at or after the last line, RFC 3339: gives stamps their year (default: when the file was last changed)")
	f.StringVar(&r.config, "config.file", "", "configuration whose rules, privacy and, with --to-sinks, sinks to use")
	f.BoolVar(&r.toSinks, "to-sinks", false, "send the events to the sinks of --config.file instead of standard output")
	f.BoolVar(&r.quiet, "quiet", false, "no progress bar and no summary")
	r.log.register(f)
	return cmd
}

func (r *replay) run(ctx context.Context, files []string) error {
	if r.toSinks && r.config == "" {
		return usageError{errors.New("--to-sinks needs --config.file")}
	}
	preferMemory(r.env)
	open, reference, err := r.parser()
	if err != nil {
		return err
	}
	cfg := &config.Config{}
	if r.config != "" {
		if cfg, err = config.Load(r.config, r.env.Getenv); err != nil {
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
	var recordings []pipeline.Recording
	for _, file := range files {
		rec := pipeline.Recording{Name: file, Parser: open, Reference: reference, Open: func() (pipeline.Finished, error) {
			in, err := tailers.OpenReplay(file, r.env.Stdin, tailers.Options{Logger: log, MaxLineBytes: cfg.MaxLineBytes})
			if err != nil {
				return nil, err
			}
			progress.show(file, in)
			return in, nil
		}}
		if info, err := os.Stat(file); err == nil && file != "-" && reference.IsZero() {
			rec.Reference = info.ModTime()
		}
		recordings = append(recordings, rec)
	}
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

// parser returns what opens a parser for each file, and the reference time, zero
// if none is given.
func (r *replay) parser() (open func() (parsers.Parser, error), reference time.Time, err error) {
	if err := oneOf("format", r.format, parsers.Formats()...); err != nil {
		return nil, reference, err
	}
	zone, err := time.LoadLocation(r.timezone)
	if err != nil {
		return nil, reference, usageError{fmt.Errorf("--timezone: %w", err)}
	}
	if r.reference != "" {
		if reference, err = time.Parse(time.RFC3339, r.reference); err != nil {
			return nil, reference, usageError{fmt.Errorf("--reference-time: %w, write it as 2026-11-23T18:00:00Z", err)}
		}
	}
	source := config.DefaultSource() // what replay shows is what run would publish
	options := parsers.Options{Zone: zone, FilterHops: source.FilterHops, VERP: source.VERP}
	return func() (parsers.Parser, error) { return parsers.New(r.format, options) }, reference, nil
}

// defaultLimits bound a batch where no configuration does: standard output gains
// nothing from larger ones, and they stay in the cache.
var defaultLimits = pipeline.Limits{Events: 250, Bytes: 250_000, Linger: 50 * time.Millisecond}
