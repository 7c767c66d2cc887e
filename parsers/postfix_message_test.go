package parsers

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"mtatap/event"
)

const (
	postfixStart   = `cleanup[1]: 40C20532618: message-id=<m@sender.example>`
	postfixActive  = `qmgr[1]: 40C20532618: from=<s@sender.example>, size=359, nrcpt=2 (queue active)`
	postfixExpired = `qmgr[1]: 40C20532618: from=<s@sender.example>, status=expired, returned to sender`
	postfixDelayed = `smtp[1]: 40C20532618: to=<%s>, relay=mx.b.example[198.51.100.1]:25, delay=1, delays=0/0/0/0, dsn=4.2.0, status=deferred (host mx.b.example[198.51.100.1] said: 450 4.2.1 later (in reply to RCPT TO command))`
	postfixDone    = `smtp[1]: 40C20532618: to=<%s>, relay=mx.b.example[198.51.100.1]:25, delay=1, delays=0/0/0/0, dsn=2.0.0, status=sent (250 ok)`
	postfixSuspend = `error[1]: 40C20532618: to=<%s>, relay=none, delay=1, delays=0/0/0/0, dsn=4.4.1, status=deferred (delivery temporarily suspended: connect to mx.b.example[198.51.100.1]:25: Connection refused)`
)

// deliveriesOf parses messages and returns the deliveries of the last.
func deliveriesOf(t *testing.T, p *postfix, messages ...string) []event.Delivery {
	t.Helper()
	var dst []event.Delivery
	for _, m := range messages {
		var err error
		if dst, err = p.Parse(dst[:0], Line{Text: []byte(postfixHead + m), Reference: postfixReference}); err != nil {
			t.Fatalf("%v: %s", err, m)
		}
	}
	return dst
}

func to(format, recipient string) string { return fmt.Sprintf(format, recipient) }

func TestPostfixExpiryTellsOfEveryRecipientStillDeferred(t *testing.T) {
	p := newPostfix(Options{})
	got := deliveriesOf(t, p, postfixStart, postfixActive,
		to(postfixDelayed, "a@b.example"), to(postfixDelayed, "b@b.example"), to(postfixDelayed, "c@b.example"),
		postfixActive, to(postfixDelayed, "a@b.example"), to(postfixDone, "b@b.example"), to(postfixSuspend, "c@b.example"),
		postfixExpired)
	want := []string{
		"expired a@b.example via mx.b.example[198.51.100.1]:25 at rcpt 450 4.2.1 dsn=4.2.0: 450 4.2.1 later",
		"expired c@b.example via mx.b.example[198.51.100.1]:25 at connect dsn=4.4.1: connect to mx.b.example[198.51.100.1]:25: Connection refused",
	}
	if len(got) != 2 || describePostfix(got[0]) != want[0] || describePostfix(got[1]) != want[1] {
		t.Fatalf("got %d: %v", len(got), got)
	}
	for i, attempts := range []int{2, 1} {
		d := got[i]
		if d.Attempt != attempts || d.Sender != "s@sender.example" || !d.SenderKnown || d.MessageID != "m@sender.example" ||
			d.QueueID != "40C20532618" || d.Program != "qmgr" || d.RecipientSource != event.RecipientFromLog || d.Raw != postfixHead+postfixExpired {
			t.Errorf("got %+v", d)
		}
	}
	if got := deliveriesOf(t, p, postfixExpired); len(got) != 1 || got[0].Recipient != "" {
		t.Errorf("a second expiry repeats %v", got)
	}
}

func TestPostfixExpiryOfAnUnknownMessageIsAnEventWithoutRecipient(t *testing.T) {
	got := deliveriesOf(t, newPostfix(Options{}), strings.Replace(postfixExpired, "=expired", "=force-expired", 1))
	if len(got) != 1 || describePostfix(got[0]) != "expired  at queue: " || got[0].QueueID != "40C20532618" || got[0].Sender != "s@sender.example" {
		t.Errorf("got %+v", got)
	}
}

func TestPostfixExpiryOfMoreRecipientsThanRemembered(t *testing.T) {
	p := newPostfix(Options{})
	for i := range maxDeferrals + 1 {
		deliveriesOf(t, p, to(postfixDelayed, fmt.Sprintf("r%d@b.example", i)))
	}
	got := deliveriesOf(t, p, postfixExpired)
	if len(got) != maxDeferrals+1 || got[maxDeferrals].Recipient != "" || got[0].Recipient != "r0@b.example" {
		t.Errorf("%d events", len(got))
	}
	if p.deferred.bytes != 0 {
		t.Errorf("%d bytes are still accounted for", p.deferred.bytes)
	}
}

