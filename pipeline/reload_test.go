package pipeline

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"mtatap/event"
	"mtatap/rules"
)

// versionChecker is a sink that compares the set that an event names with the
// verdict, of which the reason is the name of the set.
type versionChecker struct {
	names map[string]string // by rules version
	seen  map[string]int
	wrong int
	first string // of the wrong ones
}

func (c *versionChecker) Write(_ context.Context, events []*event.Event) error {
	for _, e := range events {
		c.seen[e.Reason]++
		if c.names[e.RulesVersion] != e.Reason {
			if c.wrong++; c.first == "" {
				c.first = fmt.Sprintf("rules %.8s gave %q", e.RulesVersion, e.Reason)
			}
		}
	}
	return nil
}

func (c *versionChecker) Close() error { return nil }

func TestEachEventIsDecidedByTheRulesThatItNames(t *testing.T) {
	const text = `schema: 1
version: %[1]s
categories:
  general: {type: soft, compat: 20, action: watch}
  transient: {type: soft, compat: 70, action: retry}
  delivered: {type: none, compat: 1, action: none}
rules: [{id: probe, category: general, reason: %[1]s, status: bounced}]
`
	sink := &versionChecker{names: map[string]string{}, seen: map[string]int{}}
	var sets []*rules.Set
	for _, name := range []string{"one", "two"} {
		set, err := rules.Parse(name, fmt.Appendf(nil, text, name), nil)
		if err != nil {
			t.Fatal(err)
		}
		sets, sink.names[set.SHA256()] = append(sets, set), name
	}
	p := newBench(t, nil, Sink{Name: "check", Writer: sink, Required: true})
	p.SetRules(sets[0])
	p.limits.Events = 100
	in := &input{}
	const chunks, lines = 60, 250
	var names []string
	for i := range lines {
		names = append(names, fmt.Sprint("to a", i))
	}
	for range chunks {
		in.chunks = append(in.chunks, chunk(names...))
	}
	ctx, stop := context.WithCancel(t.Context())
	var reloading sync.WaitGroup
	reloading.Go(func() {
		for i := 1; ctx.Err() == nil; i++ {
			p.SetRules(sets[i%2])
		}
	})
	err := p.Replay(ctx, []Recording{{Name: "log", Open: func() (Finished, error) { return in, nil }, Parser: openToParser}})
	stop()
	reloading.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if sink.wrong > 0 {
		t.Errorf("%d events name other rules than those that decided, such as %s", sink.wrong, sink.first)
	}
	if all := sink.seen["one"] + sink.seen["two"]; all != chunks*lines+1 || sink.seen["one"] == 0 || sink.seen["two"] == 0 {
		t.Errorf("events by rules: %v, want %d in all", sink.seen, chunks*lines+1)
	}
}
