package parsers

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"mtatap/event"
)

// describe tells what a delivery says in one line:
// status recipient[ (original)] [via relay] [at phase] [code] [enhanced] [dsn=]: diagnostic
func describePostfix(d event.Delivery) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", d.Status, d.Recipient)
	if d.OriginalRecipient != "" {
		fmt.Fprintf(&b, " (%s)", d.OriginalRecipient)
	}
	if d.Relay.Known() {
		fmt.Fprintf(&b, " via %s", d.Relay.Host)
		if d.Relay.IP != "" {
			fmt.Fprintf(&b, "[%s]", d.Relay.IP)
		}
		if d.Relay.Port != 0 {
			fmt.Fprintf(&b, ":%d", d.Relay.Port)
		}
	}
	if d.Phase != event.PhaseUnknown {
		fmt.Fprintf(&b, " at %s", d.Phase)
	}
	if d.NotAttempted {
		b.WriteString(" not attempted")
	}
	if d.SMTPCode != 0 {
		fmt.Fprintf(&b, " %d", d.SMTPCode)
	}
	if d.EnhancedCode != "" {
		fmt.Fprintf(&b, " %s", d.EnhancedCode)
	}
	if d.DSN != "" {
		fmt.Fprintf(&b, " dsn=%s", d.DSN)
	}
	return b.String() + ": " + d.Diagnostic
}

// parsePostfix parses messages of daemons ("smtp[1]: text") and describes the
// deliveries.
func parsePostfix(t *testing.T, p *postfix, messages ...string) []string {
	t.Helper()
	var got []string
	for i, m := range messages {
		dst, err := p.Parse(nil, Line{Text: []byte(postfixHead + m), Offset: int64(i), Reference: postfixReference})
		if err != nil {
			got = append(got, "unparsed: "+err.Error())
		}
		for _, d := range dst {
			got = append(got, describePostfix(d))
		}
	}
	return got
}

