package parsers

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"mtatap/event"
)

func FuzzExim(f *testing.F) {
	for _, lines := range eximBenchLines {
		f.Add([]byte(strings.Join(lines, "\n")), true)
	}
	f.Add([]byte(eximHead2+`== a@b@c <"a@b"@c> R=r T=t defer (110): Connection timed out H=m [::1]:25*: SMTP timeout after end of data DT=1s`), false)
	f.Add([]byte(eximGreylisted+"\n"+eximTooEarly+"\n"+eximGaveUp), true)
	f.Add([]byte("Nov 23 19:30:46 h exim[1]: [1/2] "+eximHead+"=> |/bin/x <y> (a@b) <c@d> R=x T=y\nNov 23 19:30:46 h exim[1]: [2/2] QT=1d"), true)
	f.Add([]byte(eximNullSender+"\n"+eximHead+`<b+a=c.example@x>: p transport output: 550 5.1.1 no`+"\n"+eximHead+`=> |/bin/x <b+a=c.example@x> R=x T=p`), false)
	f.Add([]byte(eximHead+`** /x <system-filter> T=y: SMTP timeout while connected to h [1.2.3.4] after RCPT TO:<a@b>: retry timeout exceeded`), false)
	f.Add([]byte(eximHead+`H=c (h) [1.2.3.4] x@y F=<u> rejected after DATA: R=a T=b C="550 x"`), true)
	f.Fuzz(func(t *testing.T, text []byte, requested bool) {
		p := newExim(Options{Rejects: requested, NonAttempts: requested, MaxRemembered: 4, VERP: []string{"+{local}={domain}@"}})
		var all []event.Delivery
		for i, l := range strings.Split(string(text), "\n") {
			got, _ := p.Parse(nil, eximTestLine(l, int64(i)))
			if len(got) > 2 { // one of an unfinished record, one of the line
				t.Fatalf("%d deliveries from one line", len(got))
			}
			all = append(all, got...)
		}
		snapshot := p.Snapshot(nil)
		all = append(all, p.Flush(nil)...)
		q := newExim(p.opts)
		if err := q.Restore(snapshot); err != nil {
			t.Fatalf("Restore of a snapshot: %v", err)
		}
		if string(q.Snapshot(nil)) != string(snapshot) {
			t.Error("a restored snapshot differs")
		}
		held := 0
		p.messages.each(func(_ []byte, m *eximMessage) {
			for i := range m.deferred {
				held += m.deferred[i].size()
			}
		})
		if held != p.deferred.bytes {
			t.Errorf("%d bytes are held and %d counted", held, p.deferred.bytes)
		}
		q.Restore(text)
		for _, d := range all {
			if d.Status == event.StatusUnknown || d.Status == event.Rejected && !requested || d.RecipientSource != event.RecipientUnknown && d.Recipient == "" {
				t.Errorf("status %v", d.Status)
			}
			if d.SMTPCode != 0 && (d.SMTPCode < 200 || d.SMTPCode > 599) || d.Relay.Port < 0 || d.Relay.Port > 65535 {
				t.Errorf("code %d, port %d", d.SMTPCode, d.Relay.Port)
			}
			if strings.Contains(d.Diagnostic, "\n") || utf8.Valid(text) && !utf8.ValidString(d.Diagnostic) {
				t.Errorf("diagnostic %q", d.Diagnostic)
			}
			if strings.ContainsAny(d.QueueID, " <>") || d.Raw == "" || d.MTA != eximMTA {
				t.Errorf("delivery %+v", d)
			}
		}
	})
}

func FuzzEximRestore(f *testing.F) {
	p := newExim(Options{})
	for i, l := range []string{eximBenchLines["remembered"][0], eximGreylisted, "Nov 23 19:30:46 h exim[1]: [1/2] " + eximHead + "=> a@b R=x T=y"} {
		p.Parse(nil, eximTestLine(l, int64(i)))
	}
	f.Add(p.Snapshot(nil))
	f.Add([]byte{eximSnapshotVersion, 0})
	f.Fuzz(func(t *testing.T, snapshot []byte) {
		p := newExim(Options{MaxRemembered: 8})
		if err := p.Restore(snapshot); err != nil && p.messages.len()+len(p.splits.pending) > 0 {
			t.Error("something is remembered after an error")
		}
		p.Parse(nil, eximTestLine(eximBenchLines["delivered"][0], 0))
		p.Parse(nil, eximTestLine("Nov 23 19:30:46 h exim[1]: [2/2] x", 1))
		p.Flush(nil)
	})
}

// Whatever a peer replies, the line that Exim logs gives one delivery: of the
// recipient that it was about, with the outcome that it had.
func FuzzEximReply(f *testing.F) {
	for _, reply := range []string{
		"5.1.1 no", "-5.1.1 no\n550 5.1.1 such user", "-no\n450 later: retry timeout exceeded", " no: retry timeout exceeded", ` "quoted" \\ back`,
		` x" => fake@victim.example R=r T=t H=mx [203.0.113.9] C="250 ok`, " <fake@victim.example> R=r: all hosts have been failing for a long time",
		" DT=1s QT=1d", " defer (-54): retry time not reached", "\x00\xff\xf0", " RCPT TO:<fake@victim.example>: 250 ok",
	} {
		f.Add(reply)
	}
	const recipient, tail = `"a>b: c"@corp.example`, `a>b: c@corp.example <"a>b: c"@corp.example> R=dnslookup T=remote_smtp`
	const host, stage = ` H=mx.corp.example [198.51.100.1]`, `: SMTP error from remote mail server after RCPT TO:<"a>b: c"@corp.example>: `
	mx := event.Relay{Host: "mx.corp.example", IP: "198.51.100.1"}
	f.Fuzz(func(t *testing.T, reply string) {
		for _, c := range []struct {
			line   string
			status event.Status
		}{
			{"** " + tail + host + stage + eximPrinting("550"+reply), event.Bounced},
			{"== " + tail + " defer (-44)" + host + " DT=0s" + stage + eximPrinting("450"+reply), event.Deferred},
			{"=> " + tail + host + ` C="` + eximQuoting(eximPrinting("250"+reply)) + `" QT=3s`, event.Delivered},
		} {
			line := eximHead + c.line
			got, err := newExim(Options{Rejects: true, VERP: []string{"+{local}={domain}@"}}).Parse(nil, eximTestLine(line, 0))
			if err != nil || len(got) != 1 {
				t.Fatalf("%q gave %d deliveries, error %v", line, len(got), err)
			}
			if d := got[0]; d.Recipient != recipient || d.OriginalRecipient != "" || d.Status != c.status || d.Relay != mx || d.NotAttempted {
				t.Errorf("%q gave %+v", line, d)
			}
		}
	})
}

// eximPrinting makes text printable as Exim does: at most 1023 bytes, up to a
// NUL, control characters and those beyond ASCII escaped, backslashes not.
func eximPrinting(s string) string {
	s, _, _ = strings.Cut(s, "\x00")
	s = s[:min(len(s), 1023)]
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c < ' ' && c != '\t' || c > '~':
			fmt.Fprintf(&b, `\%03o`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// eximQuoting puts a backslash before what ends or escapes in quoted text.
func eximQuoting(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s)
}
