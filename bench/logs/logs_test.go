package logs

import (
	"bytes"
	"math"
	"strings"
	"testing"
)

func TestWrite(t *testing.T) {
	// isOutcome are the words that make a line an outcome, of an MTA.
	isOutcome := map[string][]string{
		"postfix": {", status="},
		"exim":    {" => ", " ** ", " == "},
		"haraka":  {" delivered file=", " bouncing mail: ", " Temp failing "},
	}
	isFailure := map[string][]string{
		"postfix": {"status=bounced", "status=deferred"},
		"exim":    {" ** ", " == "},
		"haraka":  {" bouncing mail: ", " Temp failing "},
	}
	for name, c := range map[string]struct {
		options        Options
		status, failed float64
	}{
		"Postfix has one outcome in seven lines":   {Options{MTA: "postfix"}, 1. / 7, 0.2},
		"Postfix with many recipients":             {Options{MTA: "postfix", Status: 0.6, Failed: 0.5}, 0.6, 0.5},
		"Postfix with much noise":                  {Options{MTA: "postfix", Status: 0.02}, 0.02, 0.2},
		"Postfix with nothing but failures":        {Options{MTA: "postfix", FailedOnly: true}, 1, 1},
		"Exim has one outcome in three lines":      {Options{MTA: "exim"}, 1. / 3, 0.2},
		"Exim with one outcome in seven lines":     {Options{MTA: "exim", Status: 1. / 7}, 1. / 7, 0.2},
		"Exim with nothing but failures":           {Options{MTA: "exim", FailedOnly: true}, 1, 1},
		"Haraka has one outcome in nine lines":     {Options{MTA: "haraka"}, 1. / 9, 0.2},
		"Haraka with failures keeps other lines":   {Options{MTA: "haraka", FailedOnly: true}, 1. / 9, 1},
		"Haraka with more noise and many failures": {Options{MTA: "haraka", Status: 0.05, Failed: 0.9}, 0.05, 0.9},
	} {
		t.Run(name, func(t *testing.T) {
			c.options.Lines, c.options.Seed = 12_000, 7
			text := write(t, c.options)
			if again := write(t, c.options); again != text {
				t.Fatal("the same options gave another log")
			}
			lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
			if len(lines) < c.options.Lines || len(lines) > c.options.Lines+1000 {
				t.Errorf("%d lines, want about %d", len(lines), c.options.Lines)
			}
			outcomes, failures := 0, 0
			for _, line := range lines {
				if containsAny(line, isOutcome[c.options.MTA]) {
					outcomes++
				}
				if containsAny(line, isFailure[c.options.MTA]) {
					failures++
				}
			}
			near(t, "share of outcomes", float64(outcomes)/float64(len(lines)), c.status)
			near(t, "share of failures", float64(failures)/float64(outcomes), c.failed)
		})
	}
}

func TestEachReplyDiffers(t *testing.T) {
	text := write(t, Options{FailedOnly: true, Lines: 5000})
	seen := map[string]bool{}
	for line := range strings.Lines(text) {
		_, reply, ok := strings.Cut(line, " said: ")
		if ok && seen[reply] {
			t.Fatalf("twice: %s", reply)
		}
		seen[reply] = true
	}
	if len(seen) < 4000 {
		t.Errorf("only %d replies in 5000 failures", len(seen))
	}
}

func TestWhatCannotBeMadeIsRefused(t *testing.T) {
	for _, o := range []Options{{MTA: "sendmail"}, {Status: 1.5}, {MTA: "haraka", Status: 0.5}} {
		if err := Write(new(bytes.Buffer), o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
}

func write(t *testing.T, o Options) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func containsAny(s string, words []string) bool {
	for _, w := range words {
		if strings.Contains(s, w) {
			return true
		}
	}
	return false
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 0.1*math.Max(want, 0.3) {
		t.Errorf("%s is %.3f, want %.3f", what, got, want)
	}
}
