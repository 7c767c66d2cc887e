package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"mtatap/suppress"
)

func newSuppressAdd(s *suppressor) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "add ADDRESS",
		Short: "Suppress an address by hand: neither a delivery nor time ends that",
		Args:  exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.change(cmd.Context(), args[0], suppress.Outcome{Kind: suppress.Add, Reason: reason})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, in your own words")
	return cmd
}

func newSuppressRelease(s *suppressor) *cobra.Command {
	return &cobra.Command{
		Use:   "release ADDRESS",
		Short: "Let an address be mailed again and forget its failures",
		Args:  exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.change(cmd.Context(), args[0], suppress.Outcome{Kind: suppress.Release})
		},
	}
}

func (s *suppressor) change(ctx context.Context, address string, o suppress.Outcome) error {
	cfg, err := s.load()
	if err != nil {
		return err
	}
	published, err := addressOf(cfg)
	if err != nil {
		return err
	}
	recipient := published(address)
	o.Time = time.Now().UTC()
	if suppress.OutcomeByHand(o.Kind, recipient, o.Reason, o.Time).Kind == suppress.Nothing {
		return usageError{fmt.Errorf("an address has 1 to %d bytes", suppress.MaxRecipient)}
	}
	list, err := s.open(ctx, cfg, recipient)
	if err != nil {
		return err
	}
	return errors.Join(list.Change(ctx, recipient, o), list.Close())
}
