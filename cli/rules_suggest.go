package cli

import (
	"bufio"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"mtatap/event"
	"mtatap/rules/review"
)

type rulesSuggest struct {
	reviewing
	rules string
	limit int
}

func newRulesSuggest(env Environment) *cobra.Command {
	s := &rulesSuggest{reviewing: reviewing{env: env}}
	cmd := &cobra.Command{
		Use:   "suggest [flags] FILE...",
		Short: "Propose rules for the replies in FILEs that no rule knows",
		Long: `Group the replies in FILEs that only the code tables or the default have decided,
and print rules that know them, ready to be pasted under "rules:" of a file that
extends the default rules. The category is what the code table said: it is for
you to choose the right one. Addresses in examples are replaced.`,
		Example: `  mtatap rules suggest /var/log/mail.log*
  mtatap rules suggest --config.file /etc/mtatap/mtatap.yaml --top 5 mail.log`,
		Args: needFiles(1, "rules suggest needs at least one FILE, or - for standard input"),
		RunE: func(cmd *cobra.Command, files []string) error { return s.run(cmd.Context(), files) },
	}
	cmd.Flags().StringVar(&s.rules, "rules", "", "rules file (default: that of the configuration, else the built-in rules)")
	cmd.Flags().IntVar(&s.limit, "top", 20, "how many templates to show, the most frequent first")
	s.registerFiles(cmd)
	return cmd
}

// suggested is a suggestion in JSON.
type suggested struct {
	Template  string         `json:"template"`
	Count     int            `json:"count"`
	Rule      string         `json:"rule"`
	Category  event.Category `json:"category"`
	Reason    string         `json:"reason,omitempty"`
	Statuses  map[string]int `json:"statuses"`
	Providers map[string]int `json:"providers"`
	Samples   []string       `json:"samples"`
	Stub      string         `json:"stub,omitempty"`
	Why       string         `json:"why,omitempty"`
}

func (s *rulesSuggest) run(ctx context.Context, files []string) error {
	if err := s.check(); err != nil {
		return err
	}
	if err := s.hideAddresses(); err != nil { // rules files travel
		return err
	}
	set, err := loadRules(firstOf(s.rules, s.loaded.Rules), s.env.Rules)
	if err != nil {
		return err
	}
	found := review.NewSuggestions(set)
	if err := s.each(ctx, set, files, found.Add); err != nil {
		return err
	}
	top := found.Top(s.limit)
	if s.output == "json" {
		var all []suggested
		for _, g := range top {
			all = append(all, suggested{g.Template, g.Count, g.Rule, g.Category, g.Reason, g.Statuses, g.Providers, g.Samples, g.Stub, g.Why})
		}
		return jsonLines(s.env.Stdout, all)
	}
	w := bufio.NewWriter(s.env.Stdout)
	fmt.Fprintf(w, "  # %d of %d replies are known to no rule.\n", found.Undecided, found.Replies)
	for _, g := range top {
		fmt.Fprintf(w, "\n%s", indent(g.YAML()))
	}
	return w.Flush()
}

// indent moves each line of s two columns to the right.
func indent(s string) string {
	return "  " + strings.ReplaceAll(strings.TrimSuffix(s, "\n"), "\n", "\n  ") + "\n"
}
