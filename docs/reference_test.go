package docs

import (
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// The tables that are made from the code stand between two comments:
//
//	<!-- begin NAME -->
//	<!-- end NAME -->
func TestTheReferenceTablesAreThoseOfTheCode(t *testing.T) {
	for _, table := range []struct {
		page, name string
		text       func(*testing.T) string
	}{
		{"events.md", "fields", eventFields},
		{"configuration.md", "keys", configKeys},
		{"design.md", "rooms", rooms},
	} {
		data, err := os.ReadFile(table.page)
		if err != nil {
			t.Fatal(err)
		}
		begin, end := "<!-- begin "+table.name+" -->\n", "<!-- end "+table.name+" -->\n"
		head, rest, ok := strings.Cut(string(data), begin)
		_, tail, ok2 := strings.Cut(rest, end)
		if !ok || !ok2 {
			t.Fatalf("%s has no place for the table of %s", table.page, table.name)
		}
		want := head + begin + "\n" + table.text(t) + "\n" + end + tail
		if *update {
			if err := os.WriteFile(table.page, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if want != string(data) {
			t.Errorf("%s is out of date: go test ./docs -run Reference -update", table.page)
		}
	}
}

// eventFields is the table of an event's fields, from its JSON Schema.
func eventFields(t *testing.T) string {
	b := newTable("field", "always", "values", "meaning")
	schema := readSchema(t, "event")
	required := texts(schema.at("required"))
	for _, f := range schema.at("properties").fields() {
		always := ""
		if slices.Contains(required, f.name) {
			always = "yes"
		}
		b.row("`"+f.name+"`", always, values(f.node), f.node.text("description"))
		for _, sub := range subFields(f.node) {
			b.row("`"+f.name+"."+sub.name+"`", "", values(sub.node), sub.node.text("description"))
		}
	}
	return b.String()
}

// subFields are those of an object, or of all its alternatives.
func subFields(n node) []field {
	all := n.at("properties").fields()
	for _, option := range n.at("oneOf").items() {
		all = append(all, option.at("properties").fields()...)
	}
	return all
}

// configKeys is the table of every key of the configuration, from its JSON Schema.
func configKeys(t *testing.T) string {
	b := newTable("key", "values", "default", "meaning")
	addKeys(&b, readSchema(t, "config"), "", map[string]bool{})
	return b.String()
}

// addKeys adds those of a mapping. Long explanations are given once.
func addKeys(b *table, n node, path string, said map[string]bool) {
	required := texts(n.at("required"))
	for _, f := range n.at("properties").fields() {
		standard := f.node.text("default")
		switch {
		case slices.Contains(required, f.name):
			standard = "*required*"
		case f.node.at("default").Kind == yaml.SequenceNode:
			standard = "`" + strings.Join(texts(f.node.at("default")), "`, `") + "`"
		case standard != "":
			standard = "`" + standard + "`"
		}
		name, about := path+f.name, f.node.text("description")
		if said[about] && len(about) > 60 {
			about = "As above."
		}
		said[about] = true
		b.row("`"+name+"`", values(f.node), standard, about)
		kinds := f.node.at("$defs").fields()
		for _, kind := range kinds { // of sinks
			b.row("`"+name+"."+kind.name+"`", "mapping", "", kind.node.text("description"))
			addKeys(b, kind.node, name+"."+kind.name+".", said)
		}
		if len(kinds) == 0 {
			addKeys(b, f.node, name+".", said)
			addKeys(b, f.node.at("items"), name+"[].", said)
		}
	}
}

// values says what a value may be.
func values(n node) string {
	if list := texts(n.at("enum")); len(list) > 0 {
		return "`" + strings.Join(list, "`, `") + "`"
	}
	if c := n.text("const"); c != "" {
		return "`" + c + "`"
	}
	if len(n.at("$defs").fields()) > 0 {
		return "mapping by name"
	}
	kind := n.text("type")
	switch kind {
	case "object":
		return "mapping"
	case "array":
		return "list"
	case "string":
		if n.text("format") == "date-time" {
			return "time, RFC 3339"
		}
		return "text"
	case "boolean":
		return "`true`, `false`"
	case "integer", "number":
		low, high := n.text("minimum"), n.text("maximum")
		switch {
		case low != "" && high != "":
			return kind + ", " + low + " to " + high
		case low != "":
			return kind + " from " + low
		}
		return kind
	}
	var options []string
	for _, option := range n.at("anyOf").items() {
		switch pattern := option.text("pattern"); {
		case pattern == `\$\{` || option.at("const").Kind != 0: // a variable, or nothing
		case option.text("minimum") == "0" && option.text("maximum") == "0":
		case strings.Contains(pattern, "KiB"):
			return "size"
		case strings.Contains(pattern, "ms|"):
			return "duration"
		default:
			options = append(options, values(option))
		}
	}
	return strings.Join(options, " or ")
}

// rooms is the table of packages: what each is there for, and which others it may
// import. The latter is what layout_test.go enforces.
func rooms(t *testing.T) string {
	b := newTable("package", "duty", "may import")
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(top, "layout_test.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || spec.Names[0].Name != "mayImport" {
			return true
		}
		for _, e := range spec.Values[0].(*ast.CompositeLit).Elts {
			entry := e.(*ast.KeyValueExpr)
			name := unquoted(t, entry.Key)
			duty := synopsis(t, name)
			if duty == "" {
				continue // no Go code but tests
			}
			var imports []string
			for _, i := range entry.Value.(*ast.CompositeLit).Elts {
				imports = append(imports, "`"+unquoted(t, i)+"`")
			}
			slices.Sort(imports)
			if name == "." {
				name = "main"
			}
			b.row("`"+name+"`", duty, strings.Join(imports, ", "))
		}
		return false
	})
	slices.SortFunc(b.rows, func(a, b string) int {
		return strings.Compare(strings.ReplaceAll(a, "`", ""), strings.ReplaceAll(b, "`", ""))
	})
	return b.String()
}

// synopsis is the first sentence of a package's comment, without its subject. The
// comment must also say what the package must never do.
func synopsis(t *testing.T, name string) string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(top, name, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.PackageClauseOnly)
		if err != nil {
			t.Fatal(err)
		}
		if file.Doc != nil {
			if file.Name.Name != "main" && !strings.Contains(strings.Join(strings.Fields(file.Doc.Text()), " "), " never ") {
				t.Errorf("package %s does not say what it must never do", name)
			}
			text := new(doc.Package).Synopsis(file.Doc.Text())
			words := strings.SplitN(text, " ", 3)
			if words[0] == "Package" || words[0] == "Command" {
				text = words[2]
			}
			return strings.TrimSuffix(text, ".")
		}
	}
	return ""
}

