package rules

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"

	"mtatap/event"
	jsonschemas "mtatap/schema"
)

// mappings are the functions that read a mapping, and what the schema calls it.
var mappings = map[string]string{
	"file": "", "rule": "rule", "examples": "example", "categories": "category",
	"conversions": "conversion", "suppression": "suppression", "providers": "provider", "codes": "code",
}

func TestTheSchemaHasExactlyTheKeysThatAreRead(t *testing.T) {
	top, err := jsonschemas.Parse(Schema())
	if err != nil {
		t.Fatal(err)
	}
	read := keysRead(t)
	if len(read) != len(mappings) {
		t.Errorf("mappings are read by %v", read)
	}
	for function, keys := range read {
		def, known := mappings[function]
		if !known {
			t.Errorf("%s reads a mapping that the schema does not know", function)
			continue
		}
		node := top
		if def != "" {
			node = top.Defs.Get(def)
		}
		var has []string
		for _, p := range node.Properties {
			has = append(has, p.Name)
			if p.Node.Description == "" {
				t.Errorf("%s.%s has no description", def, p.Name)
			}
		}
		slices.Sort(has)
		slices.Sort(keys)
		if !slices.Equal(has, keys) {
			t.Errorf("%s reads %v, the schema has %v", function, keys, has)
		}
		if node.Additional != false {
			t.Errorf("%s takes unknown keys", def)
		}
	}
}

// keysRead finds each field{"name", ...} of the package, by function.
func keysRead(t *testing.T) map[string][]string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	read := map[string][]string{}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			ast.Inspect(f, func(n ast.Node) bool {
				c, ok := n.(*ast.CompositeLit)
				if !ok {
					return true
				}
				if name, ok := c.Type.(*ast.Ident); ok && name.Name == "field" {
					key, err := strconv.Unquote(c.Elts[0].(*ast.BasicLit).Value)
					if err != nil {
						t.Fatal(err)
					}
					read[f.Name.Name] = append(read[f.Name.Name], key)
				}
				return true
			})
		}
	}
	return read
}

func TestTheSchemaKnowsTheWordsThatAreRead(t *testing.T) {
	top, err := jsonschemas.Parse(Schema())
	if err != nil {
		t.Fatal(err)
	}
	var statuses, phases []string
	for _, s := range event.Statuses() {
		statuses = append(statuses, s.String())
	}
	for p := event.PhaseConnect; p <= event.PhaseQueue; p++ {
		phases = append(phases, p.String())
	}
	category := top.Defs.Get("category").Properties
	for name, c := range map[string]struct {
		has  any
		want []string
	}{
		"status": {top.Defs.Get("status").Enum, statuses},
		"phase":  {top.Defs.Get("phase").Enum, phases},
		"type":   {category.Get("type").Enum, bounceTypes},
		"action": {category.Get("action").Enum, actions},
	} {
		var has []string
		for _, v := range c.has.([]any) {
			has = append(has, v.(string))
		}
		if !slices.Equal(has, c.want) {
			t.Errorf("%s: the schema has %v, the reader %v", name, has, c.want)
		}
	}
}

// What only the reader can see: references, expressions, examples, repeated keys.
var beyondSchema = []string{"alias", "disable", "duplicate-key", "example", "impossible", "no-categories", "phrase", "rule-and-example", "suppression-inherited", "two-documents"}

func TestTheSchemaRefusesMistakesOfStructure(t *testing.T) {
	schema := compiledSchema(t)
	files, err := filepath.Glob("testdata/invalid-*.yaml")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, path := range files {
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), "invalid-"), ".yaml")
		value, err := decode(t, path)
		if err != nil || value == nil {
			continue // no YAML: nothing for a schema to see
		}
		refused := schema.Validate(value) != nil
		if want := !slices.Contains(beyondSchema, name); refused != want {
			t.Errorf("%s: refused %v, want %v", name, refused, want)
		}
	}
}

func TestTheSchemaTakesWhatIsRead(t *testing.T) {
	schema := compiledSchema(t)
	for _, path := range []string{"../rules.yaml", "testdata/base.yaml"} {
		value, err := decode(t, path)
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(value); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	guide, err := os.ReadFile("../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	var value any
	if err := yaml.Unmarshal([]byte(strings.TrimPrefix(strings.Split(string(guide), "```")[1], "yaml\n")), &value); err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(value); err != nil {
		t.Errorf("the guide: %v", err)
	}
}

func decode(t *testing.T, path string) (value any, err error) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	err = yaml.Unmarshal(data, &value)
	return textKeys(value), err
}

// textKeys makes the keys of mappings texts, as JSON has them.
func textKeys(value any) any {
	switch v := value.(type) {
	case map[any]any:
		m := map[string]any{}
		for k, item := range v {
			text, err := yaml.Marshal(k)
			if err == nil {
				m[strings.TrimSpace(string(text))] = textKeys(item)
			}
		}
		return m
	case map[string]any:
		for k := range v {
			v[k] = textKeys(v[k])
		}
	case []any:
		for i := range v {
			v[i] = textKeys(v[i])
		}
	}
	return value
}

func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("urn:mtatap:rules:1", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("urn:mtatap:rules:1")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}
