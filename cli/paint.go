package cli

import (
	"io"
	"os"

	"golang.org/x/term"
)

// painter colours output on a terminal, unless NO_COLOR is set (no-color.org).
type painter struct{ on bool }

func newPainter(env Environment) painter {
	return painter{coloured(isTerminal(env.Stdout), env.Getenv)}
}

func coloured(terminal bool, getenv func(string) (string, bool)) bool {
	no, _ := getenv("NO_COLOR")
	return terminal && no == ""
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func (p painter) bold(s string) string  { return p.paint("1", s) }
func (p painter) dim(s string) string   { return p.paint("2", s) }
func (p painter) green(s string) string { return p.paint("32", s) }
func (p painter) red(s string) string   { return p.paint("31", s) }

func (p painter) paint(code, s string) string {
	if !p.on || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}
