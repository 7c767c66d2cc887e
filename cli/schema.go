package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"mtatap/config"
	"mtatap/event"
	"mtatap/rules"
	"mtatap/suppress"
)

// schemas are the forms that mtatap reads and writes, as JSON Schemas.
var schemas = []struct {
	name, about string
	text        func() (string, error)
}{
	{"event", "what is published", func() (string, error) { return event.Schema(), nil }},
	{"suppression", "what mtatap suppress decides", func() (string, error) { return suppress.Schema(), nil }},
	{"config", "mtatap.yaml", func() (string, error) { return config.Schema().Text() }},
	{"rules", "a rules file", func() (string, error) { return rules.Schema(), nil }},
}

func newSchema(env Environment) *cobra.Command {
	var names []string
	long := "Print the JSON Schema (draft 2020-12) of\n\n"
	for _, s := range schemas {
		names = append(names, s.name)
		long += fmt.Sprintf("  %-12s %s\n", s.name, s.about)
	}
	return &cobra.Command{
		Use:       "schema " + strings.Join(names, "|"),
		Short:     "Print the JSON Schema of what mtatap reads and publishes",
		Long:      long,
		ValidArgs: names,
		Args:      exactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			for _, s := range schemas {
				if s.name == args[0] {
					text, err := s.text()
					if err != nil {
						return err
					}
					_, err = fmt.Fprint(env.Stdout, text)
					return err
				}
			}
			return usageError{fmt.Errorf("no schema %q, use one of %v", args[0], names)}
		},
	}
}
