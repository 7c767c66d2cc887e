package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"mtatap/config"
	"mtatap/event"
	"mtatap/pipeline"
	"mtatap/privacy"
	"mtatap/rules"
	"mtatap/rules/review"
	"mtatap/tailers"
)

func newRules(env Environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rules",
		Short: "List, test, compare and propose rules by the replies of real logs",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("unknown command %q of rules", args[0])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newRulesList(env), newRulesTest(env), newRulesDiff(env), newRulesSuggest(env))
	return cmd
}

// reviewing is what the commands about rules and replies have in common.
type reviewing struct {
	env    Environment
	log    logFlags
	files  logFiles
	input  string
	output string
	config string
	quiet  bool

	loaded *config.Config
	mask   *privacy.Mask // nil: addresses may be shown
}

// registerFiles adds the flags of commands that read replies.
func (r *reviewing) registerFiles(cmd *cobra.Command) {
	f := cmd.Flags()
	r.files.register(f)
	r.log.register(f)
	f.StringVar(&r.input, "input", "log", "what FILEs are: log; text, a reply on each line; json, as classify takes it")
	f.BoolVar(&r.quiet, "quiet", false, "no progress bar and no count of what was read")
	r.register(cmd)
}

func (r *reviewing) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&r.output, "output", "text", "form of the output: text, json (an object a line)")
	cmd.Flags().StringVar(&r.config, "config.file", "", "configuration whose rules and privacy to use")
}

// check reads the flags and the configuration.
func (r *reviewing) check() (err error) {
	if err := oneOf("output", r.output, "text", "json"); err != nil {
		return err
	}
	if r.input != "" { // the command reads files
		if err := errors.Join(oneOf("input", r.input, "log", "text", "json"), r.files.check()); err != nil {
			return err
		}
	}
	r.loaded = &config.Config{}
	if r.config == "" {
		return nil
	}
	if r.loaded, err = loadConfig(r.config, r.env); err != nil {
		return err
	}
	if a := r.loaded.Privacy.Addresses; a != "" && a != "plain" {
		err = r.hideAddresses()
	}
	return err
}

// hideAddresses lets no address be shown. A hash tells people nothing, so what
// events hash is dropped here.
func (r *reviewing) hideAddresses() (err error) {
	r.mask, err = privacy.New(config.Privacy{Addresses: "drop"})
	return err
}

// shown returns text as people may see it; known are addresses to hide in it.
func (r *reviewing) shown(text string, known ...string) string {
	if r.mask == nil {
		return text
	}
	return r.mask.Text(text, known...)
}

// each calls f, from one goroutine, for every reply of the files. Replies are in
// logs, which are read by set, or stand one on each line.
func (r *reviewing) each(ctx context.Context, set *rules.Set, files []string, f func(*review.Reply)) error {
	if r.input != "log" {
		return r.eachLine(ctx, files, f)
	}
	seen := 0
	lines, err := r.replay(ctx, set, files, func(e *event.Event, shown string) {
		seen++
		reply := review.ReplyOf(e, shown)
		f(&reply)
	})
	if err == nil && !r.quiet {
		fmt.Fprintf(r.env.Stderr, "read %d lines, %d delivery results, %d lines that cannot be read\n", lines.Read, seen, lines.Unparsed)
	}
	return err
}

// replay calls take, from one goroutine, for every event of logs, with its
// diagnostic as people may see it.
func (r *reviewing) replay(ctx context.Context, set *rules.Set, files []string, take func(e *event.Event, shown string)) (pipeline.Lines, error) {
	preferMemory(r.env)
	tail, log, err := r.tail()
	if err != nil {
		return pipeline.Lines{}, err
	}
	progress := newProgress(r.env.Stderr, r.quiet)
	defer progress.start()()
	writer := takeEvents(func(e *event.Event) {
		take(e, r.shown(e.Diagnostic, e.Recipient, e.OriginalRecipient, e.Sender))
	})
	options := pipeline.Options{
		Limits: defaultLimits, Logger: log, Metrics: pipeline.NewMetrics(prometheus.NewRegistry()),
		Sinks: []pipeline.Sink{{Name: "review", Writer: writer, Required: true}},
	}
	if r.mask != nil {
		options.Privacy = textOnly{r.mask}
	}
	p := pipeline.New(set, options)
	err = p.Replay(ctx, r.files.recordings(files, tail, r.env.Stdin, progress))
	return p.Lines(), errors.Join(err, interrupted(ctx))
}