func TestPostfixStatusLines(t *testing.T) {
	for name, c := range map[string]struct{ line, want string }{
		"sent": {
			`smtp[495]: 40C20532618: to=<ok@text.example>, relay=mx.text.example[198.51.100.1]:25, delay=0.01, delays=0/0/0/0.01, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 400000002)`,
			`delivered ok@text.example via mx.text.example[198.51.100.1]:25 at dot 250 2.0.0 dsn=2.0.0: 250 2.0.0 Ok: queued as 400000002`},
		"sent with nothing but a code": {
			`smtp[495]: 40C20532618: to=<ok@text.example>, relay=mx.text.example[198.51.100.1]:25, conn_use=12, delay=64, delays=0/0/0/0.01, dsn=2.0.0, status=sent (250)`,
			`delivered ok@text.example via mx.text.example[198.51.100.1]:25 at dot 250 dsn=2.0.0: 250`},
		"a long queue id of another instance, IPv6, and a field of version 3.11": {
			`smtp[495]: 4jYGCn5qQVzn4BW: to=<ok@text.example>, relay=mx.text.example[2001:db8::1]:587, delay=0.01, delays=0/0/0/0.01, tls=dane/sts:may?, dsn=2.0.0, status=sent (250 ok)`,
			`delivered ok@text.example via mx.text.example[2001:db8::1]:587 at dot 250 dsn=2.0.0: 250 ok`},
		"version 2.2, without delays and dsn": {
			`smtp[495]: 40C20532618: to=<ok@text.example>, relay=mx.text.example[198.51.100.1], delay=3, status=sent (250 ok)`,
			`delivered ok@text.example via mx.text.example[198.51.100.1] at dot 250: 250 ok`},
		"refused, with a suffix that tells the command": {
			`smtp[495]: 40C20532618: to=<p550511@corp.example>, relay=mx.corp.example[198.51.100.1]:25, delay=0.01, delays=0/0/0/0.01, dsn=5.1.1, status=bounced (host mx.corp.example[198.51.100.1] said: 550 5.1.1 <p550511@corp.example>: Recipient address rejected: User unknown (in reply to RCPT TO command))`,
			`bounced p550511@corp.example via mx.corp.example[198.51.100.1]:25 at rcpt 550 5.1.1 dsn=5.1.1: 550 5.1.1 <p550511@corp.example>: Recipient address rejected: User unknown`},
		"a reply of several lines, and a code of the remote that is not the MTA's": {
			`smtp[495]: 40C20532618: to=<q@grey.example>, relay=mx.grey.example[198.51.100.1]:25, delay=0.01, delays=0/0/0/0.01, dsn=5.0.0, status=bounced (host mx.grey.example[198.51.100.1] said: 550-4.2.2 The email account is over 550 4.2.2  quota (in reply to end of DATA command))`,
			`bounced q@grey.example via mx.grey.example[198.51.100.1]:25 at dot 550 4.2.2 dsn=5.0.0: 550 4.2.2 The email account is over quota`},
		"a soft bounce is a deferral": {
			`softsmtp/smtp[495]: 40C20532618: to=<soft1@soft.example>, relay=mx.soft.example[198.51.100.1]:25, delay=0.01, delays=0/0/0/0.01, dsn=4.1.1, status=SOFTBOUNCE (host mx.soft.example[198.51.100.1] said: 550 5.1.1 unknown (in reply to MAIL FROM command))`,
			`deferred soft1@soft.example via mx.soft.example[198.51.100.1]:25 at mail 550 5.1.1 dsn=4.1.1: 550 5.1.1 unknown`},
		"a refused AUTH": {
			`smtp[1]: 40C20532618: to=<a@b.example>, relay=mx.b.example[198.51.100.1]:587, delay=1, delays=0/0/0/1, dsn=4.7.8, status=deferred (SASL authentication failed; server mx.b.example[198.51.100.1] said: 535 5.7.8 Error: authentication failed)`,
			`deferred a@b.example via mx.b.example[198.51.100.1]:587 at auth 535 5.7.8 dsn=4.7.8: 535 5.7.8 Error: authentication failed`},
		"an unknown command is no part of the reply": {
			`smtp[1]: 40C20532618: to=<a@b.example>, relay=mx.b.example[198.51.100.1]:25, delay=1, delays=0/0/0/1, dsn=4.0.0, status=deferred (host mx.b.example[198.51.100.1] said: 450 no (in reply to XFORWARD name/address command))`,
			`deferred a@b.example via mx.b.example[198.51.100.1]:25 450 dsn=4.0.0: 450 no`},
		"a 5xx greeting": {
			`smtp[1]: 40C20532618: to=<a@b.example>, relay=mx.b.example[198.51.100.14]:25, delay=1, delays=0/0/0/0, dsn=4.7.1, status=deferred (host mx.b.example[198.51.100.14] refused to talk to me: 554 5.7.1 mx.b.example You are not allowed to connect.)`,
			`deferred a@b.example via mx.b.example[198.51.100.14]:25 at banner 554 5.7.1 dsn=4.7.1: 554 5.7.1 mx.b.example You are not allowed to connect.`},
		"a 421 greeting names its host": {
			`smtp[1]: 40C20532618: to=<a@b.example>, relay=mx.b.example[198.51.100.11]:25, delay=1, delays=0/0/0/0, dsn=4.7.0, status=deferred (host mx.b.example[198.51.100.11] refused to talk to me: 421 4.7.0 mx.b.example Try again later, closing connection. (EHLO))`,
			`deferred a@b.example via mx.b.example[198.51.100.11]:25 at banner 421 4.7.0 dsn=4.7.0: 421 4.7.0 mx.b.example Try again later, closing connection. (EHLO)`},
		"a 421 without a name comes after EHLO": {
			`smtp[1]: 40C20532618: to=<a@b.example>, relay=mx.b.example[198.51.100.11]:25, delay=1, delays=0/0/0/0, dsn=4.3.2, status=deferred (host mx.b.example[198.51.100.11] refused to talk to me: 421 4.3.2 All server ports are busy)`,
			`deferred a@b.example via mx.b.example[198.51.100.11]:25 at helo 421 4.3.2 dsn=4.3.2: 421 4.3.2 All server ports are busy`},
		"a refused HELO bounces": {
			`smtp[1]: 40C20532618: to=<a@b.example>, relay=mx.b.example[198.51.100.11]:25, delay=1, delays=0/0/0/0, dsn=5.7.1, status=bounced (host mx.b.example[198.51.100.11] refused to talk to me: 550 5.7.1 Helo command rejected: Host not found)`,
			`bounced a@b.example via mx.b.example[198.51.100.11]:25 at helo 550 5.7.1 dsn=5.7.1: 550 5.7.1 Helo command rejected: Host not found`},
		"a lost connection": {
			`smtp[1]: 40C20532618: to=<a@b.example>, relay=mx.b.example[198.51.100.51]:25, delay=1, delays=0/0/0/0, dsn=4.4.2, status=deferred (lost connection with mx.b.example[198.51.100.51] while sending end of data -- message may be sent more than once)`,
			`deferred a@b.example via mx.b.example[198.51.100.51]:25 at dot dsn=4.4.2: lost connection with mx.b.example[198.51.100.51] while sending end of data -- message may be sent more than once`},
		"a conversation that timed out": {
			`smtp[1]: 40C20532618: to=<a@b.example>, relay=mx.b.example[198.51.100.18]:25, delay=1, delays=0/0/0/0, dsn=4.4.2, status=deferred (conversation with mx.b.example[198.51.100.18] timed out while receiving the initial server greeting)`,
			`deferred a@b.example via mx.b.example[198.51.100.18]:25 at banner dsn=4.4.2: conversation with mx.b.example[198.51.100.18] timed out while receiving the initial server greeting`},
		"a refused connection names the peer in the reason": {
			`smtp[1]: 40C20532618: to=<a@b.example>, relay=none, delay=1, delays=0/0/0/0, dsn=4.4.1, status=deferred (connect to mx.b.example[2001:db8:0:1::c8]:25: Network is unreachable)`,
			`deferred a@b.example via mx.b.example[2001:db8:0:1::c8]:25 at connect dsn=4.4.1: connect to mx.b.example[2001:db8:0:1::c8]:25: Network is unreachable`},
		"a missing socket": {
			`lmtp[1]: 40C20532618: to=<a@b.example>, relay=none, delay=1, delays=0/0/0/0, dsn=4.4.1, status=deferred (connect to mta-out.example.net[/nonexistent/lmtp.sock]: No such file or directory)`,
			`deferred a@b.example via /nonexistent/lmtp.sock at connect dsn=4.4.1: connect to mta-out.example.net[/nonexistent/lmtp.sock]: No such file or directory`},
		"LMTP over a socket": {
			`lmtp[1]: 40C20532618: to=<a@b.example>, relay=mta-out.example.net[private/dovecot-lmtp], delay=1, delays=0/0/0/0, dsn=5.1.1, status=bounced (host mta-out.example.net[private/dovecot-lmtp] said: 550 5.1.1 <a@b.example> User doesn't exist: a (in reply to RCPT TO command))`,
			`bounced a@b.example via private/dovecot-lmtp at rcpt 550 5.1.1 dsn=5.1.1: 550 5.1.1 <a@b.example> User doesn't exist: a`},
		"a suspended delivery was not attempted": {
			`error[1]: 40C20532618: to=<a@b.example>, relay=none, delay=1, delays=0/0/0/0, dsn=4.7.0, status=deferred (delivery temporarily suspended: host mx.b.example[198.51.100.12] refused to talk to me: 450 4.3.2 Service currently unavailable)`,
			`deferred a@b.example via mx.b.example[198.51.100.12] at banner not attempted 450 4.3.2 dsn=4.7.0: 450 4.3.2 Service currently unavailable`},
		"no such host": {
			`smtp[1]: 40C20532618: to=<a@b.example>, relay=none, delay=1, delays=0/0/0/0, dsn=5.4.4, status=bounced (Host or domain name not found. Name service error for name=b.example type=AAAA: Host not found)`,
			`bounced a@b.example at dns dsn=5.4.4: Host or domain name not found. Name service error for name=b.example type=AAAA: Host not found`},
		"a null MX": {
			`smtp[1]: 40C20532618: to=<a@b.example>, relay=none, delay=1, delays=0/0/0/0, dsn=5.1.0, status=bounced (Domain b.example does not accept mail (nullMX))`,
			`bounced a@b.example at dns dsn=5.1.0: Domain b.example does not accept mail (nullMX)`},
		"an MX that points here": {
			`smtp[1]: 40C20532618: to=<a@b.example>, relay=none, delay=1, delays=0/0/0/0, dsn=5.4.6, status=bounced (mail for b.example loops back to myself)`,
			`bounced a@b.example at dns dsn=5.4.6: mail for b.example loops back to myself`},
		"TLS that is not offered, suspended": {
			`error[1]: 40C20532618: to=<a@b.example>, relay=none, delay=1, delays=0/0/0/0, dsn=4.7.4, status=deferred (delivery temporarily suspended: TLS is required, but was not offered by host mx.b.example[198.51.100.71])`,
			`deferred a@b.example via mx.b.example[198.51.100.71] at starttls not attempted dsn=4.7.4: TLS is required, but was not offered by host mx.b.example[198.51.100.71]`},
		"TLS that is refused": {
			`smtp[1]: 40C20532618: to=<a@b.example>, relay=mx.b.example[198.51.100.71]:25, delay=1, delays=0/0/0/0, dsn=4.7.0, status=deferred (TLS is required, but host mx.b.example[198.51.100.71] refused to start TLS: 454 4.7.0 TLS not available)`,
			`deferred a@b.example via mx.b.example[198.51.100.71]:25 at starttls 454 4.7.0 dsn=4.7.0: 454 4.7.0 TLS not available`},
		"SMTPUTF8 that is not offered": {
			`smtp[1]: 40C20532618: to=<почта@b.example>, relay=mx.b.example[198.51.100.6]:25, delay=1, delays=0/0/0/0, dsn=5.6.7, status=bounced (SMTPUTF8 is required, but was not offered by host mx.b.example[198.51.100.6])`,
			`bounced почта@b.example via mx.b.example[198.51.100.6]:25 at helo dsn=5.6.7: SMTPUTF8 is required, but was not offered by host mx.b.example[198.51.100.6]`},
		"SMTPUTF8 that no server offers, since version 3.11": {
			`smtp[1]: 40C20532618: to=<почта@b.example>, relay=mx.b.example[198.51.100.6]:25, delay=1, delays=0/0/0/0, dsn=5.6.7, status=bounced (message requires SMTPUTF8, but no server was found that supports SMTPUTF8. The last attempted server was mx.b.example[198.51.100.6])`,
			`bounced почта@b.example via mx.b.example[198.51.100.6]:25 at helo dsn=5.6.7: message requires SMTPUTF8, but no server was found that supports SMTPUTF8. The last attempted server was mx.b.example[198.51.100.6]`},
		"REQUIRETLS that is not offered, suspended": {
			`error[1]: 40C20532618: to=<a@b.example>, relay=none, delay=1, delays=0/0/0/0, dsn=4.7.30, status=deferred (delivery temporarily suspended: REQUIRETLS Failure: sender requested REQUIRETLS, but TLS service was not offered by host mx.b.example[198.51.100.6])`,
			`deferred a@b.example via mx.b.example[198.51.100.6] at starttls not attempted dsn=4.7.30: REQUIRETLS Failure: sender requested REQUIRETLS, but TLS service was not offered by host mx.b.example[198.51.100.6]`},
		"REQUIRETLS and a refused STARTTLS": {
			`smtp[1]: 40C20532618: to=<a@b.example>, relay=mx.b.example[198.51.100.6]:25, delay=1, delays=0/0/0/0, dsn=5.7.10, status=bounced (REQUIRETLS Failure: sender requested REQUIRETLS, but host mx.b.example[198.51.100.6] refused to start TLS: 454 4.3.3 TLS not available now)`,
			`bounced a@b.example via mx.b.example[198.51.100.6]:25 at starttls 454 4.3.3 dsn=5.7.10: 454 4.3.3 TLS not available now`},
		"REQUIRETLS and a server that nobody vouches for": {
			`smtp[1]: 40C20532618: to=<a@b.example>, relay=mx.b.example[198.51.100.6]:25, delay=1, delays=0/0/0/0, dsn=5.7.10, status=bounced (REQUIRETLS Failure: sender requested REQUIRETLS, but no trusted server certificate was found. The last attempted server was mx.b.example[198.51.100.6])`,
			`bounced a@b.example via mx.b.example[198.51.100.6]:25 at starttls dsn=5.7.10: REQUIRETLS Failure: sender requested REQUIRETLS, but no trusted server certificate was found. The last attempted server was mx.b.example[198.51.100.6]`},
		"an AUTH refused before and remembered": {
			`smtp[1]: 40C20532618: to=<a@b.example>, relay=mx.b.example[198.51.100.6]:587, delay=1, delays=0/0/0/0, dsn=4.7.8, status=deferred (SASL [CACHED] authentication failed; server mx.b.example[198.51.100.6] said: 535 5.7.8 bad password)`,
			`deferred a@b.example via mx.b.example[198.51.100.6]:587 at auth 535 5.7.8 dsn=4.7.8: 535 5.7.8 bad password`},
		"a reply that no server may give": {
			`smtp[1]: 40C20532618: to=<a@b.example>, relay=mx.b.example[198.51.100.6]:25, delay=1, delays=0/0/0/0, dsn=5.5.0, status=bounced (Protocol error: host mx.b.example[198.51.100.6] said: 354 go on (in reply to RCPT TO command))`,
			`bounced a@b.example via mx.b.example[198.51.100.6]:25 at rcpt 354 dsn=5.5.0: 354 go on`},
		"a refusing greeting, before version 2.3": {
			`smtp[1]: 40C2053261: to=<a@b.example>, relay=none, delay=7, status=deferred (connect to mx.b.example[198.51.100.6]: server refused to talk to me: 421 mx.b.example too busy   (port 25))`,
			`deferred a@b.example via mx.b.example[198.51.100.6] at banner 421: 421 mx.b.example too busy`},
		"no port in the reason, before version 2.5": {
			`qmgr[1]: 40C2053261: to=<a@b.example>, orig_to=<a>, relay=none, delay=7, status=deferred (delivery temporarily suspended: connect to mx.b.example[198.51.100.6]: Connection timed out)`,
			`deferred a@b.example (a) via mx.b.example[198.51.100.6] at connect not attempted: connect to mx.b.example[198.51.100.6]: Connection timed out`},
		"an excerpt that leaves out relay and delay": {
			`smtp[1]: QUEUED1: to=<a@b.example>, dsn=5.1.1, status=bounced (host mx.b.example said: 550 5.1.1 unknown)`,
			`bounced a@b.example via mx.b.example 550 5.1.1 dsn=5.1.1: 550 5.1.1 unknown`},
		"a very short queue id": {
			`smtp[1]: 4B: to=<a@b.example>, relay=mx.b.example[198.51.100.6]:25, status=sent (250 ok)`,
			`delivered a@b.example via mx.b.example[198.51.100.6]:25 at dot 250: 250 ok`},
		"local output is no reply": {
			`local[1]: 40C20532618: to=<a@b.example>, relay=local, delay=1, delays=0/0/0/0, dsn=5.3.0, status=bounced (Command died with status 1: "echo 'status=sent (250 ok)'". Command output: status=sent (250 ok) second line )`,
			`bounced a@b.example at local dsn=5.3.0: Command died with status 1: "echo 'status=sent (250 ok)'". Command output: status=sent (250 ok) second line`},
		"an alias": {
			`smtp[1]: 40C20532618: to=<al2@corp.example>, orig_to=<two@valias.example>, relay=mx.corp.example[198.51.100.1]:25, delay=1, delays=0/0/0/0, dsn=4.1.1, status=deferred (host mx.corp.example[198.51.100.1] said: 450 4.1.1 later (in reply to DATA command))`,
			`deferred al2@corp.example (two@valias.example) via mx.corp.example[198.51.100.1]:25 at data 450 4.1.1 dsn=4.1.1: 450 4.1.1 later`},
		"an alias that is a bare local name": {
			`local[1]: 40C20532618: to=<root@example.net>, orig_to=<postmaster>, relay=local, delay=1, delays=0/0/0/0, dsn=2.0.0, status=sent (delivered to mailbox)`,
			`delivered root@example.net (postmaster) at local dsn=2.0.0: delivered to mailbox`},
		"the original recipient where the other is no address": {
			`local[1]: 40C20532618: to=<alice>, orig_to=<alice@example.net>, relay=local, delay=1, delays=0/0/0/0, dsn=2.0.0, status=sent (delivered to mailbox)`,
			`delivered alice@example.net at local dsn=2.0.0: delivered to mailbox`},
		"a pipe service": {
			`pipe[1]: 40C20532618: to=<a@b.example>, relay=pipescript, delay=0, delays=0/0/0/0, dsn=2.0.0, status=sent (delivered via pipescript service)`,
			`delivered a@b.example at local dsn=2.0.0: delivered via pipescript service`},
		"discarded": {
			`discard[1]: 40C20532618: to=<a@b.example>, relay=none, delay=0, delays=0/0/0/0, dsn=2.0.0, status=sent (silently dropped (status=bounced))`,
			`delivered a@b.example at local dsn=2.0.0: silently dropped (status=bounced)`},
		"the administrator's text": {
			`error[1]: 40C20532618: to=<a@b.example>, relay=none, delay=0, delays=0/0/0/0, dsn=5.7.1, status=bounced (mail for this domain is not accepted)`,
			`bounced a@b.example at queue dsn=5.7.1: mail for this domain is not accepted`},
		"a carriage return at the end of the line": {
			"local[1]: 40C20532618: to=<a@b.example>, relay=local, delay=0, delays=0/0/0/0, dsn=2.0.0, status=sent (delivered to mailbox)\r",
			`delivered a@b.example at local dsn=2.0.0: delivered to mailbox`},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPostfix(Options{})
			if got := parsePostfix(t, p, c.line); len(got) != 1 || got[0] != c.want {
				t.Errorf("\n got %q\nwant %q", got, c.want)
			}
		})
	}
}

