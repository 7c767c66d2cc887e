package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"mtatap/event"
	"mtatap/suppress"
)

func newSchema(env Environment) *cobra.Command {
	schemas := map[string]func() string{"event": event.Schema, "suppression": suppress.Schema}
	return &cobra.Command{
		Use:       "schema event|suppression",
		Short:     "Print the JSON Schema of what mtatap publishes",
		ValidArgs: []string{"event", "suppression"},
		Args:      exactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			schema, ok := schemas[args[0]]
			if !ok {
				return usageError{fmt.Errorf("no schema %q, use event or suppression", args[0])}
			}
			_, err := fmt.Fprint(env.Stdout, schema())
			return err
		},
	}
}
