package pipeline

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"mtatap/bench/logs"
	"mtatap/event"
	"mtatap/parsers"
	"mtatap/tailers"
)

// The heads of the lines below, before a message's first delivery and after.
const (
	postfixHead = "Nov 23 21:16:35 mta-out postfix/"
	eximHead    = "2026-11-23 21:23:01 1xVbV7-0005wC-0B "
	harakaHead  = "2026-11-23T21:24:26.377Z [NOTICE] [0325EF83-16BC-425E-9AC8-2A6DBA6AE88E"
)

// TestBudget holds the whole way of a line, from the chunk that it was read in to
// the JSON of its event, to an exact number of allocations. One for each event
// keeps the line; Exim and Haraka may need a second one for what earlier lines of
// the message said. Whoever needs a further one changes the number here and says why.
func TestBudget(t *testing.T) {
	if raceDetector {
		t.Skip("allocations can't be counted under the race detector")
	}
	for name, c := range map[string]struct {
		format string
		before []string // sets the stage, not counted
		lines  []string
		events int
		want   float64
	}{
		"Postfix, lines of a message before its delivery": {format: "postfix", want: 0, lines: []string{
			postfixHead + "smtpd[12]: connect from app.example[10.0.0.7]",
			postfixHead + "smtpd[12]: 56217987222: client=app.example[10.0.0.7]",
			postfixHead + "cleanup[12]: 56217987222: message-id=<blocked.1@sender.example>",
			postfixHead + "qmgr[12]: 56217987222: from=<sender@sender.example>, size=378, nrcpt=1 (queue active)",
			postfixHead + "smtpd[12]: disconnect from app.example[10.0.0.7] ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5",
			postfixHead + "qmgr[12]: 56217987222: removed",
		}},
		"Postfix, delivered": {format: "postfix", events: 1, want: 1, lines: []string{
			postfixHead + "smtp[12]: 56217987222: to=<ok@remote.example>, relay=mx.remote.example[198.51.100.7]:25, delay=0.15, delays=0/0/0.1/0.05, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 4F00000001)"}},
		"Postfix, bounced": {format: "postfix", events: 1, want: 1,
			before: []string{postfixHead + "qmgr[12]: 56217987222: from=<sender@sender.example>, size=378, nrcpt=1 (queue active)"},
			lines: []string{
				postfixHead + "smtp[12]: 56217987222: to=<unknown@remote.example>, relay=mx.remote.example[198.51.100.7]:25, delay=0.15, delays=0/0/0.1/0.05, dsn=5.1.1, status=bounced (host mx.remote.example[198.51.100.7] said: 550 5.1.1 <unknown@remote.example>: Recipient address rejected: User unknown (in reply to RCPT TO command))"}},
		"Postfix, deferred again": {format: "postfix", events: 1, want: 1,
			before: []string{postfixHead + "qmgr[12]: 56217987222: from=<sender@sender.example>, size=378, nrcpt=1 (queue active)"},
			lines: []string{
				postfixHead + "smtp[12]: 56217987222: to=<full@remote.example>, relay=mx.remote.example[198.51.100.7]:25, delay=0.15, delays=0/0/0.1/0.05, dsn=4.2.2, status=deferred (host mx.remote.example[198.51.100.7] said: 452 4.2.2 Mailbox full (in reply to RCPT TO command))"}},
		"Exim, lines without delivery": {format: "exim", want: 0, lines: []string{
			eximHead + "<= sender@sender.example H=(client.example) [127.0.0.1] P=esmtp S=340 id=ok.1@sender.example",
			"2026-11-23 21:23:01 Start queue run: pid=22823",
			eximHead + "Completed",
		}},
		"Exim, delivered": {format: "exim", events: 1, want: 1, lines: []string{
			eximHead + "=> ok@remote.example R=remote T=remote_smtp H=mx.remote.example [198.51.100.7] C=\"250 2.0.0 Ok: queued as 4F00000001\""}},
		"Exim, bounced": {format: "exim", events: 1, want: 1, lines: []string{
			eximHead + "** unknown@remote.example R=remote T=remote_smtp H=mx.remote.example [198.51.100.7]: SMTP error from remote mail server after RCPT TO:<unknown@remote.example>: 550 5.1.1 User unknown"}},
		"Haraka, lines without outcome": {format: "haraka", want: 0, lines: []string{
			harakaHead + "] [core] connect ip=127.0.0.1 port=39106 local_ip=127.0.0.1 local_port=33011",
			harakaHead + ".1] [core] sender <sender@sender.example> code=CONT msg=\"\"",
			harakaHead + ".1] [core] recipient <unknown@remote.example> code=OK msg=\"\" sender=sender@sender.example",
			harakaHead + ".1] [core] queue code=DENY msg=no",
			harakaHead + "] [core] disconnect ip=127.0.0.1 rdns=localhost helo=client.example relay=Y early=N esmtp=Y tls=N pipe=N errors=0 txns=1 rcpts=1/0/0 msgs=1/0/0 bytes=162 lr=\"\" time=0.052",
		}},
		"Haraka, refused": {format: "haraka", events: 1, want: 1,
			before: []string{
				harakaHead + ".1] [core] sender <sender@sender.example> code=CONT msg=\"\"",
				harakaHead + ".1] [core] recipient <unknown@remote.example> code=OK msg=\"\" sender=sender@sender.example",
				harakaHead + ".1] [core] queue code=OK msg=\"Message Queued\"",
			},
			lines: []string{
				harakaHead + ".1.1] [outbound] recipient <unknown@remote.example> rejected: 550 5.1.1 User unknown",
			}},
	} {
		t.Run(name, func(t *testing.T) {
			r := budgetReader(t, c.format)
			events := 0
			pass := func(lines []string) func() {
				chunk := tailers.Chunk{Lines: []byte(strings.Join(lines, "\n") + "\n"), Origin: &event.Origin{Path: "log"}, Observed: time.Now().UTC()}
				return func() { events = r.once(chunk) }
			}
			pass(append(slices.Clone(c.before), c.lines...))()
			one := pass(c.lines)
			for range 10 { // buffers grow to what is needed
				one()
			}
			if n := testing.AllocsPerRun(200, one); n != c.want || events != c.events {
				t.Errorf("%v allocations for %d events, want %v for %d", n, events, c.want, c.events)
			}
		})
	}
}

