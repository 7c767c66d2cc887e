package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"mtatap/config"
)

func newCheck(env Environment) *cobra.Command {
	var configFile, rulesFile string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Validate configuration, rules and their examples; show every error",
		Example: `  mtatap check --config.file /etc/mtatap/mtatap.yaml
  mtatap check --rules my-rules.yaml`,
		Args: exactArgs(0),
		RunE: func(*cobra.Command, []string) error { return check(env, configFile, rulesFile) },
	}
	cmd.Flags().StringVar(&configFile, "config.file", "", "configuration to check (default: with --rules none, else "+defaultConfig+" if it is there)")
	cmd.Flags().StringVar(&rulesFile, "rules", "", "rules file to check (default: that of the configuration, else the built-in rules)")
	return cmd
}

func check(env Environment, configFile, rulesFile string) error {
	var configErr, webErr error
	if configFile == "" && rulesFile == "" {
		configFile = findConfig(env)
	}
	if configFile != "" {
		var cfg *config.Config
		if cfg, configErr = loadConfig(configFile, env); configErr == nil {
			fmt.Fprintf(env.Stdout, "%s: ok, %d sources, %d sinks\n", configFile, len(cfg.Sources), len(cfg.Sinks))
			warnOfLogs(env, cfg)
			rulesFile = firstOf(rulesFile, cfg.Rules)
			webErr = config.CheckWebFile(cfg.Web.ConfigFile)
		}
	}
	set, rulesErr := loadRules(rulesFile, env.Rules)
	if rulesErr == nil {
		fmt.Fprintf(env.Stdout, "%s: ok, %d rules, version %s, sha256 %.12s\n", firstOf(rulesFile, "built-in rules"), len(set.RuleIDs()), set.Version(), set.SHA256())
		for _, doubt := range set.Doubts() {
			fmt.Fprintf(env.Stdout, "warning: %s\n", printable(doubt.Error()))
		}
	}
	return errors.Join(configErr, webErr, rulesErr)
}

// warnOfLogs tells of logs that we cannot read, which is no mistake in the
// configuration.
func warnOfLogs(env Environment, cfg *config.Config) {
	for _, s := range cfg.Sources {
		for _, p := range checkSource(s) {
			fmt.Fprintf(env.Stdout, "warning: %v\n", p)
		}
	}
}
