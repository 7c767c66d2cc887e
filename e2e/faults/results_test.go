//go:build e2e

package faults

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// result is what came of a scenario.
type result struct {
	written   int // outcomes
	delivered int // of them, at the sink that got fewest
	lost      int
	doubles   int
	peak      float64       // MiB of resident memory
	cpu       time.Duration // of all processes
}

// results are those of the scenarios that ran, nil of one that failed.
type results struct {
	mu   sync.Mutex
	rows map[string]*result
}

func newResults() *results { return &results{rows: map[string]*result{}} }

func (r *results) add(scenario string, m *result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rows[scenario] = m
}

// table returns the results in Markdown, with the rows of old, by scenario, of
// those that did not run.
func (r *results) table(old map[string]string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	b.WriteString("| scenario | logged | delivered | lost | repeated | memory, MiB | CPU, s |\n|---|--:|--:|--:|--:|--:|--:|\n")
	for _, p := range promises() {
		fmt.Fprintf(&b, "| **%s** | | | | | | |\n", p.name)
		for _, s := range p.scenarios {
			m, ran := r.rows[s.name]
			switch {
			case m != nil:
				fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %.0f | %.1f |\n", s.name, m.written, m.delivered, m.lost, m.doubles, m.peak, m.cpu.Seconds())
			case !ran:
				b.WriteString(old[s.name])
			}
		}
	}
	return b.String()
}

// write puts the table into the document. It is called when the test is over,
// so it never ends it.
func (r *results) write(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Error(err)
		return
	}
	before, table, found := strings.Cut(string(text), tableBegin)
	table, after, ended := strings.Cut(table, tableEnd)
	if !found || !ended {
		t.Errorf("%s lacks the marks of the table", document)
		return
	}
	old := map[string]string{}
	for row := range strings.Lines(table) {
		if cells := strings.Split(row, "|"); len(cells) > 1 {
			old[strings.TrimSpace(cells[1])] = row
		}
	}
	if err := os.WriteFile(document, []byte(before+tableBegin+"\n"+r.table(old)+tableEnd+after), 0o644); err != nil {
		t.Error(err)
	}
}