func TestPostfixHostileStatusLines(t *testing.T) {
	const head = `smtp[1]: 40C20532618: to=<%s>, relay=mx.b.example[198.51.100.1]:25, delay=1, delays=0/0/0/0, dsn=5.7.1, status=bounced (host mx.b.example[198.51.100.1] said: 550 5.7.1 %s (in reply to RCPT TO command))`
	const want = `bounced %s via mx.b.example[198.51.100.1]:25 at rcpt 550 5.7.1 dsn=5.7.1: 550 5.7.1 %s`
	for name, c := range map[string]struct{ to, reply string }{
		"an address in internal form":                  {`john doe@x.example`, `no`},
		"a bracket in internal form":                   {`a>b@x.example`, `no`},
		"a status in internal form":                    {`a>b,c;status=sent (x)@x.example`, `no`},
		"a status in external form":                    {`"a>b,c;status=sent (x)"@x.example`, `no`},
		"a forged line in external form":               {`"a>, relay=none, delay=0, delays=0/0/0/0, dsn=2.0.0, status=sent (ok)"@x.example`, `no`},
		"a quoted quote":                               {`"a\">, relay=none, delay=0, dsn=2.0.0, status=sent (ok) \"b"@x.example`, `no`},
		"a quote that is never closed":                 {`"a@x.example`, `no`},
		"a bracket in the domain":                      {`"a b"@x>y`, `no`},
		"relay in internal form":                       {`a>, relay=x@x.example`, `no`},
		"a reply that closes the status":               {`a@x.example`, `Rejected (in reply to RCPT TO command)), status=sent (250 2.0.0 Ok: queued as FAKE1)`},
		"a reply that holds a line":                    {`a@x.example`, `x) 4FAKE0000001: to=<ceo@victim.example>, relay=mx.victim.example[203.0.113.9]:25, delay=0.1, delays=0/0/0/0, dsn=2.0.0, status=sent (250 2.0.0 Ok`},
		"a reply that holds another recipient's field": {`a@x.example`, `>, relay=none, delay=1, dsn=2.0.0, status=sent (250 ok)`},
		"a reply that names another host":              {`a@x.example`, `host mx.victim.example[203.0.113.9] said: 250 2.0.0 ok`},
		"a reply that quotes a quoted address":         {`"a b"@x.example`, `"q"@z>, relay=none, delay=1, dsn=2.0.0, status=sent (250 ok)`},
		"a reply of every kind of bracket":             {`a@x.example`, `"quoted" back\slash\n 'single' {brace} [bracket] %s %n $var <tag> #012 "`},
	} {
		t.Run(name, func(t *testing.T) {
			got := parsePostfix(t, newPostfix(Options{}), fmt.Sprintf(head, c.to, c.reply))
			if want := fmt.Sprintf(want, c.to, c.reply); len(got) != 1 || got[0] != want {
				t.Errorf("\n got %q\nwant %q", got, want)
			}
		})
	}
}

