// Package manual writes the manual pages: of the commands from their own help,
// of the files from their schemas, with the prose around that is written here.
// It must never know a flag or a key that the others do not tell it.
package manual

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mtatap/schema"
)

// Build is what the pages are about.
type Build struct {
	Version string
	Date    string // 2026-11-24, or empty
}

// Command returns mtatap(1), from the help of root and of all its commands.
func Command(root *cobra.Command, b Build) string {
	p := newPage(root.Name(), 1, b)
	p.section("NAME")
	p.text(root.Name() + " - " + lower(root.Short))
	p.section("SYNOPSIS")
	for i, c := range commands(root) {
		if i > 0 {
			p.b.WriteString(".br\n")
		}
		p.text(c.UseLine())
	}
	p.section("DESCRIPTION")
	p.text(root.Long)
	p.section("COMMANDS")
	for _, c := range commands(root) {
		p.subsection(c.UseLine())
		p.text(c.Short + ".")
		if c.Long != "" && c.Long != c.Short {
			p.b.WriteString(".PP\n")
			p.text(c.Long)
		}
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Name != "help" && !f.Hidden {
				p.item(flagTerm(f), "", sentence(f.Usage))
			}
		})
		if c.Example != "" {
			p.b.WriteString(".PP\n")
			p.text("Examples:\n\n" + c.Example)
		}
	}
	for _, s := range commandProse {
		p.section(s.title)
		p.text(s.text)
	}
	seeAlso(p, "mtatap.yaml(5), mtatap-rules(5)")
	return p.String()
}

// commands returns the commands below c that can be run, in the order of help.
func commands(c *cobra.Command) (all []*cobra.Command) {
	for _, sub := range c.Commands() {
		switch {
		case !sub.IsAvailableCommand() || sub.Name() == "help":
		case sub.HasAvailableSubCommands():
			all = append(all, commands(sub)...)
		default:
			all = append(all, sub)
		}
	}
	return all
}

func flagTerm(f *pflag.Flag) string {
	term := "--" + f.Name
	if f.Shorthand != "" {
		term = "-" + f.Shorthand + ", " + term
	}
	if f.Value.Type() != "bool" {
		name, _ := pflag.UnquoteUsage(f)
		term += " " + strings.ToUpper(name)
	}
	return term
}

// Config returns mtatap.yaml(5), from the schema of the configuration.
func Config(n *schema.Node, b Build) string {
	p := newPage("mtatap.yaml", 5, b)
	p.section("NAME")
	p.text("mtatap.yaml - configuration of mtatap(1)")
	p.section("DESCRIPTION")
	p.text(configProse)
	p.section("SETTINGS")
	keys(p, n, "", n)
	for _, s := range configSections {
		p.section(s.title)
		p.text(s.text)
	}
	seeAlso(p, "mtatap(1), mtatap-rules(5)")
	return p.String()
}

// Rules returns mtatap-rules(5), from the schema of a rules file.
func Rules(n *schema.Node, b Build) string {
	p := newPage("mtatap-rules", 5, b)
	p.section("NAME")
	p.text("mtatap-rules - rules by which mtatap(1) classifies replies")
	p.section("DESCRIPTION")
	p.text(rulesProse)
	p.section("KEYS")
	keys(p, n, "", n)
	for _, s := range rulesSections {
		p.section(s.title)
		p.text(s.text)
	}
	seeAlso(p, "mtatap(1), mtatap.yaml(5)")
	return p.String()
}

func seeAlso(p *page, pages string) {
	p.section("SEE ALSO")
	p.text(pages)
}

// keys writes the keys of the mapping n, those of mappings in it under a path.
func keys(p *page, top *schema.Node, path string, n *schema.Node) {
	for _, property := range n.Properties {
		node := resolve(top, property.Node)
		p.item(path+property.Name, kind(top, n, property), property.Node.Description)
		below(p, top, path+property.Name, node)
	}
	if a, ok := n.Additional.(*schema.Node); ok && path != "" {
		below(p, top, strings.TrimSuffix(path, ".")+".NAME", resolve(top, a))
	}
	for _, def := range n.Defs {
		if n != top { // those of a part are kinds of it
			p.item(path+def.Name, "a kind", def.Node.Description)
			keys(p, top, path+def.Name+".", def.Node)
		}
	}
}

func below(p *page, top *schema.Node, path string, n *schema.Node) {
	switch {
	case len(n.Defs) > 0:
		kinds := *n
		kinds.Properties, kinds.Additional = nil, nil // each is one of the kinds
		keys(p, top, path+".", &kinds)
	case len(n.Properties) > 0 || n.Additional != nil && n.Additional != false:
		keys(p, top, path+".", n)
	case n.Items != nil:
		below(p, top, path+"[]", resolve(top, n.Items))
	case len(n.AnyOf) > 0:
		for _, option := range n.AnyOf {
			if o := resolve(top, option); len(o.Properties) > 0 {
				below(p, top, path, o)
			}
		}
	}
}

func resolve(top, n *schema.Node) *schema.Node {
	if name, ok := strings.CutPrefix(n.Ref, "#/$defs/"); ok {
		if def := top.Defs.Get(name); def != nil {
			return def
		}
	}
	return n
}

// kind says in a word or two what a key takes.
func kind(top, n *schema.Node, property schema.Property) string {
	var says []string
	for _, name := range n.Required {
		if name == property.Name {
			says = append(says, "required")
		}
	}
	node := resolve(top, property.Node)
	options := append([]*schema.Node{node}, node.AnyOf...)
	for _, option := range options {
		if words := words(resolve(top, option).Enum); words != "" {
			says = append(says, words)
			break
		}
	}
	if d := node.Default; d != nil {
		says = append(says, fmt.Sprintf("default: %s", value(d)))
	}
	return strings.Join(says, "; ")
}

func words(enum any) string {
	var all []string
	switch list := enum.(type) {
	case []string:
		all = list
	case []any:
		for _, v := range list {
			if s, ok := v.(string); ok {
				all = append(all, s)
			}
		}
	}
	return strings.Join(all, ", ")
}

func value(v any) string {
	if list, ok := v.([]string); ok {
		return strings.Join(list, ", ")
	}
	return fmt.Sprint(v)
}

func lower(s string) string { return strings.ToLower(s[:1]) + s[1:] }

func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] + "." }
