package cli

import (
	"bytes"
	"os"
	"testing"
)

func TestOnlyATerminalIsColoured(t *testing.T) {
	env := Environment{Getenv: os.LookupEnv, Stdout: new(bytes.Buffer)}
	if newPainter(env).on {
		t.Error("a buffer is coloured")
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if env.Stdout = null; newPainter(env).on {
		t.Error("a file is coloured")
	}
	if got := (painter{on: true}).red("x"); got != "\x1b[31mx\x1b[0m" {
		t.Errorf("red is %q", got)
	}
	if got := (painter{on: true}).red("") + (painter{}).red("x"); got != "x" {
		t.Errorf("nothing in red, and red switched off, is %q", got)
	}
}

func TestNoColorSwitchesColoursOff(t *testing.T) {
	for value, want := range map[string]bool{"": true, "1": false} {
		if got := coloured(true, func(string) (string, bool) { return value, true }); got != want {
			t.Errorf("NO_COLOR=%q on a terminal: %v, want %v", value, got, want)
		}
	}
}
