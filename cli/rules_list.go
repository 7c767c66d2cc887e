package cli

import (
	"bufio"
	"context"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"mtatap/event"
	"mtatap/rules"
	"mtatap/rules/review"
)

type rulesList struct {
	reviewing
	rules string
}

func newRulesList(env Environment) *cobra.Command {
	l := &rulesList{reviewing: reviewing{env: env}}
	cmd := &cobra.Command{
		Use:   "list [flags] [FILE...]",
		Short: "Show the rules in their order, and how often each decides in FILEs",
		Example: `  mtatap rules list --rules my-rules.yaml
  mtatap rules list /var/log/mail.log*`,
		RunE: func(cmd *cobra.Command, files []string) error { return l.run(cmd.Context(), files) },
	}
	cmd.Flags().StringVar(&l.rules, "rules", "", "rules file (default: that of the configuration, else the built-in rules)")
	l.registerFiles(cmd)
	return cmd
}

// listed is a rule, or a row of a code table that has decided something.
type listed struct {
	Rule     string         `json:"rule"`
	Category event.Category `json:"category"`
	Reason   string         `json:"reason,omitempty"`
	Resend   bool           `json:"resend"`
	Provider []string       `json:"provider,omitempty"`
	Where    string         `json:"where,omitempty"`
	Examples *int           `json:"examples,omitempty"`
	Hits     *int           `json:"hits,omitempty"` // absent where no files are given
}

func (l *rulesList) run(ctx context.Context, files []string) error {
	if err := l.check(); err != nil {
		return err
	}
	set, err := loadRules(firstOf(l.rules, l.loaded.Rules), l.env.Rules)
	if err != nil {
		return err
	}
	hits := newRuleHits()
	if len(files) > 0 {
		if err := l.each(ctx, set, files, func(r *review.Reply) { hits.add(r.Verdict(set)) }); err != nil {
			return err
		}
	}
	all := l.rows(set, hits, len(files) > 0)
	if l.output == "json" {
		return jsonLines(l.env.Stdout, all)
	}
	return l.print(all, hits, len(files) > 0)
}

// ruleHits counts verdicts by rule.
type ruleHits struct {
	counts   map[string]int
	verdicts map[string]event.Verdict
	failures int // verdicts on what was not delivered
	unknown  int // of which no rule decided
}

func newRuleHits() *ruleHits {
	return &ruleHits{counts: map[string]int{}, verdicts: map[string]event.Verdict{}}
}

func (h *ruleHits) add(v event.Verdict) {
	if v.Category == event.CategoryDelivered {
		return
	}
	h.failures++
	if !rules.ByText(v.Rule) {
		h.unknown++
	}
	h.counts[v.Rule]++
	h.verdicts[v.Rule] = v
}

// rows returns the rules in their order and then what has decided without a
// rule, the most frequent first.
func (l *rulesList) rows(set *rules.Set, hits *ruleHits, counted bool) (all []listed) {
	hit := func(rule string) *int {
		if !counted {
			return nil
		}
		n := hits.counts[rule]
		return &n
	}
	for _, u := range set.Rules() {
		examples := len(u.Examples)
		all = append(all, listed{u.ID, u.Category, u.Reason, u.Resend, u.Providers, u.Where, &examples, hit(u.ID)})
	}
	for _, rule := range byCount(hits.counts, strings.Compare) {
		if v := hits.verdicts[rule]; !rules.ByText(rule) {
			all = append(all, listed{Rule: rule, Category: v.Category, Reason: v.Reason, Resend: v.Resend, Hits: hit(rule)})
		}
	}
	return all
}

func (l *rulesList) print(all []listed, hits *ruleHits, counted bool) error {
	w := bufio.NewWriter(l.env.Stdout)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if counted {
		fmt.Fprint(t, "hits\t")
	}
	fmt.Fprint(t, "rule\tcategory\treason\tprovider\twhere\n")
	for _, u := range all {
		if counted {
			fmt.Fprint(t, strconv.Itoa(*u.Hits), "\t")
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", u.Rule, u.Category, dash(u.Reason), dash(strings.Join(u.Provider, ",")), firstOf(u.Where, "code tables"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if counted && hits.failures > 0 {
		fmt.Fprintf(w, "\n%d of %d failures are decided by a rule (%.1f %%), %d by code tables or the default\n",
			hits.failures-hits.unknown, hits.failures, 100*float64(hits.failures-hits.unknown)/float64(hits.failures), hits.unknown)
	}
	return w.Flush()
}
