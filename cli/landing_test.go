package cli

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"mtatap/pipeline"
)

func TestTheLandingPageShowsHowThingsAre(t *testing.T) {
	recent := new(recentTrouble)
	log := recent.keepTrouble(slog.New(slog.NewTextHandler(io.Discard, nil)))
	for i := range 30 {
		log.Warn("old", "n", i)
	}
	log.Info("fine")
	log.With("sink", "kafka").Error("Sink failed", "err", "<script>alert(1)</script>\xff"+strings.Repeat("x", 1000))
	page := landing{
		ready: func() error { return errors.New("sink kafka has not answered yet") },
		status: func() pipeline.Status {
			return pipeline.Status{
				Rules: "1.2.3", RuleCount: 7,
				Sources: []pipeline.SourceStatus{{Name: "/var/log/<b>.log", Files: 2, Lag: 90 * time.Second, LagBytes: 4096}, {Name: "journald:postfix*", LagBytes: -1}},
				Sinks:   []pipeline.SinkStatus{{Name: "kafka", Required: true, Trouble: "has not answered yet"}, {Name: "stdout"}},
			}
		},
		recent: recent,
	}
	w := httptest.NewRecorder()
	page.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	body := w.Body.String()
	for _, want := range []string{
		"Not ready:</strong> sink kafka has not answered yet", "Rules 1.2.3, 7 of them", `href="/metrics"`,
		"/var/log/&lt;b&gt;.log", "1m30s", "4096", `<td>journald:postfix*</td><td class="number"></td><td class="number">`, "unknown", "takes events", "Sink failed sink=&#34;kafka&#34;", "&lt;script&gt;", `n=&#34;29&#34;`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	for _, not := range []string{"<script", "fine", `n=&#34;10&#34;`} {
		if strings.Contains(body, not) {
			t.Errorf("the page has %s", not)
		}
	}
	if got := len(recent.all()); got != keptTroubles {
		t.Errorf("%d troubles are kept", got)
	}
	if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") {
		t.Errorf("policy %q", csp)
	}
	if newest := recent.all()[0].Text; len(newest) > troubleBytes+10 || !strings.HasPrefix(newest, "Sink failed") {
		t.Errorf("newest is %q", fmt.Sprintf("%.60s", newest))
	}
}
