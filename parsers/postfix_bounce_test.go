package parsers

import (
	"maps"
	"strings"
	"testing"

	"mtatap/event"
)

func TestPostfixAsynchronousBounces(t *testing.T) {
	const (
		null    = `qmgr[1]: 40C20532618: from=<>, size=359, nrcpt=1 (queue active)`
		mail    = `pipe[1]: 40C20532618: to=<%s>, relay=bounces, delay=1, delays=0/0/0/0, dsn=2.0.0, status=sent (delivered via bounces service)`
		alias   = `local[1]: 40C20532618: to=<bounces@sender.example>, orig_to=<%s>, relay=local, delay=1, delays=0/0/0/0, dsn=2.0.0, status=sent (delivered to command: /x)`
		smtp    = `smtp[1]: 40C20532618: to=<%s>, relay=h[192.0.2.1]:25, delay=1, delays=0/0/0/0, dsn=2.0.0, status=sent (250 ok)`
		lmtp    = `lmtp[1]: 40C20532618: to=<%s>, relay=h[private/x], delay=1, delays=0/0/0/0, dsn=2.0.0, status=sent (250 2.0.0 Saved)`
		told    = `pipe[1]: 40C20532618: to=<%s>, relay=x, delay=1, delays=0/0/0/0, dsn=2.0.0, status=sent (delivered via x service (552 5.2.2 <x@remote.example> is full))`
		virtual = `virtual[1]: 40C20532618: to=<%s>, relay=virtual, delay=1, delays=0/0/0/0, dsn=2.0.0, status=sent (delivered to maildir)`
		forward = `local[1]: 40C20532618: to=<%s>, relay=local, delay=1, delays=0/0/0/0, dsn=2.0.0, status=sent (forwarded as 6F1B)`
		verp    = "news+john=doe=example.com@sender.example"
	)
	for name, c := range map[string]struct {
		lines []string
		want  string
	}{
		"delivered to a pipe":                                {[]string{null, to(mail, verp)}, "bounced john=doe@example.com (" + verp + "): "},
		"delivered by an alias":                              {[]string{null, to(alias, verp)}, "bounced john=doe@example.com (" + verp + "): "},
		"delivered to a server behind a socket":              {[]string{null, to(lmtp, verp)}, "bounced john=doe@example.com (" + verp + "): "},
		"to a server over the network":                       {[]string{null, strings.Replace(to(lmtp, verp), "h[private/x]", "h[192.0.2.1]:24", 1)}, "delivered " + verp + " via h[192.0.2.1]:24 at dot 250 2.0.0 dsn=2.0.0: 250 2.0.0 Saved"},
		"delivered to a mailbox":                             {[]string{null, to(virtual, verp)}, "bounced john=doe@example.com (" + verp + "): "},
		"with what the command says":                         {[]string{null, to(told, verp)}, "bounced john=doe@example.com (" + verp + ") 552 5.2.2: 552 5.2.2 <x@remote.example> is full"},
		"to an ordinary address, with what the command says": {[]string{null, to(told, "bounces@sender.example")}, "bounced x@remote.example (bounces@sender.example) 552 5.2.2: 552 5.2.2 <x@remote.example> is full"},
		"forwarded, so that another line tells":              {[]string{null, to(forward, verp)}, "delivered " + verp + " at local dsn=2.0.0: forwarded as 6F1B"},
		"from a sender":                                      {[]string{postfixActive, to(mail, verp)}, "delivered " + verp + " at local dsn=2.0.0: delivered via bounces service"},
		"from an unknown sender":                             {[]string{to(mail, verp)}, "delivered " + verp + " at local dsn=2.0.0: delivered via bounces service"},
		"sent on":                                            {[]string{null, to(smtp, verp)}, "delivered " + verp + " via h[192.0.2.1]:25 at dot 250 dsn=2.0.0: 250 ok"},
		"to an ordinary address":                             {[]string{null, to(mail, "news+tag@sender.example")}, "delivered news+tag@sender.example at local dsn=2.0.0: delivered via bounces service"},
		"a notice of this host":                              {[]string{null, `bounce[1]: 50C20532618: sender non-delivery notification: 40C20532618`, to(mail, verp)}, "delivered " + verp + " at local dsn=2.0.0: delivered via bounces service"},
		"a notice of another one":                            {[]string{null, `bounce[1]: 50C20532618: sender delay notification: 60C20532618`, to(mail, verp)}, "bounced john=doe@example.com (" + verp + "): "},
	} {
		t.Run(name, func(t *testing.T) {
			got := deliveriesOf(t, newPostfix(Options{VERP: []string{"{nonsense}", "+{local}={domain}@"}}), c.lines...)
			if len(got) != 1 || describePostfix(got[0]) != c.want {
				t.Fatalf("\n got %v\nwant %s", got, c.want)
			}
			if got[0].Status == event.Bounced && (got[0].RecipientSource < event.RecipientFromVERP || !got[0].SenderKnown || got[0].Sender != "") {
				t.Errorf("got %+v", got[0])
			}
		})
	}
}