func TestPostfixCountsAttempts(t *testing.T) {
	for name, c := range map[string]struct {
		lines []string
		want  int
	}{
		"the first":                             {[]string{postfixStart, to(postfixDone, "a@b.example")}, 1},
		"the third":                             {[]string{postfixStart, to(postfixDelayed, "a@b.example"), to(postfixDelayed, "a@b.example"), to(postfixDone, "a@b.example")}, 3},
		"of its own recipient only":             {[]string{postfixStart, to(postfixDelayed, "b@b.example"), to(postfixDone, "a@b.example")}, 1},
		"not the suspended ones":                {[]string{postfixStart, to(postfixSuspend, "a@b.example"), to(postfixDelayed, "a@b.example")}, 1},
		"a suspended one has no number":         {[]string{postfixStart, to(postfixSuspend, "a@b.example")}, 0},
		"unknown where the log starts later":    {[]string{postfixActive, to(postfixDelayed, "a@b.example"), to(postfixDone, "a@b.example")}, 0},
		"anew where the queue id is used again": {[]string{postfixStart, to(postfixDelayed, "a@b.example"), postfixStart, to(postfixDone, "a@b.example")}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			got := deliveriesOf(t, newPostfix(Options{}), c.lines...)
			if len(got) != 1 || got[0].Attempt != c.want {
				t.Errorf("got %+v, want attempt %d", got, c.want)
			}
		})
	}
}

