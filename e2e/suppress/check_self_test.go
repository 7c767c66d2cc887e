//go:build e2e

package suppress

import (
	"maps"
	"strings"
	"testing"
)

// A check that cannot fail shows nothing.
func TestTheComparisonOfTablesSeesEveryDifference(t *testing.T) {
	const n = 20_000
	want := oracle(t, n, traffic(n, n/5, 1))
	again := oracle(t, n, traffic(n, n/5, 1))
	if wrong := differences(again, want); len(wrong) > 0 {
		t.Errorf("the same traffic gives other decisions: %s", wrong[0])
	}
	converted, lost := 0, oracle(t, n-n/10, traffic(n, n/5, 1)) // the last tenth of the events never came
	var somebody string
	for address, record := range want {
		somebody = address
		if strings.Contains(record, `"cause":"conversion"`) {
			converted++
		}
	}
	if converted < 50 || len(want)-converted < 50 {
		t.Errorf("%d of %d suppressed are converted: the traffic says too little", converted, len(want))
	}
	if len(differences(lost, want)) == 0 {
		t.Error("lost events change nothing")
	}
	for what, change := range map[string]func(map[string]string){
		"nobody":                 func(m map[string]string) { clear(m) },
		"one recipient too few":  func(m map[string]string) { delete(m, somebody) },
		"one recipient too many": func(m map[string]string) { m["user.x@example.org"] = want[somebody] },
		"another failure as evidence": func(m map[string]string) {
			m[somebody] = strings.Replace(m[somebody], `"id":"`, `"id":"0`, 1)
		},
		"another time": func(m map[string]string) {
			m[somebody] = strings.Replace(m[somebody], `"since":"2026`, `"since":"2027`, 1)
		},
	} {
		got := maps.Clone(want)
		change(got)
		if len(differences(got, want)) == 0 {
			t.Errorf("%s: not seen", what)
		}
	}
}
