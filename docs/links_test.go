package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	link     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading  = regexp.MustCompile(`^#+ +(.*)$`)
	code     = regexp.MustCompile("`[^`]*`")
	metric   = regexp.MustCompile(`\bmtatap_[a-z_]+`)
	spokenOf = regexp.MustCompile("`mtatap ([a-z]+)([^`]*)`")
	flagName = regexp.MustCompile(`--[a-z][a-z.-]+`)
)

func TestEveryLinkLeadsSomewhere(t *testing.T) {
	anchors := map[string][]string{}
	all := pages(t)
	for _, p := range all {
		for _, l := range p.prose {
			if m := heading.FindStringSubmatch(l.text); m != nil {
				anchors[p.name] = append(anchors[p.name], slug(m[1]))
			}
		}
	}
	for _, p := range all {
		for _, l := range p.prose {
			for _, m := range link.FindAllStringSubmatch(code.ReplaceAllString(l.text, ""), -1) {
				target := m[1]
				if strings.Contains(target, "://") {
					continue
				}
				file, anchor, _ := strings.Cut(target, "#")
				to := p.name
				if file != "" {
					to = filepath.ToSlash(filepath.Join(filepath.Dir(p.name), file))
				}
				if _, err := os.Stat(filepath.Join(top, to)); err != nil {
					t.Errorf("%s:%d: %v", p.name, l.number, err)
				}
				if anchor != "" && strings.HasSuffix(to, ".md") && !slices.Contains(anchors[to], anchor) {
					t.Errorf("%s:%d: %s has no section #%s", p.name, l.number, to, anchor)
				}
			}
		}
	}
}

// slug is the anchor that GitHub gives a heading.
func slug(title string) string {
	title = regexp.MustCompile(`\]\([^)]*\)`).ReplaceAllString(title, "]")
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r > 0x7f:
			return r
		}
		return -1
	}, strings.ToLower(title))
}

func TestTheIndexNamesEveryPage(t *testing.T) {
	var named []string
	for _, l := range readPage(t, "docs/README.md").prose {
		for _, m := range link.FindAllStringSubmatch(l.text, -1) {
			named = append(named, "docs/"+m[1])
		}
	}
	for _, p := range pages(t) {
		if p.name != "README.md" && p.name != "docs/README.md" && !slices.Contains(named, p.name) {
			t.Errorf("docs/README.md does not link %s", p.name)
		}
	}
}

// The table of docs/metrics.md is made from the code, see the package cli.
func TestEveryMetricExists(t *testing.T) {
	var known []string
	for _, l := range readPage(t, "docs/metrics.md").prose {
		if strings.HasPrefix(l.text, "| `mtatap_") {
			known = append(known, metric.FindString(l.text))
		}
	}
	for _, p := range pages(t) {
		texts := p.prose
		for _, b := range p.blocks {
			texts = append(texts, line{b.number, b.text})
		}
		for _, l := range texts {
			for _, name := range metric.FindAllString(l.text, -1) {
				histogram := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_sum"), "_count")
				isFamily := strings.HasSuffix(name, "_") && slices.ContainsFunc(known, func(k string) bool { return strings.HasPrefix(k, name) })
				if !slices.Contains(known, name) && !slices.Contains(known, histogram) && !isFamily {
					t.Errorf("%s:%d: there is no metric %s", p.name, l.number, name)
				}
			}
		}
	}
}

// Commands that are spoken of in the text exist, and so do their flags.
func TestEveryCommandSpokenOfExists(t *testing.T) {
	help := map[string]string{}
	usage := mtatap(t, "--help")
	for _, p := range pages(t) {
		for _, l := range p.prose {
			for _, m := range spokenOf.FindAllStringSubmatch(l.text, -1) {
				name := m[1]
				if !regexp.MustCompile(`(?m)^  ` + name + ` `).MatchString(usage) {
					t.Errorf("%s:%d: there is no command mtatap %s", p.name, l.number, name)
					continue
				}
				if help[name] == "" {
					help[name] = mtatap(t, name, "--help")
				}
				if name == "rules" {
					continue // its commands have flags of their own
				}
				for _, flag := range flagName.FindAllString(m[2], -1) {
					if !strings.Contains(help[name], flag) {
						t.Errorf("%s:%d: mtatap %s has no flag %s", p.name, l.number, name, flag)
					}
				}
			}
		}
	}
}
