package sinks

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"mtatap/event"
)

func smallLabels() Labels {
	return Labels{
		MTAs:       []event.MTA{"postfix"},
		Categories: []event.Category{event.CategoryDelivered, event.CategoryHard},
		Providers:  []string{"google"},
		Rules:      []string{"google-full"},
		Rejects:    true,
	}
}

func newTestMetrics(t testing.TB) (*Metrics, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	m, err := NewMetrics(reg, smallLabels())
	if err != nil {
		t.Fatal(err)
	}
	return m, reg
}

func verdict(status event.Status, category event.Category, provider, rule string) *event.Event {
	return &event.Event{
		Delivery: event.Delivery{MTA: "postfix", Status: status, Delay: event.KnownSeconds(3)},
		Verdict:  event.Verdict{Category: category, Rule: rule},
		Provider: provider,
	}
}

func expect(t *testing.T, reg *prometheus.Registry, want, name string) {
	t.Helper()
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), name); err != nil {
		t.Error(err)
	}
}

func TestMetricsOfWhatMayOccurBeginWithItsFirstEvent(t *testing.T) {
	reg := prometheus.NewRegistry()
	labels := smallLabels()
	labels.MTAs, labels.Possible, labels.Rejects = nil, []event.MTA{"postfix", "exim"}, false
	m, err := NewMetrics(reg, labels)
	if err != nil {
		t.Fatal(err)
	}
	if n := testutil.CollectAndCount(m.events); n != 0 {
		t.Errorf("%d series before the first event", n)
	}
	if err := m.Write(t.Context(), []*event.Event{verdict(event.Bounced, event.CategoryHard, "google", "google-full")}); err != nil {
		t.Fatal(err)
	}
	// Delivered, and hard as bounced, deferred, expired, for two providers.
	if n := testutil.CollectAndCount(m.events); n != 8 {
		t.Errorf("%d series after the first event", n)
	}
	m.Adopt(labels)
	if n := testutil.CollectAndCount(m.events); n != 8 {
		t.Errorf("%d series after a reload", n)
	}
}

func TestMetricsBeginAtZeroForWhatCanOccur(t *testing.T) {
	_, reg := newTestMetrics(t)
	expect(t, reg, `
# HELP mtatap_events_total Outcomes of delivery attempts, one for each recipient.
# TYPE mtatap_events_total counter
mtatap_events_total{category="delivered",mta="postfix",provider="google",status="delivered"} 0
mtatap_events_total{category="delivered",mta="postfix",provider="other",status="delivered"} 0
mtatap_events_total{category="hard",mta="postfix",provider="google",status="bounced"} 0
mtatap_events_total{category="hard",mta="postfix",provider="google",status="deferred"} 0
mtatap_events_total{category="hard",mta="postfix",provider="google",status="expired"} 0
mtatap_events_total{category="hard",mta="postfix",provider="google",status="rejected"} 0
mtatap_events_total{category="hard",mta="postfix",provider="other",status="bounced"} 0
mtatap_events_total{category="hard",mta="postfix",provider="other",status="deferred"} 0
mtatap_events_total{category="hard",mta="postfix",provider="other",status="expired"} 0
mtatap_events_total{category="hard",mta="postfix",provider="other",status="rejected"} 0
`, "mtatap_events_total")
	expect(t, reg, `
# HELP mtatap_rule_hits_total Events decided by a rule. Decisions by code tables count as enhanced and reply.
# TYPE mtatap_rule_hits_total counter
mtatap_rule_hits_total{rule="default"} 0
mtatap_rule_hits_total{rule="enhanced"} 0
mtatap_rule_hits_total{rule="google-full"} 0
mtatap_rule_hits_total{rule="reply"} 0
`, "mtatap_rule_hits_total")
	problems, err := testutil.GatherAndLint(reg)
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v %v", problems, err)
	}
}

