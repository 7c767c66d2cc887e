//go:build e2e

package security

import (
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// numbered writes item for each number up to n.
func numbered(n int, item string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, item, i)
	}
	return b.String()
}

// TestAFileThatIsTooMuchIsRefusedSoonAndWithClearWords gives the program files that
// are made to cost time or memory. What it takes is processor time, which a busy
// machine does not change.
func TestAFileThatIsTooMuchIsRefusedSoonAndWithClearWords(t *testing.T) {
	const (
		maxTime   = 5 * time.Second
		maxMemory = 512 // MiB, the MemoryMax of the unit
		head      = "schema: 1\nversion: x\nextends: default\n"
		config    = "sources: [{path: mail.log}]\nsinks: {stdout: {}}\n"
		rule      = "  - {id: a%d, category: general, regex: '%s'}\n"
	)
	many := strings.Repeat
	bomb := "words: &a [x,x,x,x,x,x,x,x,x]\n"
	for i, last := range strings.Split("abcdefghi", "") {
		bomb += fmt.Sprintf("k%d: &%c [%s*%s]\n", i, last[0]+1, many("*"+last+",", 8), last)
	}
	for _, c := range []struct{ name, flag, text, want string }{
		{"a configuration of 2 MiB", "--config.file", config + "#" + many("x", 2<<20), "hostile.yaml: is over 1 MiB"},
		{"lists in lists", "--config.file", config + "rules: " + many("[", 5000) + many("]", 5000), "hostile.yaml:3: rules[0]"},
		{"lists in lists without end", "--config.file", config + "rules: " + many("[", 50_000) + many("]", 50_000), "hostile.yaml:3: no valid YAML here or below: exceeded max depth"},
		{"aliases that multiply", "--config.file", config + bomb, "hostile.yaml:4: k0[0]: is an alias; write the value out"},
		{"more sources than a list may have", "--config.file", "sources:\n" + numbered(20_000, "  - path: /var/log/mail%d.log\n") + "sinks: {stdout: {}}\n", "at most 1000"},
		{"more keys than there are", "--config.file", config + numbered(50_000, "k%d: x\n"), `hostile.yaml:3: unknown key "k0"`},

		{"rules of 5 MiB", "--rules", head + "rules: []\n#" + many("x", 5<<20), "hostile.yaml:1: the file has more than 4194304 bytes: leave rules out"},
		{"rules without end", "--rules", "/dev/zero", "/dev/zero:1: the file has more than 4194304 bytes"},
		{"lists in lists without end in rules", "--rules", head + "rules: " + many("[", 50_000) + many("]", 50_000), "hostile.yaml:4: read YAML: exceeded max depth"},
		{"aliases that multiply in rules", "--rules", head + bomb, "hostile.yaml:4: words: want a mapping"},
		{"a hundred thousand categories", "--rules", head + "categories:\n" + numbered(100_000, "  c%d: {type: hard}\n"), "hostile.yaml:5: categories: 100000 keys are too many: at most 1000"},
		{"a hundred thousand anchors", "--rules", head + numbered(100_000, "x%d: &a 1\n"), "keys are too many"},
		{"a value of half a megabyte", "--rules", head + "rules: " + many("A", 500_000), "hostile.yaml:4: rules: want a list of rules, not \"AAAA"},
		{"an expression that repeats repetitions", "--rules", head + "rules:\n" + fmt.Sprintf(rule, 1, "a((b|cd){30}e){20}"), "hostile.yaml:5: rule a1: regex: "},
		{"expressions that run on long examples", "--rules", head + "rules:\n" + strings.ReplaceAll(numbered(100, rule), "%!s(MISSING)", "[ab](([ab]?){30}[ab]*){14}[x-z]") +
			"  - {id: last, category: general, match: [zzzz], examples: [" + many("'550 zzzz "+many("abba", 500)+"', ", 900) + "x]}\n", "the expressions take too long for the examples up to here: use literals and phrases"},
		{"literals that fill the automaton", "--rules", head + "rules:\n" + numbered(11_000, "  - {id: r%[1]d, category: general, match: ["+many("%[1]d-", 31)+"]}\n"), "the patterns up to here have more than 1048576 bytes, alternatives multiplied out: remove some"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := c.text
			if !strings.HasPrefix(path, "/") {
				path = write(t, t.TempDir(), "hostile.yaml", c.text)
			}
			cmd := exec.Command(binary, "check", c.flag, path)
			out, err := cmd.CombinedOutput()
			said := string(out)
			if err == nil || cmd.ProcessState.ExitCode() != 1 || !strings.Contains(said, c.want) {
				t.Errorf("ended with %v, want %q in\n%s", err, c.want, said[:min(len(said), 2000)])
			}
			if len(said) > 1<<20 {
				t.Errorf("it says %d bytes", len(said))
			}
			if took := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(); took > maxTime {
				t.Errorf("it took %v", took)
			}
			if memory := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss >> 10; memory > maxMemory {
				t.Errorf("it took %d MiB", memory)
			}
		})
	}
}
