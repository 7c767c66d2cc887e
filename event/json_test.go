package event

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func full() *Event {
	return &Event{
		Delivery: Delivery{
			Time: time.Date(2026, 11, 23, 19, 26, 51, 123456000, time.FixedZone("", 3600)),
			MTA:  "postfix", Host: "mta-out", Instance: "postfix-out", Program: "smtp",
			QueueID: "4E5845325CB", MessageID: "m@sender.example", SenderKnown: true,
			Recipient: "Ann@Example.COM", OriginalRecipient: "ann", RecipientSource: RecipientFromLog,
			Relay:  Relay{Host: "mx.example.com", IP: "198.51.100.1", Port: 25},
			Status: Bounced, NotAttempted: true, Phase: PhaseRcpt,
			SMTPCode: 550, EnhancedCode: "5.1.1", DSN: "5.1.1", Diagnostic: "550 5.1.1 User \"unknown\"\x1b[31m\u009b\xff",
			Delay: KnownSeconds(0), Attempt: 2,
			Origin: &Origin{Path: "/var/log/mail.log"}, Offset: 4711, Raw: "raw",
		},
		Verdict: Verdict{Category: CategoryHard, BounceType: Hard, Reason: "user-unknown", Action: Suppress,
			Rule: "user-unknown", Compat: 10},
		Observed:        time.Date(2026, 11, 23, 18, 26, 52, 0, time.UTC),
		RecipientDomain: "example.com", Provider: "other", RulesVersion: "abc",
	}
}

