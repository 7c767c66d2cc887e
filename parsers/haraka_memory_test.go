package parsers

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestHarakaRemembersAcrossARestart(t *testing.T) {
	before := append(harakaAccepted("a@multi.example", "b@multi.example", "c@multi.example"),
		"[NOTICE] ["+harakaTx+".1] [outbound] recipient <a@multi.example> deferred: 451 4.7.1 wait",
		"[ERROR] ["+harakaTx+".1] [outbound] Remote end 198.51.100.34:25 closed connection while we were processing mail. Trying next MX.")
	after := []string{
		"[INFO] [" + harakaTx + ".1] [outbound] Temp failing 1_1_0_1_a_1_h for 5 seconds: Tried all MXs",
		"[NOTICE] [" + harakaTx + ".1] [outbound]  delivered file=1_1_1_1_a_1_h domain=multi.example host=mx ip=198.51.100.1 port=25 response=Ok delay=9 fails=1 rcpts=3/0/0",
	}
	p := newHaraka(Options{})
	harakaRun(t, p, before...)
	snapshot := p.Snapshot(nil)
	want := harakaRun(t, p, after...)
	if len(want) != 5 {
		t.Fatalf("got %q, want 5 deliveries", want)
	}
	q := newHaraka(Options{})
	harakaRun(t, q, harakaAccepted("x@other.example")...)
	if err := q.Restore(snapshot); err != nil {
		t.Fatal(err)
	}
	if q.memory.len() != 1 || q.bytes == 0 {
		t.Errorf("%d transactions, %d bytes", q.memory.len(), q.bytes)
	}
	wantHaraka(t, harakaRun(t, q, after...), want...)
	for n := range snapshot {
		if err := q.Restore(snapshot[:n]); !errors.Is(err, errSnapshot) || q.memory.len() != 0 || q.bytes != 0 {
			t.Errorf("cut at %d: error %v, %d transactions, %d bytes", n, err, q.memory.len(), q.bytes)
		}
	}
}

func TestHarakaMemoryIsBounded(t *testing.T) {
	lost := 0
	p := newHaraka(Options{MaxRemembered: 10, Counts: Counts{Evicted: func() { lost++ }}})
	for i := range 100 {
		id := fmt.Sprintf("%08X-100C-4564-9937-F2D55B65120B.1", i)
		for _, l := range harakaAccepted("a@b.example") {
			harakaRun(t, p, strings.ReplaceAll(l, harakaTx, id))
		}
	}
	if p.memory.len() != 10 || lost != 90 {
		t.Errorf("%d remembered, %d lost, want 10 and 90", p.memory.len(), lost)
	}

	p = newHaraka(Options{})
	p.maxBytes = 4 * maxHarakaTransaction
	long := strings.Repeat("x", 900)
	for i := range 16 {
		id := fmt.Sprintf("%08X-100C-4564-9937-F2D55B65120B.1", i)
		for n := range 80 {
			line := fmt.Sprintf("[NOTICE] [%s] [core] recipient <%s%d@b.example> code=OK sender=s@x.example", id, long, n)
			if _, err := p.Parse(nil, Line{Text: []byte(line)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if p.bytes > p.maxBytes+maxHarakaTransaction || p.memory.len() < 4 || p.memory.len() > 6 {
		t.Errorf("%d bytes remembered of %d transactions", p.bytes, p.memory.len())
	}
}

func TestHarakaMemoryCountsItsBytes(t *testing.T) {
	p := newHaraka(Options{})
	for range 3 {
		harakaRun(t, p, harakaAccepted("a@b.example", "c@d.example")...)
		harakaRun(t, p,
			"[NOTICE] ["+harakaTx+".1] [outbound] recipient <a@b.example> deferred: 451 4.7.1 wait",
			"[NOTICE] ["+harakaTx+".1] [outbound] recipient <a@b.example> rejected: 551 4.7.1 gone",
			"[INFO] ["+harakaTx+".1] [outbound] bouncing mail: Some recipients failed: <a@b.example>",
			"[INFO] ["+harakaTx+".2] [outbound] bouncing mail: 554 no")
		if p.memory.len() != 0 || p.bytes != 0 {
			t.Fatalf("%d transactions and %d bytes are left of a finished message", p.memory.len(), p.bytes)
		}
	}
}

// A flood of messages costs no more than its bounds, every message that is
// forgotten before its end is counted, what is left is joined as if nothing had
// happened, and a restart in the middle of it changes nothing.
func TestHarakaFlood(t *testing.T) {
	const messages, bound = 5000, 100
	id := func(i int) string { return fmt.Sprintf("%08X-100C-4564-9937-F2D55B65120B.1", i) }
	lost := 0
	options := Options{MaxRemembered: bound, Counts: Counts{Evicted: func() { lost++ }}}
	p := newHaraka(options)
	arrive := func(i int) {
		for _, l := range harakaAccepted("a@multi.example", "b@other.example") {
			harakaRun(t, p, strings.ReplaceAll(l, harakaTx, id(i)))
		}
	}
	leave := func(i int) []string {
		return harakaRun(t, p,
			strings.ReplaceAll(harakaDelivered1("response=Ok delay=0.1 fails=0 rcpts=1/0/0"), harakaTx, id(i)),
			strings.ReplaceAll("[INFO] ["+harakaTx+".2] [outbound] bouncing mail: 550 no", harakaTx, id(i)))
	}
	for i := range messages {
		arrive(i)
		if i%7 == 0 { // some come to their end and are not lost
			if got := leave(i); len(got) != 2 {
				t.Fatalf("message %d: %q", i, got)
			}
		}
		if i%997 == 0 {
			q := newHaraka(options)
			if err := q.Restore(p.Snapshot(nil)); err != nil {
				t.Fatal(err)
			}
			p = q
		}
		if p.memory.len() > bound || p.bytes > bound*1024 {
			t.Fatalf("%d messages, %d bytes remembered", p.memory.len(), p.bytes)
		}
	}
	finished := (messages + 6) / 7
	if want := messages - finished - p.memory.len(); lost != want {
		t.Errorf("%d counted as lost, want %d", lost, want)
	}
	joined := 0
	for i := messages - bound; i < messages; i++ {
		if i%7 == 0 {
			continue
		}
		joined++
		wantHaraka(t, leave(i),
			"delivered a@multi.example #1 mx.multi.example[198.51.100.1]:25 | Ok",
			"bounced b@other.example #1 550 | 550 no")
	}
	if joined < bound/2 {
		t.Errorf("only %d messages were still remembered", joined)
	}
	// Of the lost ones a success is silent; a failure still shows, without recipient.
	wantHaraka(t, leave(1), "bounced  550 | 550 no")
}
