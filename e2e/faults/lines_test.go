//go:build e2e

package faults

import (
	"math/rand/v2"
	"os"
	"strings"
	"time"
)

var lineScenarios = []scenario{
	{"the writer pauses in the middle of a line", func(r *rig) {
		r.begin()
		for range 3 {
			r.log.held(func() {
				first, rest := half(r.log.next())
				r.log.raw(first)
				time.Sleep(time.Second)
				r.log.raw(rest)
			})
			r.write()
		}
		r.settle()
	}},
	{"the writer dies in the middle of a line and its successor goes on behind it", func(r *rig) {
		r.expect.letters = true // the two lines that became one
		r.begin()
		for range 3 {
			r.log.held(func() {
				r.log.raw(cutLine)
				r.log.open()
				r.log.raw(cutLine + "\n")
			})
			r.write()
		}
		r.settle()
		r.hasLetters(3, "lost@d001.example")
	}},
	{"the log is rotated in the middle of a line, which is finished later", func(r *rig) {
		r.begin()
		for range 3 {
			r.log.held(func() {
				first, rest := half(r.log.next())
				r.log.raw(first)
				r.log.rename()
				r.log.create()
				time.Sleep(500 * time.Millisecond)
				r.log.raw(rest)
				r.log.open()
			})
			r.write()
		}
		r.settle()
	}},
	{"the last line of a rotated log has no newline", func(r *rig) {
		r.settings["rotate_wait"] = "2s"
		r.begin()
		for range 2 {
			r.log.held(func() {
				// A recipient that comes once, for the next log is read meanwhile.
				r.log.raw(strings.TrimSuffix(r.log.traffic.single(time.Now()), "\n"))
				r.log.rename()
				r.log.open()
			})
			time.Sleep(3 * time.Second)
		}
		r.settle()
	}},
	{"binary junk stands between the lines", func(r *rig) {
		r.begin()
		rng := rand.New(rand.NewPCG(1, 2))
		for range 20 {
			junk := make([]byte, rng.IntN(100_000))
			for i := range junk {
				junk[i] = byte(rng.Uint32())
			}
			r.log.held(func() { r.log.raw(string(junk) + "\n\r\n\x1b[2J\xff\xfe\n") })
			time.Sleep(50 * time.Millisecond)
		}
		r.settle()
	}},
	{"a full disk of the log left holes of NULs", func(r *rig) {
		r.log.open()
		r.log.raw(strings.Repeat("\x00", 3000)) // before the first line, too
		r.begin()
		for n := range 10 {
			r.log.held(func() {
				r.log.raw(strings.Repeat("\x00", 1<<(2*n)))
				r.log.raw(r.log.next())
			})
			time.Sleep(100 * time.Millisecond)
		}
		r.log.rotate()
		r.settle()
	}},
	{"halves of lines are glued together", func(r *rig) {
		r.expect.letters = true
		r.begin()
		for range 5 {
			r.log.held(func() {
				r.log.raw(cutLine + cutLine + cutLine[len(cutLine)/2:] + "\n" + cutLine[len(cutLine)/2:] + "\n")
			})
			time.Sleep(100 * time.Millisecond)
		}
		r.settle()
		r.hasLetters(5, "lost@d001.example")
	}},
	{"256 MiB come without a newline", func(r *rig) {
		r.begin()
		r.log.held(func() {
			block := strings.Repeat("x", 1<<20)
			for range 256 {
				r.log.raw(block)
			}
			r.log.raw("\n")
		})
		r.awaitFlow()
		if n := r.metric("mtatap_lines_truncated_total"); n != 1 {
			r.t.Errorf("%v lines were cut", n)
		}
		r.settle()
		if most := r.peak(); most > 100 {
			r.t.Errorf("%.0f MiB resident", most)
		}
	}},
}

// cutLine is a status line that breaks off.
const cutLine = "2026-11-20T10:00:00.000000+00:00 mx1 postfix/smtp[372]: 4E0AAAAAAAA: to=<lost@d001.example>, relay=mx.d001.example[192.0.2.21]:25, delay=0.43, del"

// next returns the next line of the log, to be written by the caller.
func (l *mailLog) next() string { return l.traffic.line(time.Now()) + "\n" }

func half(line string) (first, rest string) { return line[:len(line)/2], line[len(line)/2:] }

// hasLetters fails unless that many lines with text are among the dead letters.
func (r *rig) hasLetters(n int, text string) {
	r.t.Helper()
	letters, err := os.ReadFile(r.deadLetters())
	if err != nil {
		r.t.Fatal(err)
	}
	if got := countLines(string(letters), `"cause":"unparsed"`, text); got < n {
		r.t.Errorf("%d dead letters with %s, want %d", got, text, n)
	}
}
