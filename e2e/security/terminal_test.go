//go:build e2e

package security

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// terminalAttack is what must reach no terminal as it is: ESC, BEL, C1 controls as
// bytes and as UTF-8, what turns the direction of writing, bytes that are no UTF-8,
// and returns. It has no newline, which each place treats in its own way.
const terminalAttack = "evil \x1b[2J\x1b]0;title\x07 \x9b31m \u009b31m \u202egnihton\u2066 \u061c\u200f \xff\xfe\xc0\xaf \r\x08\x7f\v\u2028 end"

// harmless fails if a terminal would obey anything of what was written to it.
func harmless(t *testing.T, where string, written []byte) {
	t.Helper()
	if !utf8.Valid(written) {
		t.Errorf("%s: no UTF-8 in %q", where, excerpt(written))
	}
	for _, r := range string(written) {
		if r != '\n' && r != '\t' && !unicode.IsGraphic(r) {
			t.Errorf("%s: %U in %q", where, r, excerpt(written))
			return
		}
	}
}

func excerpt(b []byte) []byte { return b[:min(len(b), 1500)] }

func TestNothingThatOthersWroteReachesTheTerminalAsItIs(t *testing.T) {
	dir := t.TempDir()
	var log strings.Builder
	for i := range 5 { // as often as makes a suggestion
		reply := strings.ReplaceAll(terminalAttack, "evil", fmt.Sprintf("550 5.9.9 qwertz uiopasdf %d evil", i))
		log.WriteString(strings.Replace(bounce(fmt.Sprintf("u%d\x1b[31m\u202e\u009b@remote.example", i)), "550 5.1.1 User unknown", reply, 1))
	}
	mail := write(t, dir, "mail.log", log.String())
	newline := strings.ReplaceAll(terminalAttack, "end", `end\nmtatap: all is well`)
	quoted := strings.NewReplacer("\x1b", `\e`, "\x07", `\a`, "\x9b", `\x9b`, "\u009b", `\x9b`, "\u202e", `\u202e`, "\u2066", `\u2066`, "\xff\xfe\xc0\xaf", "", "\r", `\r`, "\x08", `\b`, "\x7f", `\x7f`, "\v", `\v`, "\u2028", `\u2028`).Replace(newline)
	rules := write(t, dir, "rules.yaml", fmt.Sprintf("schema: 1\nversion: \"1\"\nextends: default\nrules:\n  - {id: bad, match: [\"%[1]s\"], category: \"%[1]s\", reason: \"%[1]s\", examples: [\"%[1]s\"]}\n  - {id: \"%[1]s\", \"%[1]s\": x, regex: \"(%[1]s\"}\n", quoted))
	odd := write(t, dir, "odd.yaml", "schema: 1\nversion: \"1\"\nextends: default\nrules:\n  - {id: ours, match: [qwertz uiopasdf], category: hard, reason: user-unknown, examples: [\"550 qwertz uiopasdf\"]}\n")
	config := write(t, dir, "bad.yaml", fmt.Sprintf("sources: [{path: \"%[1]s\", format: \"%[1]s\"}]\n\"%[1]s\": 1\nsinks: {\"%[1]s\": {kind: \"%[1]s\"}}\n", quoted))
	good := write(t, dir, "good.yaml", fmt.Sprintf("sources: [{path: %s, format: postfix}]\nstate_dir: %s\nsinks: {stdout: {}}\nsuppress: {}\n", mail, dir))
	for _, c := range []struct {
		args   []string
		stdin  string
		fails  bool
		output string // must be in what is printed: the command did look at it
	}{
		{[]string{"classify", "550 5.9.9 " + terminalAttack}, "", false, "evil"},
		{[]string{"classify", "--explain", "550 5.9.9 " + terminalAttack}, "", false, "evil"},
		{[]string{"classify"}, "550 5.9.9 " + terminalAttack + "\n", false, "evil"},
		{[]string{"classify", "--output", "json"}, "550 5.9.9 " + terminalAttack + "\n", false, "category"},
		{[]string{"classify", "--input", "json"}, "{\"id\": \"" + terminalAttack + "\n", true, "line 1"},
		{[]string{"classify", "--input", "json", "--output", "json"}, `{"id":"\u001b[2J\u202e\u009b","text":"550 \u001b[2J\u202e"}` + "\n", false, "category"},
		{[]string{"replay", mail}, "", false, "evil"},
		{[]string{"rules", "suggest", mail}, "", false, "qwertz"},
		{[]string{"rules", "suggest", "--output", "json", mail}, "", false, "qwertz"},
		{[]string{"rules", "diff", odd, "default", mail}, "", false, "decided differently"},
		{[]string{"rules", "list", mail}, "", false, "decided by a rule"},
		{[]string{"report", "-o", dir + "/report.html", mail}, "", false, ""},
		{[]string{"check", "--rules", rules}, "", true, "rules.yaml:"},
		{[]string{"rules", "test", rules}, "", true, ""},
		{[]string{"check", "--config.file", config}, "", true, "bad.yaml:"},
		{[]string{"check", "--config.file", terminalAttack}, "", true, "no such file"},
		{[]string{"replay", terminalAttack}, "", true, "no such file"},
		{[]string{terminalAttack}, "", true, "unknown command"},
		{[]string{"run", "--" + terminalAttack}, "", true, "flag"},
		{[]string{"suppress", "add", "--config.file", good, "--reason", terminalAttack, "u\x1b[31m\u202e@remote.example"}, "", false, ""},
		{[]string{"suppress", "list", "--config.file", good}, "", false, "remote.example"},
		{[]string{"suppress", "show", "--config.file", good, "u\x1b[31m\u202e@remote.example"}, "", false, ""},
		{[]string{"suppress", "show", "--config.file", good, "other" + terminalAttack}, "", true, "not suppressed"},
	} {
		name := strings.Join(c.args[:min(len(c.args), 2)], " ")
		cmd := exec.Command(binary, c.args...)
		cmd.Stdin = strings.NewReader(c.stdin)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Run(); (err != nil) != c.fails && !strings.HasPrefix(name, "classify") {
			t.Errorf("%q ended with %v:\n%q", c.args, err, excerpt(out.Bytes()))
		}
		if !strings.Contains(out.String(), c.output) {
			t.Errorf("%q: no %q in %q", c.args, c.output, excerpt(out.Bytes()))
		}
		harmless(t, fmt.Sprintf("%q", name), out.Bytes())
		for line := range strings.Lines(out.String()) {
			if strings.HasPrefix(line, "mtatap: all is well") {
				t.Errorf("%q: a line was forged in\n%q", name, excerpt(out.Bytes()))
			}
		}
	}
}