// tail returns how files are read, and what to log with.
func (r *reviewing) tail() (tailers.Options, *slog.Logger, error) {
	log, _, err := r.log.logger(r.env.Stderr, r.loaded.Log.Level, r.loaded.Log.Format)
	return tailers.Options{Logger: log, MaxLineBytes: r.loaded.MaxLineBytes}, log, err
}

func interrupted(ctx context.Context) error {
	if ctx.Err() != nil {
		return errors.New("interrupted before the end of the files")
	}
	return nil
}

// takeEvents is a sink that calls a function.
type takeEvents func(*event.Event)

func (f takeEvents) Write(_ context.Context, events []*event.Event) error {
	for _, e := range events {
		f(e)
	}
	return nil
}

func (takeEvents) Close() error { return nil }

// textOnly hides addresses in log messages. Events keep theirs: verdicts need
// them, and what is shown of a reply is hidden on its own.
type textOnly struct{ mask *privacy.Mask }

func (textOnly) Apply(*event.Event)                      {}
func (t textOnly) Text(s string, known ...string) string { return t.mask.Text(s, known...) }

// eachLine calls f for the reply on each line of files.
func (r *reviewing) eachLine(ctx context.Context, files []string, f func(*review.Reply)) error {
	tail, _, err := r.tail()
	if err != nil {
		return err
	}
	progress := newProgress(r.env.Stderr, r.quiet)
	defer progress.start()()
	for _, file := range files {
		in, err := tailers.OpenReplay(file, r.env.Stdin, tail)
		if err != nil {
			return err
		}
		progress.show(file, in)
		err = r.readLines(ctx, in, f)
		if err = errors.Join(err, in.Close()); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return interrupted(ctx)
}

func (r *reviewing) readLines(ctx context.Context, in *tailers.Replay, f func(*review.Reply)) error {
	for number := 0; ; {
		chunk, err := in.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for it := chunk.Each(); ; {
			line, _, ok := it.Next()
			if !ok {
				break
			}
			number++
			reply, err := r.replyOf(line)
			if err != nil {
				return fmt.Errorf("line %d: %w", number, err)
			}
			if reply != nil {
				f(reply)
			}
		}
	}
}

// replyOf returns the reply on a line, nil where the line is empty.
func (r *reviewing) replyOf(line []byte) (*review.Reply, error) {
	q := question{Text: string(line)}
	if r.input == "json" {
		var err error
		if q, err = readQuestion(line); err != nil {
			return nil, fmt.Errorf("read reply: %w", err)
		}
	}
	reply := &review.Reply{Input: rules.ParseText(q.Text), RelayHost: q.RelayHost}
	if reply.Input.Text == "" {
		return nil, nil
	}
	reply.Input.Provider = q.Provider
	if q.Status != "" {
		status, ok := event.ParseStatus(q.Status)
		if !ok {
			return nil, fmt.Errorf("read reply: unknown status %q", q.Status)
		}
		reply.Input.Status = status
	}
	reply.Shown = r.shown(reply.Input.Text)
	return reply, nil
}

// jsonLines writes each value as a line of JSON.
func jsonLines[T any](w io.Writer, values []T) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for _, v := range values {
		if err := enc.Encode(v); err != nil {
			return fmt.Errorf("write JSON: %w", err)
		}
	}
	return nil
}

// needFiles refuses a command line of fewer than n arguments.
func needFiles(n int, usage string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < n {
			return usageError{errors.New(usage)}
		}
		return nil
	}
}
