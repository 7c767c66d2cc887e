//go:build e2e

package faults

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"mtatap/e2e/lab"
)

func reloaded(r *rig) {
	t, s, log := r.t, r.sidecar, r.log
	rules := filepath.Join(s.dir, "rules.yaml")
	s.settings["rules"] = rules
	writeRules := func(id, expression string) {
		t.Helper()
		const text = "schema: 1\nversion: %q\nextends: default\nrules:\n  - id: %s\n    regex: '%s'\n    category: hard\n    reason: user-unknown\n    examples: [\"550 5.1.1 S0000000 no such user here\"]\n"
		if err := os.WriteFile(rules, fmt.Appendf(nil, text, id, id, expression), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const good, bad, badLine = `S\d+ no such user`, `S(\d+ no such user`, "rules.yaml:6"
	inUse := func(loaded float64, version string) func() bool {
		return func() bool {
			return s.metric("mtatap_rules_last_reload_successful") == loaded && s.metric("mtatap_rules_info", `version="`+version+`"`) == 1
		}
	}
	published := func() float64 { return s.metric("mtatap_sink_events_total", `sink="metrics"`) }
	awaitTraffic := func() {
		t.Helper()
		before := published()
		s.await(10*time.Second, "traffic goes on", func() bool { return published() > before+300 })
	}
	post := func(want int) string {
		t.Helper()
		body, code, err := s.request(http.MethodPost, "/-/reload")
		if err != nil || code != want {
			t.Errorf("POST /-/reload: %d %q, %v, want %d", code, body, err, want)
		}
		return body
	}

	writeRules("e2e-one", good)
	log.start()
	s.start()
	awaitTraffic()

	writeRules("e2e-bad", bad)
	s.signal(syscall.SIGHUP)
	s.awaitLog(5*time.Second, "level=ERROR", badLine)
	s.await(5*time.Second, "the gauge is 0 and the old rules are there", inUse(0, "e2e-one"))
	awaitTraffic()
	writeRules("e2e-two", good)
	s.signal(syscall.SIGHUP)
	s.await(5*time.Second, "the gauge is 1 and the new rules are there", inUse(1, "e2e-two"))
	awaitTraffic()

	writeRules("e2e-bad", bad)
	if body := post(http.StatusInternalServerError); !strings.Contains(body, badLine) {
		t.Errorf("the answer to a bad reload lacks %s: %q", badLine, body)
	}
	s.await(time.Second, "the gauge is 0 and the old rules are there", inUse(0, "e2e-two"))
	awaitTraffic()
	if err := os.Remove(rules); err != nil {
		t.Fatal(err)
	}
	post(http.StatusInternalServerError)
	s.await(time.Second, "the gauge is 0 and the old rules are there", inUse(0, "e2e-two"))
	writeRules("e2e-three", good)
	post(http.StatusOK)
	s.await(time.Second, "the gauge is 1 and the new rules are there", inUse(1, "e2e-three"))
	if _, code, _ := s.request(http.MethodGet, "/-/reload"); code != http.StatusMethodNotAllowed {
		t.Errorf("GET /-/reload: %d", code)
	}
	awaitTraffic()

	r.expect.unreplayed = true // a replay knows one rule set only
	r.settle()
	for _, records := range r.read() {
		checkRulesInTurn(t, records, "e2e-one", "e2e-two", "e2e-three")
	}
	if n := r.measured.doubles; n != 0 {
		t.Errorf("%d doubles", n)
	}
}

// checkRulesInTurn fails unless, by their place in the log, the refusals were
// decided by each of the rules for a while, one after the other.
func checkRulesInTurn(t *testing.T, records []lab.KafkaRecord, rules ...string) {
	t.Helper()
	var refusals []*topicEvent
	for _, r := range records {
		if p, err := decodeEvent(r.Value); err == nil && p.Status == "bounced" {
			refusals = append(refusals, p)
		}
	}
	slices.SortFunc(refusals, func(a, b *topicEvent) int { return int(a.Source.Offset - b.Source.Offset) })
	var turns []string
	for _, p := range refusals {
		if len(turns) == 0 || turns[len(turns)-1] != p.Rule {
			turns = append(turns, p.Rule)
		}
	}
	if !slices.Equal(turns, rules) {
		t.Errorf("refusals were decided by %q in turn, want %q", turns[:min(len(turns), 10)], rules)
	}
}
