package manual_test

import (
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"

	"mtatap/config"
	"mtatap/manual"
	"mtatap/rules"
	"mtatap/schema"
)

var build = manual.Build{Version: "1.2.3", Date: "2026-11-24"}

func TestThePageOfTheCommandsShowsEachWithItsFlags(t *testing.T) {
	root := &cobra.Command{Use: "tap", Short: "Tell why", Long: "It tells.\n\n  as shown\n\n.not a macro\n'nor this"}
	sub := &cobra.Command{Use: "go FILE", Short: "Go", Example: "  tap go x", Run: func(*cobra.Command, []string) {}}
	sub.Flags().StringP("out-file", "o", "", "where to write")
	nested := &cobra.Command{Use: "group", Short: "Group"}
	nested.AddCommand(&cobra.Command{Use: "inner", Short: "Inner", Run: func(*cobra.Command, []string) {}})
	root.AddCommand(sub, nested)
	page := manual.Command(root, build)
	for _, want := range []string{
		".TH \"TAP\" \"1\" \"2026-11-24\" \"mtatap 1.2.3\" \"mtatap\"\n", "tap \\- tell why\n", ".nf\nas shown\n\n.fi\n",
		"\\&.not a macro\n", "\\(aqnor this\n", "\\fB\\-o, \\-\\-out\\-file STRING\\fR\nWhere to write.\n", ".nf\ntap go x\n.fi\n", "tap group inner\n",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
}

func TestThePageOfTheConfigurationHasEverySetting(t *testing.T) {
	page := manual.Config(config.Schema(), build)
	for _, want := range []string{"sources[].path", "batch.linger", "sinks.kafka.sasl.password_file", "sinks.webhook.tls.ca_file", "log.level"} {
		if !strings.Contains(page, "\n\\fB"+strings.ReplaceAll(want, "-", `\-`)+"\\fR") {
			t.Errorf("the page lacks %s", want)
		}
	}
	var walk func(n *schema.Node)
	walk = func(n *schema.Node) {
		for _, p := range n.Properties {
			if !strings.Contains(page, p.Name+"\\fR") {
				t.Errorf("the page lacks %s", p.Name)
			}
			walk(p.Node)
		}
		for _, d := range n.Defs {
			walk(d.Node)
		}
		if n.Items != nil {
			walk(n.Items)
		}
	}
	walk(config.Schema())
}

func TestThePageOfTheRulesHasEveryKey(t *testing.T) {
	n, err := schema.Parse(rules.Schema())
	if err != nil {
		t.Fatal(err)
	}
	page := manual.Rules(n, build)
	for _, node := range append(schema.Properties{{Node: n}}, n.Defs...) {
		for _, p := range node.Node.Properties {
			if !strings.Contains(page, p.Name+"\\fR") {
				t.Errorf("the page lacks %s", p.Name)
			}
		}
	}
}

// What the pages show as examples must load.
func TestTheExamplesOfThePagesLoad(t *testing.T) {
	defaults, err := os.ReadFile("../rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	base, err := rules.Parse("rules.yaml", defaults, nil)
	if err != nil {
		t.Fatal(err)
	}
	n, err := schema.Parse(rules.Schema())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rules.Parse("page", []byte(example(t, manual.Rules(n, build))), base); err != nil {
		t.Error(err)
	}
	if _, err := config.Parse("page", []byte(example(t, manual.Config(config.Schema(), build))), nil); err != nil {
		t.Error(err)
	}
}

// example returns what a page shows under EXAMPLE.
func example(t *testing.T, page string) string {
	t.Helper()
	_, rest, _ := strings.Cut(page, ".SH \"EXAMPLE\"\n")
	_, rest, _ = strings.Cut(rest, ".nf\n")
	text, _, found := strings.Cut(rest, ".fi\n")
	if !found {
		t.Fatal("no example")
	}
	text = strings.ReplaceAll(text, `\-`, "-")
	var any map[string]any
	if err := yaml.Unmarshal([]byte(text), &any); err != nil {
		t.Fatal(err)
	}
	return text
}
