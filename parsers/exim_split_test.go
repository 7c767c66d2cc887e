package parsers

import (
	"fmt"
	"strings"
	"testing"

	"mtatap/event"
)

const eximSyslog = "Nov 23 19:30:46 mta-out exim[%d]: %s"

func TestEximJoinsSplitRecords(t *testing.T) {
	const first = `[1/2] 2026-11-23 19:30:46 1xVZkU-00002K-39 ** a@b.example R=dnslookup T=remote_smtp H=mx [192.0.2.1]: SMTP error from remote mail server after end of data: 550 5.7.1 the wo`
	line := func(pid int, message string) string { return fmt.Sprintf(eximSyslog, pid, message) }
	type outcome struct {
		offset int64
		text   string
	}
	for name, c := range map[string]struct {
		lines []string
		want  []outcome
	}{
		"two parts": {
			[]string{line(1, first), line(1, "[2/2] rds")},
			[]outcome{{0, "550 5.7.1 the words"}}},
		"parts of two processes interleaved": {
			[]string{line(1, first), line(2, first), line(2, "[2/2] ut"), line(1, "[2/2] rds")},
			[]outcome{{1, "550 5.7.1 the wout"}, {0, "550 5.7.1 the words"}}},
		"three parts, cut at a newline once": {
			[]string{line(1, strings.Replace(first, "[1/2]", `[1\3]`, 1)), line(1, "[2/3] 550 rd"), line(1, "[3/3] s")},
			[]outcome{{0, "550 the wo rds"}}},
		"a lost second part, ended by the next record": {
			[]string{line(1, first), line(1, "2026-11-23 19:30:46 1xVZkU-00002K-39 Completed")},
			[]outcome{{0, "550 5.7.1 the wo"}}},
		"a lost second part, ended by another split record": {
			[]string{line(1, first), line(1, first), line(1, "[2/2] rds")},
			[]outcome{{0, "550 5.7.1 the wo"}, {1, "550 5.7.1 the words"}}},
		"a lost part in the middle": {
			[]string{line(1, strings.Replace(first, "[1/2]", "[1/3]", 1)), line(1, "[3/3] x")},
			[]outcome{{0, "550 5.7.1 the wo"}}},
		"held back until the end": {
			[]string{line(1, first)}, []outcome{{0, "550 5.7.1 the wo"}}},
		"second parts alone, one of them forged": {
			[]string{line(1, "[2/2] => a@b.example R=x T=y"), line(1, "[2/2] 2026-11-23 19:30:46 1xVZkU-00002K-39 => a@b.example R=x T=y")}, nil},
		"records of no interest": {
			[]string{line(1, `[1/2] 2026-11-23 19:30:46 1xVZkU-00002K-39 H=mx [192.0.2.1]: SMTP er`), line(1, "[2/2] ror")}, nil},
		"an arrival in two parts": {
			[]string{line(1, `[1/2] 2026-11-23 19:30:46 1xVZkU-00002K-39 <= s@x.example S=`), line(1, "[2/2] 12 id=m@x.example"),
				line(2, "2026-11-23 19:30:46 1xVZkU-00002K-39 => a@b.example R=x T=y C=\"250 ok\"")},
			[]outcome{{2, "250 ok"}}},
	} {
		t.Run(name, func(t *testing.T) {
			got := parseExim(t, Options{}, c.lines...)
			if len(got) != len(c.want) {
				t.Fatalf("%d deliveries, want %d: %+v", len(got), len(c.want), got)
			}
			for i, w := range c.want {
				if d := got[i]; d.Offset != w.offset || d.Diagnostic != w.text || d.Raw != c.lines[w.offset] || d.Host != "mta-out" {
					t.Errorf("delivery %d: offset %d, text %q, raw %q; want %+v", i, d.Offset, d.Diagnostic, d.Raw, w)
				}
			}
		})
	}
}

func TestEximBoundsUnfinishedRecords(t *testing.T) {
	p := newExim(Options{})
	var got []event.Delivery
	for pid := range 3 * eximMaxPending {
		got = feedExim(t, p, got, fmt.Sprintf(eximSyslog, pid, `[1/9] 2026-11-23 19:30:46 1xVZkU-00002K-39 => a@b.example R=x T=y C="250 `+strings.Repeat("x", 800)))
	}
	if len(p.splits.pending) != eximMaxPending || len(got) != 2*eximMaxPending {
		t.Errorf("%d held, %d let go", len(p.splits.pending), len(got))
	}
	p = newExim(Options{})
	feedExim(t, p, nil, fmt.Sprintf(eximSyslog, 1, `[1/1000] 2026-11-23 19:30:46 1xVZkU-00002K-39 => a@b.example R=x T=y C="250 `))
	for n := 2; n < 900; n++ {
		feedExim(t, p, nil, fmt.Sprintf(eximSyslog, 1, fmt.Sprintf("[%d/1000] %s", n, strings.Repeat("x", 870))))
	}
	if got := len(p.splits.pending[0].text); got > eximMaxJoined {
		t.Errorf("%d bytes held, want at most %d", got, eximMaxJoined)
	}
}

