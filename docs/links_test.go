package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var (
	link     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading  = regexp.MustCompile(`^#+ +(.*)$`)
	code     = regexp.MustCompile("`[^`]*`")
	metric   = regexp.MustCompile(`\bmtatap_[a-z_]+`)
	spokenOf = regexp.MustCompile("`mtatap ([a-z]+)([^`]*)`")
	searched = regexp.MustCompile(`journalctl .*\| grep (?:-E )?'([^']+)'`)
	logged   = regexp.MustCompile(`\.(?:Error|Warn|Info)\("([^"]+)"`)
	question = regexp.MustCompile(`jq -[a-z]+ '([^']+)'`)
	askedFor = regexp.MustCompile(`(?:^|[ (\[.a-z])\.([a-z_]+)`)
	flagName = regexp.MustCompile(`--[a-z][a-z.-]+`)
)

func TestEveryLinkLeadsSomewhere(t *testing.T) {
	anchors := map[string][]string{}
	all := pages(t)
	for _, p := range all {
		for _, l := range p.prose {
			if m := heading.FindStringSubmatch(l.text); m != nil {
				anchor := slug(m[1])
				for n := 1; slices.Contains(anchors[p.name], anchor); n++ {
					anchor = slug(m[1]) + "-" + strconv.Itoa(n)
				}
				anchors[p.name] = append(anchors[p.name], anchor)
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
					if !regexp.MustCompile(flag + `[ ,\n]`).MatchString(help[name]) {
						t.Errorf("%s:%d: mtatap %s has no flag %s", p.name, l.number, name, flag)
					}
				}
			}
		}
	}
}

// A question for a field that no event has would be answered by silence.
func TestEveryQuestionToEventsAsksForTheirFields(t *testing.T) {
	var fields []string
	for _, f := range readSchema(t, "event").at("properties").fields() {
		fields = append(fields, f.name)
		for _, sub := range subFields(f.node) {
			fields = append(fields, sub.name)
		}
	}
	asked := 0
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			for _, question := range question.FindAllStringSubmatch(b.text, -1) {
				for _, m := range askedFor.FindAllStringSubmatch(question[1], -1) {
					asked++
					if !slices.Contains(fields, m[1]) {
						t.Errorf("%s:%d: events have no field %q", p.name, b.number, m[1])
					}
				}
			}
		}
	}
	if asked < 20 {
		t.Errorf("only %d fields are asked for", asked)
	}
}

// What pages search the log of mtatap for is what it logs.
func TestEverySearchOfTheLogFindsAMessage(t *testing.T) {
	var messages []string
	for _, dir := range []string{"cli", "pipeline", "sinks", "tailers"} {
		paths, err := filepath.Glob(filepath.Join(top, dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			source, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range logged.FindAllStringSubmatch(string(source), -1) {
				messages = append(messages, m[1])
			}
		}
	}
	searches := 0
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			for _, m := range searched.FindAllStringSubmatch(b.text, -1) {
				for words := range strings.SplitSeq(m[1], "|") {
					searches++
					if !slices.ContainsFunc(messages, func(s string) bool { return strings.Contains(s, words) }) {
						t.Errorf("%s:%d: nothing that is logged has %q", p.name, b.number, words)
					}
				}
			}
		}
	}
	if searches < 5 {
		t.Errorf("only %d searches found", searches)
	}
}
