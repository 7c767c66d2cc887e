//go:build e2e

package suppress

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"mtatap/suppress"
)

// logged is a line of Postfix: what became of the i-th message to an address. They
// are far enough apart for what spreads over days, and in the past: a stamp of the
// future would not be believed.
func logged(i int, address, dsn, status, reply string) string {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(i) * 20 * time.Minute)
	return fmt.Sprintf("%s mx postfix/smtp[485]: %010X: to=<%s>, relay=mx.text.example[198.51.100.1]:25, delay=0.04, delays=0.01/0.02/0.01/0, dsn=%s, status=%s (%s)\n",
		at.Format(time.RFC3339), i, address, dsn, status, reply)
}

func said(reply string) string {
	return "host mx.text.example[198.51.100.1] said: " + reply + " (in reply to RCPT TO command)"
}

func bounce(i int, address string) string {
	return logged(i, address, "5.1.1", "bounced", said("550 5.1.1 User unknown"))
}

func delivery(i int, address string) string {
	return logged(i, address, "2.0.0", "sent", "250 2.0.0 Ok: queued as 12345")
}

// mailLog is the same log each time: so many lines about a tenth as many recipients,
// some of whom are gone, some full, some come back.
func mailLog(lines int) []string {
	random := rand.New(rand.NewPCG(11, 7))
	all := make([]string, 0, lines)
	for i := range lines {
		who := random.IntN(lines / 10)
		address := fmt.Sprintf("User.%d@text.example", who)
		dice := random.IntN(100)
		switch {
		case who%6 == 0 && dice < 70:
			all = append(all, logged(i, address, "5.2.2", "bounced", said("552 5.2.2 Mailbox full")))
		case who%6 == 1 && dice < 50:
			all = append(all, bounce(i, address))
		case dice < 20:
			all = append(all, logged(i, address, "5.7.1", "bounced", said("554 5.7.1 Service unavailable; Client host [192.0.2.10] blocked using zen.spamhaus.org")))
		case dice < 30:
			all = append(all, logged(i, address, "4.2.2", "deferred", said("452 4.2.2 Mailbox full")))
		case who%6 > 3 || dice > 92:
			all = append(all, delivery(i, address))
		default:
			all = append(all, logged(i, address, "4.3.0", "deferred", said("451 4.3.0 Try again later")))
		}
	}
	return all
}

// oracleOf is what one process decides on the events of finished logs, and how many
// those are.
func oracleOf(t *testing.T, logs ...string) (table map[string]string, events int64) {
	t.Helper()
	p := policy(t)
	states := map[string]suppress.State{}
	var decoder suppress.Decoder
	released, converted := 0, 0
	for line := range strings.Lines(must(t, append([]string{"replay", "--quiet"}, logs...)...)) {
		events++
		key, o, err := decoder.Decode([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		if o.Kind == suppress.Nothing {
			continue
		}
		var decisions []suppress.Decision
		states[key], decisions = suppress.Apply(states[key], o, p)
		for _, d := range decisions {
			if d.Suppression == nil {
				released++
			}
			if d.Cause == suppress.CauseConversion {
				converted++
			}
		}
	}
	table = map[string]string{}
	for key, s := range states {
		if s.Suppression != nil {
			r := s.Suppression.Record(key)
			table[key] = canonical(t, string(r.Encode()))
		}
	}
	if len(table) < 20 || released < 5 || converted < 5 {
		t.Fatalf("the log says too little: %d suppressed, %d released, %d converted", len(table), released, converted)
	}
	return table, events
}
