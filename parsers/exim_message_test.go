package parsers

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"mtatap/event"
)

const (
	eximGreylisted = eximHead + `== g@grey.example R=dnslookup T=remote_smtp defer (-44) H=mx.grey.example [198.51.100.1]:25: SMTP error from remote mail server after RCPT TO:<g@grey.example>: 450 4.2.0 Greylisted`
	eximTooEarly   = eximHead + `== g@grey.example R=dnslookup T=remote_smtp defer (-54): retry time not reached for any host for 'grey.example'`
	eximGaveUp     = eximHead + `** g@grey.example: retry timeout exceeded`
)

func TestEximExpiryRepeatsTheLastOutcome(t *testing.T) {
	grey := event.Relay{Host: "mx.grey.example", IP: "198.51.100.1", Port: 25}
	asked := eximCore{event.Expired, "g@grey.example", "", "", grey, event.PhaseRcpt, 450, "4.2.0", "450 4.2.0 Greylisted"}
	unknown := eximCore{event.Expired, "g@grey.example", "", "", event.Relay{}, event.PhaseQueue, 0, "", "retry timeout exceeded"}
	withMessage := func(line, id string) string { return strings.Replace(line, "1xVZgb-00001p-2t", id, 1) }
	for name, c := range map[string]struct {
		lines []string
		want  eximCore
	}{
		"of the recipient's reply":            {[]string{eximGreylisted, eximGaveUp}, asked},
		"past retries that were too early":    {[]string{eximGreylisted, eximTooEarly, strings.Replace(eximTooEarly, "-54", "-53", 1), eximGaveUp}, asked},
		"the last one of several":             {[]string{strings.Replace(eximGreylisted, "450 4.2.0 Greylisted", "421 go", 1), eximGreylisted, eximGaveUp}, asked},
		"not of another recipient":            {[]string{strings.ReplaceAll(eximGreylisted, "g@", "h@"), eximGaveUp}, unknown},
		"not of another message":              {[]string{withMessage(eximGreylisted, "1xVZgb-00001q-2t"), eximGaveUp}, unknown},
		"not of the message before":           {[]string{eximGreylisted, eximHead + `<= s@sender.example U=root P=local S=389`, eximGaveUp}, unknown},
		"not of a message that was completed": {[]string{eximGreylisted, eximHead + `Completed`, eximGaveUp}, unknown},
		"none but too early":                  {[]string{eximTooEarly, eximGaveUp}, unknown},
		"a deferral that says nothing":        {[]string{eximHead + `== g@grey.example R=dnslookup T=remote_smtp defer (0)`, eximGaveUp}, eximCore{event.Expired, "g@grey.example", "", "", event.Relay{}, event.PhaseLocal, 0, "", "retry timeout exceeded"}},
		"with the hosts that failed for long": {
			[]string{eximHead + `== g@grey.example R=dnslookup T=remote_smtp defer (111): Connection refused`, eximHead + `** g@grey.example R=dnslookup T=remote_smtp: all hosts for 'grey.example' have been failing for a long time (and retry time not reached)`},
			eximCore{event.Expired, "g@grey.example", "", "remote_smtp", event.Relay{}, event.PhaseConnect, 0, "", "Connection refused"}},
		"but for the relay of its own line": {
			[]string{eximGreylisted, eximHead + `** g@grey.example R=dnslookup T=remote_smtp H=mx2.grey.example [198.51.100.2]: retry timeout exceeded`},
			eximCore{event.Expired, "g@grey.example", "", "remote_smtp", event.Relay{Host: "mx2.grey.example", IP: "198.51.100.2"}, event.PhaseRcpt, 450, "4.2.0", "450 4.2.0 Greylisted"}},
		"unless its own line has one": {
			[]string{eximGreylisted, eximHead + `** g@grey.example R=dnslookup T=remote_smtp H=mx2.grey.example [198.51.100.2]: SMTP error from remote mail server after end of data: 452 4.3.1 full: retry timeout exceeded`},
			eximCore{event.Expired, "g@grey.example", "", "remote_smtp", event.Relay{Host: "mx2.grey.example", IP: "198.51.100.2"}, event.PhaseDot, 452, "4.3.1", "452 4.3.1 full"}},
		"of a local delivery": {
			[]string{eximHead + `== bob <Bob@example.net> R=localuser T=local_delivery defer (-22): mailbox is full`, eximHead + `** bob <Bob@example.net>: retry timeout exceeded`},
			eximCore{event.Expired, "Bob@example.net", "", "", event.Relay{}, event.PhaseLocal, 0, "", "mailbox is full"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, nonAttempts := range []bool{false, true} {
				got := parseExim(t, Options{NonAttempts: nonAttempts}, c.lines...)
				if core := coreOfExim(got[len(got)-1]); core != c.want {
					t.Errorf("\n got %+v\nwant %+v", core, c.want)
				}
			}
		})
	}
}

