package parsers

import (
	"errors"
	"strings"
	"testing"
	"time"

	"mtatap/event"
)

var eximTestOrigin = &event.Origin{Path: "/var/log/exim4/mainlog"}

// parseExim feeds lines to a new parser and returns the deliveries, Flush
// included. A parse error fails the test.
func parseExim(t *testing.T, opts Options, lines ...string) []event.Delivery {
	t.Helper()
	p := newExim(opts)
	return p.Flush(feedExim(t, p, nil, lines...))
}

func feedExim(t *testing.T, p *exim, dst []event.Delivery, lines ...string) []event.Delivery {
	t.Helper()
	for i, l := range lines {
		var err error
		dst, err = p.Parse(dst, eximTestLine(l, int64(i)))
		if err != nil {
			t.Errorf("Parse(%q): %v", l, err)
		}
	}
	return dst
}

func eximTestLine(text string, offset int64) Line {
	return Line{Text: []byte(text), Offset: offset, Origin: eximTestOrigin, Reference: time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)}
}

const (
	eximHead  = "2026-11-23 19:26:45 1xVZgb-00001p-2t "
	eximHead2 = "2026-11-23 20:26:45.517 +0100 [121] 1xVZSz-0000000001u-22o0 "
)

// eximCore is what most cases look at.
type eximCore struct {
	status    event.Status
	recipient string
	original  string
	program   string
	relay     event.Relay
	phase     event.Phase
	code      int
	enhanced  string
	text      string
}

func coreOfExim(d event.Delivery) eximCore {
	return eximCore{d.Status, d.Recipient, d.OriginalRecipient, d.Program, d.Relay, d.Phase, d.SMTPCode, d.EnhancedCode, d.Diagnostic}
}