func TestPostfixJoinsTheSender(t *testing.T) {
	status := to(postfixDone, "a@b.example")
	for name, c := range map[string]struct {
		lines             []string
		sender, messageID string
		known             bool
	}{
		"from qmgr":                     {[]string{postfixActive}, "s@sender.example", "", true},
		"the null sender":               {[]string{`qmgr[1]: 40C20532618: from=<>, size=359, nrcpt=1 (queue active)`}, "", "", true},
		"a hostile sender":              {[]string{`qmgr[1]: 40C20532618: from=<a>, size=1, nrcpt=1 (x@y>, size=359, nrcpt=1 (queue active)`}, "a>, size=1, nrcpt=1 (x@y", "", true},
		"from pickup":                   {[]string{`pickup[1]: 40C20532618: uid=0 from=<root>`}, "root", "", true},
		"from pickup after a requeue":   {[]string{`pickup[1]: 40C20532618: uid=103 from=<s@x> orig_id=39F46532655`}, "s@x", "", true},
		"unknown":                       {nil, "", "", false},
		"forgotten when it is removed":  {[]string{postfixStart, postfixActive, `qmgr[1]: 40C20532618: removed`}, "", "", false},
		"a message id without brackets": {[]string{`cleanup[1]: 40C20532618: message-id=not in angle brackets, with spaces`}, "", "not in angle brackets, with spaces", false},
		"a message id that is empty":    {[]string{`cleanup[1]: 40C20532618: message-id=<>`}, "", "", false},
		"a hostile message id":          {[]string{`cleanup[1]: 40C20532618: message-id=<x>, status=sent (250 fake) "q" \n@host>`}, "", `x>, status=sent (250 fake) "q" \n@host`, false},
		"both":                          {[]string{postfixStart, postfixActive}, "s@sender.example", "m@sender.example", true},
	} {
		t.Run(name, func(t *testing.T) {
			got := deliveriesOf(t, newPostfix(Options{}), append(slices.Clone(c.lines), status)...)
			if len(got) != 1 || got[0].Sender != c.sender || got[0].SenderKnown != c.known || got[0].MessageID != c.messageID {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestPostfixFilterHops(t *testing.T) {
	const line = `smtp[1]: 40C20532618: to=<a@b.example>, relay=%s, delay=1, delays=0/0/0/0, dsn=2.0.0, status=%s`
	for name, c := range map[string]struct {
		relay, outcome string
		events         int
	}{
		"a hand-over to a filter":                      {"127.0.0.1[127.0.0.1]:10025", "sent (250 2.0.0 Ok: queued as 4jYGCn5qQVzn4BW)", 0},
		"a hand-over to a filter by IPv6":              {"localhost[::1]:10024", "sent (250 2.0.0 from MTA(smtp:[::1]:10025): 250 2.0.0 Ok: queued as 4F2)", 0},
		"what a filter throws away":                    {"127.0.0.1[127.0.0.1]:10025", "sent (250 2.7.0 Ok, discarded, id=1 - spam)", 1},
		"what a filter refuses":                        {"127.0.0.1[127.0.0.1]:10025", "bounced (host 127.0.0.1[127.0.0.1] said: 554 5.7.0 Reject, id=1 (in reply to end of DATA command))", 1},
		"a hand-over to another port of the same host": {"127.0.0.1[127.0.0.1]:2627", "sent (250 2.0.0 Ok: queued as 4jYGCn5qQVzn4BW)", 1},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPostfix(Options{FilterHops: []string{"127.0.0.1:10025", "[::1]:10024"}})
			if got := deliveriesOf(t, p, fmt.Sprintf(line, c.relay, c.outcome)); len(got) != c.events {
				t.Errorf("%d events, want %d", len(got), c.events)
			}
		})
	}
}

func TestPostfixSnapshotKeepsWhatIsRemembered(t *testing.T) {
	p := newPostfix(Options{VERP: []string{"+{local}={domain}@"}})
	deliveriesOf(t, p, postfixStart, postfixActive, to(postfixDelayed, "a@b.example"), to(postfixSuspend, "c@b.example"),
		`qmgr[1]: 50C20532618: from=<>, size=359, nrcpt=1 (queue active)`, `bounce[1]: 40C20532618: sender delay notification: 50C20532618`)
	snapshot := p.Snapshot(nil)
	q := newPostfix(Options{VERP: []string{"+{local}={domain}@"}})
	deliveriesOf(t, q, `qmgr[1]: 60C20532618: from=<gone@x>, size=1, nrcpt=1 (queue active)`)
	if err := q.Restore(snapshot); err != nil {
		t.Fatal(err)
	}
	if again := q.Snapshot(nil); string(again) != string(snapshot) {
		t.Errorf("the snapshot of what was restored differs:\n%q\n%q", again, snapshot)
	}
	want, got := deliveriesOf(t, p, postfixExpired), deliveriesOf(t, q, postfixExpired)
	if len(got) != 2 || !slices.Equal(got, want) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
	if q.deferred.bytes != 0 {
		t.Errorf("%d bytes are still accounted for", q.deferred.bytes)
	}
	for n := range snapshot {
		if err := q.Restore(snapshot[:n]); err == nil || q.messages.len() > 0 {
			t.Errorf("%d of %d bytes were restored as %d messages: %v", n, len(snapshot), q.messages.len(), err)
		}
	}
}

func TestPostfixMemoryIsBounded(t *testing.T) {
	evicted := 0
	p := newPostfix(Options{Counts: Counts{Evicted: func() { evicted++ }}})
	long := strings.Repeat("x", 900)
	for i := range 40_000 {
		line := fmt.Sprintf(`smtp[1]: 40C2%07X: to=<%s@b.example>, relay=none, delay=1, delays=0/0/0/0, dsn=4.3.0, status=deferred (%s)`, i, long, long)
		deliveriesOf(t, p, line)
	}
	if p.deferred.bytes > maxDeferralBytes || evicted == 0 || p.messages.len()+evicted != 40_000 {
		t.Errorf("%d bytes in %d messages, %d evicted", p.deferred.bytes, p.messages.len(), evicted)
	}
}

func FuzzPostfixRestore(f *testing.F) {
	p := newPostfix(Options{})
	for _, m := range []string{postfixStart, postfixActive, to(postfixDelayed, "a@b.example"), to(postfixSuspend, "c@b.example")} {
		if _, err := p.Parse(nil, Line{Text: []byte(postfixHead + m), Reference: postfixReference}); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(p.Snapshot(nil))
	f.Fuzz(func(t *testing.T, snapshot []byte) {
		p := newPostfix(Options{MaxRemembered: 100})
		if err := p.Restore(snapshot); err != nil && p.messages.len() > 0 {
			t.Errorf("%d messages after %v", p.messages.len(), err)
		}
		if p.messages.len() > 100 {
			t.Errorf("%d messages, want at most 100", p.messages.len())
		}
		deliveriesOf(t, p, postfixExpired)
		if err := p.Restore(p.Snapshot(nil)); err != nil {
			t.Errorf("restore what was restored: %v", err)
		}
	})
}
