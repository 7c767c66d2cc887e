package config

import (
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"mtatap/schema"
)

// decoder reads one configuration file and collects its mistakes.
type decoder struct {
	name     string
	env      func(string) (string, bool)
	disk     fs.FS
	expanded map[*yaml.Node]string // texts that differ from what is written
	broken   map[*yaml.Node]bool   // nodes already complained about
	errs     Errors
}

// reader reads a value into where it was made for, or reports why it cannot. Its
// shape says what it takes, as far as a schema can; it is made with the reader,
// so that the two are always of one mind.
type reader struct {
	read  check
	shape *schema.Node
}

// check looks at a value and reports what is wrong with it.
type check func(d *decoder, v value)

// then runs check after r, for what concerns several settings.
func (r reader) then(check check) reader {
	return reader{func(d *decoder, v value) {
		r.read(d, v)
		check(d, v)
	}, r.shape}
}

// shaped lets change add to the shape what a schema can say of a check.
func (r reader) shaped(change func(*schema.Node)) reader {
	change(r.shape)
	return r
}

// maxErrors is how many mistakes of one file are told: with more it is no
// configuration at all.
const maxErrors = 200

func (d *decoder) fail(v value, format string, args ...any) {
	switch n := len(d.errs.List); {
	case n > maxErrors:
		return
	case n == maxErrors:
		d.failAt(v.pos.Line, "too many mistakes: mend these first")
		return
	}
	d.errs.List = append(d.errs.List, &Error{
		File:    d.name,
		Line:    v.pos.Line,
		Path:    v.path,
		Problem: fmt.Sprintf(format, args...),
		column:  v.pos.Column,
	})
}

func (d *decoder) failAt(line int, problem string) {
	d.errs.List = append(d.errs.List, &Error{File: d.name, Line: line, Problem: problem})
}

// field is one key of a mapping.
type field struct {
	name    string
	example string // of the value; "" where the key may be left out
	reader
}

func optional(name string, read reader) field { return field{name: name, reader: read} }

func required(name, example string, read reader) field { return field{name, example, read} }

// about says to people what the key is for.
func (f field) about(text string) field {
	f.shape.Description = text
	return f
}

// mapping reads a mapping with exactly these keys.
func mapping(fields ...field) reader {
	return reader{func(d *decoder, v value) {
		if !d.isMapping(v) {
			return
		}
		seen := make(map[string]bool)
		for _, entry := range v.entries() {
			if seen[entry.pos.Value] {
				continue
			}
			seen[entry.pos.Value] = true
			i := slices.IndexFunc(fields, func(f field) bool { return f.name == entry.pos.Value })
			switch {
			case i >= 0 && d.broken[entry.node]: // said already
			case i >= 0:
				fields[i].read(d, entry)
			case entry.pos.Kind == yaml.ScalarNode:
				names := make([]string, len(fields))
				for i, f := range fields {
					names[i] = f.name
				}
				d.fail(value{node: entry.node, pos: entry.pos, path: v.path},
					"unknown key %s; %s", quote(entry.pos.Value), suggest(entry.pos.Value, names))
			}
		}
		for _, f := range fields {
			if f.example != "" && !seen[f.name] {
				d.fail(v, "%s is missing; write it as %s: %s", f.name, f.name, f.example)
			}
		}
	}, shapeOfFields(fields)}
}

func (d *decoder) isMapping(v value) bool {
	switch {
	case d.broken[v.node]:
		return false
	case isNull(v.node):
		d.fail(v, "is empty; write it as {} or give it keys")
		return false
	case v.node.Kind != yaml.MappingNode:
		d.fail(v, "is %s, not a mapping; write it as key: value", describe(v.node))
		return false
	}
	return true
}

// maxItems bounds every list: checks compare each item with each other.
const maxItems = 1000

// listOf reads a list, each item by read, and replaces what *out holds.
func listOf[T any](out *[]T, read func(*T) reader) reader {
	return reader{func(d *decoder, v value) {
		if d.broken[v.node] {
			return
		}
		switch {
		case v.node.Kind == yaml.ScalarNode && !isNull(v.node):
			d.fail(v, "is %s, not a list; write it as [%s]", describe(v.node), quote(v.node.Value))
			return
		case v.node.Kind != yaml.SequenceNode:
			d.fail(v, "is %s, not a list; write each item after a dash", describe(v.node))
			return
		}
		if v.len() > maxItems {
			d.fail(v, "has %d items; at most %d are allowed", v.len(), maxItems)
			return
		}
		*out = make([]T, v.len())
		for i := range *out {
			if item := v.item(i); !d.broken[item.node] {
				read(&(*out)[i]).read(d, item)
			}
		}
	}, shapeOfList(read(new(T)).shape, *out)}
}