func TestEximReadsDeliveries(t *testing.T) {
	mx := event.Relay{Host: "mx.text.example", IP: "198.51.100.1"}
	for name, c := range map[string]struct {
		line string
		want eximCore
	}{
		"a remote delivery": {
			eximHead + `=> ok@text.example R=dnslookup T=remote_smtp H=mx.text.example [198.51.100.1] C="250 2.0.0 Ok: queued as 400000002"`,
			eximCore{event.Delivered, "ok@text.example", "", "remote_smtp", mx, 0, 250, "2.0.0", "250 2.0.0 Ok: queued as 400000002"}},
		"a further address over a kept connection with DNSSEC": {
			eximHead + `-> m-ok2@multi.example R=dnslookup T=remote_smtp H=mx.text.example DS [198.51.100.1]:25* C="250 ok"`,
			eximCore{event.Delivered, "m-ok2@multi.example", "", "remote_smtp", event.Relay{Host: "mx.text.example", IP: "198.51.100.1", Port: 25}, 0, 250, "", "250 ok"}},
		"a cut-through delivery without a confirmation": {
			eximHead + `>> cut-ok@text.example R=dnslookup T=remote_smtp H=mx.text.example [198.51.100.1]`,
			eximCore{event.Delivered, "cut-ok@text.example", "", "remote_smtp", mx, 0, 0, "", ""}},
		"an IPv6 peer with a port": {
			eximHead + `=> six@v6.example R=dnslookup T=remote_smtp H=mx.v6.example [2001:db8:25::3d]:587 C="250 ok"`,
			eximCore{event.Delivered, "six@v6.example", "", "remote_smtp", event.Relay{Host: "mx.v6.example", IP: "2001:db8:25::3d", Port: 587}, 0, 250, "", "250 ok"}},
		"every field that a log selector can add": {
			eximHead2 + `=> ok@text.example F=<"odd sender"@sender.example> Q=bulk P=<b@sender.example> R=dnslookup T=remote_smtp S=455 H=mx.text.example [198.51.100.1]:25 I=[192.0.2.10]:4711 TFO* X=TLS1.3:ECDHE_SECP256R1__RSA_PSS_RSAE_SHA256__AES_256_GCM:256 CV=dane DN="CN=a: b, O="c"" A=plain:u@x L* PRDR K PS=x C="250 2.0.0 Ok" QT=1m3s DT=0.016s`,
			eximCore{event.Delivered, "ok@text.example", "", "remote_smtp", event.Relay{Host: "mx.text.example", IP: "198.51.100.1", Port: 25}, 0, 250, "2.0.0", "250 2.0.0 Ok"}},
		"a confirmation with quotes, backslashes and fields in it": {
			eximHead + `=> okquote@text.example R=dnslookup T=remote_smtp H=mx.text.example [198.51.100.1] C="250 2.0.0 \"Ok\" said \\the\\ server, H=fake [1.2.3.4] => x@y.example T=\"x\""`,
			eximCore{event.Delivered, "okquote@text.example", "", "remote_smtp", mx, 0, 250, "2.0.0", `250 2.0.0 "Ok" said \the\ server, H=fake [1.2.3.4] => x@y.example T="x"`}},
		"a confirmation of several lines in UTF-8": {
			eximHead + `=> okmulti@text.example R=dnslookup T=remote_smtp H=mx.text.example [198.51.100.1] C="250-2.0.0 first\\n250 2.0.0 \\320\\236\\320\\272"`,
			eximCore{event.Delivered, "okmulti@text.example", "", "remote_smtp", mx, 0, 250, "2.0.0", "250 2.0.0 first Ок"}},
		"a local delivery that names the local part": {
			eximHead + `=> alice <alice@example.net> R=localuser T=local_delivery`,
			eximCore{event.Delivered, "alice@example.net", "", "local_delivery", event.Relay{}, event.PhaseLocal, 0, "", ""}},
		"a command that took the mail": {
			eximHead + `=> |/bin/sh -c 'echo a: b <c@d> x R=y' <cmdok@example.net> R=aliases T=address_pipe`,
			eximCore{event.Delivered, "cmdok@example.net", "", "address_pipe", event.Relay{}, event.PhaseLocal, 0, "", ""}},
		"a file that took the mail, with the parent": {
			eximHead + `=> /srv/mail/archive.mbox (list@example.net) <archive@example.net> R=aliases T=address_file`,
			eximCore{event.Delivered, "archive@example.net", "", "address_file", event.Relay{}, event.PhaseLocal, 0, "", ""}},
		"a black hole": {
			eximHead + `=> :blackhole: <hole@example.net> R=aliases`,
			eximCore{event.Delivered, "hole@example.net", "", "", event.Relay{}, event.PhaseLocal, 0, "", ""}},
		"a filter that discarded": {
			eximHead + `=> discarded <dave@example.net> R=userforward`,
			eximCore{event.Delivered, "dave@example.net", "", "", event.Relay{}, event.PhaseLocal, 0, "", ""}},
		"an ACL that discarded every recipient": {
			eximHead + `=> blackhole (DATA ACL discarded recipients): dropped by data ACL`,
			eximCore{event.Delivered, "", "", "", event.Relay{}, event.PhaseLocal, 0, "", "blackhole (DATA ACL discarded recipients): dropped by data ACL"}},
		"letter case restored": {
			eximHead + `=> user.name+tag@vip.example <User.Name+tag@Vip.Example> R=dnslookup T=remote_smtp H=mx.text.example [198.51.100.1] C="250 ok"`,
			eximCore{event.Delivered, "User.Name+tag@Vip.Example", "", "remote_smtp", mx, 0, 250, "", "250 ok"}},
		"quoting restored": {
			eximHead + `=> back\slash"quote@vip.example <"back\\slash\"quote"@vip.example> R=dnslookup T=remote_smtp H=mx.text.example [198.51.100.1] C="250 ok"`,
			eximCore{event.Delivered, `"back\\slash\"quote"@vip.example`, "", "remote_smtp", mx, 0, 250, "", "250 ok"}},
		"an alias of all parents": {
			eximHead + `=> fwd1@text.example (carol@example.net, b@example.net) <Team@example.net> R=dnslookup T=remote_smtp H=mx.text.example [198.51.100.1] C="250 ok"`,
			eximCore{event.Delivered, "fwd1@text.example", "Team@example.net", "remote_smtp", mx, 0, 250, "", "250 ok"}},
		"an address literal": {
			eximHead + `=> literal@[198.51.100.1] R=literal T=remote_smtp H=[198.51.100.1] [198.51.100.1] C="250 ok"`,
			eximCore{event.Delivered, "literal@[198.51.100.1]", "", "remote_smtp", event.Relay{Host: "198.51.100.1", IP: "198.51.100.1"}, 0, 250, "", "250 ok"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := parseExim(t, Options{}, c.line)
			if len(got) != 1 {
				t.Fatalf("%d deliveries, want 1", len(got))
			}
			if core := coreOfExim(got[0]); core != c.want {
				t.Errorf("\n got %+v\nwant %+v", core, c.want)
			}
			if d := got[0]; d.Raw != c.line || d.MTA != eximMTA || (d.Recipient != "") != (d.RecipientSource == event.RecipientFromLog) {
				t.Errorf("raw %q, mta %q, source %v", d.Raw, d.MTA, d.RecipientSource)
			}
		})
	}
}

