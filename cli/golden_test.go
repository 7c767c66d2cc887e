package cli

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"mtatap/event"
)

var update = flag.Bool("update", false, "write what replay prints now into the golden files")

// changing are the fields that differ from run to run or with each rule change:
// a line without a time of its own has that of its reading.
var changing = regexp.MustCompile(`"(?:time":"[^"]*","observed_time":"[^"]*","time_source|observed_time|rules_version)":"[^"]*"`)

// TestReplayOfEachSampleLogGivesItsGoldenEvents replays every log of testdata and
// compares the events, line by line, with the golden file beside it.
func TestReplayOfEachSampleLogGivesItsGoldenEvents(t *testing.T) {
	logs, err := filepath.Glob("../testdata/*/*.log")
	if err != nil || len(logs) == 0 {
		t.Fatalf("no sample logs: %v", err)
	}
	schema := eventSchema(t)
	for _, log := range logs {
		name := strings.TrimPrefix(filepath.ToSlash(log), "../testdata/")
		t.Run(name, func(t *testing.T) {
			t.Chdir("../testdata")
			var stdout, stderr bytes.Buffer
			code := Main(t.Context(), []string{"replay", "--timezone", "UTC", "--reference-time", "2026-12-31T00:00:00Z", name}, testEnvironment(t, "", &stdout, &stderr))
			if code != exitFine {
				t.Fatalf("exit code %d: %s", code, stderr.String())
			}
			got := changing.ReplaceAll(stdout.Bytes(), []byte(`"...":"..."`))
			golden := strings.TrimSuffix(name, ".log") + ".golden.ndjson"
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			compareLines(t, golden, got)
			checkSchema(t, schema, stdout.Bytes())
		})
	}
}

func compareLines(t *testing.T, golden string, got []byte) {
	t.Helper()
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	wantLines, gotLines := strings.Split(string(want), "\n"), strings.Split(string(got), "\n")
	for i := range max(len(wantLines), len(gotLines)) {
		w, g := lineAt(wantLines, i), lineAt(gotLines, i)
		if w != g {
			at := 0
			for at < min(len(w), len(g)) && w[at] == g[at] {
				at++
			}
			at = max(0, at-60)
			t.Errorf("%s:%d differs; after a look, go test ./cli -update takes the new one\n got ...%.200s\nwant ...%.200s", golden, i+1, g[min(at, len(g)):], w[min(at, len(w)):])
			return
		}
	}
}

func lineAt(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "(nothing)"
}

func eventSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(event.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("urn:mtatap:event:1", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("urn:mtatap:event:1")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func checkSchema(t *testing.T, schema *jsonschema.Schema, events []byte) {
	t.Helper()
	for i, line := range bytes.Split(bytes.TrimSpace(events), []byte("\n")) {
		e, err := jsonschema.UnmarshalJSON(bytes.NewReader(line))
		if err != nil {
			t.Fatalf("event %d is not JSON: %v", i+1, err)
		}
		if err := schema.Validate(e); err != nil {
			t.Errorf("event %d is not of the schema: %v\n%s", i+1, err, line)
		}
	}
}

// testEnvironment is an environment with the default rules and no variables.
func testEnvironment(t testing.TB, stdin string, stdout, stderr *bytes.Buffer) Environment {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root(t), "rules.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return Environment{Rules: data, Stdin: strings.NewReader(stdin), Stdout: stdout, Stderr: stderr,
		Getenv: func(string) (string, bool) { return "", false }}
}

// root returns the folder of go.mod.
func root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.mod above " + dir)
		}
		dir = parent
	}
}
