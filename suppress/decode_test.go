package suppress

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"mtatap/event"
)

// sample is an event with something in every field.
func sample(change func(*event.Event)) *event.Event {
	e := &event.Event{
		Delivery: event.Delivery{
			Time: at(1).Add(123456), MTA: "postfix", Host: "mx1", Instance: "postfix", Program: "smtp", QueueID: "4bQ9z1", MessageID: "m1@x.example",
			Sender: "s@x.example", SenderKnown: true, Recipient: "Zoë\"\\.o'n@Example.org", OriginalRecipient: "o@example.org", RecipientSource: event.RecipientFromLog,
			Relay: event.Relay{Host: "mx.example.org", IP: "192.0.2.1", Port: 25}, Status: event.Bounced, Phase: event.PhaseRcpt,
			SMTPCode: 550, EnhancedCode: "5.1.1", DSN: "5.1.1", Diagnostic: "550 5.1.1 <a}b{\x1b[1m\xff>: \"no\" such user", Delay: event.KnownSeconds(0.5), Attempt: 2,
			Origin: &event.Origin{Path: "/var/log/mail.log"}, Offset: 7,
		},
		Verdict:  event.Verdict{Category: event.CategoryHard, BounceType: event.Hard, Reason: "user-unknown", Action: event.Suppress, Rule: "user-unknown", Compat: 10},
		ID:       event.ID{1, 2, 3},
		Observed: at(2), RecipientDomain: "example.org", Provider: "other", RulesVersion: "abc",
	}
	if change != nil {
		change(e)
	}
	return e
}

func encoded(e *event.Event) []byte { return new(event.Encoder).Append(nil, e) }

func TestAnEventDecodesToTheOutcomeThatItHad(t *testing.T) {
	var d Decoder
	for name, change := range map[string]func(*event.Event){
		"with everything": nil,
		"delivered": func(e *event.Event) {
			e.Status, e.Category, e.BounceType = event.Delivered, event.CategoryDelivered, event.None
		},
		"without a time":    func(e *event.Event) { e.Time = time.Time{} },
		"without a message": func(e *event.Event) { e.MessageID = "" },
		"not attempted":     func(e *event.Event) { e.NotAttempted = true },
		"deferred":          func(e *event.Event) { e.Status, e.Action = event.Deferred, event.Watch },
		"full": func(e *event.Event) {
			e.Category, e.BounceType, e.Action = event.CategoryMailboxFull, event.Soft, event.Watch
		},
		"no recipient":   func(e *event.Event) { e.Recipient = "" },
		"an endless one": func(e *event.Event) { e.Recipient = strings.Repeat("a", 1001) + "@b" },
	} {
		e := sample(change)
		want := OutcomeOf(e)
		want.Evidence.Text = strings.ToValidUTF8(want.Evidence.Text, "\uFFFD")
		key := e.Key()
		if want.Kind == Nothing {
			key = ""
		}
		recipient, got, err := d.Decode(encoded(e))
		if err != nil || recipient != key || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %q %v\n got %+v\nwant %+v", name, recipient, err, got, want)
		}
	}
}

func TestWhatIsNoEventIsRefused(t *testing.T) {
	var d Decoder
	for _, text := range []string{"", "null", "[]", `"x"`, "{}", `{"schema_version":2}`, `{"schema_version":1`, `{"schema_version":1}x`,
		`{"schema_version":1,}`, `{"schema_version":1,"id":"12"}`, `{"schema_version":1,"time":"yesterday"}`, `{"schema_version":1,"a":{]}`,
		`{"schema_version":1,"recipient":"a` + "\n" + `b"}`, `{"schema_version":1,"attempted":0}`, `{"schema_version":1,"x":tru}`} {
		if r, o, err := d.Decode([]byte(text)); err == nil || r != "" || o.Kind != Nothing {
			t.Errorf("%s: %q %+v %v", text, r, o, err)
		}
	}
}