func TestEximReadsFailures(t *testing.T) {
	corp := event.Relay{Host: "mx.corp.example", IP: "198.51.100.1"}
	for name, c := range map[string]struct {
		line string
		want eximCore
	}{
		"a refusal of several lines": {
			eximHead + `** p@corp.example R=dnslookup T=remote_smtp H=mx.corp.example [198.51.100.1]: SMTP error from remote mail server after RCPT TO:<p@corp.example>: 550-5.1.1 No such\n550 5.1.1 user`,
			eximCore{event.Bounced, "p@corp.example", "", "remote_smtp", corp, event.PhaseRcpt, 550, "5.1.1", "550 5.1.1 No such user"}},
		"a space before the colon and the time behind the text": {
			eximHead2 + `** p@corp.example F=<> R=dnslookup T=remote_smtp H=mx.corp.example [198.51.100.1] X=TLS1.3:A__B:256 CV=no : SMTP error from remote mail server after pipelined MAIL FROM:<s@x> SIZE=12: 553 no DT=0.2s`,
			eximCore{event.Bounced, "p@corp.example", "", "remote_smtp", corp, event.PhaseMail, 553, "", "553 no"}},
		"a forged delivery in the reply": {
			eximHead + `** p@corp.example R=dnslookup T=remote_smtp H=mx.corp.example [198.51.100.1]: SMTP error from remote mail server after end of data: 550 5.7.1 => fake@victim.example R=dnslookup T=remote_smtp H=mx.victim.example [203.0.113.9] C="250 OK"`,
			eximCore{event.Bounced, "p@corp.example", "", "remote_smtp", corp, event.PhaseDot, 550, "5.7.1", `550 5.7.1 => fake@victim.example R=dnslookup T=remote_smtp H=mx.victim.example [203.0.113.9] C="250 OK"`}},
		"a recipient that looks like fields": {
			eximHead + `** x@y.example R=a T=b: c@vip.example <"x@y.example R=a T=b: c"@vip.example> R=dnslookup T=remote_smtp H=mx.corp.example [198.51.100.1]: SMTP error from remote mail server after RCPT TO:<"x@y.example R=a T=b: c"@vip.example>: 550 no`,
			eximCore{event.Bounced, `"x@y.example R=a T=b: c"@vip.example`, "", "remote_smtp", corp, event.PhaseRcpt, 550, "", "550 no"}},
		"a quoted recipient with an angle bracket and a status": {
			eximHead + `** a>b,c;status=sent (x)@vip.example <"a>b,c;status=sent (x)"@vip.example> R=dnslookup T=remote_smtp H=mx.corp.example [198.51.100.1]: SMTP error from remote mail server after RCPT TO:<"a>b,c;status=sent (x)"@vip.example>: 550 5.1.1 no`,
			eximCore{event.Bounced, `"a>b,c;status=sent (x)"@vip.example`, "", "remote_smtp", corp, event.PhaseRcpt, 550, "5.1.1", "550 5.1.1 no"}},
		"a deferral by the peer": {
			eximHead + `== g@grey.example R=dnslookup T=remote_smtp defer (-44) H=mx.corp.example [198.51.100.1]:25 I=[192.0.2.1]:4 DT=1s: SMTP error from remote mail server after RCPT TO:<g@grey.example>: 450 4.2.0 Greylisted`,
			eximCore{event.Deferred, "g@grey.example", "", "remote_smtp", event.Relay{Host: "mx.corp.example", IP: "198.51.100.1", Port: 25}, event.PhaseRcpt, 450, "4.2.0", "450 4.2.0 Greylisted"}},
		"a refused connection": {
			eximHead + `== r@refused.example R=dnslookup T=remote_smtp defer (111): Connection refused`,
			eximCore{event.Deferred, "r@refused.example", "", "remote_smtp", event.Relay{}, event.PhaseConnect, 0, "", "Connection refused"}},
		"a timeout in the dialogue": {
			eximHead + `== r@bhang.example R=dnslookup T=remote_smtp defer (110): Connection timed out H=mx.corp.example [198.51.100.1]: SMTP timeout after initial connection`,
			eximCore{event.Deferred, "r@bhang.example", "", "remote_smtp", corp, event.PhaseBanner, 0, "", "SMTP timeout after initial connection: Connection timed out"}},
		"a greeting that says no": {
			eximHead + `== b@b421.example R=dnslookup T=remote_smtp defer (0) H=mx.corp.example [198.51.100.1]: SMTP error from remote mail server after initial connection: 421 4.7.0 mx Try again later. (EHLO)`,
			eximCore{event.Deferred, "b@b421.example", "", "remote_smtp", corp, event.PhaseBanner, 421, "4.7.0", "421 4.7.0 mx Try again later. (EHLO)"}},
		"a reply to EHLO kept in the text": {
			eximHead + `== h@h421.example R=dnslookup T=remote_smtp defer (-18) H=mx.corp.example [198.51.100.1]: Remote host closed connection in response to HELO mta (EHLO response was: 421 4.3.2 All server ports are busy)`,
			eximCore{event.Deferred, "h@h421.example", "", "remote_smtp", corp, event.PhaseHelo, 421, "4.3.2", "421 4.3.2 All server ports are busy"}},
		"a malformed reply without a code": {
			eximHead + `== w@weird.example R=dnslookup T=remote_smtp defer (-19) H=mx.corp.example [198.51.100.1]: Malformed SMTP reply in response to pipelined RCPT TO:<w@weird.example>: XYZZY plugh`,
			eximCore{event.Deferred, "w@weird.example", "", "remote_smtp", corp, event.PhaseRcpt, 0, "", "Malformed SMTP reply in response to pipelined RCPT TO:<w@weird.example>: XYZZY plugh"}},
		"an LMTP reply after the data": {
			eximHead + `** l@lmtp.example R=lmtp T=remote_lmtp H=198.51.100.62 [198.51.100.62]: LMTP error after DATA: 554 5.7.1 spam`,
			eximCore{event.Bounced, "l@lmtp.example", "", "remote_lmtp", event.Relay{Host: "198.51.100.62", IP: "198.51.100.62"}, event.PhaseDot, 554, "5.7.1", "554 5.7.1 spam"}},
		"the peer in the text, as old versions wrote it": {
			eximHead + `** p@corp.example R=dnslookup T=remote_smtp: SMTP error from remote mail server after RCPT TO:<p@corp.example>: host mx.corp.example [198.51.100.1]: 550 no`,
			eximCore{event.Bounced, "p@corp.example", "", "remote_smtp", corp, event.PhaseRcpt, 550, "", "550 no"}},
		"TLS that was required": {
			eximHead + `== x1@tlsmust.example R=tlsmust T=smtp_tls defer (-38) H=mx.corp.example [198.51.100.1]: a TLS session is required, but the server did not offer TLS support`,
			eximCore{event.Deferred, "x1@tlsmust.example", "", "smtp_tls", corp, event.PhaseStartTLS, 0, "", "a TLS session is required, but the server did not offer TLS support"}},
		"no route": {
			eximHead + `** nx@nxdomain.example: Unrouteable address`,
			eximCore{event.Bounced, "nx@nxdomain.example", "", "", event.Relay{}, event.PhaseDNS, 0, "", "Unrouteable address"}},
		"a local policy with a code of its own": {
			eximHead + `** refuse@example.net R=aliases: 550 5.7.1 "not here" => status=sent (really)`,
			eximCore{event.Bounced, "refuse@example.net", "", "", event.Relay{}, event.PhaseLocal, 0, "", `550 5.7.1 "not here" => status=sent (really)`}},
		"a full mailbox": {
			eximHead + `== x1@quota.example R=quota T=quota_file defer (-22): mailbox is full (MTA-imposed quota exceeded while writing to /mail/quota)`,
			eximCore{event.Deferred, "x1@quota.example", "", "quota_file", event.Relay{}, event.PhaseLocal, 0, "", "mailbox is full (MTA-imposed quota exceeded while writing to /mail/quota)"}},
		"a command that failed": {
			eximHead + `** |/bin/sh -c 'echo status=sent; exit 1' <cmdfail@example.net> R=aliases T=address_pipe: Child process of address_pipe transport returned 1 from command: /bin/sh`,
			eximCore{event.Bounced, "cmdfail@example.net", "", "address_pipe", event.Relay{}, event.PhaseLocal, 0, "", "Child process of address_pipe transport returned 1 from command: /bin/sh"}},
		"expiry alone": {
			eximHead + `** x2@quota.example: retry timeout exceeded`,
			eximCore{event.Expired, "x2@quota.example", "", "", event.Relay{}, event.PhaseQueue, 0, "", "retry timeout exceeded"}},
		"expiry behind the last error": {
			eximHead + `** g@grey.example R=dnslookup T=remote_smtp H=mx.corp.example [198.51.100.1]: SMTP error from remote mail server after RCPT TO:<g@grey.example>: 450 4.2.0 Greylisted: retry timeout exceeded`,
			eximCore{event.Expired, "g@grey.example", "", "remote_smtp", corp, event.PhaseRcpt, 450, "4.2.0", "450 4.2.0 Greylisted"}},
		"hosts that failed for too long": {
			eximHead + `** d@dead.example R=dnslookup T=remote_smtp: all hosts for 'dead.example' have been failing for a long time (and retry time not reached)`,
			eximCore{event.Expired, "d@dead.example", "", "remote_smtp", event.Relay{}, event.PhaseQueue, 0, "", "all hosts for 'dead.example' have been failing for a long time (and retry time not reached)"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := parseExim(t, Options{}, c.line)
			if len(got) != 1 {
				t.Fatalf("%d deliveries, want 1", len(got))
			}
			if core := coreOfExim(got[0]); core != c.want {
				t.Errorf("\n got %+v\nwant %+v", core, c.want)
			}
		})
	}
}

