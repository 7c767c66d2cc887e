package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
)

// row is one measured line of the table of targets.
type row struct {
	what, measured, target, verdict, how string
}

// verdict says whether a target is met.
func verdict(met bool) string {
	if met {
		return "yes"
	}
	return "**no**"
}

const (
	targetsHead = "| what | measured | target | met | measured by |\n|---|---|---|---|---|\n"
)

func (r row) String() string {
	return fmt.Sprintf("| %s | %s | %s | %s | %s |\n", r.what, r.measured, r.target, r.verdict, r.how)
}

// replaceRows puts rows into the table between the marks of name in the document
// at path: in place of the row for the same thing, or at the end.
func replaceRows(path, name string, rows []row) error {
	return edit(path, name, func(old string) string {
		var lines []string
		for line := range strings.Lines(strings.TrimPrefix(old, targetsHead)) {
			if strings.HasPrefix(line, "| ") {
				lines = append(lines, line)
			}
		}
	next:
		for _, r := range rows {
			for i, line := range lines {
				if strings.HasPrefix(line, "| "+r.what+" |") {
					lines[i] = r.String()
					continue next
				}
			}
			lines = append(lines, r.String())
		}
		return targetsHead + strings.Join(lines, "")
	})
}

// replaceText puts text between the marks of name in the document at path.
func replaceText(path, name, text string) error {
	return edit(path, name, func(string) string { return text })
}

func edit(path, name string, change func(old string) string) error {
	document, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read document: %w", err)
	}
	open, closing := []byte("<!-- measured: "+name+" -->\n"), []byte("<!-- end -->\n")
	before, rest, found := bytes.Cut(document, open)
	old, after, closed := bytes.Cut(rest, closing)
	if !found || !closed {
		return fmt.Errorf("edit %s: there is no place for %q", path, name)
	}
	text := bytes.Join([][]byte{before, open, []byte(change(string(old))), closing, after}, nil)
	if err := os.WriteFile(path, text, 0o644); err != nil {
		return fmt.Errorf("write document: %w", err)
	}
	return nil
}
