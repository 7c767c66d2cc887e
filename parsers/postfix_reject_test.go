package parsers

import (
	"strings"
	"testing"

	"mtatap/event"
)

func TestPostfixRejects(t *testing.T) {
	for name, c := range map[string]struct{ line, sender, queueID, want string }{
		"by smtpd": {
			`smtpd[1]: NOQUEUE: reject: RCPT from client.example[192.0.2.77]: 554 5.7.1 <someone@elsewhere.example>: Relay access denied; from=<user@client.example> to=<someone@elsewhere.example> proto=ESMTP helo=<client.example>`,
			"user@client.example", "", `rejected someone@elsewhere.example at rcpt 554 5.7.1 dsn=5.7.1: 554 5.7.1 <someone@elsewhere.example>: Relay access denied`},
		"of an authenticated client": {
			`submission/smtpd[1]: NOQUEUE: reject: RCPT from client.example[2001:db8::7]: 450 4.1.8 <x@x>: Sender address rejected: Domain not found; from=<x@x> to=<a@b.example> proto=ESMTP helo=<client.example> sasl_username=<u>`,
			"x@x", "", `rejected a@b.example at rcpt 450 4.1.8 dsn=4.1.8: 450 4.1.8 <x@x>: Sender address rejected: Domain not found`},
		"with a queue id": {
			`smtpd[1]: 30FC05327A9: reject: RCPT from client.example[192.0.2.77]: 550 5.1.1 <nosuch@example.net>: Recipient address rejected: User unknown in local recipient table; from=<> to=<nosuch@example.net> proto=ESMTP helo=<client.example>`,
			"", "30FC05327A9", `rejected nosuch@example.net at rcpt 550 5.1.1 dsn=5.1.1: 550 5.1.1 <nosuch@example.net>: Recipient address rejected: User unknown in local recipient table`},
		"quoted and internal addresses": {
			`smtpd[1]: NOQUEUE: reject: RCPT from client.example[192.0.2.77]: 554 5.7.1 <a>b@elsewhere.example>: Relay access denied; from=<user@client.example> to=<"a>b"@elsewhere.example> proto=ESMTP helo=<client.example>`,
			"user@client.example", "", `rejected "a>b"@elsewhere.example at rcpt 554 5.7.1 dsn=5.7.1: 554 5.7.1 <a>b@elsewhere.example>: Relay access denied`},
		"with semicolons and a status in the text": {
			`smtpd[1]: NOQUEUE: reject: RCPT from unknown[192.0.2.88]: 554 5.7.1 Service unavailable; Client host [192.0.2.88] blocked; https://x/192.0.2.66, status=sent (250 ok); from=<a@x> to=<b@x> proto=SMTP helo=<h>`,
			"a@x", "", `rejected b@x at rcpt 554 5.7.1 dsn=5.7.1: 554 5.7.1 Service unavailable; Client host [192.0.2.88] blocked; https://x/192.0.2.66, status=sent (250 ok)`},
		"by a milter": {
			`submission/smtpd[1]: NOQUEUE: milter-reject: RCPT from client.example[192.0.2.77]: 550 5.7.1 Command rejected; from=<user@client.example> to=<m@text.example> proto=ESMTP helo=<client.example>`,
			"user@client.example", "", `rejected m@text.example at rcpt 550 5.7.1 dsn=5.7.1: 550 5.7.1 Command rejected`},
		"by a milter after the message, without a reply code": {
			`cleanup[1]: 4CD2653268B: milter-reject: END-OF-MESSAGE from client.example[192.0.2.77]: 5.7.1 Virus found: Eicar-Test-Signature; from=<user@client.example> to=<inb1@text.example> proto=ESMTP helo=<client.example>`,
			"user@client.example", "4CD2653268B", `rejected inb1@text.example at dot 5.7.1 dsn=5.7.1: 5.7.1 Virus found: Eicar-Test-Signature`},
		"by a filter before the queue": {
			`smtpd[1]: proxy-reject: END-OF-MESSAGE: 554 5.7.0 Reject, id=01234-05 - spam; from=<user@client.example> to=<inb1@text.example> proto=ESMTP helo=<client.example>`,
			"user@client.example", "", `rejected inb1@text.example at dot 554 5.7.0 dsn=5.7.0: 554 5.7.0 Reject, id=01234-05 - spam`},
		"of a client that has logged in": {
			`submission/smtpd[1]: NOQUEUE: reject: RCPT from client.example[192.0.2.77]: 553 5.7.1 <user@client.example>: Sender address rejected: not owned by user bob; from=<user@client.example> to=<inb1@text.example> proto=ESMTP helo=<client.example> sasl_username=<bob>`,
			"user@client.example", "", `rejected inb1@text.example at rcpt 553 5.7.1 dsn=5.7.1: 553 5.7.1 <user@client.example>: Sender address rejected: not owned by user bob`},
		"by postscreen": {
			`postscreen[1]: NOQUEUE: reject: RCPT from [192.0.2.88]:40063: 550 5.5.1 Protocol error; from=<user@client.example>, to=<alice@example.net>, proto=ESMTP, helo=<early.example>`,
			"user@client.example", "", `rejected alice@example.net at rcpt 550 5.5.1 dsn=5.5.1: 550 5.5.1 Protocol error`},
	} {
		t.Run(name, func(t *testing.T) {
			got := deliveriesOf(t, newPostfix(Options{Rejects: true}), c.line)
			if len(got) != 1 || describePostfix(got[0]) != c.want {
				t.Fatalf("\n got %v\nwant %s", got, c.want)
			}
			if d := got[0]; d.Sender != c.sender || !d.SenderKnown || d.QueueID != c.queueID || d.RecipientSource != event.RecipientFromLog {
				t.Errorf("got %+v", d)
			}
		})
	}
}

