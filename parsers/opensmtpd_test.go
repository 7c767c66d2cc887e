package parsers

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"mtatap/event"
)

var openSMTPDReference = time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)

const (
	openSMTPDHead      = "Nov 24 03:16:38 mta-out smtpd[9344]: "
	openSMTPDID        = "541dc4d34dc03a09"
	openSMTPDSession   = "a5282114575f150a"
	openSMTPDEnvelopes = openSMTPDSession + " smtp envelope evpid=" + openSMTPDID + " from=<> to=<bounces+john=remote.example@sender.example>"
	openSMTPDLocal     = openSMTPDSession + " mda delivery evpid=" + openSMTPDID + " from=<> to=<bounces+john=remote.example@sender.example> rcpt=<bounces+john=remote.example@sender.example> user=nobody delay=0s result=Ok stat=Delivered"
	openSMTPDExpired   = "relay: Expire for " + openSMTPDID + ": from=<sender@sender.example>, to=<user@remote.example>, rcpt=<->, delay=4d13h9s, stat=Envelope expired"
)

// openSMTPDRelayed is a line of mta about user@remote.example.
func openSMTPDRelayed(result, said string) string {
	return openSMTPDSession + " mta delivery evpid=" + openSMTPDID + ` from=<sender@sender.example> to=<user@remote.example> rcpt=<-> source="192.0.2.10" relay="198.51.100.7 (mx.remote.example)" delay=1m5s result="` + result + `" stat="` + said + `"`
}

func openSMTPDLine(message string) Line {
	return Line{Text: []byte(openSMTPDHead + message), Reference: openSMTPDReference}
}

func openSMTPDParse(t *testing.T, p *openSMTPD, messages ...string) []event.Delivery {
	t.Helper()
	var all []event.Delivery
	for _, m := range messages {
		var err error
		if all, err = p.Parse(all, openSMTPDLine(m)); err != nil {
			t.Fatalf("%v: %s", err, m)
		}
	}
	return all
}

// openSMTPDTold is what a delivery tells, short enough for a table.
func openSMTPDTold(d event.Delivery) string {
	sender := "?"
	if d.SenderKnown {
		sender = "<" + d.Sender + ">"
	}
	delay, _ := d.Delay.Value()
	return fmt.Sprintf("%s %s %s from %s to %s (%s) by %v, %s at %q, %d %s, %gs, attempt %d: %s",
		d.Program, d.QueueID, d.Status, sender, d.Recipient, d.OriginalRecipient, d.Relay, map[bool]string{false: "tried", true: "not tried"}[d.NotAttempted], d.Phase, d.SMTPCode, d.EnhancedCode, delay, d.Attempt, d.Diagnostic)
}