func TestPostfixCutStatusLines(t *testing.T) {
	const head = `smtp[1]: 40C20532618: to=<a@b.example>, relay=mx.b.example[198.51.100.1]:25, delay=1, delays=0/0/0/0, dsn=5.7.1, status=bounced (host mx.b.example[198.51.100.1] said: `
	for name, c := range map[string]struct{ reply, want string }{
		"in the text":                             {"550 5.7.1 word0001 wo", " 550 5.7.1 dsn=5.7.1: 550 5.7.1 word0001 wo"},
		"inside a UTF-8 character":                {"550 5.7.1 caf\xc3", " 550 5.7.1 dsn=5.7.1: 550 5.7.1 caf"},
		"after a whole UTF-8 character":           {"550 5.7.1 café", " 550 5.7.1 dsn=5.7.1: 550 5.7.1 café"},
		"in a reply of several lines":             {"550-5.7.1 one 550-5.7.1 tw", " 550 5.7.1 dsn=5.7.1: 550 5.7.1 one tw"},
		"before the command is known":             {"550 5.7.1 no (in reply to ", " 550 5.7.1 dsn=5.7.1: 550 5.7.1 no"},
		"in the command":                          {"550 5.7.1 no (in reply to RCPT TO com", " at rcpt 550 5.7.1 dsn=5.7.1: 550 5.7.1 no"},
		"between the two closing brackets":        {"550 5.7.1 no (in reply to DATA command)", " at data 550 5.7.1 dsn=5.7.1: 550 5.7.1 no"},
		"after a bracket that is no command":      {"550 5.7.1 no (see our", " 550 5.7.1 dsn=5.7.1: 550 5.7.1 no (see our"},
		"after a forged command and further text": {"550 5.7.1 no (in reply to DATA command)) xx", " 550 5.7.1 dsn=5.7.1: 550 5.7.1 no (in reply to DATA command)) xx"},
	} {
		t.Run(name, func(t *testing.T) {
			got := parsePostfix(t, newPostfix(Options{}), head+c.reply)
			if want := "bounced a@b.example via mx.b.example[198.51.100.1]:25" + c.want; len(got) != 1 || got[0] != want {
				t.Errorf("\n got %q\nwant %q", got, want)
			}
		})
	}
}