func TestEximIgnoresWhatIsNoDelivery(t *testing.T) {
	for _, line := range []string{
		"",
		"2026-11-23 19:26:44 Start queue run: pid=111",
		eximHead + `H=mx.corp.example [198.51.100.1]: SMTP error from remote mail server after RCPT TO:<a@b.example>: 550 no`,
		eximHead + `H=mx.refused.example [198.51.100.200] Connection refused`,
		eximHead + `<x1@pipeout.example>: script transport output: => a@b.example R=x T=y`,
		eximHead + `== p@corp.example R=dnslookup T=remote_smtp defer (-54): retry time not reached for any host for 'corp.example'`,
		eximHead + `== t@free.example routing defer (-52): retry time not reached`,
		eximHead + `Frozen (delivery error message)`,
		"2026-11-23 19:27:05 H=client.example [192.0.2.77] F=<u@client.example> rejected RCPT <a@b.example>: no",
		"------------------------------------------------------------",
		"F From: => a@b.example R=x T=y",
		"=> a@b.example R=x T=y",
		"Nov 23 19:30:46 mta-out exim[146]: [2/2] 2026-11-23 19:26:45 1xVZgb-00001p-2t => a@b.example R=x T=y",
	} {
		if got := parseExim(t, Options{}, line); len(got) > 0 {
			t.Errorf("%q gave %+v, want nothing", line, got)
		}
	}
}

