package pipeline

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"mtatap/parsers"
)

func TestSamplesShowOneLineOfAShapeInEachPeriod(t *testing.T) {
	s := newSamples(time.Minute)
	now := time.Date(2026, 11, 23, 18, 0, 0, 0, time.UTC)
	for i, c := range []struct {
		why, problem, line string
		after              time.Duration
		want               bool
	}{
		{"the first", "p", "4B1: to=<a@b.example>, relay=none, status=eaten (x)", 0, true},
		{"other values", "p", "4B2: to=<c@d.example>, relay=h[192.0.2.1]:25, status=eaten (y)", time.Second, false},
		{"another problem", "q", "4B1: to=<a@b.example>, relay=none, status=eaten (x)", time.Second, true},
		{"another field", "p", "4B1: to=<a@b.example>, relay=none, dsn=2.0.0, status=eaten (x)", time.Second, true},
		{"just before the period ends", "p", "4B1: to=<a@b.example>, relay=none, status=eaten (x)", time.Minute - time.Nanosecond, false},
		{"after the period", "p", "4B1: to=<a@b.example>, relay=none, status=eaten (x)", time.Minute, true},
		{"an empty line", "p", "", time.Minute, true},
	} {
		if got := s.pick(c.problem, []byte(c.line), now.Add(c.after)); got != c.want {
			t.Errorf("%d, %s: %v, want %v", i, c.why, got, c.want)
		}
	}
}

func TestSamplesRememberABoundedNumberOfShapes(t *testing.T) {
	s := newSamples(time.Minute)
	now := time.Date(2026, 11, 23, 18, 0, 0, 0, time.UTC)
	shown := 0
	flood := func(now time.Time) {
		for i := range 4 * maxShapes {
			if s.pick("p", fmt.Appendf(nil, "%s=1", name(i)), now) {
				shown++
			}
		}
	}
	flood(now)
	if shown != maxShapes || len(s.next) > maxShapes {
		t.Errorf("%d lines shown, %d shapes remembered, want at most %d", shown, len(s.next), maxShapes)
	}
	flood(now.Add(2 * time.Minute))
	if shown != 2*maxShapes || len(s.next) > maxShapes {
		t.Errorf("%d lines shown after the next period, %d shapes remembered", shown, len(s.next))
	}
}

// name returns a field name for i, of letters.
func name(i int) string {
	b := []byte("aaaa")
	for at := range b {
		b[at] += byte(i % 26)
		i /= 26
	}
	return string(b)
}

func TestSamplesOfHostileLinesAreEscapedAndCut(t *testing.T) {
	b := newBench(t, nil)
	r := b.reader(&input{}, nil)
	text := []byte("4B1: to=<a@b.example>, status=\x1b[2J\nlevel=ERROR msg=forged " + strings.Repeat("x", 1000))
	for range 3 {
		r.noteUnparsed(parsers.Line{Text: text}, &parsers.UnparsedError{MTA: "postfix", Program: "smtp", Problem: "test"})
	}
	got := b.logged.String()
	if strings.Count(got, "\n") != 1 || strings.ContainsAny(got, "\x1b") || len(got) > 700 {
		t.Errorf("logged %q", got)
	}
	if n := b.value(t, "mtatap_lines_unparsed_total"); n != 3 {
		t.Errorf("%v lines counted, want 3", n)
	}
}