// FuzzDecode compares the decoder with encoding/json.
func FuzzDecode(f *testing.F) {
	f.Add(encoded(sample(nil)))
	f.Add(encoded(sample(func(e *event.Event) { e.Status = event.Delivered })))
	f.Add([]byte(` {"schema_version" : 1, "recipient":"\u00e9\ud800@x", "x":[{"a":"]"}],"status":"bounced","status":"delivered"} `))
	f.Add([]byte(`{"schema_version":1,"attempted":false,"smtp_code":5e2}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		kept := string(value)
		var d Decoder
		recipient, o, err := d.Decode(value)
		if string(value) != kept {
			t.Fatal("the value has changed")
		}
		wantRecipient, want, ok := reference(value)
		if (err == nil) != ok {
			t.Fatalf("error %v, want event: %v", err, ok)
		}
		if recipient != wantRecipient || !reflect.DeepEqual(o, want) {
			t.Fatalf("%q\n got %+v\nwant %q\n     %+v", recipient, o, wantRecipient, want)
		}
	})
}

// reference decodes as Decode does, slowly.
func reference(value []byte) (string, Outcome, bool) {
	var all map[string]json.RawMessage
	if json.Unmarshal(value, &all) != nil || all == nil {
		return "", Outcome{}, false
	}
	var e event.Event
	good := true
	text := func(name string) (s string) {
		if raw, ok := all[name]; ok {
			good = good && string(raw) != "null" && json.Unmarshal(raw, &s) == nil
		}
		return s
	}
	number := func(name string) (n int) {
		if raw, ok := all[name]; ok {
			good = good && string(raw) != "null" && json.Unmarshal(raw, &n) == nil
		}
		return n
	}
	when := func(name string) (at time.Time) {
		if s, ok := all[name]; ok && good {
			var err error
			at, err = time.Parse(time.RFC3339Nano, text(name))
			good = good && err == nil && len(s) > 0
		}
		return at.UTC()
	}
	version := number("schema_version")
	if _, ok := all["id"]; ok {
		var err error
		e.ID, err = parseID(text("id"))
		good = good && err == nil
	}
	e.Time, e.Observed = when("time"), when("observed_time")
	e.Host, e.QueueID, e.MessageID, e.Recipient = text("host"), text("queue_id"), text("message_id"), text("recipient")
	e.Status, _ = event.ParseStatus(text("status"))
	e.EnhancedCode, e.Diagnostic, e.SMTPCode = text("enhanced_code"), text("diagnostic"), number("smtp_code")
	e.Category, e.BounceType, e.Action = event.Category(text("category")), event.BounceType(text("bounce_type")), event.Action(text("action"))
	e.Reason = text("reason")
	if raw, ok := all["attempted"]; ok {
		e.NotAttempted = string(raw) == "false"
		good = good && (e.NotAttempted || string(raw) == "true")
	}
	if !good || version != 1 {
		return "", Outcome{}, false
	}
	o := OutcomeOf(&e)
	if o.Kind == Nothing {
		return "", o, true
	}
	return e.Key(), o, true
}

func parseID(s string) (id event.ID, err error) {
	var d Decoder
	sc := scanner{rest: []byte(`"` + s + `"`)}
	if strings.ContainsAny(s, "\"\\") {
		return id, errNoEvent
	}
	d.field([]byte("id"), &sc)
	if sc.bad {
		return id, errNoEvent
	}
	return d.event.ID, nil
}

func BenchmarkDecode(b *testing.B) {
	for name, change := range map[string]func(*event.Event){
		"bounced": func(e *event.Event) { e.Diagnostic, e.Recipient = "550 5.1.1 no such user", "a@b.example" },
		"delivered": func(e *event.Event) {
			e.Status, e.Diagnostic, e.Recipient = event.Delivered, "250 2.0.0 Ok: queued as 12345", "a@b.example"
		},
	} {
		value := encoded(sample(change))
		b.Run(name, func(b *testing.B) {
			var d Decoder
			b.ReportAllocs()
			b.SetBytes(int64(len(value)))
			for b.Loop() {
				if _, _, err := d.Decode(value); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