func TestEximReportsStatusLinesItCannotRead(t *testing.T) {
	for name, c := range map[string]struct {
		line string
		want error
	}{
		"no address":        {eximHead + `=> a b c R=x`, eximNoAddress},
		"torn in the words": {eximHead + `=> ok@text.exam2026-11-23 19:26:45 1xVZgb-00001p-2t => real@x.example R=a T=b`, eximNoAddress},
		"no field":          {eximHead + `=> ok@text.example`, eximNoFields},
		"no error number":   {eximHead + `== ok@text.example R=dnslookup T=remote_smtp`, eximNoDefer},
		"words as a number": {eximHead + `== ok@text.example R=dnslookup T=remote_smtp defer (not now): no`, eximNoDefer},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := newExim(Options{}).Parse(nil, eximTestLine(c.line, 0))
			var unparsed *UnparsedError
			if !errors.As(err, &unparsed) || err != c.want || len(got) > 0 {
				t.Errorf("%d deliveries, error %v, want %v", len(got), err, c.want)
			}
		})
	}
}

func TestEximJoinsSenderAndMessageID(t *testing.T) {
	delivered := eximHead + `=> ok@text.example R=dnslookup T=remote_smtp H=mx [198.51.100.1]`
	for name, c := range map[string]struct {
		lines  []string
		sender string
		known  bool
		id     string
	}{
		"a local submission": {
			[]string{eximHead + `<= sender@sender.example U=root P=local S=389 id=sent-ok.64@sender.example`, delivered},
			"sender@sender.example", true, "sent-ok.64@sender.example"},
		"the null sender of a bounce": {
			[]string{eximHead + `<= <> R=1xVZgd-00003F-1b U=Debian-exim P=local S=2054`, delivered}, "", true, ""},
		"a quoted sender and a subject with an id in it": {
			[]string{eximHead + `<= "odd sender"@sender.example H=h (helo) [192.0.2.1] P=esmtps X=TLS1.3:A:256 CV=no DN="CN=id=x" S=425 id*=real@x T="a \" id=forged" from <a@b> for c@d`, delivered},
			`"odd sender"@sender.example`, true, "real@x"},
		"no id field but a subject that has one": {
			[]string{eximHead + `<= s@sender.example U=root P=local S=415 T="x id=forged S=1 id=forged"`, delivered}, "s@sender.example", true, ""},
		"the sender on the line wins": {
			[]string{eximHead + `<= s@sender.example U=root P=local S=4`, strings.Replace(delivered, " R=", " F=<f@sender.example> P=<p@sender.example> R=", 1)}, "f@sender.example", true, ""},
		"the return path where nothing else is known": {
			[]string{strings.Replace(delivered, " R=", " P=<p@sender.example> R=", 1)}, "p@sender.example", true, ""},
		"nothing is known":             {[]string{delivered}, "", false, ""},
		"forgotten after completion":   {[]string{eximHead + `<= s@x S=1`, eximHead + `Completed QT=3s`, delivered}, "", false, ""},
		"a message refused for a show": {[]string{eximHead + `(= fake@client.example H=h [192.0.2.77] P=esmtp S=233`, delivered}, "fake@client.example", true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := parseExim(t, Options{}, c.lines...)
			if len(got) != 1 {
				t.Fatalf("%d deliveries, want 1", len(got))
			}
			if d := got[0]; d.Sender != c.sender || d.SenderKnown != c.known || d.MessageID != c.id {
				t.Errorf("sender %q %v, message id %q; want %q %v, %q", d.Sender, d.SenderKnown, d.MessageID, c.sender, c.known, c.id)
			}
		})
	}
}