func TestPostfixRejectsWithoutRecipientGiveNoEvent(t *testing.T) {
	for name, line := range map[string]string{
		"at MAIL":                        `smtpd[1]: NOQUEUE: reject: MAIL from client.example[192.0.2.77]: 552 5.3.4 Message size exceeds fixed limit; from=<a@x> proto=ESMTP helo=<h>`,
		"at CONNECT":                     `smtpd[1]: NOQUEUE: reject: CONNECT from unknown[192.0.2.77]: 554 5.7.1 <unknown[192.0.2.77]>: Client host rejected: no; proto=SMTP`,
		"at MAIL with a forged HELO":     `smtpd[1]: NOQUEUE: reject: MAIL from client.example[192.0.2.77]: 552 5.3.4 no; from=<a@x> proto=ESMTP helo=<x; from=<q@x> to=<victim@x> proto=SMTP helo=<y>`,
		"after DATA, several recipients": `smtpd[1]: 3A8715327A9: reject: DATA from client.example[192.0.2.77]: 554 5.7.1 no; from=<a@x> proto=ESMTP helo=<h>`,
		"a warning":                      `smtpd[1]: NOQUEUE: reject_warning: RCPT from client.example[192.0.2.77]: 554 5.7.1 no; from=<a@x> to=<b@x> proto=ESMTP helo=<h>`,
		"a filter's acceptance":          `smtpd[1]: proxy-accept: END-OF-MESSAGE: 250 2.0.0 Ok; from=<a@x> to=<b@x> proto=ESMTP helo=<h>`,
		"a hold":                         `smtpd[1]: NOQUEUE: hold: RCPT from client.example[192.0.2.77]: <a@x>: held; from=<a@x> to=<b@x> proto=ESMTP helo=<h>`,
		"a milter's hold":                `cleanup[1]: 50F6A53268B: milter-hold: END-OF-MESSAGE from client.example[192.0.2.77]: x; from=<a@x> to=<b@x> proto=ESMTP helo=<h>`,
	} {
		t.Run(name, func(t *testing.T) {
			if got := parsePostfix(t, newPostfix(Options{Rejects: true}), line); len(got) > 0 {
				t.Errorf("got %q, want nothing", got)
			}
		})
	}
}

func TestPostfixBelievesNoRejectThatMayBeForged(t *testing.T) {
	for name, line := range map[string]string{
		"fields in the recipient": `smtpd[1]: NOQUEUE: reject: RCPT from client.example[192.0.2.77]: 550 5.1.1 <x; from=<q@x> to=<victim@x> proto=SMTP helo=<y@d>: Recipient address rejected: no; from=<a@x> to=<"x; from=<q@x> to=<victim@x> proto=SMTP helo=<y"@d> proto=ESMTP helo=<h>`,
		"fields in HELO":          `smtpd[1]: NOQUEUE: reject: RCPT from client.example[192.0.2.77]: 550 5.1.1 <b@x>: no; from=<a@x> to=<b@x> proto=ESMTP helo=<x; from=<q@x> to=<victim@x> proto=SMTP helo=<y>`,
		"fields without end":      `smtpd[1]: NOQUEUE: reject: RCPT from client.example[192.0.2.77]: 550 ` + strings.Repeat("; from=<a> to=<b", 4000) + `; from=<a@x> to=<b@x> proto=SMTP helo=<h>`,
		"no fields":               `smtpd[1]: NOQUEUE: reject: RCPT from client.example[192.0.2.77]: 550 5.1.1 <b@x>: no`,
		"no client":               `smtpd[1]: NOQUEUE: reject: RCPT from`,
	} {
		t.Run(name, func(t *testing.T) {
			got := parsePostfix(t, newPostfix(Options{Rejects: true}), line)
			if want := "unparsed: read postfix smtpd line: the fields do not follow the grammar"; len(got) != 1 || got[0] != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}
