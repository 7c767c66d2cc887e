package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// What packaging/build sets at link time, so that a package says the same
// wherever it is built; empty in a plain go build, which knows less or more.
var linkedVersion, linkedRevision, linkedDate string

// buildInfo is what the binary says of itself.
type buildInfo struct{ version, revision, date, goVersion string }

func readBuildInfo() buildInfo {
	b := buildInfo{version: "devel", revision: "unknown", date: "unknown", goVersion: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		b.version = v
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.revision = s.Value
		case "vcs.time":
			b.date = s.Value
		}
	}
	b.version, b.revision, b.date = firstOf(linkedVersion, b.version), firstOf(linkedRevision, b.revision), firstOf(linkedDate, b.date)
	return b
}

func newVersion(env Environment) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print version, commit, date and Go version",
		Args:  exactArgs(0),
		RunE: func(*cobra.Command, []string) error {
			b := readBuildInfo()
			_, err := fmt.Fprintf(env.Stdout, "mtatap %s (commit %s, %s, %s)\n", b.version, b.revision, b.date, b.goVersion)
			return err
		},
	}
}
