//go:build e2e

package lab

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// PostfixLookups compiles an access map with postmap, which must not complain, and
// returns what Postfix finds in it for each of keys; a key without an answer is
// absent.
func PostfixLookups(t testing.TB, path string, keys []string) map[string]string {
	t.Helper()
	postmap := program(t, "packages", "postmap", "/usr/sbin/postmap")
	dir := t.TempDir()
	writeFiles(t, dir, map[string]string{"main.cf": "compatibility_level = 3.6\n"})
	if out, err := exec.Command(postmap, "-c", dir, "hash:"+path).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("make map of %s: %v\n%s", path, err, out)
	}
	ask := exec.Command(postmap, "-c", dir, "-q", "-", "hash:"+path)
	ask.Stdin = strings.NewReader(strings.Join(keys, "\n") + "\n")
	ask.Stderr = os.Stderr
	out, err := ask.Output()
	if err != nil {
		t.Errorf("ask map %s: %v", path, err)
	}
	found := map[string]string{}
	for line := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		found[key] = value
	}
	return found
}

// EximLookups returns what Exim finds for each of keys in a file for lsearch; a key
// without an answer is absent.
func EximLookups(t testing.TB, path string, keys []string) map[string]string {
	t.Helper()
	exim := program(t, "Exim", cacheDir(t, "exim", "usr", "sbin", "exim4"), "exim4", "/usr/sbin/exim4")
	config := filepath.Join(t.TempDir(), "exim.conf")
	if err := os.WriteFile(config, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var questions strings.Builder
	for _, key := range keys {
		questions.WriteString("${lookup{" + key + "}lsearch{" + path + "}}\n")
	}
	ask := exec.Command(exim, "-C", config, "-be")
	ask.Stdin = strings.NewReader(questions.String())
	out, err := ask.CombinedOutput()
	answers := strings.Split(strings.ReplaceAll(string(out), "> ", ""), "\n")
	if err != nil || len(answers) < len(keys) {
		t.Fatalf("ask %s: %v\n%s", path, err, out)
	}
	found := map[string]string{}
	for i, key := range keys {
		if answers[i] != "" {
			found[key] = answers[i]
		}
	}
	return found
}
