//go:build e2e

package suppress

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mtatap/config"
	"mtatap/event"
	"mtatap/rules"
	"mtatap/sinks"
	"mtatap/suppress"
)

// traffic makes the same stream of events each time: n of them over so many
// recipients, in the order of their times, most of them delivered.
func traffic(n, recipients int, seed uint64) func() *event.Event {
	random := rand.New(rand.NewPCG(seed, 7))
	at := time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC)
	i := 0
	step := 60 * 24 * time.Hour / time.Duration(n)
	var scratch []byte
	enc := new(event.Encoder)
	return func() *event.Event {
		i++
		at = at.Add(step)
		who := random.IntN(recipients)
		e := &event.Event{
			Delivery: event.Delivery{Time: at, MTA: "postfix", Host: "mx1", Program: "smtp", QueueID: fmt.Sprintf("%010X", i), MessageID: fmt.Sprintf("%d@sender.example", i),
				Recipient: fmt.Sprintf("User.%d@Example%d.org", who, who%100), RecipientSource: event.RecipientFromLog, Offset: int64(i),
				Relay: event.Relay{Host: "mx.example.org", IP: "192.0.2.1", Port: 25}, Origin: &event.Origin{Path: "/var/log/mail.log"}},
			Observed: at.Add(time.Second), RecipientDomain: "example.org", Provider: "other",
		}
		// A tenth of the recipients has trouble, each its own.
		dice := random.IntN(100)
		switch {
		case who%10 == 0 && dice < 60:
			e.Status, e.SMTPCode, e.EnhancedCode, e.Diagnostic = event.Bounced, 552, "5.2.2", "552 5.2.2 Mailbox full"
			e.Verdict = event.Verdict{Category: event.CategoryMailboxFull, BounceType: event.Soft, Reason: "mailbox-full", Action: event.Watch, Rule: "mailbox-full"}
		case who%10 == 1 && dice < 70:
			e.Status, e.SMTPCode, e.EnhancedCode, e.Diagnostic = event.Bounced, 550, "5.1.1", "550 5.1.1 User unknown"
			e.Verdict = event.Verdict{Category: event.CategoryHard, BounceType: event.Hard, Reason: "user-unknown", Action: event.Suppress, Rule: "user-unknown"}
		case dice < 10:
			e.Status, e.SMTPCode, e.EnhancedCode, e.Diagnostic = event.Bounced, 554, "5.7.1", "554 5.7.1 blocked using zen.spamhaus.org"
			e.Verdict = event.Verdict{Category: event.CategoryBlockGeneral, BounceType: event.Soft, Reason: "ip-listed", Action: event.FixSending, Resend: true, Rule: "ip-listed"}
		default:
			e.Status, e.SMTPCode, e.Diagnostic = event.Delivered, 250, "250 2.0.0 Ok: queued as 12345"
			e.Verdict = event.Verdict{Category: event.CategoryDelivered, BounceType: event.None, Action: event.NoAction, Rule: "default"}
		}
		e.ID, scratch = event.NewID(&e.Delivery, scratch)
		e.JSON = enc.Append(nil, e)
		return e
	}
}

// failing makes n events, a hard bounce of another recipient each.
func failing(n int) func() *event.Event {
	next := traffic(n, n, 3)
	i := 0
	return func() *event.Event {
		e := next()
		i++
		e.Recipient = fmt.Sprintf("gone.%d@example.net", i)
		e.Status, e.SMTPCode, e.EnhancedCode, e.Diagnostic = event.Bounced, 550, "5.1.1", "550 5.1.1 User unknown"
		e.Verdict = event.Verdict{Category: event.CategoryHard, BounceType: event.Hard, Reason: "user-unknown", Action: event.Suppress, Rule: "user-unknown"}
		e.JSON = new(event.Encoder).Append(nil, e)
		return e
	}
}

// policy is that of the built-in rules.
func policy(t *testing.T) suppress.Policy {
	t.Helper()
	data, err := os.ReadFile("../../rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	set, err := rules.Parse("rules.yaml", data, nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := suppress.PolicyOf(set)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// oracle is what one process decides on the same events.
func oracle(t *testing.T, n int, next func() *event.Event) map[string]string {
	t.Helper()
	p := policy(t)
	states := map[string]suppress.State{}
	for range n {
		e := next()
		key := e.Key()
		states[key], _ = suppress.Apply(states[key], suppress.OutcomeOf(e), p)
	}
	table := map[string]string{}
	for key, s := range states {
		if s.Suppression != nil {
			r := s.Suppression.Record(key)
			table[key] = canonical(t, string(r.Encode()))
		}
	}
	return table
}

// publisher writes events as a sidecar does.
type publisher struct {
	t    *testing.T
	sink *sinks.Kafka
	log  bytes.Buffer
}

func newPublisher(t *testing.T, f fleet) *publisher {
	t.Helper()
	p := &publisher{t: t}
	dead := sinks.NewDeadLetters(config.DeadLetters{Path: filepath.Join(t.TempDir(), "dead.ndjson")}, nil)
	var err error
	p.sink, err = sinks.NewKafka(config.Kafka{Brokers: []string{f.broker.Addr()}, Topic: f.events()},
		sinks.Deps{Name: "kafka", Log: slog.New(slog.NewTextHandler(&p.log, nil)), DeadLetters: dead})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.sink.Close() })
	return p
}

// write publishes the next n events, evenly over the time given.
func (p *publisher) write(ctx context.Context, n int, next func() *event.Event, over time.Duration) {
	p.t.Helper()
	const size = 2000
	for begun, written, all := time.Now(), 0, n; n > 0; written += size {
		time.Sleep(time.Until(begun.Add(over * time.Duration(written) / time.Duration(all))))
		batch := make([]*event.Event, min(n, size))
		for i := range batch {
			batch[i] = next()
		}
		n -= len(batch)
		if err := p.sink.Write(ctx, batch); err != nil {
			p.t.Errorf("publish: %v\n%s", err, &p.log)
			return
		}
	}
}

// table is what the topic of suppressions says in the end.
func (f fleet) table(t *testing.T) (now map[string]string, records int) {
	t.Helper()
	now = map[string]string{}
	all := f.broker.ReadAll(f.suppressions())
	for _, r := range all {
		if r.Value == "" {
			delete(now, r.Key)
			continue
		}
		now[r.Key] = canonical(t, r.Value)
	}
	return now, len(all)
}

// compare fails unless two tables are the same.
func compare(t *testing.T, got, want map[string]string) {
	t.Helper()
	wrong := differences(got, want)
	for _, w := range wrong[:min(len(wrong), 5)] {
		t.Error(w)
	}
	if len(wrong) > 0 {
		t.Errorf("%d recipients differ; %d are suppressed, want %d", len(wrong), len(got), len(want))
	}
}

func differences(got, want map[string]string) (wrong []string) {
	for key, w := range want {
		if g := got[key]; g != w {
			wrong = append(wrong, fmt.Sprintf("%s\n got %s\nwant %s", key, g, w))
		}
	}
	for key, g := range got {
		if _, ok := want[key]; !ok {
			wrong = append(wrong, fmt.Sprintf("%s is suppressed: %s", key, g))
		}
	}
	return wrong
}