// TestBudgetOfWholeLogs holds logs of each mail server, with all kinds of lines, to
// so many allocations for an event.
func TestBudgetOfWholeLogs(t *testing.T) {
	if raceDetector {
		t.Skip("allocations can't be counted under the race detector")
	}
	for format, most := range map[string]float64{"postfix": 1.01, "exim": 2.01, "haraka": 2.12} {
		t.Run(format, func(t *testing.T) {
			chunk := logChunk(t, logs.Options{MTA: format, Lines: 5000})
			r := budgetReader(t, format)
			events := 0
			pass := func() { events = r.once(chunk) }
			pass()
			n := testing.AllocsPerRun(5, pass) / float64(events)
			t.Logf("%.3f allocations for an event", n)
			if events < 500 || n > most {
				t.Errorf("%.3f allocations for each of %d events, want at most %v", n, events, most)
			}
		})
	}
}

// BenchmarkBatch measures what becomes of parsed deliveries: id, verdict, JSON.
func BenchmarkBatch(b *testing.B) {
	for name, o := range map[string]logs.Options{
		"delivered, one in five not": {Lines: 1000, Status: 1},
		"failed":                     {Lines: 1000, FailedOnly: true},
	} {
		b.Run(name, func(b *testing.B) {
			r := budgetReader(b, "postfix")
			r.readLines(logChunk(b, o))
			batch := r.batch
			b.ReportAllocs()
			for b.Loop() {
				batch.arena, batch.ends, batch.identified = batch.arena[:0], batch.ends[:0], false
				r.decide(batch)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(batch.events)), "ns/event")
		})
	}
}

// BenchmarkLine measures the whole way of a line, from a chunk in memory to the
// JSON of events.
func BenchmarkLine(b *testing.B) {
	for _, format := range []string{"postfix", "exim", "haraka"} {
		b.Run(format, func(b *testing.B) {
			const lines = 5000
			chunk := logChunk(b, logs.Options{MTA: format, Lines: lines})
			r := budgetReader(b, format)
			b.SetBytes(int64(len(chunk.Lines)))
			b.ReportAllocs()
			for b.Loop() {
				r.once(chunk)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/lines, "ns/line")
		})
	}
}

func logChunk(tb testing.TB, o logs.Options) tailers.Chunk {
	tb.Helper()
	var text bytes.Buffer
	if err := logs.Write(&text, o); err != nil {
		tb.Fatal(err)
	}
	return tailers.Chunk{Lines: text.Bytes(), Origin: &event.Origin{Path: "log"}, Observed: time.Now().UTC()}
}

// budgetReader is a reader without goroutines and sinks.
func budgetReader(tb testing.TB, format string) *reader {
	tb.Helper()
	parser, err := parsers.New(format, parsers.Options{Zone: time.UTC})
	if err != nil {
		tb.Fatal(err)
	}
	bench := newBench(tb, nil)
	r := bench.reader(&input{}, nil)
	r.parser, r.position = parser, nil
	return r
}

// once reads the lines of a chunk, decides their events and lets go of them. It
// returns how many there were.
func (r *reader) once(chunk tailers.Chunk) int {
	r.readLines(chunk)
	b := r.batch
	r.decide(b)
	n := len(b.events)
	b.empty() // instead of giving it back to the pool, which may lose it
	r.batch, b.reader = b, r
	return n
}
