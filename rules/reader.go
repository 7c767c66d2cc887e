package rules

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"gopkg.in/yaml.v3"
)

// reader reads the nodes of one YAML file and collects everything that is
// wrong with it.
type reader struct {
	name     string
	problems []*Problem
	inRules  int  // problems that are those of one rule
	patterns int  // bytes of all patterns up to now
	steps    int  // of all expressions up to now
	work     int  // of all examples up to now
	tired    bool // said that the work is too much
}

// Problem is something that is wrong or doubtful in a rules file.
type Problem struct {
	File string
	Line int
	Text string // what is wrong and what to do about it
}

// Error returns "file:line: text".
func (p *Problem) Error() string { return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Text) }

// Problems returns the problems of a file that an error of Load or Parse joins,
// nil if the error is another one.
func Problems(err error) (all []*Problem) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range joined.Unwrap() {
			var p *Problem
			if errors.As(one, &p) {
				all = append(all, p)
			}
		}
	}
	return all
}

// maxProblems is how many problems are looked for in one file: a file with more
// is no rules file at all.
const maxProblems = 200

func (r *reader) fail(line int, format string, args ...any) {
	if r.full() {
		return
	}
	for i, a := range args {
		switch a := a.(type) {
		case string:
			args[i] = shortened(a, maxQuote)
		case error:
			args[i] = shortened(a.Error(), maxQuote)
		}
	}
	r.problems = append(r.problems, &Problem{r.name, line, oneLine(fmt.Sprintf(format, args...))})
	if r.full() {
		r.problems = append(r.problems, &Problem{r.name, line, "too many problems: mend these first"})
	}
}

// within reports whether f finds something wrong, which is then the problem of
// one rule.
func (r *reader) within(f func()) bool {
	before := len(r.problems)
	f()
	r.inRules += len(r.problems) - before
	return len(r.problems) > before
}

// full reports whether so much is wrong that there is no use in going on.
func (r *reader) full() bool { return len(r.problems) >= maxProblems }

// err returns all problems in the order of their lines, nil if there is none.
func (r *reader) err() error {
	slices.SortStableFunc(r.problems, func(a, b *Problem) int { return cmp.Compare(a.Line, b.Line) })
	var all []error
	for _, p := range r.problems {
		all = append(all, p)
	}
	return errors.Join(all...)
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// root parses data and returns its one document, nil if there is none.
func (r *reader) root(data []byte) *yaml.Node {
	dec := yaml.NewDecoder(strings.NewReader(string(data)))
	var doc, more yaml.Node
	if err := dec.Decode(&doc); err != nil {
		line, text := 1, err.Error()
		if m := yamlLine.FindStringSubmatch(text); m != nil {
			if m[1] != "" {
				fmt.Sscan(m[1], &line)
			}
			text = text[len(m[0]):]
		}
		if text == "EOF" {
			text = "the file is empty: write at least schema, version and rules"
		}
		r.fail(line, "read YAML: %s", text)
		return nil
	}
	if dec.Decode(&more) == nil {
		r.fail(more.Line, "a rules file is one YAML document: remove the second one")
	}
	return doc.Content[0]
}

// field is a key that a mapping may have and what to do with its value.
type field struct {
	name string
	set  func(*yaml.Node)
}

// mapping hands the value of each key of n to its field. what names n in
// messages, such as "rule x: ".
func (r *reader) mapping(n *yaml.Node, what string, fields ...field) {
	r.pairs(n, what, func(key, value *yaml.Node) {
		for _, f := range fields {
			if f.name == key.Value {
				f.set(value)
				return
			}
		}
		names := make([]string, len(fields))
		for i, f := range fields {
			names[i] = f.name
		}
		r.fail(key.Line, "%sunknown key %q%s", what, key.Value, didYouMean(key.Value, names))
	})
}

// pairs calls visit for each key of the mapping n, which are all different.
func (r *reader) pairs(n *yaml.Node, what string, visit func(key, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		r.fail(n.Line, "%swant a mapping (key: value), not %s", what, kindName(n))
		return
	}
	if keys := len(n.Content) / 2; keys > maxKeys {
		r.fail(n.Line, "%s%d keys are too many: at most %d", what, keys, maxKeys)
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode || key.Tag == "!!merge" {
			r.fail(key.Line, "%swant a plain key, not %s", what, kindName(key))
			continue
		}
		if first, dup := seen[key.Value]; dup {
			r.fail(key.Line, "%skey %q is already on line %d: keep one of them", what, key.Value, first)
			continue
		}
		seen[key.Value] = key.Line
		visit(key, value)
	}
}

// text returns the scalar n, "" after a failure.
func (r *reader) text(n *yaml.Node, what string) string {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		r.fail(n.Line, "%swant one value, not %s", what, kindName(n))
		return ""
	}
	return n.Value
}

// list returns the scalars of n, which is one scalar or a sequence of them.
func (r *reader) list(n *yaml.Node, what string) []*yaml.Node {
	if n.Kind == yaml.ScalarNode && n.Tag != "!!null" {
		return []*yaml.Node{n}
	}
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		r.fail(n.Line, "%swant a value or a list of values, not %s", what, kindName(n))
		return nil
	}
	var all []*yaml.Node
	for _, item := range n.Content {
		if item.Kind != yaml.ScalarNode || item.Tag == "!!null" {
			r.fail(item.Line, "%swant one value in each line of the list, not %s", what, kindName(item))
			continue
		}
		all = append(all, item)
	}
	return all
}

func (r *reader) boolean(n *yaml.Node, what string) bool {
	if n.Kind != yaml.ScalarNode || n.Value != "true" && n.Value != "false" {
		r.fail(n.Line, "%swant true or false", what)
	}
	return n.Value == "true"
}

func kindName(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode && len(n.Content) == 0:
		return "an empty list"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.AliasNode:
		return "an alias (write the value out)"
	case n.Tag == "!!null":
		return "nothing"
	}
	return strconv.Quote(shortened(n.Value, maxQuote))
}

// oneLine shows control characters of s, so that what a file names cannot look like
// another message.
func oneLine(s string) string {
	if !strings.ContainsFunc(s, unicode.IsControl) {
		return s
	}
	quoted := strconv.Quote(s)
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(quoted[1 : len(quoted)-1])
}

// maxQuote is how much of a file a message quotes in one piece, in bytes.
const maxQuote = 1000

// shortened cuts s to at most so many bytes and says so.
func shortened(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}

// oneOf words a failure to find got among the known names.
func oneOf(got string, known []string) string {
	return fmt.Sprintf("%q%s (known: %s)", got, didYouMean(got, known), strings.Join(known, ", "))
}

// didYouMean returns `, did you mean "x"?` for the known name nearest to got,
// "" if none is near.
func didYouMean(got string, known []string) string {
	best, bestDistance := "", 1+min(3, max(1, len(got)/2))
	for _, k := range known {
		if d := distance(got, k); d < bestDistance {
			best, bestDistance = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(", did you mean %q?", best)
}

// distance is the number of single-byte edits between a and b (Levenshtein),
// of which only the first 40 bytes count.
func distance(a, b string) int {
	a, b = a[:min(len(a), 40)], b[:min(len(b), 40)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
