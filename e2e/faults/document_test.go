package faults

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
)

const (
	document   = "../../docs/reliability.md"
	tableBegin = "<!-- results: begin -->"
	tableEnd   = "<!-- results: end -->"
)

// The table is made by a run that takes minutes; whether it is complete can be
// seen at once.
func TestTheTableHasARowForEachScenario(t *testing.T) {
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(text), tableBegin)
	table, _, ended := strings.Cut(table, tableEnd)
	if !found || !ended {
		t.Fatalf("%s lacks the marks of the table", document)
	}
	var rows []string
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) == 9 && strings.TrimSpace(cells[2]) != "" && !strings.HasPrefix(cells[2], "--") && strings.TrimSpace(cells[1]) != "scenario" {
			rows = append(rows, strings.TrimSpace(cells[1]))
		}
	}
	names := scenarioNames(t)
	if len(names) < 40 {
		t.Errorf("only %d scenarios found", len(names))
	}
	for _, name := range names {
		if n := len(slices.DeleteFunc(slices.Clone(rows), func(row string) bool { return row != name })); n != 1 {
			t.Errorf("%d rows for the scenario %q; run with -update", n, name)
		}
	}
	for _, row := range rows {
		if !slices.Contains(names, row) {
			t.Errorf("no scenario for the row %q; run with -update", row)
		}
	}
}

// scenarioNames returns the names in all lists of scenarios of this folder.
func scenarioNames(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			list, ok := n.(*ast.CompositeLit)
			if !ok {
				return true
			}
			array, ok := list.Type.(*ast.ArrayType)
			if !ok {
				return true
			}
			if of, ok := array.Elt.(*ast.Ident); !ok || of.Name != "scenario" {
				return true
			}
			for _, element := range list.Elts {
				first, ok := element.(*ast.CompositeLit).Elts[0].(*ast.BasicLit)
				if !ok {
					t.Fatalf("%s: the name of a scenario is not a plain string", path)
				}
				name, err := strconv.Unquote(first.Value)
				if err != nil {
					t.Fatal(err)
				}
				names = append(names, name)
			}
			return true
		})
	}
	return names
}
