package pipeline

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Ready returns nil while the pipeline does its work: it follows its logs, every
// required sink has answered once and takes what it is given, and no source is
// further behind than maxLag. Otherwise the error says what is wrong. Safe from any goroutine.
func (p *Pipeline) Ready(maxLag time.Duration) error {
	f := p.lag.current()
	if f == nil {
		return fmt.Errorf("logs are not open yet")
	}
	for _, o := range p.outlets {
		if err := o.trouble(p.now()); o.Required && err != nil {
			return fmt.Errorf("sink %s %w", o.Name, err)
		}
	}
	for source, lag := range f.lags() {
		if lag.since > maxLag {
			return fmt.Errorf("source %s is %s behind%s", source, lag.since.Round(time.Second), lag.size())
		}
	}
	return nil
}

// Status is how a pipeline does, for people to look at.
type Status struct {
	Rules     string // version of the rule set
	RuleCount int
	Sources   []SourceStatus // by name
	Sinks     []SinkStatus   // in the order of the configuration
}

// SourceStatus is how far a source is behind.
type SourceStatus struct {
	Name     string
	Files    int // 0 for a journal
	Lag      time.Duration
	LagBytes int64 // -1 where nobody knows: of a journal
}

// SinkStatus says whether a sink takes events; Trouble says why not.
type SinkStatus struct {
	Name     string
	Required bool
	Trouble  string
}

// Status returns how the pipeline does now. Safe from any goroutine.
func (p *Pipeline) Status() Status {
	set := p.Rules()
	s := Status{Rules: set.Version(), RuleCount: len(set.RuleIDs())}
	for _, o := range p.outlets {
		sink := SinkStatus{Name: o.Name, Required: o.Required}
		if err := o.trouble(p.now()); err != nil {
			sink.Trouble = err.Error()
		}
		s.Sinks = append(s.Sinks, sink)
	}
	f := p.lag.current()
	if f == nil {
		return s
	}
	files := f.fileCounts()
	for source, lag := range f.lags() {
		status := SourceStatus{Name: source, Files: files[source], Lag: lag.since, LagBytes: lag.bytes}
		if !lag.sized {
			status.LagBytes = -1
		}
		s.Sources = append(s.Sources, status)
	}
	slices.SortFunc(s.Sources, func(a, b SourceStatus) int { return strings.Compare(a.Name, b.Name) })
	return s
}

// maxWrite is how long a required sink may be busy with one write before the
// pipeline is not ready.
const maxWrite = 10 * time.Second
