package host

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"mtatap/parsers"
)

// Sources reports whether there is anything to follow.
func (f Findings) Sources() bool { return len(f.Logs) > 0 || f.Journal != nil }

// Report tells in plain words what was found, why what cannot be read, and what to
// do.
func (f Findings) Report() string {
	var b strings.Builder
	for _, s := range f.Servers {
		fmt.Fprintf(&b, "%s is here: %s\n", s.Name, s.Sign)
	}
	for _, log := range f.Logs {
		fmt.Fprintf(&b, "%s: %s\n", log.Path, log.says())
		fmt.Fprintf(&b, "  %s\n", log.Reason)
		if n := len(log.Rotated); n > 0 {
			fmt.Fprintf(&b, "  rotated: %s\n", list(log.Rotated, 3))
		}
		if p := log.Problem; p != nil && !errors.Is(p, fs.ErrNotExist) {
			fmt.Fprintf(&b, "  %s\n", p.Says())
		}
	}
	if j := f.Journal; j != nil {
		fmt.Fprintf(&b, "the journal of systemd: %s\n  no log file of it was found\n", list(j.names(), 5))
		if j.Problem != nil {
			fmt.Fprintf(&b, "  %s\n", j.Problem.Says())
		}
	}
	if !f.Sources() {
		b.WriteString("no log of a mail server was found; looked for:\n")
		for _, p := range f.Looked {
			b.WriteString("  " + p + "\n")
		}
	}
	return b.String()
}

// says what a log is, on one line.
func (l Log) says() string {
	switch {
	case l.Problem != nil && errors.Is(l.Problem, fs.ErrNotExist):
		return fmt.Sprintf("not there yet; will be followed as %s", formatName(l.Format))
	case l.Empty():
		return fmt.Sprintf("empty; will be followed as %s", formatName(l.Format))
	case !l.Sample.Taken:
		return fmt.Sprintf("%d bytes, could not be looked into; will be followed as %s", l.Size, formatName(l.Format))
	case l.Sample.Envelope == "":
		return fmt.Sprintf("no line of %s in the last %d; will be followed as it", formatName(l.Format), l.Sample.Lines)
	}
	text := fmt.Sprintf("%s, %s; %d deliveries in the last %d lines", formatName(l.Format), l.Sample.Envelope, l.Sample.Deliveries, l.Sample.Lines)
	if l.Sample.Unparsed > 0 {
		text += fmt.Sprintf(", %d not understood", l.Sample.Unparsed)
	}
	var others []string
	for _, mta := range slices.Sorted(maps.Keys(l.Sample.MTAs)) {
		if string(mta) != l.Format {
			others = append(others, nameOf(mta))
		}
	}
	if len(others) > 0 {
		text += fmt.Sprintf("; also holds lines of %s, which are passed over: give each mail server its own file", strings.Join(others, " and "))
	}
	return text
}

func (j *Journal) names() (names []string) {
	for _, mta := range j.MTAs {
		names = append(names, nameOf(mta))
	}
	return names
}

func formatName(format string) string {
	for _, mta := range parsers.MTAs() {
		if string(mta) == format {
			return nameOf(mta)
		}
	}
	return "whatever its first lines are"
}

// list writes names, the first n of them.
func list(names []string, n int) string {
	if len(names) <= n {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:n], ", "), len(names)-n)
}
