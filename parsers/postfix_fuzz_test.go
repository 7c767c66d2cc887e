package parsers

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"mtatap/event"
)

func jsonValid(b []byte) bool { return json.Valid(b) && utf8.Valid(b) }

func FuzzPostfix(f *testing.F) {
	for _, c := range []string{postfixSent, postfixBounced, postfixDeferred, postfixQmgr, postfixCleanup, postfixRemoved} {
		f.Add(postfixHead + fmt.Sprintf(c, "40C20532618"))
	}
	f.Add(postfixHead + `smtp[1]: 40C20532618: to=<"a\">b"@x>, orig_to=<c>d>, relay=h[1::2]:25, delay=1, tls=a, dsn=5.1.1, status=bounced (host h[1::2] said: 550-x 550 5.1.1 y (in reply to AUTH x command))`)
	f.Add(postfixHead + "smtpd[1]: NOQUEUE: reject: RCPT from h[192.0.2.8]: 554 5.7.1 no; from=<a@x> to=<b@x> proto=ESMTP helo=<h>")
	f.Add(postfixHead + "postscreen[1]: NOQUEUE: reject: RCPT from [192.0.2.88]:40063: 550 5.5.1 no; from=<a@x>, to=<b@x>, proto=ESMTP, helo=<h>")
	f.Add("Mon 2026-11-23 18:43:06 UTC h INFO postfix/smtp[1]: 4B1: to=<a@b>, relay=none, delay=1, status=deferred (connect to h[::1]: server refused to talk to me: 421 x (port 25))")
	f.Add("app-1 | Nov 23 18:43:06.5 2026 [postfix/pipe] 4B1: to=<n+a=b.example@c>, orig_to=<>, relay=x, status=sent (delivered via x service (550 5.1.1 <a@b.example>))")
	f.Add(`{"log":"Nov 23 18:43:06 h postfix/local[3]: 4B1: to=<a@b>, relay=local, status=bounced (x)\n"}`)
	f.Add(postfixHead + "qmgr[1]: 40C20532618: from=<>, status=expired, returned to sender")
	f.Add(`{"timestamp":"2026-11-23T18:43:06Z", "tag":"postfix/smtp[372]:", "message":" 40C20532618: to=<a@b>, relay=local, delay=1, dsn=4.0.0, status=deferred (a\n\ud83d)"}`)
	f.Fuzz(func(t *testing.T, line string) {
		p := newPostfix(Options{Rejects: true, FilterHops: []string{"127.0.0.1:10025"}, VERP: []string{"+{local}={domain}@"}})
		recognizePostfix(line)
		for _, l := range []string{line, postfixHead + "qmgr[1]: 40C20532618: from=<>, status=expired, returned to sender"} {
			dst, _ := p.Parse(nil, Line{Text: []byte(l), Reference: postfixReference})
			checkPostfixDeliveries(t, l, dst)
		}
		q := newPostfix(Options{})
		if err := q.Restore(p.Snapshot(nil)); err != nil {
			t.Errorf("restore after %q: %v", line, err)
		}
	})
}

// checkPostfixDeliveries checks what holds for the deliveries of any line.
func checkPostfixDeliveries(t *testing.T, line string, dst []event.Delivery) {
	t.Helper()
	var recipients []string
	for i := range dst {
		d := &dst[i]
		if slices.Contains(recipients, d.Recipient) {
			t.Errorf("two events for %q from %q", d.Recipient, line)
		}
		recipients = append(recipients, d.Recipient)
		if d.Status == event.StatusUnknown || d.Raw != line || d.MTA != postfixMTA {
			t.Errorf("status %q, raw %q from %q", d.Status, d.Raw, line)
		}
		if d.SMTPCode != 0 && (d.SMTPCode < 200 || d.SMTPCode > 599) {
			t.Errorf("code %d from %q", d.SMTPCode, line)
		}
		if d.EnhancedCode != "" && event.EnhancedLen(d.EnhancedCode) != len(d.EnhancedCode) {
			t.Errorf("enhanced code %q from %q", d.EnhancedCode, line)
		}
		if json := new(event.Encoder).Append(nil, &event.Event{Delivery: *d}); !jsonValid(json) {
			t.Errorf("no JSON: %s", json)
		}
		if strings.ContainsRune(d.Diagnostic, '\n') || d.Relay.Port < 0 || d.Relay.Port > 99999 || d.Attempt < 0 {
			t.Errorf("diagnostic %q, relay %v, attempt %d from %q", d.Diagnostic, d.Relay, d.Attempt, line)
		}
		if v, known := d.Delay.Value(); known && !(v >= 0 && v < 1e16) {
			t.Errorf("delay %v from %q", v, line)
		}
	}
}

