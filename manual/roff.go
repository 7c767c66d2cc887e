package manual

import (
	"fmt"
	"strings"
)

// page is a manual page in the man(7) language.
type page struct{ b strings.Builder }

func newPage(title string, section int, b Build) *page {
	p := &page{}
	fmt.Fprintf(&p.b, ".TH \"%s\" \"%d\" \"%s\" \"%s\" \"mtatap\"\n", strings.ToUpper(title), section, b.Date, escape("mtatap "+b.Version))
	p.b.WriteString(".nh\n.ad l\n")
	return p
}

func (p *page) section(title string)    { p.b.WriteString(".SH " + quote(title) + "\n") }
func (p *page) subsection(title string) { p.b.WriteString(".SS " + quote(title) + "\n") }

// text writes prose, in which an empty line ends a paragraph and an indented one
// is shown as it is.
func (p *page) text(prose string) {
	verbatim, gap := false, false
	for line := range strings.Lines(strings.Trim(prose, "\n") + "\n") {
		line = strings.TrimRight(line, "\n")
		if gap && line != "" {
			p.b.WriteString(".PP\n")
			gap = false
		}
		shown := strings.HasPrefix(line, "  ") || strings.HasPrefix(line, "\t")
		if shown != verbatim && line != "" {
			p.fence(shown)
			verbatim = shown
		}
		switch {
		case line == "" && verbatim:
			p.b.WriteString("\n")
		case line == "":
			gap = true
		default:
			p.b.WriteString(escape(strings.TrimPrefix(strings.TrimPrefix(line, "\t"), "  ")) + "\n")
		}
	}
	if verbatim {
		p.fence(false)
	}
}

func (p *page) fence(open bool) {
	if open {
		p.b.WriteString(".RS 4\n.nf\n")
		return
	}
	p.b.WriteString(".fi\n.RE\n")
}

// item writes a term and, indented below it, what it means.
func (p *page) item(term, kind, meaning string) {
	p.b.WriteString(".TP\n\\fB" + escape(term) + "\\fR")
	if kind != "" {
		p.b.WriteString(" (" + escape(kind) + ")")
	}
	p.b.WriteString("\n" + escape(meaning) + "\n")
}

func (p *page) String() string { return p.b.String() }

func quote(s string) string { return `"` + strings.ReplaceAll(escape(s), `"`, `\(dq`) + `"` }

// escape takes away the meaning that characters have to roff.
func escape(s string) string {
	s = strings.NewReplacer(`\`, `\e`, `-`, `\-`, `'`, `\(aq`, "`", "\\(ga", `^`, `\(ha`, `~`, `\(ti`).Replace(s)
	if strings.HasPrefix(s, ".") {
		s = `\&` + s
	}
	return strings.ReplaceAll(s, "\n.", "\n\\&.")
}
