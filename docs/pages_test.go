// Package docs holds the operator's documentation. Its tests are what keeps the
// pages true: they run every command that a page shows and compare what it prints,
// check every configuration, rules file and event, follow every link, and write
// the reference tables from the code (go test ./docs -update). They must never leave
// the folder that stands for a host, or need more than Go.
package docs

import (
	"context"
	"flag"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"mtatap/cli"
)

var update = flag.Bool("update", false, "write the tables that are made from the code")

// TestMain lets commands of the pages call this test binary as mtatap.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "mtatap" {
		os.Exit(runMtatap())
	}
	os.Exit(m.Run())
}

// top is the folder of the module.
const top = ".."

// page is a Markdown file: its code blocks, and what is around them.
type page struct {
	name   string // from the top of the module
	prose  []line
	blocks []block
}

type line struct {
	number int
	text   string
}

// block is a fenced code block, without its indentation.
type block struct {
	language string
	number   int // of its first line
	text     string
}

var fence = regexp.MustCompile("^( *)```(.*)$")

// pages reads the README and every page of this folder.
func pages(t *testing.T) []page {
	t.Helper()
	paths, err := filepath.Glob("*.md")
	if err != nil || len(paths) < 8 {
		t.Fatalf("found %d pages: %v", len(paths), err)
	}
	all := []page{readPage(t, "README.md")}
	for _, path := range paths {
		all = append(all, readPage(t, "docs/"+path))
	}
	return all
}

func readPage(t *testing.T, name string) page {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(top, name))
	if err != nil {
		t.Fatal(err)
	}
	p := page{name: name}
	var open *block
	var indent string
	for i, text := range strings.Split(string(data), "\n") {
		mark := fence.FindStringSubmatch(text)
		switch {
		case open == nil && mark == nil:
			p.prose = append(p.prose, line{i + 1, text})
		case open == nil:
			open, indent = &block{language: mark[2], number: i + 2}, mark[1]
		case mark != nil && mark[2] == "":
			p.blocks = append(p.blocks, *open)
			open = nil
		default:
			open.text += strings.TrimPrefix(text, indent) + "\n"
		}
	}
	if open != nil {
		t.Fatalf("%s:%d: the block has no end", name, open.number)
	}
	return p
}

// Block languages: sh is run, console is run and compared, yaml and json are
// checked, go and python are run, the others are only read
// by people.
var languages = []string{"sh", "console", "yaml", "json", "go", "python", "text", "ini"}

func TestEveryBlockSaysWhatItIs(t *testing.T) {
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			if !slices.Contains(languages, b.language) {
				t.Errorf("%s:%d: language %q, want one of %v", p.name, b.number, b.language, languages)
			}
		}
		blank, list := true, false
		for _, l := range p.prose {
			indented := strings.HasPrefix(l.text, "    ")
			if indented && blank && !list {
				t.Errorf("%s:%d: a block without a fence is not tested", p.name, l.number)
			}
			if blank = strings.TrimSpace(l.text) == ""; !blank && !indented {
				list = regexp.MustCompile(`^ *([-*]|\d+\.) `).MatchString(l.text) || list && strings.HasPrefix(l.text, " ")
			}
		}
	}
}

// runMtatap is the command, as main runs it.
func runMtatap() int {
	rules, err := os.ReadFile(os.Getenv(rulesVariable))
	if err != nil {
		panic(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	signal.Ignore(syscall.SIGPIPE)
	return cli.Main(ctx, os.Args[1:], cli.Environment{Rules: rules, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.LookupEnv, Root: os.Getenv(rootVariable)})
}
