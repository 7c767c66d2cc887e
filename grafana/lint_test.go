package main

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/prometheus/promql/parser"
	"gopkg.in/yaml.v3"

	"mtatap/pipeline"
	"mtatap/sinks"
	"mtatap/suppress/cluster"
)

// exposed returns the labels of every metric that mtatap has.
func exposed(t *testing.T) map[string][]string {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	pipeline.NewMetrics(registry)
	if _, err := sinks.NewMetrics(registry, sinks.Labels{}); err != nil {
		t.Fatal(err)
	}
	if _, err := cluster.NewMetrics(registry, nil); err != nil {
		t.Fatal(err)
	}
	descs := make(chan *prometheus.Desc)
	go func() { registry.Describe(descs); close(descs) }()
	form := regexp.MustCompile(`fqName: "([^"]+)".*variableLabels: \{(.*)\}`)
	all := map[string][]string{"up": nil, "mtatap_build_info": nil}
	for d := range descs {
		m := form.FindStringSubmatch(d.String())
		if m == nil {
			t.Fatalf("cannot read %s", d)
		}
		all[m[1]] = strings.FieldsFunc(m[2], func(r rune) bool { return r == ',' || r == '}' })
	}
	if len(all["mtatap_events_total"]) != 4 {
		t.Fatalf("labels of mtatap_events_total: %v", all["mtatap_events_total"])
	}
	return all
}

// fromGrafana stands for what Grafana puts in place of its variables.
var fromGrafana = strings.NewReplacer("$__rate_interval", "5m", "$__range", "6h", "$instance", ".*", "$mta", ".*", "$provider", ".*")

// lint checks that expr is PromQL over metrics and labels that exist.
func lint(t *testing.T, where, expr string, metrics map[string][]string) {
	t.Helper()
	tree, err := parser.NewParser(parser.Options{}).ParseExpr(fromGrafana.Replace(expr))
	if err != nil {
		t.Errorf("%s: %v", where, err)
		return
	}
	always := []string{"instance", "job", "le", "__name__"}
	labels := slices.Clone(always)
	var used []string
	parser.Inspect(tree, func(node parser.Node, _ []parser.Node) error {
		switch n := node.(type) {
		case *parser.VectorSelector:
			name := n.Name
			known, ok := metrics[name]
			if !ok {
				name = regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")
				known, ok = metrics[name]
			}
			if !ok {
				t.Errorf("%s: there is no metric %s", where, n.Name)
				return nil
			}
			labels = append(labels, known...)
			for _, m := range n.LabelMatchers {
				if !slices.Contains(known, m.Name) && !slices.Contains(always, m.Name) {
					t.Errorf("%s: %s has no label %s", where, n.Name, m.Name)
				}
			}
		case *parser.AggregateExpr:
			used = append(used, n.Grouping...)
		}
		return nil
	})
	for _, l := range used {
		if !slices.Contains(labels, l) {
			t.Errorf("%s: groups by %s, which no metric in it has", where, l)
		}
	}
}

type shownPanel struct {
	Type, Title, Description string
	Targets                  []struct{ Expr, LegendFormat string }
	Options                  map[string]any
	FieldConfig              struct{ Defaults struct{ Unit string } }
	GridPos                  struct{ X, Y, W, H int }
}

func readDashboard(t *testing.T) (panels []shownPanel, text []byte) {
	t.Helper()
	text, err := os.ReadFile("dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct{ Panels []shownPanel }
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d.Panels, text
}

func TestTheDashboardIsTheOneThatIsPrinted(t *testing.T) {
	_, text := readDashboard(t)
	var want bytes.Buffer
	if err := print(&want); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text, want.Bytes()) {
		t.Error("dashboard.json is out of date: go run ./grafana > grafana/dashboard.json")
	}
}

