package config

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"

	jsonschemas "mtatap/schema"
)

// What only the reader can see: other files, other settings, the order of keys,
// the form of the YAML itself.
var beyondSchema = []string{
	"duplicate-keys", "files-missing", "files-unusable", "merge-key",
	"secrets-open-to-others", "second-document", "sink-file-twice", "source-twice", "tag",
	"timezone", "globs", "environment",
}

func TestTheSchemaRefusesMistakesOfStructure(t *testing.T) {
	schema := compiledSchema(t)
	files, err := filepath.Glob("testdata/invalid-*.yaml")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var value any
		if yaml.Unmarshal(data, &value) != nil {
			continue // no YAML: nothing for a schema to see
		}
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), "invalid-"), ".yaml")
		refused := schema.Validate(textKeys(value)) != nil
		if want := !slices.Contains(beyondSchema, name); refused != want {
			t.Errorf("%s: refused %v, want %v", name, refused, want)
		}
	}
}

func TestTheSchemaTakesWhatTheReaderTakes(t *testing.T) {
	schema := compiledSchema(t)
	check := func(name string, data []byte) {
		t.Helper()
		var value any
		if err := yaml.Unmarshal(data, &value); err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(textKeys(value)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, path := range []string{"testdata/contract.yaml", "../mtatap.example.yaml"} {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		check(path, data)
	}
	check("the example with every setting turned on", everySetting(t))
	for name, text := range map[string]string{
		"variables of any type": `{sources: [{path: "${LOG}"}], batch: {events: "${N}", linger: "${T}", bytes: "${B}"}, sinks: {stdout: {required: "${R}"}}, log: {level: "${L}"}}`,
		"names of one's own":    `{sources: [{path: a.log}], sinks: {backup: {kind: file, path: /b}, file: {kind: kafka, brokers: ["[::1]:9092"]}}}`,
		"sizes and times":       `{sources: [{path: a.log}], max_line_bytes: 64kB, rotate_wait: 1h1.5m, batch: {linger: 0}, sinks: {stdout: {}}}`,
	} {
		check(name, []byte(text))
	}
}

func TestTheSchemaIsTheSameInEveryTimeZone(t *testing.T) {
	here, err := json.Marshal(Schema())
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, local := time.FixedZone("Pacific/Chatham", 45900), time.Local
	t.Cleanup(func() { time.Local = local })
	time.Local = elsewhere
	there, err := json.Marshal(Schema())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(here, []byte(`"default":"Local"`)) || !bytes.Equal(here, there) {
		t.Errorf("the schema depends on the zone it is printed in:\n%s\n%s", here, there)
	}
}

func TestTheSchemaRefusesSettingsOfAnotherKindOfSink(t *testing.T) {
	schema := compiledSchema(t)
	for name, text := range map[string]string{
		"a key of kafka in a file":     `{sources: [{path: a}], sinks: {file: {path: /b, topic: x}}}`,
		"a sink of no kind":            `{sources: [{path: a}], sinks: {backup: {path: /b}}}`,
		"a file that is named kafka":   `{sources: [{path: a}], sinks: {kafka: {kind: file, brokers: ["a:1"]}}}`,
		"a name with capitals":         `{sources: [{path: a}], sinks: {Backup: {kind: stdout}}}`,
		"a webhook without an address": `{sources: [{path: a}], sinks: {webhook: {}}}`,
		"hmac without its key":         `{sources: [{path: a}], sinks: {stdout: {}}, privacy: {addresses: hmac}}`,
		"a certificate without key":    `{sources: [{path: a}], sinks: {webhook: {url: "https://x/", tls: {cert_file: /c}}}}`,
	} {
		var value any
		if err := yaml.Unmarshal([]byte(text), &value); err != nil {
			t.Fatal(err)
		}
		if schema.Validate(value) == nil {
			t.Errorf("%s is taken", name)
		}
		if _, err := Parse("x.yaml", []byte(text), nil); err == nil {
			t.Errorf("%s is taken by the reader", name)
		}
	}
}

func TestEverySettingIsExplained(t *testing.T) {
	seen := 0
	var walk func(path string, n *jsonschemas.Node)
	walk = func(path string, n *jsonschemas.Node) {
		for _, p := range slices.Concat(n.Properties, n.Defs) {
			seen++
			if p.Node.Description == "" && p.Node.If == nil && path != ".sinks.additionalProperties" {
				t.Errorf("%s.%s: say what it is for with about", path, p.Name)
			}
			walk(path+"."+p.Name, p.Node)
		}
		if n.Items != nil {
			walk(path+"[]", n.Items)
		}
		if a, ok := n.Additional.(*jsonschemas.Node); ok {
			walk(path+".additionalProperties", a)
		}
	}
	walk("", Schema())
	if seen < 60 {
		t.Errorf("only %d settings", seen)
	}
}

// everySetting is the example with all its settings turned on.
func everySetting(t *testing.T) []byte {
	t.Helper()
	data, err := os.ReadFile("../mtatap.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(`(?m)^( *)#(\S)`).ReplaceAll(data, []byte("$1$2"))
}

// textKeys makes the keys of mappings texts, as JSON has them.
func textKeys(value any) any {
	switch v := value.(type) {
	case map[any]any:
		m := map[string]any{}
		for k, item := range v {
			if text, err := yaml.Marshal(k); err == nil {
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
	text, err := Schema().Text()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("urn:mtatap:config:1", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("urn:mtatap:config:1")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}
