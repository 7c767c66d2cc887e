package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"mtatap/suppress"
)

func newSuppressShow(s *suppressor) *cobra.Command {
	return &cobra.Command{
		Use:   "show ADDRESS",
		Short: "Show why an address is suppressed, with the evidence; exit code 1 if it is not",
		Args:  exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := s.load()
			if err != nil {
				return err
			}
			address, err := addressOf(cfg)
			if err != nil {
				return err
			}
			recipient := address(args[0])
			found := errors.New("found")
			err = s.each(cmd.Context(), recipient, func(r suppress.Record) error {
				if r.Recipient != recipient {
					return nil
				}
				var text bytes.Buffer
				if err := json.Indent(&text, []byte(printable(string(r.Encode()))), "", "  "); err != nil {
					return fmt.Errorf("show record: %w", err)
				}
				if _, err := fmt.Fprintln(s.env.Stdout, text.String()); err != nil {
					return err
				}
				return found
			})
			switch {
			case errors.Is(err, found):
				return nil
			case err == nil:
				return fmt.Errorf("%s is not suppressed", printable(args[0]))
			}
			return err
		},
	}
}

// each opens the list and calls f for each suppression, of one recipient only if
// that is given.
func (s *suppressor) each(ctx context.Context, only string, f func(suppress.Record) error) error {
	cfg, err := s.load()
	if err != nil {
		return err
	}
	list, err := s.open(ctx, cfg, only)
	if err != nil {
		return err
	}
	return errors.Join(list.Each(f), list.Close())
}
