package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"mtatap/event"
	"mtatap/pipeline"
)

// summary counts what a replay found. It is written to as a sink and read when
// the replay has ended.
type summary struct {
	events     int
	statuses   map[event.Status]int
	categories map[event.Category]int
	reasons    map[reasonKey]int
}

type reasonKey struct {
	category event.Category
	reason   string
}

func newSummary() *summary {
	return &summary{statuses: map[event.Status]int{}, categories: map[event.Category]int{}, reasons: map[reasonKey]int{}}
}

// Write counts events; it never fails.
func (s *summary) Write(_ context.Context, events []*event.Event) error {
	s.events += len(events)
	for _, e := range events {
		s.statuses[e.Status]++
		s.categories[e.Category]++
		if e.Reason != "" {
			s.reasons[reasonKey{e.Category, e.Reason}]++
		}
	}
	return nil
}

func (s *summary) Close() error { return nil }

const topReasons = 10

// print writes the tables: lines and events, by status, by category, top reasons.
func (s *summary) print(w io.Writer, lines pipeline.Lines, took time.Duration) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name string, n int64) { fmt.Fprintf(t, "  %s\t%10d\n", name, n) }
	head := func(title string) { fmt.Fprintf(t, "%s\t\n", title) }

	head(fmt.Sprintf("read in %s", took.Round(time.Millisecond)))
	row("lines", lines.Read)
	row("events", int64(s.events))
	row("unparsed", lines.Unparsed)
	if lines.Cut > 0 {
		row("cut, too long", lines.Cut)
	}
	head("by status")
	for _, status := range event.Statuses() {
		if n := s.statuses[status]; n > 0 {
			row(status.String(), int64(n))
		}
	}
	head("by category")
	for _, c := range byCount(s.categories, func(a, b event.Category) int { return cmp.Compare(a, b) }) {
		row(string(c), int64(s.categories[c]))
	}
	if len(s.reasons) > 0 {
		head("top reasons")
		order := byCount(s.reasons, func(a, b reasonKey) int {
			return cmp.Or(cmp.Compare(a.category, b.category), cmp.Compare(a.reason, b.reason))
		})
		for _, k := range order[:min(len(order), topReasons)] {
			row(fmt.Sprintf("%s: %s", k.category, k.reason), int64(s.reasons[k]))
		}
	}
	return t.Flush()
}

// byCount returns the keys of m, the most frequent first, ties by compare.
func byCount[K comparable](m map[K]int, compare func(a, b K) int) []K {
	return slices.SortedFunc(maps.Keys(m), func(a, b K) int {
		return cmp.Or(cmp.Compare(m[b], m[a]), compare(a, b))
	})
}
