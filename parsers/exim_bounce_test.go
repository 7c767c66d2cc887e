package parsers

import (
	"testing"

	"mtatap/event"
)

const eximNullSender = eximHead + `<= <> H=mx.text.example [198.51.100.1] P=esmtp S=2054 id=b@text.example`

func TestEximReadsIncomingBounces(t *testing.T) {
	const verpAddress = "news+john=doe=example.com@sender.example"
	const (
		toPipe    = eximHead + `=> |/usr/bin/bounces <` + verpAddress + `> R=aliases T=address_pipe`
		toMailbox = eximHead + `=> news+john=doe=example.com <` + verpAddress + `> R=localuser T=local_delivery`
		toCommand = eximHead + `=> ` + verpAddress + ` R=bounces T=bounce_pipe`
		output    = eximHead + `<` + verpAddress + `>: bounce_pipe transport output: `
	)
	bounced := eximCore{event.Bounced, "john=doe@example.com", verpAddress, "bounce_pipe", event.Relay{}, 0, 0, "", ""}
	with := func(c eximCore, change func(*eximCore)) eximCore { change(&c); return c }
	delivered := eximCore{event.Delivered, verpAddress, "", "bounce_pipe", event.Relay{}, event.PhaseLocal, 0, "", ""}
	for name, c := range map[string]struct {
		lines []string
		want  eximCore
	}{
		"to a transport that runs a command": {[]string{eximNullSender, toCommand}, bounced},
		"to a pipe of an alias":              {[]string{eximNullSender, toPipe}, with(bounced, func(c *eximCore) { c.program = "address_pipe" })},
		"to a mailbox":                       {[]string{eximNullSender, toMailbox}, with(bounced, func(c *eximCore) { c.program = "local_delivery" })},
		"after a deferral": {
			[]string{eximNullSender, eximHead + `== ` + verpAddress + ` R=bounces T=bounce_pipe defer (0): busy`, toCommand}, bounced},
		"to a command that wrote the cause": {
			[]string{eximNullSender, output + `550 5.1.1 user unknown`, toCommand},
			with(bounced, func(c *eximCore) { c.code, c.enhanced, c.text = 550, "5.1.1", "550 5.1.1 user unknown" })},
		"to an address that claims what a command wrote": {
			[]string{eximNullSender, eximHead + `<"a>: x transport output: 550 5.1.1 no"@sender.example>: bounce_pipe transport output: thanks`, toCommand},
			with(bounced, func(c *eximCore) { c.text = "thanks" })},
		"to a command that wrote before": {
			[]string{eximNullSender, output + `550 5.1.1 user unknown`, toPipe, toCommand}, bounced},
		"to a command that wrote whose mail it was": {
			[]string{eximNullSender, eximHead + `<returns@sender.example>: handler transport output: 550 5.1.1 <john@example.com>: user unknown`, eximHead + `=> returns <returns@sender.example> R=bounces T=handler`},
			eximCore{event.Bounced, "john@example.com", "returns@sender.example", "handler", event.Relay{}, 0, 550, "5.1.1", "550 5.1.1 <john@example.com>: user unknown"}},
		"a notice that this host made": {
			[]string{eximHead + `<= <> R=1xVZgd-00003F-1b U=Debian-exim P=local S=2054`, toCommand}, delivered},
		"mail from a sender":                {[]string{eximHead + `<= s@sender.example U=root P=local S=389`, toCommand}, delivered},
		"mail from an unknown sender":       {[]string{toCommand}, delivered},
		"after the message was completed":   {[]string{eximNullSender, eximHead + `Completed`, toCommand}, delivered},
		"passed on to another server":       {[]string{eximNullSender, eximHead + `=> ` + verpAddress + ` R=dnslookup T=remote_smtp H=mx [192.0.2.1] C="250 ok"`}, eximCore{event.Delivered, verpAddress, "", "remote_smtp", event.Relay{Host: "mx", IP: "192.0.2.1"}, 0, 250, "", "250 ok"}},
		"thrown away":                       {[]string{eximNullSender, eximHead + `=> :blackhole: <` + verpAddress + `> R=bounces`}, with(delivered, func(c *eximCore) { c.program = "" })},
		"suppressed by -N":                  {[]string{eximNullSender, eximHead + `*> ` + verpAddress + ` R=bounces T=bounce_pipe`}, with(delivered, func(c *eximCore) { c.phase = event.PhaseQueue })},
		"to an address without a recipient": {[]string{eximNullSender, eximHead + `=> news <news@sender.example> R=localuser T=local_delivery`}, eximCore{event.Delivered, "news@sender.example", "", "local_delivery", event.Relay{}, event.PhaseLocal, 0, "", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			got := parseExim(t, Options{VERP: []string{"+{local}={domain}@"}}, c.lines...)
			if len(got) == 0 {
				t.Fatal("no delivery")
			}
			d := got[len(got)-1]
			if core := coreOfExim(d); core != c.want {
				t.Errorf("\n got %+v\nwant %+v", core, c.want)
			}
			if d.Status == event.Bounced && (d.RecipientSource != event.RecipientFromVERP && d.RecipientSource != event.RecipientFromDiagnostic || !d.SenderKnown || d.Sender != "") {
				t.Errorf("recipient from %v, sender %q %v", d.RecipientSource, d.Sender, d.SenderKnown)
			}
		})
	}
}

