package cli

import (
	"bufio"
	"cmp"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"mtatap/suppress"
)

func newSuppressList(s *suppressor) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List who is suppressed, since when and why, one a line",
		Args:  exactArgs(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			w := bufio.NewWriter(s.env.Stdout)
			defer w.Flush()
			return s.each(cmd.Context(), "", func(r suppress.Record) error {
				_, err := fmt.Fprintf(w, "%s  %-10s %-24s %s\n", r.Since.UTC().Format(time.RFC3339), r.Cause, dash(printable(cmp.Or(r.Reason, string(r.Category)))), printable(r.Recipient))
				return err
			})
		},
	}
}
