package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"mtatap/event"
	"mtatap/rules"
	"mtatap/rules/review"
)

type rulesDiff struct {
	reviewing
	samples int
}

func newRulesDiff(env Environment) *cobra.Command {
	d := &rulesDiff{reviewing: reviewing{env: env}}
	cmd := &cobra.Command{
		Use:   "diff [flags] OLD NEW FILE...",
		Short: "Show what the replies in FILEs would become by other rules",
		Long: `Show which replies in FILEs the rules NEW decide in another way than OLD, grouped
by both verdicts and by reply template. OLD and NEW are rules files, or "default"
for the built-in rules.`,
		Example: `  mtatap rules diff default my-rules.yaml /var/log/mail.log*
  mtatap rules diff --input text old.yaml new.yaml replies.txt`,
		Args: needFiles(3, "rules diff needs OLD, NEW and at least one FILE"),
		RunE: func(cmd *cobra.Command, args []string) error { return d.run(cmd.Context(), args[0], args[1], args[2:]) },
	}
	cmd.Flags().IntVar(&d.samples, "samples", 1, "how many replies to show of each template, at most 3")
	d.registerFiles(cmd)
	return cmd
}

func (d *rulesDiff) run(ctx context.Context, oldFile, newFile string, files []string) error {
	if err := d.check(); err != nil {
		return err
	}
	before, err := d.load(oldFile)
	if err != nil {
		return err
	}
	after, err := d.load(newFile)
	if err != nil {
		return err
	}
	c := review.NewComparison(before, after)
	if err := d.each(ctx, before, files, c.Add); err != nil {
		return err
	}
	if d.output == "json" {
		return d.printJSON(c)
	}
	return d.print(c)
}

// load returns the rules of a file, or the built-in ones.
func (d *rulesDiff) load(file string) (*rules.Set, error) {
	if file == "default" {
		file = ""
	}
	return loadRules(file, d.env.Rules)
}

func (d *rulesDiff) print(c *review.Comparison) error {
	w := bufio.NewWriter(d.env.Stdout)
	paint := newPainter(d.env)
	fmt.Fprintf(w, "%d replies: %d decided differently, %d the same but by another rule\n", c.Replies, c.Changed, c.SameByOther)
	changes := c.Changes()
	for _, pair := range categoryPairs(changes) {
		fmt.Fprintf(w, "\n%s\n", paint.bold(fmt.Sprintf("%s -> %s  %d", pair.from, pair.to, pair.count)))
		for _, change := range changes {
			if (categoryPair{from: change.Key.Old.Category, to: change.Key.New.Category, count: pair.count}) == pair {
				printChange(w, &change, d.samples)
			}
		}
	}
	return w.Flush()
}

// categoryPair is a change of category and how many replies it concerns.
type categoryPair struct {
	from, to event.Category
	count    int
}

// categoryPairs returns the pairs, the most frequent first.
func categoryPairs(changes []review.Change) (all []categoryPair) {
	for _, c := range changes {
		same := func(p categoryPair) bool { return p.from == c.Key.Old.Category && p.to == c.Key.New.Category }
		if i := slices.IndexFunc(all, same); i >= 0 {
			all[i].count += c.Count
		} else {
			all = append(all, categoryPair{c.Key.Old.Category, c.Key.New.Category, c.Count})
		}
	}
	slices.SortStableFunc(all, func(a, b categoryPair) int { return b.count - a.count })
	return all
}

func printChange(w io.Writer, c *review.Change, samples int) {
	before, after := c.Key.Old, c.Key.New
	fmt.Fprintf(w, "  %s (%s, %s) -> %s (%s, %s)  %d\n", before.Rule, dash(before.Reason), action(before), after.Rule, dash(after.Reason), action(after), c.Count)
	for _, t := range c.Templates {
		fmt.Fprintf(w, "    %7d  %s\n", t.Count, clip(t.String()))
		for _, s := range t.Samples[:min(len(t.Samples), max(0, samples))] {
			if s != t.String() {
				fmt.Fprintf(w, "             e.g. %s\n", clip(s))
			}
		}
	}
}

// clip returns at most the first 200 runes of s: an example, not a transcript.
func clip(s string) string {
	if runes := []rune(s); len(runes) > 200 {
		return string(runes[:200]) + "..."
	}
	return s
}

func action(v event.Verdict) string {
	if v.Resend {
		return string(v.Action) + ", resend"
	}
	return string(v.Action)
}

// decided is a verdict in JSON, without what follows from the category.
type decided struct {
	Category event.Category `json:"category"`
	Reason   string         `json:"reason,omitempty"`
	Action   event.Action   `json:"action"`
	Resend   bool           `json:"resend"`
	Rule     string         `json:"rule"`
}

type changed struct {
	Old       decided           `json:"old"`
	New       decided           `json:"new"`
	Count     int               `json:"count"`
	Templates []changedTemplate `json:"templates"`
}

type changedTemplate struct {
	Template string   `json:"template"`
	Count    int      `json:"count"`
	Samples  []string `json:"samples"`
}

func (d *rulesDiff) printJSON(c *review.Comparison) error {
	var all []changed
	of := func(v event.Verdict) decided { return decided{v.Category, v.Reason, v.Action, v.Resend, v.Rule} }
	for _, change := range c.Changes() {
		one := changed{Old: of(change.Key.Old), New: of(change.Key.New), Count: change.Count, Templates: []changedTemplate{}}
		for _, t := range change.Templates {
			one.Templates = append(one.Templates, changedTemplate{t.String(), t.Count, t.Samples})
		}
		all = append(all, one)
	}
	return jsonLines(d.env.Stdout, all)
}