func TestEximReadsRefusalsOnRequest(t *testing.T) {
	const head = "2026-11-23 19:27:05 "
	type outcome struct {
		phase             event.Phase
		sender, recipient string
		code              int
		text              string
	}
	for name, c := range map[string]struct {
		record string
		want   outcome
	}{
		"a recipient":                           {`H=client.example (helo) [192.0.2.77]:1234 I=[192.0.2.1]:25 X=TLS1.3:A:256 CV=no DN="CN=x rejected RCPT <f@f>" F=<user@client.example> rejected RCPT <a@b.example>: relay not permitted`, outcome{event.PhaseRcpt, "user@client.example", "a@b.example", 0, "relay not permitted"}},
		"a recipient without a reason":          {`H=[192.0.2.77] F=<> rejected RCPT <alice@example.net>`, outcome{event.PhaseRcpt, "", "alice@example.net", 0, ""}},
		"a quoted recipient":                    {`H=c [192.0.2.77] F=<u@c> temporarily rejected RCPT <"a>b: c"@x.example>: 451 later`, outcome{event.PhaseRcpt, "u@c", `"a>b: c"@x.example`, 451, "451 later"}},
		"a callout":                             {`H=c [192.0.2.77] F=<u@c> rejected RCPT <p@corp.example>: mx [198.51.100.1] : SMTP error from remote mail server after RCPT TO:<p@corp.example>: 550 5.1.1 no`, outcome{event.PhaseRcpt, "u@c", "p@corp.example", 550, "550 5.1.1 no"}},
		"a sender":                              {`H=c [192.0.2.77] rejected MAIL <r@c.example>: logged differently: => H=fake [1.2.3.4]`, outcome{event.PhaseMail, "r@c.example", "", 0, "logged differently: => H=fake [1.2.3.4]"}},
		"a message too big":                     {`rejected MAIL FROM:<u@c.example> H=c [192.0.2.77]: message too big: size=9 max=5`, outcome{event.PhaseMail, "u@c.example", "", 0, "message too big: size=9 max=5"}},
		"a connection":                          {`H=[192.0.2.88] rejected connection in "connect" ACL: 554 5.7.1 go away`, outcome{event.PhaseConnect, "", "", 554, "554 5.7.1 go away"}},
		"a greeting":                            {`H=c (evil) [192.0.2.77] rejected EHLO or HELO evil: helo not liked`, outcome{event.PhaseHelo, "", "", 0, "helo not liked"}},
		"a message after its data":              {`1xVZh1-0000Uh-04 H=c [192.0.2.77] F=<u@c> rejected after DATA: malware "Eicar" found`, outcome{event.PhaseDot, "u@c", "", 0, `malware "Eicar" found`}},
		"the next host of a cut-through":        {`1xVZgz-0000RH-0Y H=c [192.0.2.77] cut@d.example F=<u@c> rejected after DATA: R=dnslookup T=remote_smtp H=mx [198.51.100.50] C="554 5.7.1 no"`, outcome{event.PhaseDot, "u@c", "cut@d.example", 554, "554 5.7.1 no"}},
		"a callout, as older versions wrote it": {`H=[192.0.2.77] U=root F=<u@c> rejected RCPT <z@remote.example>: response to "RCPT TO:<z@remote.example>" from 127.0.0.1 [127.0.0.1] was: 550-not\n550 liked`, outcome{event.PhaseRcpt, "u@c", "z@remote.example", 550, "550 not liked"}},
		"a message that was torn":               {`rejected from <u@c.example> H=(c) [192.0.2.77]: Non-CRLF-terminated header, under CHUNKING: message abandoned`, outcome{event.PhaseDot, "u@c.example", "", 0, "Non-CRLF-terminated header, under CHUNKING: message abandoned"}},
		"a message for the time being":          {`1xVZh1-0000Uh-04 H=c [192.0.2.77] F=<u@c> temporarily rejected after DATA: 451 4.7.1 later`, outcome{event.PhaseDot, "u@c", "", 451, "451 4.7.1 later"}},
		"a message before its data":             {`H=c [192.0.2.77] F=<u@c> rejected DATA: no`, outcome{event.PhaseData, "u@c", "", 0, "no"}},
		"a part of a message":                   {`1xVZh1-0000Uh-04 H=c [192.0.2.77] F=<u@c> rejected during MIME ACL checks: no`, outcome{event.PhaseDot, "u@c", "", 0, "no"}},
		"an empty reason":                       {`1xVZh1-0000Uh-04 H=c [192.0.2.77] F=<u@c> rejected after DATA`, outcome{event.PhaseDot, "u@c", "", 0, ""}},
		"a connection for the time being":       {`H=[192.0.2.77] temporarily rejected connection in "connect" ACL`, outcome{event.PhaseConnect, "", "", 0, ""}},
		"a host that is refused":                {`refused connection from [192.0.2.77] (host_reject_connection)`, outcome{event.PhaseConnect, "", "", 0, "host_reject_connection"}},
		"too many connections":                  {`Connection from [192.0.2.77] refused: too many connections`, outcome{event.PhaseConnect, "", "", 0, "too many connections"}},
		"a client that speaks too soon":         {`SMTP protocol synchronization error (next input sent too soon: pipelining was not advertised): rejected "mail from:<u@c>" H=(c) [192.0.2.77] next input="rcpt to`, outcome{event.PhaseMail, "", "", 0, "SMTP protocol synchronization error (next input sent too soon: pipelining was not advertised)"}},
		"a client that does not wait":           {`SMTP protocol synchronization error (input sent without waiting for greeting): rejected connection from H=[192.0.2.77] input="helo"`, outcome{event.PhaseConnect, "", "", 0, "SMTP protocol synchronization error (input sent without waiting for greeting)"}},
		"a local submission":                    {`1xVZgv-0000Q4-2h F=<s@s.example> rejected by non-SMTP ACL: header says no`, outcome{event.PhaseLocal, "s@s.example", "", 0, "header says no"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := parseExim(t, Options{Rejects: true}, head+c.record)
			if len(got) != 1 {
				t.Fatalf("%d deliveries, want 1", len(got))
			}
			d := got[0]
			if o := (outcome{d.Phase, d.Sender, d.Recipient, d.SMTPCode, d.Diagnostic}); o != c.want || d.Status != event.Rejected {
				t.Errorf("%v\n got %+v\nwant %+v", d.Status, o, c.want)
			}
		})
	}
	for _, record := range []string{
		`H=c [192.0.2.77] rejected ETRN example.net`,
		`H=c [192.0.2.77] Warning: rejected RCPT <a@b>: x`,
		`H=c [192.0.2.77] F=<d@c> RCPT <a@b.example>: discarded by MAIL ACL: rejected RCPT <a@b>`,
		`H=c [192.0.2.77] sender verify fail for <u@c>: response to "RCPT TO:<u@c>" from 127.0.0.1 [127.0.0.1] was: 550 refused connection from`,
		`H=c [192.0.2.77] rejected VRFY foo@bar`,
		`SMTP call from c [192.0.2.77] dropped: rejected RCPT <a@b>`,
	} {
		if got := parseExim(t, Options{Rejects: true}, head+record); len(got) > 0 {
			t.Errorf("%q gave %+v, want nothing", record, got)
		}
	}
}

