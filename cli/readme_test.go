package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"mtatap/config"
)

// fenced finds the code blocks of the README, by language.
var fenced = regexp.MustCompile("(?s)```(\\w+)\n(.*?)```")

func TestTheExamplesOfTheReadmeHold(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(root(t), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, block := range fenced.FindAllSubmatch(readme, -1) {
		switch language := string(block[1]); language {
		case "json":
			seen[language]++
			var line bytes.Buffer
			for part := range bytes.Lines(block[2]) {
				line.Write(bytes.TrimSpace(part))
			}
			checkSchema(t, eventSchema(t), line.Bytes())
		case "yaml":
			seen[language]++
			if _, err := config.Parse("README.md", block[2], nil); err != nil {
				t.Error(err)
			}
		}
	}
	if seen["json"] != 1 || seen["yaml"] != 1 {
		t.Errorf("found %v, want one event and one configuration", seen)
	}
}

func TestTheFirstCommandOfTheReadmeShowsEventsAndASummary(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(root(t), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	command := regexp.MustCompile(`(?m)^    go run \. (replay .*)$`).FindSubmatch(readme)
	if command == nil {
		t.Fatal("the README has no command to try")
	}
	t.Chdir(root(t))
	var args []string
	for _, word := range strings.Fields(string(command[1])) {
		files, err := filepath.Glob(word)
		if err != nil {
			t.Fatal(err)
		}
		if len(files) == 0 {
			files = []string{word}
		}
		args = append(args, files...)
	}
	var stdout, stderr bytes.Buffer
	if code := Main(t.Context(), args, testEnvironment(t, "", &stdout, &stderr)); code != exitFine {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	if events := strings.Count(stdout.String(), "\n"); events < 1000 {
		t.Errorf("only %d events", events)
	}
	for _, want := range []string{"by status", "by category", "top reasons", "unparsed"} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("the summary lacks %q:\n%s", want, stderr.String())
		}
	}
}
