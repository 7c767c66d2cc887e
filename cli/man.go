package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"mtatap/config"
	"mtatap/manual"
	"mtatap/rules"
	"mtatap/schema"
)

func newMan(env Environment) *cobra.Command {
	pages := []string{"mtatap", "mtatap.yaml", "mtatap-rules"}
	return &cobra.Command{
		Use:   "man [PAGE]",
		Short: "Print a manual page, for man(1)",
		Long:  "Print a manual page in the language of man(1): mtatap (the default), mtatap.yaml or\nmtatap-rules.",
		Example: `  mtatap man | man -l -
  mtatap man mtatap.yaml | man -l -`,
		ValidArgs: pages,
		Args:      atMostOneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := manualPage(cmd.Root(), firstOf(append(args, pages[0])...), pages)
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(env.Stdout, text)
			return err
		},
	}
}

func manualPage(root *cobra.Command, name string, pages []string) (string, error) {
	info := readBuildInfo()
	build := manual.Build{Version: info.version}
	if day, _, ok := strings.Cut(info.date, "T"); ok {
		build.Date = day
	}
	switch name {
	case "mtatap":
		return manual.Command(root, build), nil
	case "mtatap.yaml":
		return manual.Config(config.Schema(), build), nil
	case "mtatap-rules":
		n, err := schema.Parse(rules.Schema())
		if err != nil {
			return "", err
		}
		return manual.Rules(n, build), nil
	}
	return "", usageError{fmt.Errorf("no page %q, use one of %v", name, pages)}
}

func atMostOneArg(cmd *cobra.Command, args []string) error {
	if err := cobra.MaximumNArgs(1)(cmd, args); err != nil {
		return usageError{err}
	}
	return nil
}