func TestEximSnapshotKeepsWhatABounceIs(t *testing.T) {
	opts := Options{VERP: []string{"+{local}={domain}@"}}
	p := newExim(opts)
	feedExim(t, p, nil, eximNullSender, eximHead+`<n+a=b.example@s.example>: pipe transport output: 5.2.2 full`,
		`2026-11-23 19:26:45 1xVZgb-00001q-2t <= <> R=1xVZgd-00003F-1b U=Debian-exim P=local S=2054`)
	q := newExim(opts)
	if err := q.Restore(p.Snapshot(nil)); err != nil {
		t.Fatal(err)
	}
	got := feedExim(t, q, nil, eximHead+`=> n+a=b.example@s.example R=r T=t`, `2026-11-23 19:26:45 1xVZgb-00001q-2t => n+a=b.example@s.example R=r T=t`)
	if len(got) != 2 || got[0].Status != event.Bounced || got[0].EnhancedCode != "5.2.2" || got[1].Status != event.Delivered {
		t.Errorf("got %+v", got)
	}
}

func TestEximNamesTheRecipientOfFailuresThatNameNone(t *testing.T) {
	for name, c := range map[string]struct {
		lines     []string
		recipient string
		source    event.RecipientSource
	}{
		"from the command that was refused": {
			[]string{eximHead + `** |/bin/relay <system-filter> T=address_pipe H=mx [192.0.2.1]: SMTP error from remote mail server after RCPT TO:<a@b.example>: 550 <c@d.example> unknown`},
			"a@b.example", event.RecipientFromDiagnostic},
		"from the sender": {
			[]string{eximHead + `<= news+john=example.com@sender.example U=root P=local S=3`, eximHead + `** /srv/archive <system-filter> T=address_file: Permission denied <c@d.example>`},
			"john@example.com", event.RecipientFromVERP},
		"from the words": {
			[]string{eximHead + `** >c@d.example <system-filter> T=address_reply: could not write to <a@b.example>`},
			"a@b.example", event.RecipientFromDiagnostic},
		"from nowhere": {
			[]string{eximHead + `** /srv/archive <system-filter> T=address_file: Permission denied`},
			"system-filter", event.RecipientFromLog},
		"not where one is named": {
			[]string{eximHead + `** |/bin/relay <e@f.example> R=aliases T=address_pipe: SMTP error from remote mail server after RCPT TO:<a@b.example>: 550 <c@d.example> unknown`},
			"e@f.example", event.RecipientFromLog},
		"not for a deferral": {
			[]string{eximHead + `== >postmaster <system-filter> T=address_reply defer (0): could not write to <a@b.example>`},
			"system-filter", event.RecipientFromLog},
	} {
		t.Run(name, func(t *testing.T) {
			got := parseExim(t, Options{VERP: []string{"+{local}={domain}@"}}, c.lines...)
			if len(got) != 1 || got[0].Recipient != c.recipient || got[0].RecipientSource != c.source {
				t.Errorf("got %+v, want %q from %v", got, c.recipient, c.source)
			}
		})
	}
}
