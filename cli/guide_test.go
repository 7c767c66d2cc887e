package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTheGuideToRulesShowsWhatHappens runs every command of docs/rules.md on the
// guide's log and rules. What the guide prints below a command must come, in that
// order; "..." stands for lines left out.
func TestTheGuideToRulesShowsWhatHappens(t *testing.T) {
	guide, err := os.ReadFile(filepath.Join(root(t), "docs", "rules.md"))
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(filepath.Join("testdata", "guide", "mail.log"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := fenced.FindAllSubmatch(guide, -1)
	dir := t.TempDir()
	for name, data := range map[string][]byte{"mail.log": log, "my-rules.yaml": blocks[0][2]} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env := testEnvironment(t, "", nil, nil)
	t.Chdir(dir)
	commands := 0
	for _, block := range blocks {
		if string(block[1]) != "console" {
			continue
		}
		for _, story := range strings.Split(string(block[2]), "$ ")[1:] {
			commands++
			command, output, _ := strings.Cut(story, "\n")
			runGuideCommand(t, env, command, output)
		}
	}
	if commands < 6 {
		t.Errorf("only %d commands found", commands)
	}
}

var (
	echoed = regexp.MustCompile(`^echo '([^']*)' \| `)
	spaces = regexp.MustCompile(` +`)
)

func runGuideCommand(t *testing.T, env Environment, command, output string) {
	t.Helper()
	stdin := ""
	if m := echoed.FindStringSubmatch(command); m != nil {
		stdin, command = m[1]+"\n", command[len(m[0]):]
	}
	words := strings.Fields(strings.ReplaceAll(command, "/var/log/", ""))
	if words[0] != "mtatap" || strings.ContainsAny(command, `'"`) {
		t.Fatalf("cannot run %q", command)
	}
	var stdout, stderr bytes.Buffer
	env.Stdin, env.Stdout, env.Stderr = strings.NewReader(stdin), &stdout, &stderr
	if code := Main(t.Context(), words[1:], env); code != exitFine {
		t.Fatalf("%s: exit code %d: %s", command, code, stderr.String())
	}
	rest := spaces.ReplaceAllString(stdout.String(), " ")
	for line := range strings.Lines(output) {
		line = spaces.ReplaceAllString(strings.TrimSpace(line), " ")
		if line == "" || line == "..." {
			continue
		}
		_, after, found := strings.Cut(rest, line)
		if !found {
			t.Errorf("%s does not print %q where the guide says so, but\n%s", command, line, stdout.String())
			return
		}
		rest = after
	}
}
