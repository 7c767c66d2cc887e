package config

import (
	"errors"
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
)

// maxDepth is how deep mappings and lists may nest; the schema needs 4.
const maxDepth = 16

// walk checks what holds for every node whatever the schema says, and expands
// the scalars. Nodes it has complained about are broken: the schema skips them.
func (d *decoder) walk(v value, depth int) {
	n := v.node
	if depth > maxDepth {
		d.breakNode(v, "nests deeper than %d levels", maxDepth)
		return
	}
	if n.Style&yaml.TaggedStyle != 0 {
		d.breakNode(v, "has the tag %s; leave it out", quote(n.Tag))
	}
	switch n.Kind {
	case yaml.AliasNode:
		d.breakNode(v, "is an alias; write the value out")
	case yaml.ScalarNode:
		text, err := expand(n.Value, d.env)
		if err != nil {
			d.breakNode(v, "%v", err)
		} else if text != n.Value {
			d.expanded[n] = text
		}
	case yaml.SequenceNode:
		for i := range v.len() {
			d.walk(v.item(i), depth+1)
		}
	case yaml.MappingNode:
		first := make(map[string]int) // line of each key
		for _, entry := range v.entries() {
			key := entry.pos
			if key.Kind != yaml.ScalarNode {
				d.breakNode(entry, "the key is no text")
				continue
			}
			if line, ok := first[key.Value]; ok {
				d.breakNode(entry, "repeats the key of line %d; keep one", line)
				continue
			}
			first[key.Value] = key.Line
			d.walk(entry, depth+1)
		}
	}
}

func (d *decoder) breakNode(v value, format string, args ...any) {
	d.broken[v.node] = true
	d.fail(v, format, args...)
}

// expand replaces each ${NAME} in s by what env says. $${ stands for ${; any
// other $ stands for itself. What env gives is not expanded again.
func expand(s string, env func(string) (string, bool)) (string, error) {
	var b strings.Builder
	for {
		i := strings.Index(s, "${")
		if i < 0 {
			b.WriteString(s)
			return b.String(), nil
		}
		if i > 0 && s[i-1] == '$' {
			b.WriteString(s[:i-1] + "${")
			s = s[i+2:]
			continue
		}
		b.WriteString(s[:i])
		name, rest, closed := strings.Cut(s[i+2:], "}")
		if !closed {
			return "", errors.New("has ${ without }; write a literal one as $${")
		}
		if !isVariable(name) {
			return "", fmt.Errorf("${%s} is no variable; write it as ${NAME}, a literal one as $${", clip(name))
		}
		text, ok := "", false
		if env != nil {
			text, ok = env(name)
		}
		if !ok {
			return "", fmt.Errorf("environment variable %s is not set; set it or write the value here", clip(name))
		}
		b.WriteString(text)
		s = rest
	}
}

// isVariable says whether s is a name of the environment: letters, digits and
// underscores, not starting with a digit.
func isVariable(s string) bool {
	for i, r := range s {
		letter := r == '_' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}