func TestEncoderKeepsTheOrderOfTheSchema(t *testing.T) {
	e := full()
	e.ID, _ = NewID(&e.Delivery, nil)
	want := `{"schema_version":1,"id":"` + e.ID.String() + `","time":"2026-11-23T18:26:51.123456Z","observed_time":"2026-11-23T18:26:52Z",` +
		`"mta":"postfix","host":"mta-out","instance":"postfix-out","program":"smtp","queue_id":"4E5845325CB","message_id":"m@sender.example",` +
		`"sender":"","recipient":"Ann@Example.COM","original_recipient":"ann","recipient_source":"log","recipient_domain":"example.com","provider":"other",` +
		`"relay":{"host":"mx.example.com","ip":"198.51.100.1","port":25},"status":"bounced","attempted":false,"phase":"rcpt",` +
		`"smtp_code":550,"enhanced_code":"5.1.1","dsn":"5.1.1","diagnostic":"550 5.1.1 User \"unknown\"\u001b[31m\u009b` + "\ufffd" + `",` +
		`"delay_seconds":0,"attempt":2,"category":"hard","bounce_type":"hard","reason":"user-unknown","action":"suppress","resend":false,` +
		`"rule":"user-unknown","rules_version":"abc","compat":10,"source":{"file":"/var/log/mail.log","offset":4711}}`
	if got := string(new(Encoder).Append(nil, e)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestAnEventOfAJournalHasItsCursorAsSource(t *testing.T) {
	e := full()
	e.Cursor, e.Origin.Path = `s=1;i="2"`, "journald:postfix*"
	want := `,"source":{"journal":"journald:postfix*","cursor":"s=1;i=\"2\""}}`
	if got := string(new(Encoder).Append(nil, e)); !strings.HasSuffix(got, want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestTheIDOfAnEventOfAJournalDoesNotDependOnWhereItIsRead(t *testing.T) {
	d := full().Delivery
	d.Cursor = "s=1;i=2"
	id, _ := NewID(&d, nil)
	d.Origin, d.Offset = &Origin{Path: "export.json", Head: [32]byte{1}}, 99
	if again, _ := NewID(&d, nil); again != id {
		t.Errorf("exported: %s, live: %s", again, id)
	}
}

func TestEncoderLeavesOutWhatIsUnknown(t *testing.T) {
	e := &Event{Delivery: Delivery{MTA: "haraka", Status: Delivered, Relay: Relay{Port: 25}}, Observed: time.Unix(0, 0)}
	var got map[string]any
	if err := json.Unmarshal(new(Encoder).Append(nil, e), &got); err != nil {
		t.Fatal(err)
	}
	if got["time_source"] != "observed" || got["time"] != got["observed_time"] {
		t.Errorf("a log without times: %v", got)
	}
	for _, key := range []string{"sender", "recipient", "relay", "smtp_code", "delay_seconds", "attempt", "attempted", "source", "phase"} {
		if v, ok := got[key]; ok {
			t.Errorf("%s is %v, want it absent", key, v)
		}
	}
}

func TestNewIDDependsOnEachOfItsParts(t *testing.T) {
	base := full().Delivery
	seen := map[ID]string{}
	add := func(what string, change func(*Delivery)) {
		d := base
		origin := *base.Origin
		d.Origin = &origin
		change(&d)
		id, _ := NewID(&d, nil)
		if other, dup := seen[id]; dup {
			t.Errorf("%s gives the id of %s", what, other)
		}
		seen[id] = what
	}
	add("the delivery", func(*Delivery) {})
	add("another first line", func(d *Delivery) { d.Origin.Head[0]++ })
	add("another offset", func(d *Delivery) { d.Offset++ })
	add("another line", func(d *Delivery) { d.Raw += "x" })
	add("another status", func(d *Delivery) { d.Status = Deferred })
	add("another recipient", func(d *Delivery) { d.Recipient += "x" })
	add("a cursor", func(d *Delivery) { d.Cursor = "s=1;i=1" })
	add("another cursor", func(d *Delivery) { d.Cursor = "s=1;i=2" })
	add("another message of a journal", func(d *Delivery) { d.Cursor, d.Raw = "s=1;i=1", "x" })
	add("another status in a journal", func(d *Delivery) { d.Cursor, d.Status = "s=1;i=1", Deferred })
	add("another recipient in a journal", func(d *Delivery) { d.Cursor, d.Recipient = "s=1;i=1", "x" })
	id, _ := NewID(&base, nil)
	renamed := base
	renamed.Origin = &Origin{Path: "/var/log/mail.log.1"}
	if again, _ := NewID(&renamed, nil); again != id || len(id.String()) != 32 {
		t.Errorf("a renamed file changes the id from %s to %s", id, again)
	}
}

func FuzzEncoder(f *testing.F) {
	f.Add("a\"b\\\x00\xff\u2028", "x")
	f.Fuzz(func(t *testing.T, diagnostic, recipient string) {
		e := full()
		e.Diagnostic, e.Recipient = diagnostic, recipient
		b := new(Encoder).Append(nil, e)
		var got struct{ Diagnostic, Recipient string }
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("%v: %q", err, b)
		}
		if want := strings.ToValidUTF8(diagnostic, "\ufffd"); utf8.ValidString(diagnostic) && got.Diagnostic != want {
			t.Errorf("diagnostic %q, want %q", got.Diagnostic, want)
		}
		for _, c := range b {
			if c < 0x20 || c == 0x7f {
				t.Errorf("control character %#x in %q", c, b)
			}
		}
	})
}

func TestPlainLenStopsBeforeEveryByteThatIsEscaped(t *testing.T) {
	for c := range 256 {
		for at := range 16 {
			s := []byte("abcdefghijklmnop")
			s[at] = byte(c)
			n := plainLen(string(s))
			if !plain[byte(c)] && n > at {
				t.Errorf("byte %#x at %d: %d bytes are taken for plain", c, at, n)
			}
			if plain[byte(c)] && n != 16 {
				t.Errorf("plain byte %#x at %d ends the run at %d", c, at, n)
			}
		}
	}
}

func BenchmarkID(b *testing.B) {
	e := full()
	var scratch []byte
	b.ReportAllocs()
	for b.Loop() {
		e.ID, scratch = NewID(&e.Delivery, scratch)
	}
	b.SetBytes(int64(len(scratch)))
}

func BenchmarkEncoder(b *testing.B) {
	e := full()
	var buf []byte
	var enc Encoder
	b.ReportAllocs()
	for b.Loop() {
		buf = enc.Append(buf[:0], e)
	}
	b.SetBytes(int64(len(buf)))
}

func TestNeitherIDNorEncodingAllocates(t *testing.T) {
	e := full()
	var buf, scratch []byte
	var enc Encoder
	one := func() {
		e.ID, scratch = NewID(&e.Delivery, scratch)
		buf = enc.Append(buf[:0], e)
	}
	one()
	if n := testing.AllocsPerRun(100, one); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
