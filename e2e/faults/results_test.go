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

// results are those of the scenarios that passed.
type results struct {
	mu   sync.Mutex
	rows map[string]result
}

func newResults() *results { return &results{rows: map[string]result{}} }

func (r *results) add(promise, scenario string, m result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rows[promise+"\n"+scenario] = m
}

// table returns the results in Markdown.
func (r *results) table() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	b.WriteString("| scenario | logged | delivered | lost | repeated | memory, MiB | CPU, s |\n|---|--:|--:|--:|--:|--:|--:|\n")
	for _, p := range promises() {
		fmt.Fprintf(&b, "| **%s** | | | | | | |\n", p.name)
		for _, s := range p.scenarios {
			if m, ok := r.rows[p.name+"\n"+s.name]; ok {
				fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %.0f | %.1f |\n", s.name, m.written, m.delivered, m.lost, m.doubles, m.peak, m.cpu.Seconds())
			}
		}
	}
	return b.String()
}

// write puts the table into the document, which needs all scenarios to have
// passed. It is called when the test is over, so it never ends it.
func (r *results) write(t *testing.T) {
	t.Helper()
	for _, p := range promises() {
		for _, s := range p.scenarios {
			if _, ok := r.rows[p.name+"\n"+s.name]; !ok {
				t.Errorf("the table is not written: no result of %q", s.name)
				return
			}
		}
	}
	text, err := os.ReadFile(document)
	if err != nil {
		t.Error(err)
		return
	}
	before, _, found := strings.Cut(string(text), tableBegin)
	_, after, ended := strings.Cut(string(text), tableEnd)
	if !found || !ended {
		t.Errorf("%s lacks the marks of the table", document)
		return
	}
	if err := os.WriteFile(document, []byte(before+tableBegin+"\n"+r.table()+tableEnd+after), 0o644); err != nil {
		t.Error(err)
	}
}
