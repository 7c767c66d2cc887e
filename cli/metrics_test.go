package cli

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"mtatap/event"
	"mtatap/suppress/cluster"
)

// contract is what other programs rely on: every metric and its labels.
var contract = map[string]string{
	"mtatap_events_total":                                "category mta provider status",
	"mtatap_delivery_delay_seconds":                      "mta provider",
	"mtatap_lines_total":                                 "source",
	"mtatap_lines_unparsed_total":                        "mta program",
	"mtatap_unclassified_total":                          "mta provider",
	"mtatap_rule_hits_total":                             "rule",
	"mtatap_tail_lag_bytes":                              "source",
	"mtatap_tail_lag_seconds":                            "source",
	"mtatap_rotations_total":                             "source",
	"mtatap_tail_gaps_total":                             "kind source",
	"mtatap_lines_truncated_total":                       "source",
	"mtatap_sink_events_total":                           "sink",
	"mtatap_sink_errors_total":                           "sink",
	"mtatap_sink_queue_events":                           "sink",
	"mtatap_sink_write_seconds":                          "sink",
	"mtatap_sink_last_success_timestamp_seconds":         "sink",
	"mtatap_dead_letters_total":                          "cause sink",
	"mtatap_checkpoint_timestamp_seconds":                "",
	"mtatap_rules_last_reload_successful":                "",
	"mtatap_rules_last_reload_success_timestamp_seconds": "",
	"mtatap_rules_info":                                  "sha256 version",
	"mtatap_build_info":                                  "goversion revision version",
	// Beyond the contract.
	"mtatap_join_evictions_total":    "source",
	"mtatap_lines_not_tried_total":   "source",
	"mtatap_checkpoint_errors_total": "",
	// Of suppression.
	"mtatap_suppressed_total":                  "reason",
	"mtatap_suppression_conversions_total":     "",
	"mtatap_suppression_releases_total":        "cause",
	"mtatap_suppression_forgotten_total":       "",
	"mtatap_suppression_state_recipients":      "",
	"mtatap_suppression_state_bytes":           "",
	"mtatap_suppression_lag_events":            "partition",
	"mtatap_suppression_restore_seconds":       "",
	"mtatap_suppression_refused_records_total": "",
}

// meter is a service whose metrics a test reads.
type meter struct {
	*service
	t *testing.T
}

// newMeter builds the service of a configuration that follows log, and for each of
// formats another one, with a file sink.
func newMeter(t *testing.T, log string, formats ...string) meter {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "mtatap.yaml")
	var more strings.Builder
	for _, f := range formats {
		fmt.Fprintf(&more, "  - {path: %s, format: %s}\n", filepath.Join(dir, f+".log"), f)
	}
	text := fmt.Sprintf(`sources:
  - path: %s
    format: auto
    start: beginning
%sstate_dir: %s
sinks:
  file: {path: %s}
web: {listen_address: "127.0.0.1:0"}
suppress: {}
`, log, more.String(), filepath.Join(dir, "state"), filepath.Join(dir, "events.ndjson"))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return meter{built(t, path), t}
}

// built is the service that run makes of a configuration file.
func built(t *testing.T, config string) *service {
	t.Helper()
	env := testEnvironment(t, "", &bytes.Buffer{}, &bytes.Buffer{})
	cfg, err := loadConfig(config, env)
	if err != nil {
		t.Fatal(err)
	}
	set, err := loadRules("", env.Rules)
	if err != nil {
		t.Fatal(err)
	}
	s, err := (&run{env: env}).build(cfg, set, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

// scrape returns what /metrics shows of mtatap itself.
func (m meter) scrape() map[string]*dto.MetricFamily {
	m.t.Helper()
	return scrape(m.t, m.web.server.Handler)
}

func scrape(t *testing.T, handler http.Handler) map[string]*dto.MetricFamily {
	t.Helper()
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	maps.DeleteFunc(families, func(name string, _ *dto.MetricFamily) bool { return !strings.HasPrefix(name, "mtatap_") })
	return families
}

// series counts time series as Prometheus stores them.
func series(families map[string]*dto.MetricFamily) int {
	n := 0
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if h := m.GetHistogram(); h != nil {
				n += len(h.GetBucket()) + 2 // _sum and _count
			} else {
				n++
			}
		}
	}
	return n
}

func labelsOf(f *dto.MetricFamily) string {
	names := map[string]bool{}
	for _, m := range f.GetMetric() {
		for _, l := range m.GetLabel() {
			names[l.GetName()] = true
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(names)), " ")
}

// running returns the metrics of a service that has read a log with deliveries
// and a line that cannot be read.
func running(t *testing.T) map[string]*dto.MetricFamily {
	t.Helper()
	sample, err := os.ReadFile("../testdata/postfix/rfc3164.log")
	if err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(t.TempDir(), "mail.log")
	sample = append(sample, "Nov 23 18:43:06 mx postfix/smtp[372]: 4bQ9z1Xy2Z: to=<a@b.example, relay=none, status=sent\n"...)
	if err := os.WriteFile(log, sample, 0o600); err != nil {
		t.Fatal(err)
	}
	m := newMeter(t, log)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.serve(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		families := m.scrape()
		if families["mtatap_lines_unparsed_total"] != nil && families["mtatap_events_total"] != nil && families["mtatap_delivery_delay_seconds"] != nil && families["mtatap_unclassified_total"] != nil && families["mtatap_checkpoint_timestamp_seconds"].GetMetric()[0].GetGauge().GetValue() > 0 {
			return families
		}
		if time.Now().After(deadline) {
			t.Fatal("the line that cannot be read is never counted")
		}
	}
}

