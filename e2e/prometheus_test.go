//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"mtatap/e2e/lab"
)

func TestAlertsDoWhatTheirTestsSay(t *testing.T) {
	lab.Promtool(t, nil, "check", "rules", "../grafana/alerts.yaml")
	lab.Promtool(t, nil, "test", "rules", "../grafana/alerts_test.yaml")
}

// mailTraffic writes a Postfix log: deliveries all the time, and beside them, once
// it is told to, refusals of Microsoft that name a listed address.
type mailTraffic struct {
	t    *testing.T
	path string

	mu      sync.Mutex
	blocked time.Time // when the first refusal was written
	block   bool
}

func (m *mailTraffic) run(stop <-chan struct{}) {
	f, err := os.Create(m.path)
	if err != nil {
		m.t.Error(err)
		return
	}
	defer f.Close()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-tick.C:
		case <-stop:
			return
		}
		stamp := time.Now().UTC().Format("2006-01-02T15:04:05.000000Z07:00")
		line := func(to, relay, status string) {
			fmt.Fprintf(f, "%s mx1 postfix/smtp[%d]: 4bQ%08dzJ: to=<%s>, relay=%s:25, delay=1.5, delays=0.1/0/0.4/1, %s\n", stamp, 100+n%7, n, to, relay, status)
		}
		line(fmt.Sprintf("user%d@gmail.com", n), "gmail-smtp-in.l.google.com[192.0.2.26]", "dsn=2.0.0, status=sent (250 2.0.0 OK  1700000000 x - gsmtp)")
		line(fmt.Sprintf("user%d@outlook.com", n), "outlook-com.olc.protection.outlook.com[192.0.2.52]", "dsn=2.6.0, status=sent (250 2.6.0 <x@example.net> Queued mail for delivery)")
		m.mu.Lock()
		if m.block {
			if m.blocked.IsZero() {
				m.blocked = time.Now()
			}
			line(fmt.Sprintf("blocked%d@outlook.com", n), "outlook-com.olc.protection.outlook.com[192.0.2.52]", "dsn=5.7.1, status=bounced (host outlook-com.olc.protection.outlook.com[192.0.2.52] said: "+
				"550 5.7.1 Unfortunately, messages from [198.51.100.7] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3150). (in reply to MAIL FROM command))")
		}
		m.mu.Unlock()
		if n%10 == 0 {
			line("odd@example.org", "none", "status=strange")
			line(fmt.Sprintf("slow%d@example.org", n), "mx.example.org[192.0.2.9]", "dsn=4.7.1, status=deferred (host mx.example.org[192.0.2.9] said: 450 4.7.1 Greylisted, try again later (in reply to RCPT TO command))")
		}
	}
}

func (m *mailTraffic) beginBlocks() { m.mu.Lock(); m.block = true; m.mu.Unlock() }

func (m *mailTraffic) firstBlocked() time.Time { m.mu.Lock(); defer m.mu.Unlock(); return m.blocked }

func TestABlockOfMicrosoftReachesTheOperatorWithinAMinute(t *testing.T) {
	traffic := &mailTraffic{t: t, path: filepath.Join(t.TempDir(), "mail.log")}
	stop, written := make(chan struct{}), make(chan struct{})
	go func() { defer close(written); traffic.run(stop) }()
	defer func() { close(stop); <-written }()
	p := startMtatap(t, fmt.Sprintf("sources:\n  - {path: %s, format: postfix, start: beginning}\nsinks:\n  file: {path: %s}\nsuppress: {}\n",
		traffic.path, filepath.Join(t.TempDir(), "events.ndjson")))
	rules, err := filepath.Abs("../grafana/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	// The intervals that docs/metrics.md advises, not scaled.
	m := lab.StartMonitoring(t, strings.TrimPrefix(p.web, "http://"), rules, 10*time.Second)
	until(t, 40*time.Second, "two scrapes of deliveries", func() bool { return m.Query(`mtatap_events_total{status="delivered"} > 20`) > 0 })
	traffic.beginBlocks()
	pending := false
	var fired lab.Alert
	until(t, 2*time.Minute, "the alert to reach its receiver", func() bool {
		for _, s := range m.States("MtatapBlockSpike") {
			pending = pending || s == "pending"
		}
		for _, a := range m.Received() {
			if a.Labels["alertname"] == "MtatapBlockSpike" && a.Status == "firing" {
				fired = a
				return true
			}
		}
		return false
	})
	took := fired.Received.Sub(traffic.firstBlocked())
	t.Logf("%.0f s from the first blocked line to the receiver, scraped and evaluated each 10 s: %s; %s", took.Seconds(), fired.Annotations["summary"], fired.Annotations["description"])
	if !pending {
		t.Error("the alert was never pending")
	}
	if fired.Labels["provider"] != "microsoft" || fired.Labels["severity"] != "critical" || !strings.Contains(fired.Annotations["description"], "microsoft") {
		t.Errorf("alert %+v", fired)
	}
	if took > time.Minute {
		t.Errorf("it took %v, want at most a minute", took)
	}
	for _, a := range m.Received() {
		if name := a.Labels["alertname"]; name != "MtatapBlockSpike" && name != "MtatapDeadLetters" {
			t.Errorf("%s fires too: %s", name, a.Annotations["description"])
		}
	}

	resp, err := http.Get(p.web + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lab.Promtool(t, resp.Body, "check", "metrics")
	checkDashboard(t, p, m)
}

// ofAFleet begins the names of metrics that mtatap run does not have; mtatap suppress
// does.
var ofAFleet = regexp.MustCompile(`\bmtatap_suppression_(lag|restore|refused)_`)

// checkDashboard lets Prometheus evaluate every expression of the dashboard that
// is of a mail server.
func checkDashboard(t *testing.T, p *mtatap, m *lab.Monitoring) {
	t.Helper()
	resp, err := http.Post(p.web+"/-/reload", "", nil)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("reload: %v %v", resp, err)
	}
	resp.Body.Close()
	text, err := os.ReadFile("../grafana/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
		Annotations struct{ List []struct{ Name, Expr string } }
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	variables := strings.NewReplacer("$__rate_interval", "1m", "$__range", "5m", "$instance", ".*", "$mta", ".*", "$provider", ".*")
	asked := 0
	ask := func(title, expr string) {
		t.Helper()
		asked++
		deadline := time.Now().Add(30 * time.Second)
		for m.Query(variables.Replace(expr)) == 0 {
			if time.Now().After(deadline) {
				t.Errorf("%s: no data for %s", title, expr)
				return
			}
			time.Sleep(time.Second)
		}
	}
	for _, panel := range dashboard.Panels {
		for _, q := range panel.Targets {
			if !ofAFleet.MatchString(q.Expr) {
				ask("panel "+panel.Title, q.Expr)
			}
		}
	}
	for _, a := range dashboard.Annotations.List {
		ask("annotation "+a.Name, a.Expr)
	}
	if asked < 30 {
		t.Errorf("only %d expressions were evaluated", asked)
	}
}