func TestMetricsCountEvents(t *testing.T) {
	m, reg := newTestMetrics(t)
	hostile := verdict(event.Bounced, "\xff", "evil\xfe", "rule\xff")
	hostile.MTA = "sendmail\xff"
	err := m.Write(t.Context(), []*event.Event{
		verdict(event.Delivered, event.CategoryDelivered, "google", "default"),
		verdict(event.Bounced, event.CategoryHard, "google", "google-full"),
		verdict(event.Bounced, event.CategoryHard, "google", "enhanced:5.1.1"),
		verdict(event.Deferred, event.CategoryHard, "unheard-of", "reply:450"),
		verdict(event.Deferred, event.CategoryHard, "google", "default"),
		verdict(event.StatusUnknown, event.CategoryHard, "google", "google-full"),
		hostile,
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		series prometheus.Counter
		want   float64
	}{
		"bounced":                {m.events.WithLabelValues("postfix", "bounced", "hard", "google"), 2},
		"unknown status":         {m.events.WithLabelValues("postfix", "other", "hard", "google"), 1},
		"unknown provider":       {m.events.WithLabelValues("postfix", "deferred", "hard", "other"), 1},
		"unknown everything":     {m.events.WithLabelValues("other", "bounced", "other", "other"), 1},
		"unclassified by google": {m.unclassified.WithLabelValues("postfix", "google"), 2},
		"unclassified by others": {m.unclassified.WithLabelValues("postfix", "other"), 1},
		"hits of a rule":         {m.ruleHits.WithLabelValues("google-full"), 2},
		"hits of the default":    {m.ruleHits.WithLabelValues("default"), 2},
		"hits of unknown rules":  {m.ruleHits.WithLabelValues("other"), 1},
	} {
		if got := testutil.ToFloat64(c.series); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "mtatap_delivery_delay_seconds" {
			continue
		}
		var count uint64
		for _, s := range f.GetMetric() {
			count += s.GetHistogram().GetSampleCount()
		}
		if count != 1 {
			t.Errorf("%d delays observed, want that of the delivered one", count)
		}
	}
}

func TestMetricsAdoptNewRules(t *testing.T) {
	m, reg := newTestMetrics(t)
	old := verdict(event.Bounced, event.CategoryHard, "google", "google-full")
	if err := m.Write(t.Context(), []*event.Event{old}); err != nil {
		t.Fatal(err)
	}
	m.Adopt(Labels{
		MTAs:       []event.MTA{"postfix"},
		Categories: []event.Category{event.CategoryDelivered, "own"},
		Providers:  []string{"yahoo"},
		Rules:      []string{"yahoo-full"},
	})
	if err := m.Write(t.Context(), []*event.Event{old}); err != nil {
		t.Fatal(err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, f := range families {
		for _, s := range f.GetMetric() {
			for _, l := range s.GetLabel() {
				seen[l.GetName()+"="+l.GetValue()] = true
			}
		}
	}
	for _, gone := range []string{"provider=google", "category=hard", "rule=google-full"} {
		if seen[gone] {
			t.Errorf("%s is still there", gone)
		}
	}
	for _, here := range []string{"provider=yahoo", "category=own", "rule=yahoo-full", "category=other"} {
		if !seen[here] {
			t.Errorf("%s is not there", here)
		}
	}
	if got := testutil.ToFloat64(m.events.WithLabelValues("postfix", "bounced", "other", "other")); got != 1 {
		t.Errorf("an event of the old rules counted %v as other", got)
	}
}

func TestNewMetricsFailsOnASecondRegistration(t *testing.T) {
	_, reg := newTestMetrics(t)
	if _, err := NewMetrics(reg, smallLabels()); err == nil {
		t.Error("no error")
	}
}

func BenchmarkMetricsWrite(b *testing.B) {
	m, _ := newTestMetrics(b)
	events := []*event.Event{
		verdict(event.Delivered, event.CategoryDelivered, "google", "default"),
		verdict(event.Bounced, event.CategoryHard, "google", "google-full"),
	}
	b.ReportAllocs()
	for b.Loop() {
		_ = m.Write(b.Context(), events)
	}
}