func TestPostfixLinesWithoutEvent(t *testing.T) {
	for name, line := range map[string]string{
		"a deliverable probe":                   `smtp[1]: D54835327A9: to=<probe-ok@text.example>, relay=mx.text.example[198.51.100.1]:25, delay=0.03, delays=0.01/0/0.01/0.01, dsn=2.1.5, status=deliverable (250 2.1.5 Ok)`,
		"an undeliverable probe":                `smtp[1]: E27B65327AA: to=<probe-bad@corp.example>, relay=mx.corp.example[198.51.100.1]:25, delay=0.01, delays=0/0/0/0.01, dsn=5.1.1, status=undeliverable (host mx.corp.example[198.51.100.1] said: 550 5.1.1 no (in reply to RCPT TO command))`,
		"what the first of two hosts said":      `smtp[1]: 40C20532618: host mx1.b.example[198.51.100.1] said: 450 4.2.0 later (in reply to RCPT TO command)`,
		"a bounce that could not be queued":     `bounce[1]: 40C20532618: status=deferred (bounce failed)`,
		"a message id that holds a status":      `cleanup[1]: 2723653276B: message-id=<x>, status=sent (250 fake) "q" \n@host>`,
		"a message id that holds an expiry":     `cleanup[1]: 2723653276B: message-id=<x>, status=expired, returned to sender`,
		"a sender that holds an expiry":         `qmgr[1]: 2723653276B: from=<a>, status=expired, returned to sender@x>, size=1, nrcpt=1 (queue active)`,
		"a warning that looks like a queue id":  `smtp[1]: warning: to=<a@b>, relay=none, delay=0, dsn=2.0.0, status=sent (x)`,
		"a header check that holds a recipient": `cleanup[1]: 0998C5327A3: reject: header Subject: x from local; from=<s@x> to=<r@x>: 5.7.1 no`,
		"a refusal, which is off by default":    `smtpd[1]: NOQUEUE: reject: RCPT from unknown[192.0.2.88]: 554 5.7.1 no; from=<a@x> to=<b@x> proto=ESMTP helo=<h>`,
	} {
		t.Run(name, func(t *testing.T) {
			if got := parsePostfix(t, newPostfix(Options{}), line); len(got) > 0 {
				t.Errorf("got %q, want nothing", got)
			}
		})
	}
	if got := parsePostfix(t, newPostfix(Options{Rejects: true}), `cleanup[1]: 0998C5327A3: reject: header Subject: x from local; from=<s@x> to=<r@x>: 5.7.1 no`); len(got) > 0 {
		t.Errorf("a header check gave %q", got)
	}
}