// notEmpty is listOf for lists that need an item.
func notEmpty[T any](out *[]T, example string, read func(*T) reader) reader {
	return listOf(out, read).then(func(d *decoder, v value) {
		if v.node.Kind == yaml.SequenceNode && v.len() == 0 {
			d.fail(v, "is empty; write it as %s", example)
		}
	}).shaped(func(n *schema.Node) { n.MinItems = 1 })
}

// pointer reads into a new T, so that *out is nil where the key is left out.
func pointer[T any](out **T, read func(*T) reader) reader {
	return reader{func(d *decoder, v value) {
		*out = new(T)
		read(*out).read(d, v)
	}, read(new(T)).shape}
}

// text reads a string that is not empty.
func text(out *string) reader {
	return reader{func(d *decoder, v value) {
		s, ok := d.scalar(v, "text")
		switch tag := v.node.ShortTag(); {
		case !ok:
		case tag == "!!int" || tag == "!!float" || tag == "!!bool":
			d.fail(v, "is %s, not text; write it in quotes: %q", describe(v.node), v.node.Value)
		case s == "":
			d.fail(v, "is empty; give it a value or leave the key out")
		case strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }):
			d.fail(v, "has a control character; leave it out")
		default:
			*out = s
		}
	}, shapeOfText(*out)}
}

// maybe is read where "" stands for none.
func maybe(read reader) reader {
	return reader{func(d *decoder, v value) {
		if v.node.Kind == yaml.ScalarNode && !isNull(v.node) && d.textOf(v.node) == "" {
			return
		}
		read.read(d, v)
	}, &schema.Node{AnyOf: []*schema.Node{{Const: ""}, read.shape}}}
}

// textThat is text that must meet check, whose error ends in how to write it.
func textThat(out *string, check func(string) error) reader {
	return reader{func(d *decoder, v value) {
		var s string
		text(&s).read(d, v)
		if s == "" {
			return
		}
		if err := check(s); err != nil {
			d.fail(v, "%s %v", quote(v.node.Value), err)
			return
		}
		*out = s
	}, shapeOfText(*out)}
}

// oneOf reads one of a few words.
func oneOf(out *string, words ...string) reader {
	return textThat(out, func(s string) error {
		if slices.Contains(words, s) {
			return nil
		}
		return fmt.Errorf("is not allowed; write it as %s", orList(words))
	}).shaped(func(n *schema.Node) { *n = *shapeOfWords(*out, words) })
}

func boolean(out *bool) reader {
	return reader{func(d *decoder, v value) {
		s, ok := d.scalar(v, "true or false")
		switch {
		case !ok:
		case s == "true" || s == "false":
			*out = s == "true"
		default:
			d.fail(v, "is %s, not a switch; write it as true or false", describe(v.node))
		}
	}, shapeOfSwitch(*out)}
}

// integer reads a whole number from least to most.
func integer(out *int, least, most int) reader {
	return reader{func(d *decoder, v value) {
		s, ok := d.scalar(v, "a number")
		if !ok {
			return
		}
		n, err := strconv.Atoi(s)
		if err != nil || n < least || n > most {
			d.fail(v, "%s is no whole number from %d to %d", quote(v.node.Value), least, most)
			return
		}
		*out = n
	}, shapeOfInteger(*out, least, most)}
}

// scalar gives the text of a scalar that is not null, with ${NAME} replaced.
func (d *decoder) scalar(v value, want string) (string, bool) {
	switch {
	case d.broken[v.node]:
		return "", false
	case isNull(v.node):
		d.fail(v, "is empty; give it a value or leave the key out")
		return "", false
	case v.node.Kind != yaml.ScalarNode:
		d.fail(v, "is %s, not %s", describe(v.node), want)
		return "", false
	}
	return d.textOf(v.node), true
}

func (d *decoder) textOf(n *yaml.Node) string {
	if s, ok := d.expanded[n]; ok {
		return s
	}
	return n.Value
}