func TestPostfixBouncesOfARealLog(t *testing.T) {
	patterns := []string{"+{local}={domain}@"}
	got := map[string]event.RecipientSource{}
	for _, d := range postfixLog(t, newPostfix(Options{VERP: patterns}), "bounces") {
		if d.Status != event.Bounced || d.RecipientSource == event.RecipientFromLog {
			continue
		}
		got[d.Recipient] = d.RecipientSource
		if !d.SenderKnown || d.Sender != "" || d.OriginalRecipient == "" || d.DSN != "" {
			t.Errorf("got %+v", d)
		}
	}
	want := map[string]event.RecipientSource{
		"john@remote.example":     event.RecipientFromVERP,       // to a pipe
		"john=doe@remote.example": event.RecipientFromVERP,       // to a pipe
		"mary@remote.example":     event.RecipientFromVERP,       // to a pipe that says why
		"gone@remote.example":     event.RecipientFromDiagnostic, // to a pipe that says whose and why
		"paul@remote.example":     event.RecipientFromVERP,       // to a mailbox
		"anna@remote.example":     event.RecipientFromVERP,       // to a command
		"lisa@remote.example":     event.RecipientFromVERP,       // by an alias: the original recipient is the bounce address
	}
	if !maps.Equal(got, want) {
		t.Errorf("\n got %v\nwant %v", got, want)
	}
	for _, d := range postfixLog(t, newPostfix(Options{}), "bounces") {
		if d.RecipientSource != event.RecipientFromLog {
			t.Errorf("without a pattern there is %+v", d)
		}
	}
}

func TestPostfixRecoversTheRecipientOfAFailure(t *testing.T) {
	const verpSender = `qmgr[1]: 40C20532618: from=<news+ann=b.example@sender.example>, size=359, nrcpt=1 (queue active)`
	for name, c := range map[string]struct {
		lines  []string
		want   string
		source event.RecipientSource
	}{
		"from the original recipient, where the other is a bare name": {
			[]string{`local[1]: 40C20532618: to=<ann>, orig_to=<ann@b.example>, relay=local, delay=1, dsn=5.1.1, status=bounced (unknown user: "ann")`},
			"ann@b.example", event.RecipientFromOriginal},
		"from the original recipient, where the other is empty": {
			[]string{`local[1]: 40C20532618: to=<>, orig_to=<ann@b.example>, relay=local, delay=1, dsn=5.1.1, status=bounced (unknown user)`},
			"ann@b.example", event.RecipientFromOriginal},
		"from a VERP sender": {
			[]string{verpSender, `smtp[1]: 40C20532618: to=<>, relay=none, delay=1, dsn=5.1.1, status=bounced (x)`},
			"ann@b.example", event.RecipientFromVERP},
		"from a VERP sender that expires, its deferrals in a log that is gone": {
			[]string{`qmgr[1]: 40C20532618: from=<news+ann=b.example@sender.example>, status=expired, returned to sender`},
			"ann@b.example", event.RecipientFromVERP},
		"from the diagnostic": {
			[]string{postfixActive, `smtp[1]: 40C20532618: to=<>, relay=mx.b.example[192.0.2.1]:25, delay=1, dsn=5.1.1, status=bounced (host mx.b.example[192.0.2.1] said: 550 5.1.1 <ann@b.example>: unknown (in reply to RCPT TO command))`},
			"ann@b.example", event.RecipientFromDiagnostic},
		"not at all": {
			[]string{postfixExpired}, "", event.RecipientUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			got := deliveriesOf(t, newPostfix(Options{VERP: []string{"+{local}={domain}@"}}), c.lines...)
			if len(got) != 1 || got[0].Recipient != c.want || got[0].RecipientSource != c.source || got[0].OriginalRecipient != "" {
				t.Errorf("got %+v, want %q from %q", got, c.want, c.source)
			}
		})
	}
}