// everything is what /metrics shows of a run that reads a log and decides by itself,
// and besides what a processor on Kafka has that owns a partition.
func everything(t *testing.T) map[string]*dto.MetricFamily {
	t.Helper()
	registry := prometheus.NewRegistry()
	metrics, err := cluster.NewMetrics(registry, nil)
	if err != nil {
		t.Fatal(err)
	}
	metrics.Lag(0, 1)
	families := scrape(t, promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	maps.Copy(families, running(t))
	return families
}

func TestMetricsAreThoseOfTheContract(t *testing.T) {
	families := everything(t)
	for name, labels := range contract {
		if f := families[name]; f == nil {
			t.Errorf("%s is missing", name)
		} else if got := labelsOf(f); got != labels {
			t.Errorf("%s has labels %q, want %q", name, got, labels)
		}
	}
	var all []*dto.MetricFamily
	for name, f := range families {
		all = append(all, f)
		if _, ok := contract[name]; !ok {
			t.Errorf("%s is not in the contract", name)
		}
	}
	problems, err := promlint.NewWithMetricFamilies(all).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestEverySeriesThatAnAlertWaitsForBeginsAtZero(t *testing.T) {
	families := newMeter(t, filepath.Join(t.TempDir(), "none.log"), "exim").scrape()
	found := false
	for _, m := range families["mtatap_events_total"].GetMetric() {
		if m.GetCounter().GetValue() != 0 {
			t.Errorf("%v", m)
		}
		var labels []string
		for _, l := range m.GetLabel() {
			labels = append(labels, l.GetValue())
		}
		found = found || slices.Equal(labels, []string{"block-general", "exim", "microsoft", "bounced"})
	}
	if !found {
		t.Error("a first block of Exim's mail by Microsoft would not show as a rise")
	}
	for _, name := range []string{"mtatap_sink_errors_total", "mtatap_dead_letters_total", "mtatap_sink_events_total"} {
		if len(families[name].GetMetric()) == 0 {
			t.Errorf("%s does not begin at 0", name)
		}
	}
}

func TestHostileLogsDoNotAddSeries(t *testing.T) {
	m := newMeter(t, filepath.Join(t.TempDir(), "none.log"), "postfix", "exim", "haraka")
	before := series(m.scrape())
	events := make([]*event.Event, 1000)
	for round := range 100 {
		for i := range events {
			name := fmt.Sprintf("\xff%d-%d.example", round, i)
			e := &event.Event{Provider: name, RecipientDomain: name}
			e.MTA, e.Status, e.Recipient, e.Host, e.QueueID, e.Program = "postfix", event.Bounced, "x@"+name, name, name, name
			e.Relay = event.Relay{Host: name, IP: name}
			e.Category, e.Rule, e.Diagnostic = event.Category(name), name, "550 "+name
			events[i] = e
		}
		if err := m.counters.Write(t.Context(), events); err != nil {
			t.Fatal(err)
		}
	}
	after := series(m.scrape())
	// One for the status of category other, one for the rule other.
	if after > before+2 {
		t.Errorf("%d series became %d", before, after)
	}
	t.Logf("%d series at 3 MTAs and %d providers", after, len(m.pipeline.Rules().Providers())+1)
}

func TestTheNumberOfSeriesIsKnownBeforehand(t *testing.T) {
	m := newMeter(t, filepath.Join(t.TempDir(), "none.log"), "postfix", "exim", "haraka")
	set := m.pipeline.Rules()
	mtas, providers, rules := 3, len(set.Providers())+1, len(set.RuleIDs())
	failures, statuses := len(set.Categories())-1, len(event.Statuses())-2 // all but delivered and rejected
	want := mtas*providers*(failures*statuses+1) +                         // events
		mtas*providers*(16+2) + mtas*providers + // delay, unclassified
		rules + 3 // hits, and of the code tables and the default
	got := 0
	all := m.scrape()
	for _, name := range []string{"mtatap_events_total", "mtatap_delivery_delay_seconds", "mtatap_unclassified_total", "mtatap_rule_hits_total"} {
		got += series(map[string]*dto.MetricFamily{name: all[name]})
	}
	if got != want {
		t.Errorf("%d series of events, want %d", got, want)
	}
	if rest := series(all) - got; rest > 160 {
		t.Errorf("%d series of four sources and two sinks", rest)
	}
}

func TestTheReferenceListsEveryMetric(t *testing.T) {
	families := everything(t)
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(families)) {
		f := families[name]
		labels := strings.ReplaceAll(labelsOf(f), " ", ", ")
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", name, labels, strings.ToLower(f.GetType().String()), f.GetHelp())
	}
	const path, begin, end = "../docs/metrics.md", "|---|---|---|---|\n", "\n\n"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal("docs/metrics.md has no table")
	}
	want := head + begin + strings.TrimSuffix(b.String(), "\n") + end + tail
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if want != string(text) {
		t.Error("docs/metrics.md is out of date: go test ./cli -run Reference -update")
	}
}