func TestEximCountsTheAttemptsOfAMessageReadFromItsArrival(t *testing.T) {
	const (
		arrival   = eximHead + `<= s@sender.example U=root P=local S=389`
		delivered = eximHead + `=> g@grey.example R=dnslookup T=remote_smtp H=mx.grey.example [198.51.100.1] C="250 ok"`
		other     = eximHead + `== h@grey.example R=dnslookup T=remote_smtp defer (111): Connection refused`
		refused   = eximHead + `** g@grey.example R=dnslookup T=remote_smtp H=mx.grey.example [198.51.100.1]: SMTP error from remote mail server after RCPT TO:<g@grey.example>: 450 later: retry timeout exceeded`
	)
	for name, c := range map[string]struct {
		lines []string
		want  []int
	}{
		"delivered at once":                    {[]string{arrival, delivered}, []int{1}},
		"delivered after two deferrals":        {[]string{arrival, eximGreylisted, eximTooEarly, eximGreylisted, delivered}, []int{1, 2, 3}},
		"beside another recipient":             {[]string{arrival, eximGreylisted, other, other, delivered}, []int{1, 1, 2, 2}},
		"given up without another attempt":     {[]string{arrival, eximGreylisted, eximGaveUp}, []int{1, 1}},
		"given up at the last attempt":         {[]string{arrival, eximGreylisted, refused}, []int{1, 2}},
		"given up without any attempt":         {[]string{arrival, eximTooEarly, eximGaveUp}, []int{0}},
		"not where the arrival was not read":   {[]string{eximGreylisted, delivered}, []int{0, 0}},
		"anew for the next message of that id": {[]string{arrival, eximGreylisted, arrival, delivered}, []int{1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []int
			for _, d := range parseExim(t, Options{}, c.lines...) {
				got = append(got, d.Attempt)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("attempts %v, want %v", got, c.want)
			}
		})
	}
}

func TestEximDoesNotCountAttemptsOfMoreRecipientsThanItRemembers(t *testing.T) {
	p := newExim(Options{})
	feedExim(t, p, nil, eximHead+`<= s@sender.example U=root P=local S=389`)
	for i := range maxDeferrals {
		feedExim(t, p, nil, fmt.Sprintf(eximHead+`== r%d@b.example R=r T=t defer (-1): no`, i))
	}
	for _, line := range []string{eximGreylisted, eximGreylisted, eximHead + `=> r1@b.example R=r T=t`} {
		if got := feedExim(t, p, nil, line); len(got) != 1 || got[0].Attempt != 0 {
			t.Errorf("%q gave %+v, want no attempt", line, got)
		}
	}
}

func TestEximForgetsARecipientThatIsDoneWith(t *testing.T) {
	for _, flag := range []string{"=>", "**"} {
		p := newExim(Options{})
		feedExim(t, p, nil, eximGreylisted, eximHead+flag+` g@grey.example R=dnslookup T=remote_smtp H=mx.grey.example [198.51.100.1]`)
		if p.deferred.bytes != 0 {
			t.Errorf("%s: %d bytes are still held", flag, p.deferred.bytes)
		}
	}
}

func TestEximMemoryOfDeferralsIsBounded(t *testing.T) {
	evicted := 0
	p := newExim(Options{Counts: Counts{Evicted: func() { evicted++ }}})
	long := strings.Repeat("x", 900)
	for i := range 40_000 {
		feedExim(t, p, nil, fmt.Sprintf(`2026-11-23 19:26:45 1xVZgb-%06d-2t == %s@b.example R=r T=t defer (-1): %s`, i, long, long))
	}
	if p.deferred.bytes > maxDeferralBytes || evicted == 0 || p.messages.len()+evicted != 40_000 {
		t.Errorf("%d bytes in %d messages, %d evicted", p.deferred.bytes, p.messages.len(), evicted)
	}
}

func TestEximSnapshotKeepsWhatIsRemembered(t *testing.T) {
	p := newExim(Options{Rejects: true})
	feedExim(t, p, nil,
		eximHead+`<= s@sender.example U=root P=local S=4 id=m@x`, eximGreylisted,
		`2026-11-23 19:26:45 1xVZgb-00001q-2t == g@grey.example R=dnslookup T=remote_smtp defer (111): Connection refused`,
		`Nov 23 19:30:46 h exim[146]: 2026-11-23 19:30:46 H=c [192.0.2.1] rejected RCPT <a@b.example>: no`,
		`Nov 23 19:30:46 h exim[146]: [1/2] `+eximHead+`=> long@text.example R=a T=b C="250 o`)
	q := newExim(Options{Rejects: true})
	if err := q.Restore(p.Snapshot(nil)); err != nil {
		t.Fatal(err)
	}
	rest := []string{`Nov 23 19:30:46 h exim[146]: [2/2] k"`,
		`Nov 23 19:30:46 h exim[146]: 2026-11-23 19:30:46 H=c [192.0.2.1] rejected RCPT <a@b.example>: no`, eximGaveUp}
	want, got := feedExim(t, p, nil, rest...), feedExim(t, q, nil, rest...)
	if len(want) != 2 || !reflect.DeepEqual(got, want) || got[0].Sender != "s@sender.example" || got[0].Diagnostic != "250 ok" || got[1].SMTPCode != 450 {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
	if again := q.Snapshot(nil); string(again) != string(p.Snapshot(nil)) || q.deferred.bytes == 0 {
		t.Errorf("the snapshot of what was restored differs: %q", again)
	}
	for _, bad := range [][]byte{nil, {9}, {eximSnapshotVersion}, append(p.Snapshot(nil), 0)} {
		if err := q.Restore(bad); err == nil || q.messages.len() > 0 || q.deferred.bytes > 0 {
			t.Errorf("Restore(%v) = %v with %d messages, want an error and none", bad, err, q.messages.len())
		}
	}
}

func TestLinesThatSayNothingWasTriedAreCounted(t *testing.T) {
	const early = eximHead + `== ann@shop.example R=lookup T=smtp defer (-53): retry time not reached for any host for 'shop.example'`
	for _, c := range []struct {
		nonAttempts         bool
		wantEvents, counted int
	}{{false, 0, 1}, {true, 1, 0}} {
		counted := 0
		p := newExim(Options{NonAttempts: c.nonAttempts, Counts: Counts{NotTried: func() { counted++ }}})
		got, err := p.Parse(nil, Line{Text: []byte(early), Origin: &event.Origin{}})
		if err != nil || len(got) != c.wantEvents || counted != c.counted {
			t.Errorf("non_attempts %v: %d events, %d counted, %v", c.nonAttempts, len(got), counted, err)
		}
	}
}
