package cli

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/prometheus/client_golang/prometheus"

	"mtatap/config"
	"mtatap/event"
	"mtatap/parsers"
	"mtatap/pipeline"
	"mtatap/privacy"
	"mtatap/rules"
	"mtatap/sinks"
	"mtatap/suppress/local"
	"mtatap/tailers"
)

// wiring makes the parts of a pipeline from a configuration.
type wiring struct {
	env     Environment
	config  *config.Config
	metrics *pipeline.Metrics
	log     *slog.Logger
}

// connect adds sinks, dead letters and privacy to o. Nothing connects yet.
func (w *wiring) connect(o *pipeline.Options) error {
	if dir := w.config.StateDir; dir != "" { // dead letters live there too
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return adviseOnState(fmt.Errorf("make state directory: %w", err), dir)
		}
	}
	if err := hideAddresses(w.config.Privacy, o); err != nil {
		return err
	}
	dead := sinks.NewDeadLetters(w.config.DeadLetters, func(sink string, cause sinks.Cause) { w.metrics.DeadLetter(sink, string(cause)) })
	if w.config.DeadLetters.Path != "" {
		o.Keeper = lineKeeper{dead}
	}
	o.Limits = pipeline.Limits{Events: w.config.Batch.Events, Bytes: w.config.Batch.Bytes, Linger: w.config.Batch.Linger}
	w.metrics.ExpectDeadLetters(sinks.UnparsedSink, string(sinks.CauseUnparsed))
	durable := false
	for _, s := range w.config.Sinks {
		durable = durable || s.Required
	}
	for _, s := range w.config.Sinks {
		if s.Kind == "kafka" || s.Kind == "webhook" {
			w.metrics.ExpectDeadLetters(s.Name, string(sinks.CauseTooLarge), string(sinks.CauseInvalid), string(sinks.CauseRefused))
		}
		deps := sinks.Deps{Name: s.Name, Log: w.log, Failed: w.metrics.SinkFailed(s.Name), DeadLetters: dead}
		writer, err := w.sink(s, deps)
		if err != nil {
			return fmt.Errorf("open sink %s: %w", s.Name, err)
		}
		// Where nothing else holds the checkpoint, standard output does: a slow
		// reader then slows us down and loses nothing.
		required := s.Required || s.Kind == "stdout" && !durable
		o.Sinks = append(o.Sinks, pipeline.Sink{Name: s.Name, Writer: writer, Required: required})
	}
	return nil
}

// suppressHere adds the sink that decides whom not to mail any more, if the
// configuration wants that decided here; it returns nil where not.
func (w *wiring) suppressHere(set *rules.Set, reg prometheus.Registerer, o *pipeline.Options) (*local.Local, error) {
	if s := w.config.Suppress; s == nil || s.Kafka != nil {
		return nil, nil
	}
	l, err := openLocal(w.config, set, reg, w.metrics.SinkFailed("suppress"), w.log)
	if err != nil {
		return nil, fmt.Errorf("open suppressions: %w", err)
	}
	o.Sinks = append(o.Sinks, pipeline.Sink{Name: "suppress", Writer: l, Required: true})
	return l, nil
}

// hideAddresses lets o publish addresses as cfg says.
func hideAddresses(cfg config.Privacy, o *pipeline.Options) error {
	mask, err := privacy.New(cfg)
	if mask != nil { // a nil *Mask would be a Privacy that is not nil
		o.Privacy = mask
	}
	return err
}

func (w *wiring) sink(s config.Sink, deps sinks.Deps) (pipeline.Writer, error) {
	switch s.Kind {
	case "kafka":
		return sinks.NewKafka(*s.Kafka, deps)
	case "file":
		return sinks.NewFile(*s.File, deps), nil
	case "webhook":
		return sinks.NewWebhook(*s.Webhook, deps)
	case "stdout":
		return sinks.NewStdout(w.env.Stdout, deps), nil
	}
	return nil, fmt.Errorf("unknown kind %q", s.Kind)
}

// lineKeeper puts lines that cannot be read into the dead letters.
type lineKeeper struct{ dead *sinks.DeadLetters }

func (k lineKeeper) KeepLines(lines []pipeline.UnparsedLine) error {
	letters := make([]sinks.DeadLetter, len(lines))
	for i, l := range lines {
		letters[i] = sinks.UnparsedLine(l.File, l.Offset, []byte(l.Text))
		letters[i].Cursor = l.Cursor
	}
	return k.dead.Put(letters...)
}

// followed returns the logs to follow.
func (w *wiring) followed() []pipeline.Log {
	var logs []pipeline.Log
	for _, s := range w.config.Sources {
		start := tailers.StartEnd
		if s.Start == "beginning" {
			start = tailers.StartBeginning
		}
		l := pipeline.Log{
			Pattern: s.Path,
			Parser: func(counts parsers.Counts) (parsers.Parser, error) {
				return parsers.New(s.Format, parsers.Options{Zone: s.Timezone, Rejects: s.Rejects, NonAttempts: s.NonAttempts,
					FilterHops: s.FilterHops, VERP: s.VERP, Counts: counts})
			},
			Tail: tailers.Options{Start: start, MaxLineBytes: w.config.MaxLineBytes, RotateWait: w.config.RotateWait},
		}
		if s.Journald != nil {
			l.Journal = &tailers.JournalSelection{Units: s.Journald.Units, Directory: s.Journald.Directory}
			l.Pattern = l.Journal.Name()
		}
		logs = append(logs, l)
	}
	return logs
}

// labels are the values that labels of event metrics may have with set.
func (w *wiring) labels(set *rules.Set) sinks.Labels {
	var l sinks.Labels
	for _, s := range w.config.Sources {
		if s.Format == parsers.Auto {
			l.Possible = parsers.MTAs()
		} else {
			l.MTAs = append(l.MTAs, event.MTA(s.Format))
		}
		l.Rejects = l.Rejects || s.Rejects
	}
	l.Categories, l.Providers, l.Rules = set.Categories(), set.Providers(), set.RuleIDs()
	return l
}
