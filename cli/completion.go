package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func newCompletion(env Environment) *cobra.Command {
	shells := []string{"bash", "zsh", "fish"}
	return &cobra.Command{
		Use:   "completion " + strings.Join(shells, "|"),
		Short: "Print a script that completes commands and flags in a shell",
		Long: `Print a script that completes commands and flags in a shell. The packages install
it; without them, for the current shell:

  bash  source <(mtatap completion bash)
  zsh   source <(mtatap completion zsh)
  fish  mtatap completion fish | source`,
		ValidArgs: shells,
		Args:      exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch args[0] {
			case "bash":
				return cmd.Root().GenBashCompletionV2(env.Stdout, true)
			case "zsh":
				return cmd.Root().GenZshCompletion(env.Stdout)
			case "fish":
				return cmd.Root().GenFishCompletion(env.Stdout, true)
			}
			return usageError{fmt.Errorf("no completion for %q, use one of %v", args[0], shells)}
		},
	}
}
