package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"mtatap/event"
	"mtatap/report"
)

type reporting struct {
	reviewing
	out string
}

func newReport(env Environment) *cobra.Command {
	r := &reporting{reviewing: reviewing{env: env, input: "log", output: "text"}}
	cmd := &cobra.Command{
		Use:   "report [flags] FILE...|-",
		Short: "Write one HTML page about the mail in finished logs",
		Long: `Read finished logs (plain, gzip or zstd; - is standard input) and write one HTML
page: outcomes over time, by provider and category, top reasons with what to do, and
replies that no rule knows. The page loads nothing from anywhere and can be mailed;
recipients are not in it. Addresses inside of replies are hidden.`,
		Example: `  mtatap report -o report.html /var/log/mail.log.1`,
		Args:    needFiles(1, "report needs at least one FILE, or - for standard input"),
		RunE:    func(cmd *cobra.Command, files []string) error { return r.run(cmd.Context(), files) },
	}
	f := cmd.Flags()
	f.StringVarP(&r.out, "output", "o", "report.html", "file to write; - is standard output")
	f.StringVar(&r.config, "config.file", "", "configuration whose rules to use")
	f.BoolVar(&r.quiet, "quiet", false, "no progress bar and no count of what was read")
	r.files.register(f)
	r.log.register(f)
	return cmd
}

func (r *reporting) run(ctx context.Context, files []string) error {
	if err := r.check(); err != nil {
		return err
	}
	if err := r.hideAddresses(); err != nil { // a page is passed on
		return err
	}
	set, err := loadRules(r.loaded.Rules, r.env.Rules)
	if err != nil {
		return err
	}
	collected := report.New(set)
	lines, err := r.replay(ctx, set, files, func(e *event.Event, shown string) { collected.Add(e, shown) })
	if err != nil {
		return err
	}
	made := report.Made{Files: files, At: time.Now(), Lines: lines.Read, Unparsed: lines.Unparsed, Rules: set.Version()}
	if r.out == "-" {
		return collected.Render(r.env.Stdout, made)
	}
	return writeFile(r.out, func(w io.Writer) error { return collected.Render(w, made) })
}

// writeFile writes a file whole or not at all.
func writeFile(path string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("write %s: %w", path, err), f.Close(), os.Remove(f.Name()))
		}
	}()
	b := bufio.NewWriter(f)
	if err := write(b); err != nil {
		return err
	}
	if err := errors.Join(b.Flush(), f.Chmod(0o644)); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
