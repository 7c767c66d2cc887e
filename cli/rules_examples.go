package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"mtatap/rules"
)

type rulesTest struct {
	reviewing
	rules string
}

func newRulesTest(env Environment) *cobra.Command {
	c := &rulesTest{reviewing: reviewing{env: env}}
	cmd := &cobra.Command{
		Use:   "test [flags]",
		Short: "Run every example and counterexample of the rules",
		Long: `Run every example and counterexample of the rules, those of the rules that a file
extends included, and say of each that fails where it stands and what decides it.`,
		Example: `  mtatap rules test --rules my-rules.yaml`,
		Args:    exactArgs(0),
		RunE:    func(*cobra.Command, []string) error { return c.run() },
	}
	cmd.Flags().StringVar(&c.rules, "rules", "", "rules file (default: that of the configuration, else the built-in rules)")
	c.register(cmd)
	return cmd
}

func (c *rulesTest) run() error {
	if err := c.check(); err != nil {
		return err
	}
	file := firstOf(c.rules, c.loaded.Rules)
	set, err := loadRules(file, c.env.Rules)
	if err != nil {
		return c.fail(err)
	}
	if c.output == "json" {
		return nil
	}
	examples, counterexamples := 0, 0
	for _, u := range set.Rules() {
		examples += len(u.Examples)
		counterexamples += u.Counterexamples
	}
	_, err = fmt.Fprintf(c.env.Stdout, "%s: ok, %d rules, %d examples, %d counterexamples\n", firstOf(file, "built-in rules"), len(set.Rules()), examples, counterexamples)
	return err
}

// problem is what is wrong with a rules file, in JSON.
type problem struct {
	File string `json:"file"`
	Line int    `json:"line"`
	Text string `json:"problem"`
}

// fail prints the problems of a rules file in JSON, where that is asked for.
func (c *rulesTest) fail(err error) error {
	found := rules.Problems(err)
	if c.output != "json" || len(found) == 0 {
		return err
	}
	var all []problem
	for _, p := range found {
		all = append(all, problem{p.File, p.Line, p.Text})
	}
	if err := jsonLines(c.env.Stdout, all); err != nil {
		return err
	}
	return fmt.Errorf("%d problems", len(all))
}