func TestPostfixUnparsedLines(t *testing.T) {
	for name, c := range map[string]struct{ line, program string }{
		"no status":              {`smtp[1]: 40C20532618: to=<a@b.example>, relay=none, delay=1`, "smtp"},
		"an unknown status":      {`local[1]: 40C20532618: to=<a@b.example>, relay=local, delay=1, dsn=2.0.0, status=eaten (x)`, "local"},
		"half a relay":           {`smtp[1]: 40C20532618: to=<a@b.example>, relay=mx.b.example[192.0.2.1, delay=1, dsn=2.0.0, status=sent (x)`, "smtp"},
		"two relays":             {`smtp[1]: 40C20532618: to=<a@b.example>, relay=none, relay=none, delay=1, dsn=2.0.0, status=sent (x)`, "smtp"},
		"no reason":              {`smtp[1]: 40C20532618: to=<a@b.example>, relay=none, delay=1, dsn=2.0.0, status=sent`, "smtp"},
		"a delay in words":       {`smtp[1]: 40C20532618: to=<a@b.example>, relay=none, delay=long, dsn=2.0.0, status=sent (x)`, "smtp"},
		"an address without end": {`smtp[1]: 40C20532618: to=<a@b.example`, "smtp"},
		"a daemon made up":       {`victim[1]: 40C20532618: to=<a@b.example`, "other"},
	} {
		t.Run(name, func(t *testing.T) {
			dst, err := newPostfix(Options{}).Parse(nil, Line{Text: []byte(postfixHead + c.line), Reference: postfixReference})
			var unparsed *UnparsedError
			if !errors.As(err, &unparsed) || unparsed.Program != c.program || unparsed.MTA != postfixMTA || len(dst) > 0 {
				t.Errorf("got %v and %d deliveries, want an UnparsedError of %s", err, len(dst), c.program)
			}
		})
	}
}

