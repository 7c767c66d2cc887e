package cli

import (
	"context"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"mtatap/pipeline"
)

// landing is the page at "/": where to look further, how far each source is
// behind, which sinks take events, and what was last complained of.
type landing struct {
	ready  func() error
	status func() pipeline.Status
	recent *recentTrouble
}

// The page loads nothing and runs nothing: log lines are shown on it.
const contentPolicy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

var landingPage = template.Must(template.New("landing").Funcs(template.FuncMap{"seconds": func(d time.Duration) string { return d.Round(time.Second).String() }}).Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>mtatap</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 2rem; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #8884; vertical-align: top; overflow-wrap: anywhere; }
td.number, th.number { text-align: right; white-space: nowrap; }
.bad { color: #c22; } .good { color: #292; }
</style>
</head>
<body>
<h1>mtatap {{.Version}}</h1>
<p>Why mail did not arrive: classified delivery events from mail server logs.</p>
<p>{{if .Trouble}}<strong class="bad">Not ready:</strong> {{.Trouble}}{{else}}<strong class="good">Ready.</strong>{{end}}
Rules {{.Rules}}, {{.RuleCount}} of them.</p>
<p><a href="/metrics">Metrics</a> · <a href="/-/ready">Ready</a> · <a href="/-/healthy">Healthy</a></p>
<h2>Sources</h2>
<table>
<tr><th>Source</th><th class="number">Files</th><th class="number">Behind</th><th class="number">Unread bytes</th></tr>
{{range .Sources}}<tr><td>{{.Name}}</td><td class="number">{{if .Files}}{{.Files}}{{end}}</td><td class="number">{{seconds .Lag}}</td><td class="number">{{if ge .LagBytes 0}}{{.LagBytes}}{{else}}unknown{{end}}</td></tr>
{{else}}<tr><td colspan="4">none is open yet</td></tr>
{{end}}</table>
<h2>Sinks</h2>
<table>
<tr><th>Sink</th><th>Required</th><th>State</th></tr>
{{range .Sinks}}<tr><td>{{.Name}}</td><td>{{if .Required}}yes{{else}}no{{end}}</td><td>{{if .Trouble}}<span class="bad">{{.Trouble}}</span>{{else}}takes events{{end}}</td></tr>
{{end}}</table>
<h2>Last warnings and errors</h2>
<table>
{{range .Recent}}<tr><td>{{.Time}}</td><td>{{.Level}}</td><td>{{.Text}}</td></tr>
{{else}}<tr><td>none since the start</td></tr>
{{end}}</table>
</body>
</html>
`))

func (l landing) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", contentPolicy)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	page := struct {
		pipeline.Status
		Version string
		Trouble error
		Recent  []trouble
	}{l.status(), readBuildInfo().version, l.ready(), l.recent.all()}
	_ = landingPage.Execute(w, page) // the reader has gone
}

// trouble is a warning or error as the page shows it.
type trouble struct{ Time, Level, Text string }

// recentTrouble keeps the last warnings and errors that pass through its handlers.
type recentTrouble struct {
	mu   sync.Mutex
	last []trouble // newest last
}

const (
	keptTroubles = 20
	troubleBytes = 500
)

func (r *recentTrouble) add(t trouble) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.last) == keptTroubles {
		r.last = append(r.last[:0], r.last[1:]...)
	}
	r.last = append(r.last, t)
}

// all returns what is kept, newest first.
func (r *recentTrouble) all() []trouble {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []trouble
	for i := len(r.last) - 1; i >= 0; i-- {
		all = append(all, r.last[i])
	}
	return all
}

// keepTrouble returns a logger that logs as log does and lets r keep warnings and
// errors.
func (r *recentTrouble) keepTrouble(log *slog.Logger) *slog.Logger {
	return slog.New(troubleHandler{log.Handler(), r, ""})
}

type troubleHandler struct {
	slog.Handler
	kept  *recentTrouble
	attrs string // of the logger, as text
}

// Handle implements slog.Handler.
func (h troubleHandler) Handle(ctx context.Context, rec slog.Record) error {
	if rec.Level >= slog.LevelWarn {
		var b strings.Builder
		b.WriteString(rec.Message + h.attrs)
		rec.Attrs(func(a slog.Attr) bool { b.WriteString(attrText(a)); return b.Len() < troubleBytes })
		text := strings.ToValidUTF8(b.String(), "\uFFFD")
		if len(text) > troubleBytes {
			text = strings.ToValidUTF8(text[:troubleBytes], "") + "..."
		}
		h.kept.add(trouble{rec.Time.UTC().Format(time.DateTime), rec.Level.String(), text})
	}
	return h.Handler.Handle(ctx, rec)
}

// WithAttrs implements slog.Handler.
func (h troubleHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	more := h.attrs
	for _, a := range attrs {
		more += attrText(a)
	}
	return troubleHandler{h.Handler.WithAttrs(attrs), h.kept, more}
}

// WithGroup implements slog.Handler.
func (h troubleHandler) WithGroup(name string) slog.Handler {
	return troubleHandler{h.Handler.WithGroup(name), h.kept, h.attrs}
}

func attrText(a slog.Attr) string { return fmt.Sprintf(" %s=%q", a.Key, a.Value.String()) }
