// Package cli is the command line: one file a command, with its flags, what it
// wires together and what it prints.
//
// Its input is what main hands over (arguments, streams, environment, the default
// rules), its output an exit code: 0 fine, 1 the input is wrong, 2 the command
// line is. It must never decide, parse or deliver anything itself: what a command
// does is done in other packages. It must never end the process either, or look
// at what the Environment does not hold.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// Environment is what the process gives to commands.
type Environment struct {
	Rules  []byte // the default rule set
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Getenv func(string) (string, bool)
	Root   string           // in front of the paths that are looked at when none is named; "" is none
	Reload <-chan os.Signal // asks `run` to load its rules again; may be nil
}

// Exit codes: fine, the input is wrong, the command line is wrong.
const (
	exitFine  = 0
	exitInput = 1
	exitUsage = 2
)

// usageError is a command line that cannot be understood.
type usageError struct{ error }

// Main runs the command that args name until it ends or ctx does, and returns
// the exit code. Errors go to env.Stderr.
func Main(ctx context.Context, args []string, env Environment) int {
	root := newRoot(env)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitFine
	}
	fmt.Fprintln(env.Stderr, "mtatap:", printableLines(err.Error()))
	var usage usageError
	if errors.As(err, &usage) {
		fmt.Fprintln(env.Stderr, "Run 'mtatap --help' or 'mtatap COMMAND --help' for usage.")
		return exitUsage
	}
	return exitInput
}

func newRoot(env Environment) *cobra.Command {
	root := &cobra.Command{
		Use:   "mtatap",
		Short: "Tell why mail did not arrive, from the mail server's log, within a second",
		Long: `mtatap follows the logs of mail servers such as Postfix and Exim, classifies each delivery
status by rules and publishes categorized events to Kafka, files and Prometheus.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("unknown command %q", args[0])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(newRun(env), newInit(env), newReplay(env), newClassify(env), newCheck(env), newRules(env), newReport(env), newSuppress(env), newSchema(env), newVersion(env), newCompletion(env), newMan(env))
	root.CompletionOptions.DisableDefaultCmd = true // ours is in completion.go
	return root
}

// exactArgs is cobra.ExactArgs as a usage error.
func exactArgs(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := cobra.ExactArgs(n)(cmd, args); err != nil {
			return usageError{err}
		}
		return nil
	}
}

// oneOf refuses a flag's value that is not among the allowed ones.
func oneOf(flag, value string, allowed ...string) error {
	for _, a := range allowed {
		if value == a {
			return nil
		}
	}
	return usageError{fmt.Errorf("--%s: unknown value %q, use one of %v", flag, value, allowed)}
}

// preferMemory collects garbage earlier than Go does by itself, unless the user
// chose: beside a mail server, memory is dearer than time.
func preferMemory(env Environment) {
	if _, chosen := env.Getenv("GOGC"); !chosen {
		debug.SetGCPercent(50)
	}
}
