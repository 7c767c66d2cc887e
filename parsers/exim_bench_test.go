package parsers

import (
	"strings"
	"testing"
	"time"

	"mtatap/event"
)

var eximBenchLines = map[string][]string{
	"delivered": {
		eximHead + `=> ok@text.example R=dnslookup T=remote_smtp H=mx.text.example [198.51.100.1] C="250 2.0.0 Ok: queued as 400000002"`},
	"bounced": {
		eximHead + `** p@bigmail.example R=dnslookup T=remote_smtp H=mx.bigmail.example [198.51.100.1]: SMTP error from remote mail server after RCPT TO:<p@bigmail.example>: 550-5.1.1 The email account that you tried to reach does not exist. Please try\n550-5.1.1 double-checking the recipient's email address for typos or\n550 5.1.1 unnecessary spaces.`},
	"deferred, then delivered": {
		eximHead + `== g@grey.example R=dnslookup T=remote_smtp defer (-44) H=mx.grey.example [198.51.100.1]: SMTP error from remote mail server after RCPT TO:<g@grey.example>: 450 4.2.0 Greylisted`,
		eximHead + `=> g@grey.example R=dnslookup T=remote_smtp H=mx.grey.example [198.51.100.1] C="250 2.0.0 Ok: queued as 400000002"`},
	"delivered through syslog": {
		"Nov 23 19:26:45 mta-out exim[146]: " + eximHead + `=> ok@text.example R=dnslookup T=remote_smtp H=mx.text.example [198.51.100.1] C="250 2.0.0 Ok: queued as 400000002"`},
	"output of a command": {
		eximNullSender,
		eximHead + `<news+john=example.com@sender.example>: bounces transport output: 550 5.1.1 user unknown`},
	"remembered": {
		eximHead + `<= sender@sender.example U=root P=local S=389 id=sent-ok.64@sender.example`,
		eximHead + `Completed`},
	"uninteresting": {
		eximHead + `H=mx.refused.example [198.51.100.200] Connection refused`,
		eximHead + `== p@corp.example R=dnslookup T=remote_smtp defer (-54): retry time not reached for any host for 'corp.example'`,
		"2026-11-23 19:26:44 Start queue run: pid=111",
		"2026-11-23 19:27:06 H=client.example [192.0.2.77] F=<user@client.example> rejected RCPT <someone@elsewhere.example>: relay not permitted",
		"Nov 23 19:30:50 mta-out exim[301]: [2/5] xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"},
}

func BenchmarkExim(b *testing.B) {
	for name, texts := range eximBenchLines {
		b.Run(name, func(b *testing.B) {
			p := newExim(Options{})
			p.Parse(nil, eximTestLine(eximBenchLines["remembered"][0], 0))
			lines, size := make([]Line, len(texts)), 0
			for i, t := range texts {
				lines[i] = eximTestLine(t, 0)
				size += len(t) + 1
			}
			b.SetBytes(int64(size / len(lines)))
			b.ReportAllocs()
			var dst []event.Delivery
			for i := 0; b.Loop(); i++ {
				dst, _ = p.Parse(dst[:0], lines[i%len(lines)])
			}
		})
	}
}

func TestEximLinesWithoutADeliveryDoNotAllocate(t *testing.T) {
	for _, name := range []string{"remembered", "output of a command", "uninteresting"} {
		p := newExim(Options{Rejects: name == "remembered", VERP: []string{"+{local}={domain}@"}})
		var lines []Line
		for _, text := range eximBenchLines[name] {
			lines = append(lines, eximTestLine(text, 0))
		}
		if n := testing.AllocsPerRun(100, func() {
			for _, l := range lines {
				p.Parse(nil, l)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations, want 0", name, n)
		}
	}
}

func TestEximReadsHostileLinesInLinearTime(t *testing.T) {
	for name, unit := range map[string]string{
		"colons": "a: ", "brackets": " <", "quoted originals": ` <"a`, "fields": " R=x", "closed brackets": " <a b> R=",
		"quotes": `"`, "backslashes": `\n5`, "replies": `\n550-x`, "parents": " (a", "octal": `\303`,
	} {
		for _, flag := range []string{"=> ", "** ", "== x@y.example R=a T=b defer (1)", `=> x@y.example R=a C="250 `, "** x@y.example R=a: SMTP error from remote mail server after end of data: 550-", "<= ", "<", "H=x rejected RCPT "} {
			line := eximTestLine(eximHead+flag+strings.Repeat(unit, 64<<10/len(unit)), 0)
			start := time.Now()
			p := newExim(Options{Rejects: true, VERP: []string{"+{local}={domain}@"}})
			p.Parse(nil, eximTestLine(eximNullSender, 0))
			p.Parse(nil, line)
			if took := time.Since(start); took > 2*time.Second {
				t.Errorf("%s behind %q took %v", name, flag, took)
			}
		}
	}
}
