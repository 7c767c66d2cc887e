package parsers

import (
	"fmt"
	"testing"
	"time"

	"mtatap/event"
)

var postfixReference = time.Date(2026, 11, 23, 20, 0, 0, 0, time.UTC)

const (
	postfixHead      = "Nov 23 19:26:53 mta-out postfix/"
	postfixHeadISO   = "2026-11-23T19:26:53.762210+00:00 mta-out postfix/"
	postfixSmtpdLine = "smtpd[1078]: disconnect from client.example[192.0.2.77] ehlo=1 mail=1 rcpt=0/1 quit=1 commands=3/4"
	postfixClient    = "smtpd[1078]: %s: client=client.example[192.0.2.77]"
	postfixCleanup   = "cleanup[543]: %s: message-id=<sent-ok.64@sender.example>"
	postfixQmgr      = "qmgr[353]: %s: from=<sender@sender.example>, size=1359, nrcpt=1 (queue active)"
	postfixSent      = "smtp[495]: %s: to=<ok@text.example>, relay=mx.text.example[198.51.100.1]:25, delay=0.01, delays=0/0/0/0.01, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 400000002)"
	postfixBounced   = "smtp[495]: %s: to=<p550511@corp.example>, relay=mx.corp.example[198.51.100.1]:25, delay=0.01, delays=0/0/0/0.01, dsn=5.1.1, status=bounced (host mx.corp.example[198.51.100.1] said: 550 5.1.1 <p550511@corp.example>: Recipient address rejected: User unknown in virtual mailbox table (in reply to RCPT TO command))"
	postfixDeferred  = "smtp[495]: %s: to=<g450@grey.example>, relay=mx.grey.example[198.51.100.1]:25, delay=23, delays=23/0/0/0.01, dsn=4.7.1, status=deferred (host mx.grey.example[198.51.100.1] said: 451 4.7.1 Greylisting in action, please come back in 00:04:59 (in reply to RCPT TO command))"
	postfixRemoved   = "qmgr[353]: %s: removed"
)

func postfixLine(head, format string, id string) Line {
	if id != "" {
		format = fmt.Sprintf(format, id)
	}
	return Line{Text: []byte(head + format), Reference: postfixReference}
}

// mustParse parses a line of a benchmark, where only the time counts.
func mustParse(tb testing.TB, p Parser, dst []event.Delivery, line Line) []event.Delivery {
	dst, err := p.Parse(dst[:0], line)
	if err != nil {
		tb.Fatalf("%v: %s", err, line.Text)
	}
	return dst
}

func BenchmarkPostfixLine(b *testing.B) {
	const id = "40C20532618"
	for _, head := range []struct{ name, text string }{{"rfc3164", postfixHead}, {"iso", postfixHeadISO}} {
		for _, c := range []struct{ name, format, id string }{
			{"uninteresting", postfixSmtpdLine, ""},
			{"client", postfixClient, id},
			{"message-id", postfixCleanup, id},
			{"qmgr", postfixQmgr, id},
			{"sent", postfixSent, id},
			{"bounced", postfixBounced, id},
			{"deferred", postfixDeferred, id},
		} {
			b.Run(c.name+"/"+head.name, func(b *testing.B) {
				p := newPostfix(Options{})
				mustParse(b, p, nil, postfixLine(head.text, postfixCleanup, id))
				mustParse(b, p, nil, postfixLine(head.text, postfixQmgr, id))
				line := postfixLine(head.text, c.format, c.id)
				dst := make([]event.Delivery, 0, 1)
				b.ReportAllocs()
				b.SetBytes(int64(len(line.Text)))
				for b.Loop() {
					dst = mustParse(b, p, dst, line)
				}
			})
		}
	}
}

// BenchmarkPostfixMail parses a whole mail; many mails are in the queue at a time.
func BenchmarkPostfixMail(b *testing.B) {
	for name, formats := range map[string][]string{
		"refused":              {postfixClient, postfixCleanup, postfixQmgr, postfixSmtpdLine, postfixBounced, postfixRemoved, postfixSmtpdLine},
		"deferred and refused": {postfixClient, postfixCleanup, postfixQmgr, postfixDeferred, postfixSmtpdLine, postfixQmgr, postfixBounced, postfixRemoved},
	} {
		for _, head := range []struct{ name, text string }{{"rfc3164", postfixHead}, {"iso", postfixHeadISO}} {
			b.Run(name+"/"+head.name, func(b *testing.B) {
				const inQueue = 4096
				mails := make([][]Line, inQueue)
				for i := range mails {
					id := fmt.Sprintf("%05X53%05X", i*251%(1<<20), i)
					for _, f := range formats {
						lineID := id
						if f == postfixSmtpdLine {
							lineID = ""
						}
						mails[i] = append(mails[i], postfixLine(head.text, f, lineID))
					}
				}
				p := newPostfix(Options{})
				dst := make([]event.Delivery, 0, 1)
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					for _, line := range mails[i%inQueue] {
						dst = mustParse(b, p, dst, line)
					}
					i++
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(formats)), "ns/line")
			})
		}
	}
}
