package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// mayImport is the direction of dependencies: what each package may import of
// this module. A package that is not listed may import nothing of it.
var mayImport = map[string][]string{
	".":        {"cli"},
	"report":   {"event", "rules", "rules/review"},
	"cli":      {"report", "config", "event", "host", "manual", "parsers", "pipeline", "privacy", "rules", "rules/review", "schema", "sinks", "suppress", "suppress/cluster", "suppress/local", "suppress/store", "tailers"},
	"manual":   {"schema"},
	"pipeline": {"event", "parsers", "rules", "tailers"},
	"sinks":    {"config", "event"},
	"privacy":  {"config", "event"},
	"suppress": {"event", "rules"},

	"suppress/store":   {},
	"suppress/local":   {"event", "suppress", "suppress/store"},
	"suppress/cluster": {"suppress", "suppress/store"},

	"config":  {"parsers", "schema"},
	"host":    {"event", "parsers"},
	"schema":  {},
	"parsers": {"event"},
	"rules":   {"event"},
	"tailers": {"event"},
	"event":   {},
	"e2e":     {"e2e/lab"},
	"e2e/lab": {"e2e/port", "event"},

	"e2e/port":     {},
	"e2e/suppress": {"e2e/lab"},
	"e2e/firstrun": {},

	"bench":        {"bench/logs", "e2e/port"},
	"testdata":     {},
	"grafana":      {},
	"packaging":    {},
	"e2e/packages": {"e2e/lab"},
	"e2e/security": {"e2e/lab"},

	"rules/review":   {"event", "rules"},
	"bench/generate": {"bench/logs"},

	"examples/suppressed": {},
}

func TestDependenciesPointOneWay(t *testing.T) {
	eachGoFile(t, func(path string) {
		if strings.HasSuffix(path, "_test.go") {
			return // a test may look at its neighbours
		}
		dir := filepath.ToSlash(filepath.Dir(path))
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range file.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if own, ok := strings.CutPrefix(name, "mtatap/"); ok && !slices.Contains(mayImport[dir], own) {
				t.Errorf("%s imports %s: %s may import only %v", path, own, dir, mayImport[dir])
			}
		}
	})
}

// What a package is for, and what it must leave to others, stands in its comment.
func TestEveryPackageSaysItsDutyAndWhatItMustNeverDo(t *testing.T) {
	comments := map[string]string{}
	eachGoFile(t, func(path string) {
		dir := filepath.ToSlash(filepath.Dir(path))
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		comments[dir] += file.Doc.Text()
	})
	for dir, text := range comments {
		begins := "Package " + path.Base(dir) + " "
		if dir == "." {
			begins = "Command mtatap "
		}
		if n := len(strings.Fields(text)); !strings.HasPrefix(text, begins) && !strings.HasPrefix(text, "Command "+path.Base(dir)+" ") || n < 15 {
			t.Errorf("%s: the package comment begins with %.40q and has %d words; say what its duty is", dir, text, n)
		}
		if !strings.Contains(text, "never") {
			t.Errorf("%s: the package comment does not say what the package must never do", dir)
		}
	}
}

func TestNoGoFileIsLongerThanFiveHundredLines(t *testing.T) {
	eachGoFile(t, func(path string) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(text), "\n"); n > 500 {
			t.Errorf("%s has %d lines: is there a second duty in it?", path, n)
		}
	})
}

func eachGoFile(t *testing.T, f func(path string)) {
	t.Helper()
	seen := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != "." {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, ".go") {
			seen++
			f(path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 10 {
		t.Fatalf("only %d Go files seen", seen)
	}
}