func TestEveryPanelSaysWhatItShows(t *testing.T) {
	panels, _ := readDashboard(t)
	metrics := exposed(t)
	taken := map[[2]int]string{}
	shown := 0
	for _, p := range panels {
		for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
			for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
				if other := taken[[2]int{x, y}]; other != "" {
					t.Fatalf("panels %q and %q overlap", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		shown++
		if p.Title == "" || !strings.HasSuffix(p.Description, ".") || p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0 || len(p.Options) == 0 {
			t.Errorf("panel %q lacks a description, unit, query or options", p.Title)
		}
		for _, q := range p.Targets {
			if q.LegendFormat == "" {
				t.Errorf("panel %q: %s has no legend", p.Title, q.Expr)
			}
			lint(t, "panel "+p.Title, q.Expr, metrics)
		}
	}
	lint(t, "annotation", reloaded, metrics)
	if shown < 25 {
		t.Errorf("only %d panels were looked at", shown)
	}
}

func TestTheDashboardWorksWithAnyDataSource(t *testing.T) {
	_, text := readDashboard(t)
	for _, uid := range regexp.MustCompile(`"uid": "([^"]*)"`).FindAllStringSubmatch(string(text), -1) {
		if uid[1] != "${datasource}" && uid[1] != "mtatap" {
			t.Errorf("data source %s is fixed", uid[1])
		}
	}
	for _, name := range []string{"datasource", "instance", "mta", "provider"} {
		if !bytes.Contains(text, []byte(`"name": "`+name+`"`)) {
			t.Errorf("no variable %s", name)
		}
	}
}

func TestEveryPipelineMetricIsOnTheDashboard(t *testing.T) {
	_, text := readDashboard(t)
	// These say nothing that changes: their values are labels, or shown in another way.
	elsewhere := []string{"mtatap_rules_info", "mtatap_sink_last_success_timestamp_seconds", "mtatap_checkpoint_errors_total"}
	for name := range exposed(t) {
		if strings.HasPrefix(name, "mtatap_") && !slices.Contains(elsewhere, name) && !bytes.Contains(text, []byte(name)) {
			t.Errorf("%s is on no panel", name)
		}
	}
}

type alert struct {
	Alert       string
	Expr        string
	Labels      map[string]string
	Annotations map[string]string
}

func readAlerts(t *testing.T) []alert {
	t.Helper()
	text, err := os.ReadFile("alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Groups []struct{ Rules []alert } }
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	var all []alert
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) < 14 {
		t.Fatalf("only %d alerts", len(all))
	}
	return all
}

func TestEveryAlertCanBeActedOn(t *testing.T) {
	runbook, err := os.ReadFile("../docs/runbook.md")
	if err != nil {
		t.Fatal(err)
	}
	metrics := exposed(t)
	sections := map[string]string{}
	for _, s := range strings.Split(string(runbook), "\n## ")[1:] {
		title, body, _ := strings.Cut(s, "\n")
		sections[title] = body
	}
	for _, a := range readAlerts(t) {
		lint(t, a.Alert, a.Expr, metrics)
		if s := a.Labels["severity"]; s != "critical" && s != "warning" {
			t.Errorf("%s: severity %q", a.Alert, s)
		}
		if a.Annotations["summary"] == "" || !strings.Contains(a.Annotations["description"], "$labels.") {
			t.Errorf("%s: the summary is missing or the description names nobody", a.Alert)
		}
		if got, want := a.Annotations["runbook"], "docs/runbook.md#"+strings.ToLower(a.Alert); got != want {
			t.Errorf("%s: runbook %q, want %q", a.Alert, got, want)
		}
		_, commands, _ := strings.Cut(sections[a.Alert], "\n```sh\n")
		commands, _, _ = strings.Cut(commands, "```")
		if commands := strings.Count(commands, "\n"); commands != 3 {
			t.Errorf("%s: its section in docs/runbook.md has %d commands, want the first three", a.Alert, commands)
		}
		delete(sections, a.Alert)
	}
	for title := range sections {
		t.Errorf("docs/runbook.md has a section %s and no such alert", title)
	}
}

func TestEveryAlertHasItsTests(t *testing.T) {
	text, err := os.ReadFile("alerts_test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Tests []struct {
			Name  string
			Rules []struct {
				Alert string `yaml:"alertname"`
				Want  []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	fires, silent, ends := map[string]bool{}, map[string]int{}, map[string]bool{}
	for _, test := range file.Tests {
		fired := false
		for _, r := range test.Rules {
			switch {
			case len(r.Want) > 0:
				fired, fires[r.Alert] = true, true
			case fired:
				ends[r.Alert] = true
			default:
				silent[r.Alert]++
			}
		}
	}
	for _, a := range readAlerts(t) {
		if !fires[a.Alert] || silent[a.Alert] == 0 || !ends[a.Alert] {
			t.Errorf("%s: tested to fire %v, to be silent %d times, to end %v", a.Alert, fires[a.Alert], silent[a.Alert], ends[a.Alert])
		}
		if strings.Contains(a.Expr, ">= ") && silent[a.Alert] < 2 {
			t.Errorf("%s has a least volume that no test looks at", a.Alert)
		}
	}
}