func TestPostfixFillsWhatTheEnvelopeAndEarlierLinesSay(t *testing.T) {
	p := newPostfix(Options{})
	origin := &event.Origin{Path: "/var/log/mail.log"}
	var got []event.Delivery
	raw := `2026-11-23T19:26:53.762210+01:00 mta-out postfix-out/softsmtp/smtp[495]: 4jYGCn5qQVzn4BW: to=<ok@text.example>, relay=mx.text.example[198.51.100.1]:25, delay=3.7, delays=0/0/0/0.01, dsn=2.0.0, status=sent (250 Ok)`
	for _, l := range []string{
		`2026-11-23T19:26:53.762210+01:00 mta-out postfix-out/cleanup[543]: 4jYGCn5qQVzn4BW: message-id=<loc-"odd local".64@sender.example>`,
		`2026-11-23T19:26:53.762210+01:00 mta-out postfix-out/qmgr[543]: 4jYGCn5qQVzn4BW: from=<"odd sender"@sender.example>, size=359, nrcpt=1 (queue active)`,
		raw,
	} {
		var err error
		if got, err = p.Parse(got, Line{Text: []byte(l), Offset: 4711, Origin: origin, Reference: postfixReference}); err != nil {
			t.Fatal(err)
		}
	}
	want := event.Delivery{
		Time: time.Date(2026, 11, 23, 18, 26, 53, 762210000, time.UTC), MTA: postfixMTA, Host: "mta-out", Instance: "postfix-out/softsmtp", Program: "smtp",
		QueueID: "4jYGCn5qQVzn4BW", MessageID: `loc-"odd local".64@sender.example`, Sender: `"odd sender"@sender.example`, SenderKnown: true,
		Recipient: "ok@text.example", RecipientSource: event.RecipientFromLog, Relay: event.Relay{Host: "mx.text.example", IP: "198.51.100.1", Port: 25},
		Status: event.Delivered, Phase: event.PhaseDot, SMTPCode: 250, DSN: "2.0.0", Diagnostic: "250 Ok", Delay: event.KnownSeconds(3.7), Attempt: 1,
		Origin: origin, Offset: 4711, Raw: raw,
	}
	if len(got) != 1 || got[0] != want {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
}

func TestPostfixReadsEveryEnvelope(t *testing.T) {
	const message = `40C20532618: to=<a@b.example>, relay=local, delay=0, delays=0/0/0/0, dsn=5.1.1, status=bounced (unknown user: "a")`
	for name, line := range map[string]string{
		"RFC 5424":            `<22>1 2026-11-23T18:43:06.123456+00:00 mta-out postfix/local 372 - -  ` + message,
		"JSON with escapes":   `{"timestamp":"2026-11-23T18:43:06.123456+00:00", "host":"mta-out", "severity":"info", "tag":"postfix/local[372]:", "program":"postfix", "message":" ` + strings.ReplaceAll(message, `"`, `\"`) + `"}`,
		"a priority in front": `<22>Nov 23 18:43:06 mta-out postfix/local[372]: ` + message,
		"a host of IPv6":      `Nov 23 18:43:06 2001:db8::1 postfix/local[372]: ` + message,
		"a tag without a pid": `Nov 23 18:43:06 mta-out postfix/local: ` + message,
	} {
		t.Run(name, func(t *testing.T) {
			dst, err := newPostfix(Options{}).Parse(nil, Line{Text: []byte(line), Reference: postfixReference})
			if err != nil || len(dst) != 1 {
				t.Fatalf("%d deliveries, %v", len(dst), err)
			}
			d := dst[0]
			if got, want := describePostfix(d), `bounced a@b.example at local dsn=5.1.1: unknown user: "a"`; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			if d.Instance != "postfix" || d.Program != "local" || d.Raw != line || d.Time.Truncate(time.Second) != time.Date(2026, 11, 23, 18, 43, 6, 0, time.UTC) {
				t.Errorf("instance %q, program %q, time %v, raw %q", d.Instance, d.Program, d.Time, d.Raw)
			}
		})
	}
}

func TestRecognizePostfix(t *testing.T) {
	for line, want := range map[string]bool{
		"Nov 23 18:43:06 h postfix/smtp[1]: x":                            true,
		"Nov 23 18:43:06 h mail-out/reinject/smtpd[1]: x":                 true,
		"Nov 23 18:43:06 h postfix[116]: x":                               true,
		"2026-11-23T18:43:06.123456+00:00 h postfix-out/qmgr[1]: x":       true,
		"Nov 23 18:43:06 h exim[1]: x":                                    false,
		"Nov 23 18:43:06 h haraka[1]: postfix/smtp[1]: x":                 false,
		"2026-11-23 18:43:06 1xVZNh-00001t-1b => a@b R=postfix/smtp[1]: ": false,
		"": false,
	} {
		if got := recognizePostfix(line); got != want {
			t.Errorf("recognizePostfix(%q) = %v", line, got)
		}
	}
}

func TestPostfixDoesNotAllocateForOtherLines(t *testing.T) {
	p := newPostfix(Options{MaxRemembered: 64, FilterHops: []string{"127.0.0.1:10025"}, VERP: []string{"+{local}={domain}@"}})
	var lines []Line
	for i := range 256 {
		id := fmt.Sprintf("40C2053%04X", i)
		for _, f := range []string{postfixClient, postfixCleanup, postfixQmgr} {
			lines = append(lines, postfixLine(postfixHead, f, id), postfixLine(postfixHeadISO, f, id))
		}
		lines = append(lines, postfixLine(postfixHead, postfixSmtpdLine, ""))
		if i%2 == 0 {
			lines = append(lines, postfixLine(postfixHead, postfixRemoved, id))
		}
	}
	dst := make([]event.Delivery, 0, 1)
	parse := func() {
		for _, l := range lines {
			dst = mustParse(t, p, dst, l)
		}
	}
	parse()
	if n := testing.AllocsPerRun(10, parse); n > 0 {
		t.Errorf("%v allocations for %d lines, want 0", n, len(lines))
	}
}

func TestPostfixAllocatesOnceForAStatusLine(t *testing.T) {
	p := newPostfix(Options{})
	for _, f := range []string{postfixCleanup, postfixQmgr} {
		mustParse(t, p, nil, postfixLine(postfixHeadISO, f, "40C20532618"))
	}
	line := postfixLine(postfixHeadISO, postfixBounced, "40C20532618")
	dst := make([]event.Delivery, 0, 1)
	if n := testing.AllocsPerRun(100, func() { dst = mustParse(t, p, dst, line) }); n > 1 {
		t.Errorf("%v allocations, want 1", n)
	}
	if len(dst) != 1 || dst[0].Sender != "sender@sender.example" || dst[0].MessageID != "sent-ok.64@sender.example" {
		t.Errorf("got %+v", dst)
	}
}
