package report

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
)

//go:embed page.html
var pageSource string

//go:embed page.css
var styleSheet string

// Render writes the page. Everything that came from a log is escaped; the page's
// own policy forbids scripts, loads and all styles but its own.
func (c *Collector) Render(w io.Writer, made Made) error {
	sum := sha256.Sum256([]byte(styleSheet))
	policy := "default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	page, err := template.New("report").Funcs(template.FuncMap{
		"css":       func() template.CSS { return template.CSS(styleSheet) },
		"policy":    func() string { return policy },
		"thousands": func(n any) string { return thousandsOf(n) },
		"f":         func(x float64) string { return fmt.Sprintf("%.1f", x) },
	}).Parse(pageSource)
	if err != nil {
		return fmt.Errorf("read page template: %w", err)
	}
	if err := page.Execute(w, c.view(made)); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

func thousandsOf(n any) string {
	switch n := n.(type) {
	case int64:
		return thousands(int(n))
	case int:
		return thousands(n)
	}
	return fmt.Sprint(n)
}

func point(x, y float64) string { return fmt.Sprintf("%.1f,%.1f ", x, y) }