func unquoted(t *testing.T, e ast.Expr) string {
	t.Helper()
	text, err := strconv.Unquote(e.(*ast.BasicLit).Value)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// table is a Markdown table under way.
type table struct {
	head string
	rows []string
}

func newTable(columns ...string) table {
	return table{head: "| " + strings.Join(columns, " | ") + " |\n|" + strings.Repeat("---|", len(columns)) + "\n"}
}

func (b *table) row(cells ...string) {
	for i, c := range cells {
		cells[i] = strings.ReplaceAll(c, "|", `\|`)
	}
	b.rows = append(b.rows, fmt.Sprintf("| %s |\n", strings.Join(cells, " | ")))
}

func (b *table) String() string { return b.head + strings.Join(b.rows, "") }

// node is a part of a JSON document, read as YAML because that keeps the order of
// keys. A part that is not there is empty.
type node struct{ *yaml.Node }

type field struct {
	name string
	node node
}

func readSchema(t *testing.T, name string) node {
	t.Helper()
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(mtatap(t, "schema", name)), &doc); err != nil {
		t.Fatal(err)
	}
	return node{doc.Content[0]}
}

func (n node) fields() []field {
	if n.Node == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	var all []field
	for i := 0; i+1 < len(n.Content); i += 2 {
		all = append(all, field{n.Content[i].Value, node{n.Content[i+1]}})
	}
	return all
}

func (n node) at(key string) node {
	for _, f := range n.fields() {
		if f.name == key {
			return f.node
		}
	}
	return node{new(yaml.Node)}
}

func (n node) text(key string) string { return n.at(key).Value }

func (n node) items() []node {
	if n.Kind != yaml.SequenceNode {
		return nil
	}
	var all []node
	for _, item := range n.Content {
		all = append(all, node{item})
	}
	return all
}

func texts(n node) []string {
	var all []string
	for _, item := range n.items() {
		all = append(all, item.Value)
	}
	return all
}
