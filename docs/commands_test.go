package docs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// notRun are the commands that cannot run in a test, by how they begin, and why.
var notRun = []struct{ begins, reason string }{
	{"sudo apt ", "needs root; e2e/packages installs, removes and purges the package"},
	{"packaging/build", "takes a minute and the network; e2e/packages builds them"},
	{"MAINTAINER=", "is packaging/build"},
	{"sudo dnf ", "needs root and a host of rpm; e2e/packages installs the rpm in a folder"},
	{"sudo userdel ", "needs root; e2e/packages does so"},
	{"sudo rm ", "needs root; e2e/packages does so"},
	{"sudo systemd-", "needs root"},
	{"sudo systemctl ", "needs a running systemd; enabling the service here starts what the unit starts"},
	{"systemctl ", "needs a running systemd"},
	{"journalctl ", "needs a journal with mail"},
	{"logger ", "needs a syslog daemon"},
	{"mailq", "needs a mail server"},
	{"echo hello | sendmail ", "needs a mail server; e2e/firstrun sends such a mail"},
	{"dig ", "needs name servers"},
	{"kafka-", "needs a broker; the end-to-end tests use topics through a client"},
	{"go test ", "is what runs this"},
	{"go build ", "would leave a binary; the end-to-end tests build"},
}

// tools are programs that pages may use and not every host has. Where one is
// missing its commands are passed over.
var tools = []string{"jq", "curl", "systemd-analyze"}

var (
	fileName = regexp.MustCompile(`^# (\S+\.(?:yaml|ndjson|txt))\n`)
	spaces   = regexp.MustCompile(`[ \t]+`)
	trouble  = regexp.MustCompile(`(?i)no such file|not found|jq: error|syntax error|permission denied`)
)

// TestEveryCommandDoesWhatItsPageSays runs the commands of each page, in order, on
// a host of its own. A block that begins with "# NAME.yaml" is that file. What a
// page prints below a command of a console block must come, in that order; "..."
// stands for what is left out.
func TestEveryCommandDoesWhatItsPageSays(t *testing.T) {
	passed := map[string]bool{}
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			for _, c := range commands(b) {
				if reason := whyNotRun(c.text); reason != "" {
					passed[reason] = true
				}
			}
		}
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			testCommands(t, p)
		})
	}
	for _, n := range notRun {
		if !passed[n.begins] {
			t.Errorf("no page has a command that begins with %q: take it off the list", n.begins)
		}
	}
}

// served are the pages about a host on which mtatap runs already.
var served = []string{"docs/runbook.md"}

// fresh are the pages about a host that has no configuration yet.
var fresh = []string{"docs/getting-started.md"}

func testCommands(t *testing.T, p page) {
	h := newHost(t, strings.TrimSuffix(filepath.Base(p.name), ".md"))
	if slices.Contains(served, p.name) {
		h.serve()
	}
	if slices.Contains(fresh, p.name) {
		h.check(os.Remove(filepath.Join(h.root, "etc/mtatap/mtatap.yaml")))
	}
	if slices.ContainsFunc(p.blocks, func(b block) bool { return strings.Contains(b.text, " events.ndjson") }) {
		h.makeEvents()
	}
	for _, b := range p.blocks {
		if name := fileName.FindStringSubmatch(b.text); name != nil && b.language == "yaml" {
			text := b.text
			if strings.Contains(text, "\nsources:") && !strings.Contains(text, "\nstate_dir:") {
				text += "state_dir: /var/lib/mtatap\n" // the default, which save leads to this host
			}
			h.save(name[1], text)
		}
		for _, c := range commands(b) {
			where := p.name + ": " + c.text
			switch tool := missing(c.text); {
			case c.text == "sudo systemctl enable --now mtatap":
				h.serve()
			case whyNotRun(c.text) != "":
			case tool != "":
				t.Logf("%s: no %s here", where, tool)
			case strings.HasPrefix(c.text, "mtatap run"):
				printed := h.start(c.text).wait(func(s string) bool {
					return strings.Contains(s, "mtatap started") && firstMissing(s, c.output) == ""
				})
				if l := firstMissing(printed, c.output); l != "" {
					t.Errorf("%s\ndoes not print %q where the page says so, but\n%s", where, l, clip(printed))
				}
			default:
				if err := testCommand(h, c); err != nil {
					t.Errorf("%s\n%v", where, err)
				}
			}
		}
	}
}

// testCommand runs a command and says what is wrong with it. Where the service
// runs, it may need a moment to do what the page expects.
func testCommand(h *host, c command) error {
	tries := 1
	if h.runs {
		tries = 50
	}
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		stdout, stderr, err := h.run(strings.ReplaceAll(c.text, "go run .", "mtatap"))
		switch l := firstMissing(stdout+stderr, c.output); {
		case err != nil || trouble.MatchString(stderr):
			err = fmt.Errorf("fails: %v\n%s", err, clip(stderr))
		case asks(c.text) && strings.TrimSpace(stdout) == "":
			err = fmt.Errorf("prints nothing but\n%s", clip(stderr))
		case l != "":
			err = fmt.Errorf("does not print %q where the page says so, but\n%s%s", l, clip(stdout), clip(stderr))
		}
		if tries--; err == nil || tries == 0 {
			return err
		}
		<-again.C
	}
}

// command is a command of a page and what the page says it prints.
type command struct{ text, output string }

// commands gives those of a sh or console block.
func commands(b block) []command {
	var all []command
	goesOn := func(s string) bool { return strings.HasSuffix(s, "\\") || strings.HasSuffix(s, "|") }
	for l := range strings.Lines(b.text) {
		l = strings.TrimRight(l, "\n")
		last := len(all) - 1
		prompted := strings.HasPrefix(l, "$ ")
		switch {
		case b.language != "sh" && b.language != "console":
			return nil
		case last >= 0 && all[last].output == "" && goesOn(all[last].text):
			all[last].text += "\n" + l
		case prompted && b.language == "console":
			all = append(all, command{text: l[2:]})
		case b.language == "console" && last >= 0:
			all[last].output += l + "\n"
		case strings.TrimSpace(l) == "" || strings.HasPrefix(l, "#"):
		default:
			all = append(all, command{text: l})
		}
	}
	return all
}

func whyNotRun(text string) string {
	for _, n := range notRun {
		if strings.HasPrefix(text, n.begins) {
			return n.begins
		}
	}
	return ""
}

func missing(text string) string {
	for _, tool := range tools {
		if strings.Contains(text, tool+" ") {
			if _, err := exec.LookPath(tool); err != nil {
				return tool
			}
		}
	}
	return ""
}

// asks says whether a command is there for what it prints.
func asks(text string) bool {
	return strings.HasPrefix(text, "jq ") || strings.HasPrefix(text, "curl ") || strings.HasPrefix(text, "mtatap ") && !strings.Contains(text, ">") && !strings.Contains(text, " -o ")
}

// firstMissing gives the first line of want that does not follow in printed, white
// space apart; "..." in it stands for anything.
func firstMissing(printed, want string) string {
	rest := spaces.ReplaceAllString(printed, " ")
	for l := range strings.Lines(want) {
		for part := range strings.SplitSeq(spaces.ReplaceAllString(strings.TrimSpace(l), " "), "...") {
			_, after, found := strings.Cut(rest, part)
			if !found {
				return strings.TrimSpace(l)
			}
			rest = after
		}
	}
	return ""
}

// clip cuts what a command printed to what an error can show.
func clip(text string) string {
	const most = 2000
	if len(text) <= most {
		return text
	}
	return text[:most] + "\n[...]\n"
}