func TestOpenSMTPDLines(t *testing.T) {
	const (
		head  = " from <sender@sender.example> to user@remote.example () by "
		relay = "{mx.remote.example 198.51.100.7 0}"
	)
	for name, c := range map[string]struct {
		lines []string
		want  []string
	}{
		"a message that was taken": {[]string{openSMTPDRelayed("Ok", "250 2.0.0 Ok: queued as 4F00000001")},
			[]string{"mta " + openSMTPDID + " delivered" + head + relay + `, tried at "", 250 2.0.0, 65s, attempt 0: 250 2.0.0 Ok: queued as 4F00000001`}},
		"a reply of several lines keeps the codes of its first": {[]string{openSMTPDRelayed("PermFail", "550-5.1.1 no such user 450 here")},
			[]string{"mta " + openSMTPDID + " bounced" + head + relay + `, tried at "", 550 5.1.1, 65s, attempt 0: 550 5.1.1 no such user 450 here`}},
		"a refused greeting": {[]string{openSMTPDRelayed("TempFail", "BANNER rejected: 554 5.7.1 go away")},
			[]string{"mta " + openSMTPDID + " deferred" + head + relay + `, tried at "banner", 554 5.7.1, 65s, attempt 0: 554 5.7.1 go away`}},
		"a recipient that was not tried": {[]string{openSMTPDRelayed("TempFail", "Too many consecutive errors, closing connection")},
			[]string{"mta " + openSMTPDID + " deferred" + head + relay + `, not tried at "", 0 , 65s, attempt 0: Too many consecutive errors, closing connection`}},
		"no connection, so no relay": {[]string{"0000000000000000 mta delivery evpid=" + openSMTPDID + ` from=<sender@sender.example> to=<user@remote.example> rcpt=<-> source="-" relay="remote.example" delay=11s result="PermFail" stat="Domain does not exist"`},
			[]string{"mta " + openSMTPDID + " bounced" + head + `{  0}, tried at "dns", 0 , 11s, attempt 0: Domain does not exist`}},
		"a line of version 6.0, an alias, and a relay of IPv6 without a name": {[]string{openSMTPDSession + " mta event=delivery evpid=" + openSMTPDID + ` from=<> to=<user@remote.example> rcpt=<team@alias.example> source="2001:db8::1" relay="[2001:db8::7] ([2001:db8::7])" delay=0s result="Ok" stat="250 ok"`},
			[]string{"mta " + openSMTPDID + ` delivered from <> to user@remote.example (team@alias.example) by { 2001:db8::7 0}, tried at "", 250 , 0s, attempt 0: 250 ok`}},
		"a command that took no mail": {[]string{openSMTPDSession + " mda delivery evpid=" + openSMTPDID + ` from=<> to=<user@remote.example> user=nobody delay=1h result=PermFail stat=Error (user unknown: "550 5.1.1 user unknown")`},
			[]string{"mda " + openSMTPDID + ` bounced from <> to user@remote.example () by {  0}, tried at "local", 550 5.1.1, 3600s, attempt 0: 550 5.1.1 user unknown`}},
		"a command that said nothing": {[]string{openSMTPDSession + " mda delivery evpid=" + openSMTPDID + ` from=<> to=<user@remote.example> rcpt=<user@remote.example> user=nobody delay=0s result=TempFail stat=Error (exited abnormally)`},
			[]string{"mda " + openSMTPDID + ` deferred from <> to user@remote.example () by {  0}, tried at "local", 0 , 0s, attempt 0: exited abnormally`}},
		"an expiry tells the last deferral's cause, and counts from where the envelope came in": {
			[]string{openSMTPDSession + " smtp envelope evpid=" + openSMTPDID + " from=<sender@sender.example> to=<user@remote.example>",
				openSMTPDRelayed("TempFail", "450 4.2.0 busy"), openSMTPDRelayed("TempFail", "452 4.2.2 full"), openSMTPDExpired},
			[]string{"mta " + openSMTPDID + " deferred" + head + relay + `, tried at "", 450 4.2.0, 65s, attempt 1: 450 4.2.0 busy`,
				"mta " + openSMTPDID + " deferred" + head + relay + `, tried at "", 452 4.2.2, 65s, attempt 2: 452 4.2.2 full`,
				"queue " + openSMTPDID + " expired" + head + relay + `, tried at "", 452 4.2.2, 392409s, attempt 2: 452 4.2.2 full`}},
		"an expiry of an unknown envelope of the null sender": {[]string{strings.Replace(openSMTPDExpired, "sender@sender.example", "@", 1)},
			[]string{"queue " + openSMTPDID + ` expired from <> to user@remote.example () by {  0}, tried at "queue", 0 , 392409s, attempt 0: Envelope expired`}},
		"an envelope that an administrator removed is forgotten": {
			[]string{openSMTPDRelayed("TempFail", "450 4.2.0 busy"), strings.Replace(openSMTPDExpired, "Expire", "Remove", 1), openSMTPDExpired},
			[]string{"mta " + openSMTPDID + " deferred" + head + relay + `, tried at "", 450 4.2.0, 65s, attempt 0: 450 4.2.0 busy`,
				"queue " + openSMTPDID + " expired" + head + `{  0}, tried at "queue", 0 , 392409s, attempt 0: Envelope expired`}},
		"a bounce that came to an address with a recipient in it": {[]string{openSMTPDEnvelopes, openSMTPDLocal},
			[]string{"mda " + openSMTPDID + ` bounced from <> to john@remote.example (bounces+john=remote.example@sender.example) by {  0}, tried at "", 0 , 0s, attempt 0: `}},
		"a notice of its own is no bounce": {[]string{openSMTPDSession + " smtp connected address=local host=mta-out", openSMTPDEnvelopes, openSMTPDLocal},
			[]string{"mda " + openSMTPDID + ` delivered from <> to bounces+john=remote.example@sender.example () by {  0}, tried at "local", 0 , 0s, attempt 1: Delivered`}},
		"mail that somebody wrote to such an address is no bounce, nor is its id still the old one's": {
			[]string{openSMTPDSession + " smtp connected address=local host=mta-out", openSMTPDEnvelopes, strings.Replace(openSMTPDSession, "a", "b", 1) + strings.TrimPrefix(openSMTPDEnvelopes, openSMTPDSession), strings.Replace(openSMTPDLocal, "from=<>", "from=<a@b.example>", 1)},
			[]string{"mda " + openSMTPDID + ` delivered from <a@b.example> to bounces+john=remote.example@sender.example () by {  0}, tried at "local", 0 , 0s, attempt 1: Delivered`}},
		"a refused recipient, whose result a client forged": {[]string{openSMTPDSession + ` smtp failed-command command="RCPT TO:<user@remote.example> X" result="250 ok" result="550 5.1.1 Invalid recipient: <user@remote.example>"`},
			[]string{"smtp  rejected from ? to user@remote.example () by {  0}, tried at \"rcpt\", 550 5.1.1, 0s, attempt 0: 550 5.1.1 Invalid recipient: <user@remote.example>"}},
		"what has no recipient gives no event": {[]string{
			openSMTPDSession + ` smtp failed-command command="MAIL FROM:<a@b.example>" result="550 no"`,
			openSMTPDSession + ` smtp failed-command command="RCPT TO:<a" result="250 ok@b.example>" result="501 5.1.3 Recipient address syntax error"`,
			openSMTPDSession + ` smtp failed-command command="RCPT TO:<a@b.example>" result="250 ok"`,
			openSMTPDSession + " mta error reason=Connection closed unexpectedly",
			"smtp-out: Disabling route [] <-> 127.0.0.4 (127.0.0.4) for 15s",
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			p := newOpenSMTPD(Options{Rejects: true, VERP: []string{"+{local}={domain}@"}})
			var got []string
			for _, d := range openSMTPDParse(t, p, c.lines...) {
				got = append(got, openSMTPDTold(d))
				if d.Host != "mta-out" || d.Instance != "smtpd" || !d.Time.Equal(time.Date(2026, 11, 24, 3, 16, 38, 0, time.UTC)) || !strings.HasPrefix(d.Raw, openSMTPDHead) {
					t.Errorf("envelope %q %q %v %q", d.Host, d.Instance, d.Time, d.Raw)
				}
			}
			if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

func TestOpenSMTPDWithoutSyslogTellsTheSameWithoutTime(t *testing.T) {
	line := openSMTPDRelayed("PermFail", "550 5.1.1 no") + "\r"
	got, err := newOpenSMTPD(Options{}).Parse(nil, Line{Text: []byte(line), Reference: openSMTPDReference})
	if err != nil || len(got) != 1 {
		t.Fatalf("%d deliveries, %v", len(got), err)
	}
	if d := got[0]; d.Diagnostic != "550 5.1.1 no" || !d.Time.IsZero() || d.Host != "" || d.Raw != line {
		t.Errorf("got %+v", d)
	}
}

func TestOpenSMTPDLinesThatBreakTheGrammarAreReported(t *testing.T) {
	whole := openSMTPDRelayed("PermFail", "550 5.1.1 no")
	for name, c := range map[string]struct{ line, program string }{
		"cut in the middle":    {whole[:strings.Index(whole, ` result=`)], "mta"},
		"an unknown result":    {strings.Replace(whole, "PermFail", "Perhaps", 1), "mta"},
		"a damaged id":         {strings.Replace(whole, openSMTPDID, "541dc4d3", 1), "mta"},
		"no user":              {strings.Replace(openSMTPDLocal, " user=nobody", "", 1), "mda"},
		"an expiry of nothing": {"relay: Expire for what", "queue"},
		"no result":            {openSMTPDSession + ` smtp failed-command command="RCPT TO:<a@b>"`, "smtp"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := newOpenSMTPD(Options{Rejects: true}).Parse(nil, openSMTPDLine(c.line))
			var unparsed *UnparsedError
			if !errors.As(err, &unparsed) || unparsed.Program != c.program || unparsed.MTA != openSMTPDMTA || len(got) > 0 {
				t.Errorf("%d deliveries, error %v", len(got), err)
			}
		})
	}
}

func TestOpenSMTPDForgetsWhatIsDone(t *testing.T) {
	p := newOpenSMTPD(Options{})
	for _, last := range []string{openSMTPDRelayed("Ok", "250 ok"), openSMTPDRelayed("PermFail", "550 no"), openSMTPDExpired} {
		openSMTPDParse(t, p, openSMTPDSession+" smtp connected address=local host=h", openSMTPDEnvelopes, openSMTPDSession+" smtp disconnected reason=quit",
			openSMTPDRelayed("TempFail", "450 busy"), last)
		if p.messages.len() != 0 || p.deferred.bytes != 0 {
			t.Errorf("%d envelopes and %d bytes are left after %s", p.messages.len(), p.deferred.bytes, last)
		}
	}
}

func TestOpenSMTPDRemembersThroughARestart(t *testing.T) {
	p, q := newOpenSMTPD(Options{}), newOpenSMTPD(Options{})
	openSMTPDParse(t, p, openSMTPDEnvelopes, openSMTPDRelayed("TempFail", "452 4.2.2 full"))
	snapshot := p.Snapshot(nil)
	if err := q.Restore(snapshot); err != nil {
		t.Fatal(err)
	}
	if got := openSMTPDParse(t, q, openSMTPDExpired)[0]; got.SMTPCode != 452 || got.Attempt != 1 {
		t.Errorf("got %s", openSMTPDTold(got))
	}
	if err := q.Restore(snapshot[:len(snapshot)-1]); err == nil || q.messages.len() > 0 || q.deferred.bytes > 0 {
		t.Errorf("a cut snapshot gave %v and left %d envelopes", err, q.messages.len())
	}
}

func TestOpenSMTPDIsFoundOut(t *testing.T) {
	for name, c := range map[string]struct {
		line string
		want bool
	}{
		"its start":                 {openSMTPDHead + "info: OpenSMTPD 6.8.0p2 starting", true},
		"a session":                 {openSMTPDHead + openSMTPDSession + " smtp connected address=local host=h", true},
		"a delivery without syslog": {openSMTPDRelayed("Ok", "250 ok"), true},
		"an expiry":                 {openSMTPDHead + openSMTPDExpired, true},
		"another program's line":    {"Nov 24 03:16:38 mta-out postfix/smtpd[1]: " + openSMTPDSession + " smtp x", false},
		"Postfix":                   {"Nov 24 03:16:38 mta-out postfix/smtpd[1]: connect from h[192.0.2.1]", false},
		"another smtpd":             {openSMTPDHead + "connect from h[192.0.2.1]", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := recognizeOpenSMTPD(c.line); got != c.want {
				t.Errorf("got %t", got)
			}
			if c.want {
				for _, f := range formats {
					if f.mta != openSMTPDMTA && f.recognize(c.line) {
						t.Errorf("%s takes it too", f.mta)
					}
				}
			}
		})
	}
}

var openSMTPDBenchLines = map[string][]string{
	"relayed":  {openSMTPDRelayed("Ok", "250 2.0.0 Ok: queued as 4F00000001")},
	"refused":  {openSMTPDRelayed("PermFail", "550 5.1.1 <user@remote.example>: Recipient address rejected: User unknown in virtual mailbox table")},
	"deferred": {openSMTPDRelayed("TempFail", "450 4.2.0 Greylisted, try again later")},
	"local":    {openSMTPDLocal},
	"uninteresting": {
		openSMTPDSession + " smtp connected address=192.0.2.77 host=client.example",
		openSMTPDSession + " smtp connected address=local host=mta-out",
		openSMTPDSession + " smtp message msgid=541dc4d3 size=306 nrcpt=9 proto=ESMTP",
		openSMTPDEnvelopes,
		openSMTPDSession + " smtp disconnected reason=quit",
		openSMTPDSession + ` smtp failed-command command="RCPT TO:<user@elsewhere.example>" result="550 Invalid recipient: <user@elsewhere.example>"`,
		openSMTPDSession + " mta connecting address=smtp://198.51.100.7:25 host=mx.remote.example",
		openSMTPDSession + " mta error reason=BANNER rejected: 554 5.7.1 no",
		"smtp-out: Disabling route [] <-> 198.51.100.7 (mx.remote.example) for 15s",
	},
}

func BenchmarkOpenSMTPD(b *testing.B) {
	for name, texts := range openSMTPDBenchLines {
		b.Run(name, func(b *testing.B) {
			p := newOpenSMTPD(Options{})
			lines, size := make([]Line, len(texts)), 0
			for i, text := range texts {
				lines[i] = openSMTPDLine(text)
				size += len(lines[i].Text) + 1
			}
			b.SetBytes(int64(size / len(lines)))
			b.ReportAllocs()
			var dst []event.Delivery
			for i := 0; b.Loop(); i++ {
				dst = mustParse(b, p, dst, lines[i%len(lines)])
			}
		})
	}
}

func TestOpenSMTPDLinesCostNoMoreAllocationsThanDeliveries(t *testing.T) {
	for name, texts := range openSMTPDBenchLines {
		p := newOpenSMTPD(Options{})
		lines, want := make([]Line, len(texts)), 1.0 // the line that is kept
		for i, text := range texts {
			lines[i] = openSMTPDLine(text)
		}
		if name == "uninteresting" {
			want = 0
		}
		dst := make([]event.Delivery, 0, 1)
		if n := testing.AllocsPerRun(100, func() {
			for _, line := range lines {
				dst, _ = p.Parse(dst[:0], line)
			}
		}); n != want {
			t.Errorf("%s: %v allocations, want %v", name, n, want)
		}
	}
}

// Whatever a remote side says, the line gives one event, of that recipient and
// with that outcome.
func FuzzOpenSMTPDReply(f *testing.F) {
	for _, said := range []string{
		"5.1.1 no", "", `" delay=0s result="Ok" stat="250 ok`, `x" result="Ok" stat="250 2.0.0 ok"`, "-a\r550 b",
		`no" evpid=0000000000000000 from=<> to=<victim@fake.example> rcpt=<-> source="-"`, "\xff\xfe", "Error (no)", " > to=<x>",
	} {
		f.Add(said, true)
		f.Add(said, false)
	}
	f.Fuzz(func(t *testing.T, said string, relayed bool) {
		if strings.ContainsAny(said, "\n") {
			return
		}
		message := openSMTPDRelayed("PermFail", "550"+said)
		if !relayed {
			message = strings.Replace(openSMTPDLocal, "result=Ok stat=Delivered", `result=PermFail stat=Error (user unknown: "`+said+`")`, 1)
		}
		for _, line := range []string{message, openSMTPDHead + message, "2026-11-24T03:16:38.5+00:00 mta-out smtpd[1]: " + message} {
			got, err := newOpenSMTPD(Options{Rejects: true, VERP: []string{"+{local}={domain}@"}}).Parse(nil, Line{Text: []byte(line), Reference: openSMTPDReference})
			if err != nil || len(got) != 1 {
				t.Fatalf("%d deliveries, %v from %q", len(got), err, line)
			}
			d := got[0]
			recipient := "user@remote.example"
			if !relayed {
				recipient = "bounces+john=remote.example@sender.example"
			}
			if d.Recipient != recipient || d.Status != event.Bounced || d.QueueID != openSMTPDID || d.Raw != line || relayed && d.Relay.Host != "mx.remote.example" {
				t.Errorf("got %s from %q", openSMTPDTold(d), line)
			}
		}
	})
}

func FuzzOpenSMTPD(f *testing.F) {
	for _, texts := range openSMTPDBenchLines {
		for _, text := range texts {
			f.Add(openSMTPDHead + text)
		}
	}
	f.Add(openSMTPDHead + openSMTPDExpired)
	f.Add(openSMTPDRelayed("Ok", "250 ok"))
	f.Fuzz(func(t *testing.T, line string) {
		recognizeOpenSMTPD(line)
		p := newOpenSMTPD(Options{Rejects: true, VERP: []string{"+{local}={domain}@"}})
		for _, l := range []string{line, openSMTPDHead + openSMTPDExpired} {
			got, _ := p.Parse(nil, Line{Text: []byte(l), Reference: openSMTPDReference})
			for _, d := range got {
				if d.Status == event.StatusUnknown || d.Raw != l || d.MTA != openSMTPDMTA || d.SMTPCode != 0 && (d.SMTPCode < 200 || d.SMTPCode > 599) || strings.Contains(d.Diagnostic, "\n") {
					t.Errorf("%s from %q", openSMTPDTold(d), l)
				}
				if v, known := d.Delay.Value(); known && v < 0 {
					t.Errorf("delay %v from %q", v, l)
				}
				if json := new(event.Encoder).Append(nil, &event.Event{Delivery: d}); !jsonValid(json) {
					t.Errorf("no JSON: %s", json)
				}
			}
		}
		q := newOpenSMTPD(Options{})
		if err := q.Restore(p.Snapshot(nil)); err != nil {
			t.Errorf("restore after %q: %v", line, err)
		}
	})
}
