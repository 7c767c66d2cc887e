package docs

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"

	"mtatap/cli"
	"mtatap/config"
	"mtatap/event"
)

// foreign are the YAML files of other programs that pages show, by a key of theirs.
var foreign = []string{"scrape_configs"}

func TestEveryConfigurationAndRulesFilePassesCheck(t *testing.T) {
	h := newHost(t, "")
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			if b.language != "yaml" {
				continue
			}
			if err := checkYAML(h, b.text); err != nil {
				t.Errorf("%s:%d: %v", p.name, b.number, err)
			}
		}
	}
}

// checkYAML loads a configuration or a rules file, or a part of one; a whole rules
// file must not even give a warning.
func checkYAML(h *host, text string) error {
	var file any
	if err := yaml.Unmarshal([]byte(text), &file); err != nil {
		return err
	}
	keys, _ := file.(map[string]any)
	if _, isList := file.([]any); isList {
		text = "rules:\n" + text
		keys = map[string]any{"rules": file}
	}
	complete := func(key, text string) string {
		if _, has := keys[key]; has {
			return ""
		}
		return key + ": " + text + "\n"
	}
	whole := keys["extends"] != nil
	_, hasRules := keys["rules"].([]any)
	switch {
	case slices.ContainsFunc(foreign, func(key string) bool { return keys[key] != nil }):
		return nil
	case whole || hasRules:
		text += complete("schema", "1") + complete("version", "\"1\"") + complete("extends", "default")
		stdout, stderr, err := h.run("mtatap check --rules " + h.save("checked.yaml", text))
		if err != nil || whole && strings.Contains(stdout, "warning") {
			return fmt.Errorf("%v\n%s%s", err, stdout, stderr)
		}
		return nil
	}
	text += complete("sources", "[{path: /var/log/mail.log}]") + complete("sinks", "{stdout: {}}")
	_, err := config.Load(h.save("checked.yaml", text), func(name string) (string, bool) {
		return filepath.Join(h.root, "etc/mtatap/secrets"), name == "CREDENTIALS_DIRECTORY"
	})
	return err
}

// The end-to-end tests run the folder examples; pages show it as it is. The functions
// of the page on webhooks have a test of their own.
func TestEveryExampleIsShownAsItIs(t *testing.T) {
	shown := map[string]string{} // to the language
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			if p.name != webhookPage {
				shown[b.text] = b.language
			}
		}
	}
	files := 0
	err := filepath.WalkDir(filepath.Join(top, "examples"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "requirements.txt" {
			return err
		}
		files++
		text, err := os.ReadFile(path)
		if shown[string(text)] == "" {
			t.Errorf("no page shows %s as it is", path)
		}
		delete(shown, string(text))
		return err
	})
	if err != nil || files < 5 {
		t.Errorf("%d examples found: %v", files, err)
	}
	for text, language := range shown {
		if language == "go" || language == "python" {
			t.Errorf("a page shows a program that is no example:\n%s", clip(text))
		}
	}
}

// TestEveryEventIsOneOfTheSampleLogs compares the events that pages show with the
// golden event of the same id, and with the schema.
func TestEveryEventIsOneOfTheSampleLogs(t *testing.T) {
	golden := goldenEvents(t)
	schema := compileSchema(t, event.Schema())
	shown := 0
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			if b.language != "json" {
				continue
			}
			for d := json.NewDecoder(strings.NewReader(b.text)); ; {
				var raw json.RawMessage
				if err := d.Decode(&raw); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Errorf("%s:%d: %v", p.name, b.number, err)
					break
				}
				if !bytes.Contains(raw, []byte(`"schema_version"`)) || !bytes.Contains(raw, []byte(`"status"`)) {
					continue // no event
				}
				shown++
				doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
				if err != nil {
					t.Fatal(err)
				}
				if err := schema.Validate(doc); err != nil {
					t.Errorf("%s:%d: %v", p.name, b.number, err)
				}
				got := decodeEvent(t, raw)
				if want := golden[got["id"].(string)]; !maps.EqualFunc(got, want, equalJSON) {
					t.Errorf("%s:%d: the event is not that of the sample log:\n got %v\nwant %v", p.name, b.number, got, want)
				}
			}
		}
	}
	if shown < 2 {
		t.Errorf("only %d events are shown", shown)
	}
}

func goldenEvents(t *testing.T) map[string]map[string]any {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(top, "testdata/*/*.golden.ndjson"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no golden events: %v", err)
	}
	events := map[string]map[string]any{}
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		for s := bufio.NewScanner(f); s.Scan(); {
			e := decodeEvent(t, s.Bytes())
			events[e["id"].(string)] = e
		}
		f.Close()
	}
	return events
}

// decodeEvent leaves out what differs from run to run, or with each change of a
// rule; golden files hold "..." there.
func decodeEvent(t *testing.T, data []byte) map[string]any {
	t.Helper()
	var e map[string]any
	if err := json.Unmarshal(data, &e); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"...", "observed_time", "rules_version"} {
		delete(e, key)
	}
	if e["time_source"] == "observed" {
		delete(e, "time")
		delete(e, "time_source")
	}
	return e
}

func equalJSON(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

func compileSchema(t *testing.T, text string) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("urn:schema", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("urn:schema")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// mtatap runs a command that needs no host and gives what it prints.
func mtatap(t *testing.T, args ...string) string {
	t.Helper()
	rules, err := os.ReadFile(filepath.Join(top, "rules.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	env := cli.Environment{Rules: rules, Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr, Getenv: os.LookupEnv}
	if code := cli.Main(t.Context(), args, env); code != 0 {
		t.Fatalf("mtatap %v: exit code %d: %s", args, code, stderr.String())
	}
	return stdout.String()
}
