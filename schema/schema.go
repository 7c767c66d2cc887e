// Package schema is JSON Schema as data, in the part of draft 2020-12 that
// mtatap's own files need: what reads a file can say what it reads, and what
// explains the file to people walks the same tree. It describes; it must never
// validate.
package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Dialect is the URI of JSON Schema draft 2020-12.
const Dialect = "https://json-schema.org/draft/2020-12/schema"

// Node is a schema; each field is the keyword of its JSON name. The zero value
// allows anything.
type Node struct {
	Schema      string `json:"$schema,omitempty"`
	ID          string `json:"$id,omitempty"`
	Ref         string `json:"$ref,omitempty"`
	Title       string `json:"title,omitempty"`
	Description string `json:"description,omitempty"`

	Type    any `json:"type,omitempty"` // a name or several
	Const   any `json:"const,omitempty"`
	Enum    any `json:"enum,omitempty"` // a list
	Default any `json:"default,omitempty"`

	Pattern   string `json:"pattern,omitempty"`
	MinLength int    `json:"minLength,omitempty"`
	MaxLength int    `json:"maxLength,omitempty"`
	Minimum   *int64 `json:"minimum,omitempty"`
	Maximum   *int64 `json:"maximum,omitempty"`

	Not      *Node `json:"not,omitempty"`
	Items    *Node `json:"items,omitempty"`
	MinItems int   `json:"minItems,omitempty"`
	MaxItems int   `json:"maxItems,omitempty"`

	Properties        Properties          `json:"properties,omitempty"`
	Required          []string            `json:"required,omitempty"`
	DependentRequired map[string][]string `json:"dependentRequired,omitempty"`
	PropertyNames     *Node               `json:"propertyNames,omitempty"`
	MinProperties     int                 `json:"minProperties,omitempty"`
	MaxProperties     int                 `json:"maxProperties,omitempty"`
	// Additional is false or a *Node; false after decoding too.
	Additional any `json:"additionalProperties,omitempty"`

	AnyOf []*Node `json:"anyOf,omitempty"`
	OneOf []*Node `json:"oneOf,omitempty"`
	AllOf []*Node `json:"allOf,omitempty"`
	If    *Node   `json:"if,omitempty"`
	Then  *Node   `json:"then,omitempty"`
	Else  *Node   `json:"else,omitempty"`

	Defs Properties `json:"$defs,omitempty"`
}

// Property is a key of a mapping and what it may hold.
type Property struct {
	Name string
	Node *Node
}

// Properties keep the order in which people should read them.
type Properties []Property

// Get returns the property of that name, nil if there is none.
func (p Properties) Get(name string) *Node {
	for _, property := range p {
		if property.Name == name {
			return property.Node
		}
	}
	return nil
}

// MarshalJSON writes an object with the properties in their order.
func (p Properties) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, property := range p {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := encode(property.Name, "")
		if err != nil {
			return nil, err
		}
		node, err := encode(property.Node, "")
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(node)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// UnmarshalJSON reads an object and keeps the order of its keys.
func (p *Properties) UnmarshalJSON(data []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	if open, err := decoder.Token(); err != nil || open != json.Delim('{') {
		return fmt.Errorf("read properties: want an object")
	}
	*p = nil
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return fmt.Errorf("read properties: %w", err)
		}
		property := Property{Name: fmt.Sprint(name), Node: new(Node)}
		if err := decoder.Decode(property.Node); err != nil {
			return fmt.Errorf("read property %s: %w", property.Name, err)
		}
		*p = append(*p, property)
	}
	return nil
}

// UnmarshalJSON reads a schema.
func (n *Node) UnmarshalJSON(data []byte) error {
	type plain Node // without this method
	if err := json.Unmarshal(data, (*plain)(n)); err != nil {
		return err
	}
	if _, ok := n.Additional.(map[string]any); ok {
		var again struct {
			Additional *Node `json:"additionalProperties"`
		}
		if err := json.Unmarshal(data, &again); err != nil {
			return err
		}
		n.Additional = again.Additional
	}
	return nil
}

// Text returns the schema as indented JSON that ends in a newline.
func (n *Node) Text() (string, error) {
	b, err := encode(n, "  ")
	if err != nil {
		return "", fmt.Errorf("write schema: %w", err)
	}
	return string(b) + "\n", nil
}

// Parse reads a schema from its JSON.
func Parse(text string) (*Node, error) {
	n := new(Node)
	if err := json.Unmarshal([]byte(text), n); err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	return n, nil
}

// encode is json.Marshal that leaves <, > and & readable.
func encode(v any, indent string) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}
