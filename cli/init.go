package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"mtatap/host"
)

// defaultConfig is the configuration that is taken when none is named, and that the
// systemd unit runs with.
const defaultConfig = "/etc/mtatap/mtatap.yaml"

type initialize struct {
	env    Environment
	output string
	root   string
	force  bool
}

func newInit(env Environment) *cobra.Command {
	i := &initialize{env: env}
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Look at this host and write a configuration for it",
		Long: `Look which mail servers are here, where they log and whether the logs may be read,
tell what was found on standard error, and write a configuration that follows it.

It reads files and asks the mail servers for their settings, changes nothing but the
file that it writes, and does not need root. Run by root it looks whether the user
mtatap may read the logs, as whom the service runs, else whether you may. A host
without a mail server is no error: the configuration then has an example.`,
		Example: `  sudo mtatap init
  mtatap init --output -`,
		Args: exactArgs(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return i.run(cmd.Context()) },
	}
	cmd.Flags().StringVarP(&i.output, "output", "o", "", `where to write the configuration, "-" for standard output (default `+defaultConfig+`)`)
	cmd.Flags().BoolVar(&i.force, "force", false, "write over a file that is there")
	cmd.Flags().StringVar(&i.root, "root", "", "look at the host whose files are in this folder, as in a container")
	return cmd
}

func (i *initialize) run(ctx context.Context) error {
	output := firstOf(i.output, filepath.Join(i.env.Root, defaultConfig))
	if !i.force && output != "-" {
		if _, err := os.Lstat(output); err == nil {
			return fmt.Errorf("%s is there already: look at it, write elsewhere (--output FILE), or write over it (--force)", output)
		}
	}
	found := look(ctx, firstOf(i.root, i.env.Root), false)
	fmt.Fprint(i.env.Stderr, found.Report())
	text := found.Config(filepath.Join(i.env.Root, host.DefaultStateDir))
	if output == "-" {
		_, err := i.env.Stdout.Write(text)
		return err
	}
	if err := writeConfig(output, text, i.force); err != nil {
		return err
	}
	next := "mtatap check, then mtatap run or systemctl enable --now mtatap"
	if i.output != "" {
		next = "mtatap check --config.file " + output + ", then mtatap run --config.file " + output
	}
	fmt.Fprintf(i.env.Stderr, "wrote %s; next: %s\n", output, next)
	return nil
}

// look looks at the machine whose files are below root, on behalf of us or, where we
// are root and it is not for a run of our own, of the service's user.
func look(ctx context.Context, root string, own bool) host.Findings {
	sys := host.Machine(firstOf(root, "/"))
	request := host.Request{Root: root, Account: self(sys), Own: true}
	if request.Account.UID == 0 && !own {
		request.Account, request.Own = host.Service(sys), false
	}
	return host.Look(ctx, sys, request)
}

// self is the account that we run as.
func self(sys host.System) host.Account {
	groups, err := os.Getgroups()
	if err != nil {
		groups = nil // where there are none
	}
	return host.Named(sys, os.Geteuid(), append(groups, os.Getegid()))
}

// writeConfig writes a new file, or in one step over an old one.
func writeConfig(path string, text []byte, force bool) error {
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil && force {
		err = replaceFile(path, text)
	} else if err == nil {
		err = createFile(path, text)
	}
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("write configuration: %w: run it with sudo, or write it elsewhere: mtatap init --output mtatap.yaml", err)
	}
	if err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return nil
}

func createFile(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

func replaceFile(path string, text []byte) error {
	next := path + ".new"
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := createFile(next, text); err != nil {
		return err
	}
	return os.Rename(next, path)
}

// nothingFound says that there is nothing to follow and where it was looked for.
func nothingFound(found host.Findings) error {
	return usageError{fmt.Errorf("run needs --config.file, or FILEs to follow: there is no %s, and no log of a mail server was found; looked for:\n  %s", defaultConfig, strings.Join(found.Looked, "\n  "))}
}
