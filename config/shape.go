package config

import (
	"strings"
	"time"

	"mtatap/schema"
)

// Schema returns the JSON Schema of mtatap.yaml. It is made by the reader
// itself: what the schema refuses the reader refuses too. The reader sees more,
// such as files that are missing.
func Schema() *schema.Node {
	n := settings(new(Config)).shape
	n.Schema, n.ID, n.Title = schema.Dialect, "urn:mtatap:config:1", "mtatap configuration"
	n.Description = "What mtatap.yaml may hold. ${NAME} in a value is replaced from the environment."
	return n
}

// variable matches a text that holds ${NAME}, of which a schema can say no more.
const variable = `\$\{`

// like narrows a text to what pattern matches, or what holds a variable.
func like(n *schema.Node, pattern string) *schema.Node {
	n.Pattern = `(?:` + pattern + `)|` + variable
	return n
}

// like adds a pattern to the shape of a text.
func (r reader) like(pattern string) reader {
	return r.shaped(func(n *schema.Node) { like(n, pattern) })
}

// orVariable allows a text with a variable beside n, which is of another type.
func orVariable(n *schema.Node) *schema.Node {
	standard := n.Default
	n.Default = nil
	return &schema.Node{Default: standard, AnyOf: []*schema.Node{n, {Type: "string", Pattern: variable}}}
}

func shapeOfFields(fields []field) *schema.Node {
	n := &schema.Node{Type: "object", Additional: false}
	for _, f := range fields {
		n.Properties = append(n.Properties, schema.Property{Name: f.name, Node: f.shape})
		if f.example != "" {
			n.Required = append(n.Required, f.name)
		}
	}
	return n
}

func shapeOfList[T any](item *schema.Node, standard []T) *schema.Node {
	n := &schema.Node{Type: "array", Items: item, MaxItems: maxItems}
	if texts, ok := any(standard).([]string); ok && len(texts) > 0 {
		n.Default = texts
	}
	return n
}

func shapeOfText(standard string) *schema.Node {
	n := &schema.Node{Type: "string", MinLength: 1}
	if standard != "" {
		n.Default = standard
	}
	return n
}

func shapeOfWords(standard string, words []string) *schema.Node {
	n := &schema.Node{Enum: words}
	if standard != "" {
		n.Default = standard
	}
	return orVariable(n)
}

func shapeOfSwitch(standard bool) *schema.Node {
	return orVariable(&schema.Node{Type: "boolean", Default: standard})
}

func shapeOfInteger(standard, least, most int) *schema.Node {
	low, high := int64(least), int64(most)
	return orVariable(&schema.Node{Type: "integer", Minimum: &low, Maximum: &high, Default: standard})
}

// shapeOfSize takes bytes as a number or with a unit; the bounds of the latter
// are for the reader.
func shapeOfSize(standard, least, most int64) *schema.Node {
	var units []string
	for _, u := range sizeUnits {
		units = append(units, u.suffix)
	}
	text := like(&schema.Node{Type: "string"}, `^[0-9]+(`+strings.Join(units, "|")+`)?$`)
	number := &schema.Node{Type: "integer", Minimum: &least}
	if most < 1<<53 { // beyond, JSON numbers are not exact
		number.Maximum = &most
	}
	return &schema.Node{Default: formatSize(standard), AnyOf: []*schema.Node{number, text}}
}

func shapeOfDuration(standard time.Duration) *schema.Node {
	text := like(&schema.Node{Type: "string"}, `^\+?(0|([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$`)
	zero := int64(0)
	return &schema.Node{Default: formatDuration(standard), AnyOf: []*schema.Node{text, {Type: "integer", Minimum: &zero, Maximum: &zero}}}
}

// formatDuration writes 1m rather than 1m0s.
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// shapeOfSinks takes any names; the kind of a sink is its name or its key kind.
func shapeOfSinks() *schema.Node {
	n := &schema.Node{Type: "object", MinProperties: 1, MaxProperties: maxSinks, PropertyNames: &schema.Node{Pattern: sinkName.String()}}
	named := &schema.Node{Description: "A sink by a name of your own; kind says what it is.", Type: "object", Required: []string{"kind"}}
	for _, kind := range sinkKinds {
		own := shapeOfFields(sinkFields(&Sink{Name: kind, Kind: kind}))
		own.Description = sinkAbout[kind]
		n.Defs = append(n.Defs, schema.Property{Name: kind, Node: own})
		ref := &schema.Node{Ref: "#/properties/sinks/$defs/" + kind}
		hasKind := func(kind string) *schema.Node {
			return &schema.Node{Required: []string{"kind"}, Properties: schema.Properties{{Name: "kind", Node: &schema.Node{Const: kind}}}}
		}
		named.AllOf = append(named.AllOf, &schema.Node{If: hasKind(kind), Then: ref})
		n.Properties = append(n.Properties, schema.Property{Name: kind, Node: &schema.Node{
			If:   &schema.Node{Type: "object", Required: []string{"kind"}},
			Then: &schema.Node{Ref: "#/properties/sinks/additionalProperties"},
			Else: ref,
		}})
	}
	named.Properties = schema.Properties{{Name: "kind", Node: shapeOfWords("", sinkKinds)}}
	n.Additional = named
	return n
}

// sinkAbout says to people what each kind of sink is.
var sinkAbout = map[string]string{
	"kafka":   "A topic on a Kafka cluster.",
	"file":    "A file, one JSON object a line, synced to disk before it is acknowledged. It is opened anew after a rename.",
	"stdout":  "Standard output, one JSON object a line.",
	"webhook": "An HTTP endpoint that takes batches of events, one JSON object a line.",
}