func TestEximCountsRefusalsOnceThoughSyslogHasThemTwice(t *testing.T) {
	refusal := `2026-11-23 19:30:46 H=c [192.0.2.77] F=<u@c> rejected RCPT <a@b.example>: no`
	twice := []string{fmt.Sprintf(eximSyslog, 1, refusal), fmt.Sprintf(eximSyslog, 1, refusal)}
	if got := parseExim(t, Options{Rejects: true}, twice...); len(got) != 1 {
		t.Errorf("main and reject log: %d deliveries, want 1", len(got))
	}
	if got := parseExim(t, Options{Rejects: true}, append(twice, twice...)...); len(got) != 2 {
		t.Errorf("refused twice: %d deliveries, want 2", len(got))
	}
	if got := parseExim(t, Options{Rejects: true}, refusal, refusal); len(got) != 2 {
		t.Errorf("twice in the main log: %d deliveries, want 2", len(got))
	}
	data := `2026-11-23 19:31:11 1xVZkt-0000PZ-21 H=c [192.0.2.77] F=<u@c> rejected after DATA: malware`
	withHeaders := []string{fmt.Sprintf(eximSyslog, 1, data), fmt.Sprintf(eximSyslog, 1, `[1\3] `+data),
		fmt.Sprintf(eximSyslog, 1, `[2\3] Envelope-from: <u@c>`), fmt.Sprintf(eximSyslog, 1, `[3/3]   Subject: => a@b.example R=x T=y`)}
	if got := parseExim(t, Options{Rejects: true}, withHeaders...); len(got) != 1 || got[0].Diagnostic != "malware" {
		t.Errorf("with headers: %+v, want one delivery", got)
	}
}