// FuzzPostfixReply has a remote server choose its reply: whatever it says, the
// line gives one event, for that recipient and with that outcome, in every
// envelope.
func FuzzPostfixReply(f *testing.F) {
	for _, s := range []string{
		"5.1.1 no", "", " ", "-a 550 b", "x) 4FAKE0000001: to=<v@v.example>, relay=none, delay=0, dsn=2.0.0, status=sent (250 ok",
		">, relay=none, delay=1, dsn=2.0.0, status=sent (250 ok)", "no (in reply to RCPT TO command)), status=sent (250 ok)",
		`"},{"message":"x","tag":"postfix/smtp[1]:`, "host h[192.0.2.9] said: 250 ok", "\xff\xfe", "postfix/smtp[1]: 4B1: to=<v@v.example>, relay=none, status=sent (x)",
	} {
		f.Add(s, false)
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, reply string, bounced bool) {
		reply = strings.Map(func(r rune) rune { // as Postfix logs it
			if r < ' ' || r == 0x7f {
				return '?'
			}
			return r
		}, reply)
		code, word, status := "450", "deferred", event.Deferred
		if bounced {
			code, word, status = "550", "bounced", event.Bounced
		}
		message := "40C20532618: to=<a@b.example>, relay=mx.b.example[198.51.100.1]:25, delay=1, delays=0/0/0/1, dsn=" + code[:1] + ".0.0, status=" + word +
			" (host mx.b.example[198.51.100.1] said: " + code + " " + reply + " (in reply to RCPT TO command))"
		for _, line := range []string{
			"Nov 23 19:26:53 mta-out postfix/smtp[495]: " + message,
			"2026-11-23T19:26:53.762210+00:00 mta-out postfix/smtp[495]: " + message,
			"<22>1 2026-11-23T19:26:53.762210+00:00 mta-out postfix/smtp 495 - -  " + message,
			`{"timestamp":"2026-11-23T19:26:53.762210+00:00", "host":"mta-out", "tag":"postfix/smtp[495]:", "message":` + jsonQuote(" "+message) + `}`,
			message,
		} {
			p := newPostfix(Options{Rejects: true, FilterHops: []string{"127.0.0.1:10025"}, VERP: []string{"+{local}={domain}@"}})
			dst, err := p.Parse(nil, Line{Text: []byte(line), Reference: postfixReference})
			if err != nil || len(dst) != 1 {
				t.Fatalf("%d deliveries, %v from %q", len(dst), err, line)
			}
			d := dst[0]
			if d.Recipient != "a@b.example" || d.Status != status || d.Relay != (event.Relay{Host: "mx.b.example", IP: "198.51.100.1", Port: 25}) || d.QueueID != "40C20532618" || d.Phase != event.PhaseRcpt {
				t.Errorf("got %+v from %q", d, line)
			}
			checkPostfixDeliveries(t, line, dst)
		}
	})
}

// jsonQuote quotes s as rsyslog does: bytes that are no UTF-8 stay as they are.
func jsonQuote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\' || c == '/':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ':
			b.WriteString(`\u00` + strconv.FormatUint(uint64(c>>4), 16) + strconv.FormatUint(uint64(c&15), 16))
		default:
			b.WriteByte(c)
		}
	}
	return b.String() + `"`
}