func TestEximReadsEveryHead(t *testing.T) {
	const rest = `=> a@b.example R=dnslookup T=remote_smtp H=mx [192.0.2.1] QT=1m3s`
	for name, c := range map[string]struct {
		line, time, host, id string
	}{
		"the default":           {"2026-11-23 19:26:45 1xVZgb-00001p-2t " + rest, "2026-11-23T18:26:45Z", "", "1xVZgb-00001p-2t"},
		"zone, time and pid":    {"2026-11-23 20:07:13.517 +0200 [121] 1xVZSz-0000000001u-22o0 " + rest, "2026-11-23T18:07:13.517Z", "", "1xVZSz-0000000001u-22o0"},
		"pid alone":             {"2026-11-23 19:26:45 [7] 1xVZgb-00001p-2t " + rest, "2026-11-23T18:26:45Z", "", "1xVZgb-00001p-2t"},
		"two stamps":            {"Nov 23 19:08:36 mta-out exim[146]: 2026-11-23 19:08:35.5 1xVZgb-00001p-2t " + rest, "2026-11-23T18:08:35.5Z", "mta-out", "1xVZgb-00001p-2t"},
		"syslog's stamp alone":  {"Nov 23 19:08:36 mta-out exim[146]: [146] 1xVZgb-00001p-2t " + rest, "2026-11-23T18:08:36Z", "mta-out", "1xVZgb-00001p-2t"},
		"an exact outer stamp":  {"2026-11-23T19:08:36.25+00:00 mta-out exim[146]: 2026-11-23 20:08:36 1xVZgb-00001p-2t " + rest, "2026-11-23T19:08:36.25Z", "mta-out", "1xVZgb-00001p-2t"},
		"an inner zone decides": {"2026-11-23T19:08:36+00:00 mta-out exim[146]: 2026-11-23 20:08:36.517 +0100 1xVZgb-00001p-2t " + rest, "2026-11-23T19:08:36.517Z", "mta-out", "1xVZgb-00001p-2t"},
		"another name":          {"Nov 23 19:08:36 mta-out mail-out[146]: 1xVZSz-0000000001u-22o0 " + rest, "2026-11-23T18:08:36Z", "mta-out", "1xVZSz-0000000001u-22o0"},
		"RFC 5424":              {"<22>1 2026-11-23T19:08:36Z mta-out exim 146 - -  1xVZgb-00001p-2t " + rest, "2026-11-23T19:08:36Z", "mta-out", "1xVZgb-00001p-2t"},
		"JSON":                  {`{"timestamp":"2026-11-23T19:08:36Z", "host":"mta-out", "tag":"exim[146]:", "message":" 1xVZgb-00001p-2t ` + rest + ` C=\"250 ok\""}`, "2026-11-23T19:08:36Z", "mta-out", "1xVZgb-00001p-2t"},
	} {
		t.Run(name, func(t *testing.T) {
			got := parseExim(t, Options{Zone: time.FixedZone("CET", 3600)}, c.line)
			if len(got) != 1 {
				t.Fatalf("%d deliveries, want 1", len(got))
			}
			d := got[0]
			if at := d.Time.Format(time.RFC3339Nano); at != c.time || d.Host != c.host || d.QueueID != c.id || d.Recipient != "a@b.example" {
				t.Errorf("time %s, host %q, id %q, recipient %q", at, d.Host, d.QueueID, d.Recipient)
			}
			if v, ok := d.Delay.Value(); !ok || v != 63 {
				t.Errorf("delay %v %v, want 63", v, ok)
			}
			if !recognizeExim(c.line) {
				t.Error("not recognized")
			}
		})
	}
	for _, line := range []string{"", "Nov 23 19:08:36 h postfix/smtp[1]: 4E58: to=<a@b>", "[NOTICE] [-] [core] x", "2026-11-23 19:08:36 something else", "Nov 23 19:08:36 h other[1]: 1xVZgb-00001p-2t hello", "2026-11-23T19:08:36.1Z [INFO] [-] [core] x"} {
		if recognizeExim(line) {
			t.Errorf("recognizeExim(%q)", line)
		}
	}
}

func TestEximUndoesEscapes(t *testing.T) {
	for name, c := range map[string][2]string{
		"a newline before a reply line":              {`550-a\n550 b`, "550-a\n550 b"},
		"a newline before a bare code":               {`550-a\n550`, "550-a\n550"},
		"a newline before what was cut":              {`550-a\n55`, "550-a\n55"},
		"a backslash that is the text's own":         {`back\slash\name C:\new`, `back\slash\name C:\new`},
		"UTF-8 in octal":                             {`\347\224\250 x`, "用 x"},
		"Latin-1 stays escaped":                      {`bo\356te`, `bo\356te`},
		"a run that holds UTF-8 by accident is none": {`\323\303\273 x`, `\323\303\273 x`},
		"a last character that was cut":              {`\320\236\320`, "О"},
		"control characters stay escaped":            {`ESC[\033[31m] CR[\r]`, `ESC[\033[31m] CR[\r]`},
		"octal that is cut":                          {`x\32`, `x\32`},
	} {
		if got := unescapeExim(c[0]); got != c[1] {
			t.Errorf("%s: %q gave %q, want %q", name, c[0], got, c[1])
		}
	}
}
