package parsers

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"mtatap/event"
)

const harakaTx = "FC0E4A8B-100C-4564-9937-F2D55B65120B.1"

// harakaRun parses lines and returns one line of text for each delivery.
func harakaRun(t *testing.T, p *haraka, lines ...string) []string {
	t.Helper()
	var got []string
	for i, l := range lines {
		ds, err := p.Parse(nil, Line{Text: []byte(l), Offset: int64(i), Reference: time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)})
		if err != nil {
			got = append(got, "error: "+err.Error())
		}
		for _, d := range ds {
			if d.Raw != l || d.Offset != int64(i) || d.MTA != harakaMTA || d.Program != "outbound" {
				t.Errorf("delivery of line %d has raw %q, offset %d, mta %q, program %q", i, d.Raw, d.Offset, d.MTA, d.Program)
			}
			got = append(got, harakaShort(d))
		}
	}
	return got
}

// harakaShort writes what is known of d: status, recipient, #attempt, @phase,
// code, enhanced code, relay, diagnostic.
func harakaShort(d event.Delivery) string {
	s := d.Status.String() + " " + d.Recipient
	if d.Attempt != 0 {
		s += fmt.Sprintf(" #%d", d.Attempt)
	}
	if d.Phase != 0 {
		s += " @" + d.Phase.String()
	}
	if d.SMTPCode != 0 {
		s += fmt.Sprintf(" %d", d.SMTPCode)
	}
	if d.EnhancedCode != "" {
		s += " " + d.EnhancedCode
	}
	if d.Relay.Known() {
		s += fmt.Sprintf(" %s[%s]:%d", d.Relay.Host, d.Relay.IP, d.Relay.Port)
	}
	return s + " | " + d.Diagnostic
}

func wantHaraka(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// harakaAccepted is the log of a transaction that took these recipients.
func harakaAccepted(recipients ...string) []string {
	var lines []string
	for _, r := range recipients {
		lines = append(lines, "[NOTICE] ["+harakaTx+"] [core] recipient <"+r+`> code=OK msg="" sender=sender@sender.example`)
	}
	return append(lines,
		fmt.Sprintf(`[NOTICE] [%s] [core] message mid=<multi-mixed.64@sender.example> size=235 rcpts=%d/0/0 delay=0 code=CONT msg=""`, harakaTx, len(recipients)),
		"[NOTICE] ["+harakaTx+`] [core] queue code=CONT msg="Message Queued (`+harakaTx+`)"`,
		"[NOTICE] ["+harakaTx+`] [core] queue code=OK msg="Message Queued (`+harakaTx+`)"`)
}

func TestHarakaOutbound(t *testing.T) {
	notice := func(item, m string) string { return "[NOTICE] [" + harakaTx + "." + item + "] [outbound] " + m }
	info := func(item, m string) string { return "[INFO] [" + harakaTx + "." + item + "] [outbound] " + m }
	fault := func(item, m string) string { return "[ERROR] [" + harakaTx + "." + item + "] [outbound] " + m }
	protocol := func(item, m string) string { return "[PROTOCOL] [" + harakaTx + "." + item + "] [outbound] " + m }
	delivered := func(item, domain, rest string) string {
		return notice(item, " delivered file=1795462586910_1795462586910_0_105_D4eey5_263_mta-out domain="+domain+
			" host=mx."+domain+` ip=198.51.100.1 port=25 mode=SMTP tls=N auth=N response="Ok: queued as 40000010B" delay=0.055 `+rest)
	}
	const file = "Temp failing 1795462586964_1795462586964_%d_105_b3BNr4_278_mta-out for 5 seconds: "
	to := func(domain string) string {
		return fmt.Sprintf(" mx.%s[198.51.100.1]:25 | Ok: queued as 40000010B", domain)
	}

	for name, c := range map[string]struct {
		recipients []string
		lines      []string
		want       []string
	}{
		"a delivery is joined with the recipient of the transaction": {
			[]string{"ok@text.example"},
			[]string{delivered("1", "text.example", "fails=0 rcpts=1/0/0")},
			[]string{"delivered ok@text.example #1" + to("text.example")},
		},
		"refused recipients are not delivered, and the deferred one is later": {
			[]string{"ok1@multi.example", "550@multi.example", "450@multi.example", "ok2@multi.example"},
			[]string{
				notice("1", "recipient <550@multi.example> rejected: 550 5.1.1 <550@multi.example>: User unknown"),
				notice("1", "recipient <450@multi.example> deferred: 450 4.2.0 Greylisted"),
				delivered("1", "multi.example", "fails=0 rcpts=2/1/1"),
				info("1", fmt.Sprintf(file, 0)+"Some recipients temp failed: <450@multi.example>"),
				info("1", "bouncing mail: Some recipients failed: <550@multi.example>"),
				delivered("1", "multi.example", "fails=1 rcpts=1/0/0"),
			},
			[]string{
				"bounced 550@multi.example @rcpt 550 5.1.1 | 550 5.1.1 <550@multi.example>: User unknown",
				"deferred 450@multi.example @rcpt 450 4.2.0 | 450 4.2.0 Greylisted",
				"delivered ok1@multi.example #1" + to("multi.example"),
				"delivered ok2@multi.example #1" + to("multi.example"),
				"delivered 450@multi.example #2" + to("multi.example"),
			},
		},
		"without INFO lines the counts tell which deferral was of this attempt": {
			[]string{"a@multi.example", "b@multi.example"},
			[]string{
				notice("1", "recipient <a@multi.example> deferred: 450 4.2.0 Greylisted"),
				notice("1", "recipient <b@multi.example> deferred: 450 4.2.0 Greylisted"),
				notice("1", "recipient <b@multi.example> deferred: 452 4.2.2 Full"),
				delivered("1", "multi.example", "fails=1 rcpts=1/1/0"),
				delivered("1", "multi.example", "fails=2 rcpts=1/0/0"),
			},
			[]string{
				"deferred a@multi.example @rcpt 450 4.2.0 | 450 4.2.0 Greylisted",
				"deferred b@multi.example @rcpt 450 4.2.0 | 450 4.2.0 Greylisted",
				"deferred b@multi.example @rcpt 452 4.2.2 | 452 4.2.2 Full",
				"delivered a@multi.example #2" + to("multi.example"),
				"delivered b@multi.example #3" + to("multi.example"),
			},
		},
		"items are numbered by domain in order of first appearance": {
			[]string{"a@one.example", "b@two.example", "c@one.example"},
			[]string{
				info("2", "bouncing mail: 550 5.7.26 Unauthenticated mail"),
				info("1", fmt.Sprintf(file, 0)+"Upstream error: 421 4.3.2 busy"),
			},
			[]string{
				"bounced b@two.example #1 550 5.7.26 | 550 5.7.26 Unauthenticated mail",
				"deferred a@one.example #1 421 4.3.2 | 421 4.3.2 busy",
				"deferred c@one.example #1 421 4.3.2 | 421 4.3.2 busy",
			},
		},
		"a Unicode domain is delivered as punycode": {
			[]string{"почта@пример.example", "a@one.example"},
			[]string{delivered("1", "xn--e1afmkfd.example", "fails=0 rcpts=1/0/0")},
			[]string{"delivered почта@пример.example #1" + to("xn--e1afmkfd.example")},
		},
		"with always_split an item is one recipient": {
			[]string{"a@one.example", "b@one.example"},
			[]string{
				delivered("1", "one.example", "fails=0 rcpts=1/0/0"),
				info("2", "bouncing mail: 554 5.7.1 spam"),
			},
			[]string{
				"delivered a@one.example #1" + to("one.example"),
				"bounced b@one.example #1 554 5.7.1 | 554 5.7.1 spam",
			},
		},
		"always_split shows when messages are queued": {
			[]string{"a@one.example", "b@one.example"},
			[]string{
				"[NOTICE] [0AF8275C-BD0D-46C9-B5A2-A0D23656542C.1] [core] recipient <x@one.example> code=OK",
				"[NOTICE] [0AF8275C-BD0D-46C9-B5A2-A0D23656542C.1] [core] recipient <y@one.example> code=OK",
				"[NOTICE] [0AF8275C-BD0D-46C9-B5A2-A0D23656542C.1] [core] queue code=CONT msg=Queued",
				"[INFO] [-] [core] [outbound] Transaction delivery for domain: one.example",
				"[INFO] [-] [core] [outbound] Transaction delivery for domain: one.example",
				"[NOTICE] [0AF8275C-BD0D-46C9-B5A2-A0D23656542C.1] [core] queue code=OK msg=Queued",
				info("2", "bouncing mail: 554 5.7.1 spam"),
			},
			[]string{"bounced b@one.example #1 554 5.7.1 | 554 5.7.1 spam"},
		},
		"a forged delivered line in a refusal is text": {
			[]string{"p550inj5@inject.example"},
			[]string{
				notice("1", `recipient <p550inj5@inject.example> rejected: 550 5.7.1 delivered file=1_1_0_1_aaaaaa_1_x domain=victim.example host=mx response="ok" rcpts=1/0/0 level=NOTICE uuid=FAKE.1`),
				info("1", "bouncing mail: Some recipients failed: <p550inj5@inject.example>"),
			},
			[]string{`bounced p550inj5@inject.example @rcpt 550 5.7.1 | 550 5.7.1 delivered file=1_1_0_1_aaaaaa_1_x domain=victim.example host=mx response="ok" rcpts=1/0/0 level=NOTICE uuid=FAKE.1`},
		},
		"a quoted local part may hold anything": {
			[]string{`"a>b,c; deferred: x"@vip.example`},
			[]string{
				notice("1", `recipient <"a>b,c; deferred: x"@vip.example> rejected: 550 5.1.1 no`),
				info("1", `bouncing mail: Some recipients failed: <"a>b,c; deferred: x"@vip.example>`),
			},
			[]string{`bounced "a>b,c; deferred: x"@vip.example @rcpt 550 5.1.1 | 550 5.1.1 no`},
		},
		"expiry repeats the last reply": {
			[]string{"a@grey.example"},
			[]string{
				notice("1", "recipient <a@grey.example> deferred: 451 4.7.650 limited"),
				info("1", fmt.Sprintf(file, 3)+"Some recipients temp failed: <a@grey.example>"),
				notice("1", "recipient <a@grey.example> deferred: 451 4.7.651 limited"),
				info("1", "bouncing mail: Too many failures (Some recipients temp failed: <a@grey.example>)"),
			},
			[]string{
				"deferred a@grey.example @rcpt 451 4.7.650 | 451 4.7.650 limited",
				"deferred a@grey.example #5 @rcpt 451 4.7.651 | 451 4.7.651 limited",
				"expired a@grey.example #5 @rcpt 451 4.7.651 | 451 4.7.651 limited",
			},
		},
		"expiry of a whole item": {
			[]string{"a@b.example"},
			[]string{info("1", "bouncing mail: Too many failures (Upstream error: 421 4.7.0 Try again (EHLO))")},
			[]string{"expired a@b.example #1 421 4.7.0 | 421 4.7.0 Try again (EHLO)"},
		},
		"a refusal of the message spares those already refused": {
			[]string{"a@b.example", "b@b.example"},
			[]string{
				info("1", "some line at this level"),
				notice("1", "recipient <a@b.example> deferred: 450 wait"),
				info("1", fmt.Sprintf(file, 0)+"Upstream error: 451 4.3.0 queue file write error"),
				info("1", fmt.Sprintf(file, 1)+"Upstream error: 451 4.3.0 queue file write error"),
			},
			[]string{
				"deferred a@b.example #1 @rcpt 450 | 450 wait",
				"deferred b@b.example #1 451 4.3.0 | 451 4.3.0 queue file write error",
				"deferred a@b.example #2 451 4.3.0 | 451 4.3.0 queue file write error",
				"deferred b@b.example #2 451 4.3.0 | 451 4.3.0 queue file write error",
			},
		},
		"the relay of a failed connection comes from the lines before": {
			[]string{"a@b.example"},
			[]string{
				notice("1", "Failed to get socket: connect ECONNREFUSED 198.51.100.200:25"),
				fault("1", "Failed to get socket: connect ENETUNREACH 2001:db8:25::c8:25 - Local (undefined:undefined)"),
				info("1", fmt.Sprintf(file, 0)+"Tried all MXs"),
				fault("1", "Remote end 198.51.100.34:25 closed connection while we were processing mail. Trying next MX."),
				info("1", fmt.Sprintf(file, 1)+"Tried all MXs"),
				fault("1", "Ongoing connection failed to 198.51.100.54:25 : socket timeout waiting on rcpt"),
				info("1", fmt.Sprintf(file, 2)+"Tried all MXs"),
				fault("1", `Failed to get socket: connection timed out to outbound::{"port":25,"host":"198.51.100.202"}`),
				info("1", fmt.Sprintf(file, 3)+"Tried all MXs"),
				fault("1", "Failed to get socket: connect ENOENT /run/lmtp.sock"),
				info("1", "bouncing mail: Too many failures (Tried all MXs)"),
			},
			[]string{
				"deferred a@b.example #1 @connect [2001:db8:25::c8]:25 | Tried all MXs (connect ENETUNREACH 2001:db8:25::c8:25)",
				"deferred a@b.example #2 [198.51.100.34]:25 | Tried all MXs (Remote end 198.51.100.34:25 closed connection while we were processing mail.)",
				"deferred a@b.example #3 @rcpt [198.51.100.54]:25 | Tried all MXs (Ongoing connection failed to 198.51.100.54:25 : socket timeout waiting on rcpt)",
				`deferred a@b.example #4 @connect [198.51.100.202]:25 | Tried all MXs (connection timed out to outbound::{"port":25,"host":"198.51.100.202"})`,
				"expired a@b.example #5 @connect /run/lmtp.sock[]:0 | Tried all MXs (connect ENOENT /run/lmtp.sock)",
			},
		},
		"the failure of an earlier host is not that of the one that refused": {
			[]string{"a@b.example"},
			[]string{
				notice("1", "Failed to get socket: connect ECONNREFUSED 198.51.100.200:25"),
				info("1", "bouncing mail: 550 5.7.1 no"),
			},
			[]string{"bounced a@b.example #1 550 5.7.1 | 550 5.7.1 no"},
		},
		"2.8 names the host that it tries": {
			[]string{"a@b.example"},
			[]string{
				info("1", "Attempting to deliver to: 198.51.100.9:25 (0) (0)"),
				notice("1", "recipient <a@b.example> rejected: 550 no"),
			},
			[]string{"bounced a@b.example #1 @rcpt 550 [198.51.100.9]:25 | 550 no"},
		},
		"before 3.1 a failed connection is logged without its item": {
			[]string{"a@b.example"},
			[]string{
				"[NOTICE] [-] [core] [outbound] Failed to get socket: Outbound connection error: Error: connect ECONNREFUSED 198.51.100.200:25",
				info("1", fmt.Sprintf(file, 0)+"Tried all MXs"),
				info("1", "Attempting to deliver to: 198.51.100.9:25 (0) (0)"),
				"[NOTICE] [-] [core] [outbound] Failed to get pool entry: Outbound connection timed out to 198.51.100.9:25",
				info("1", fmt.Sprintf(file, 1)+"Tried all MXs"),
				info("1", "Attempting to deliver to: 198.51.100.9:25 (0) (0)"),
				"[NOTICE] [-] [core] [outbound] Failed to get pool entry: Outbound connection timed out to 198.51.100.7:25",
				info("1", fmt.Sprintf(file, 2)+"Tried all MXs"),
				"[NOTICE] [-] [core] [outbound] Failed to get socket: Outbound connection timed out to 198.51.100.7:25",
				"[INFO] [-] [core] [outbound] something else",
				info("1", fmt.Sprintf(file, 3)+"Tried all MXs"),
			},
			[]string{
				"deferred a@b.example #1 @connect [198.51.100.200]:25 | Tried all MXs (connect ECONNREFUSED 198.51.100.200:25)",
				"deferred a@b.example #2 @connect [198.51.100.9]:25 | Tried all MXs (Outbound connection timed out to 198.51.100.9:25)",
				"deferred a@b.example #3 [198.51.100.9]:25 | Tried all MXs",
				"deferred a@b.example #4 | Tried all MXs",
			},
		},
		"protocol lines tell the phase": {
			[]string{"a@b.example"},
			[]string{
				protocol("1", "S: 220 mx"), protocol("1", "C: EHLO me"), protocol("1", "S: 250 mx"),
				protocol("1", "C: MAIL FROM:<s@x.example>"), protocol("1", "S: 250 ok"),
				protocol("1", "C: RCPT TO:<a@b.example>"), protocol("1", "S: 250 ok"),
				protocol("1", "C: DATA"), protocol("1", "S: 354 go"), "[DATA] [" + harakaTx + ".1] [outbound] C: MAIL",
				protocol("1", "C: ."), protocol("1", "S: 554 5.7.1 spam"), protocol("1", "C: QUIT"),
				info("1", fmt.Sprintf(file, 0)+"Upstream error: 451 4.7.1 later"),
				protocol("1", "S: 554 go away"), protocol("1", "C: QUIT"),
				info("1", fmt.Sprintf(file, 1)+"Upstream error: 450 go away"),
				protocol("1", "C: EHLO me"),
				fault("1", "Remote end 198.51.100.34:25 closed connection while we were processing mail. Trying next MX."),
				info("1", "bouncing mail: Too many failures (Tried all MXs)"),
			},
			[]string{
				"deferred a@b.example #1 @dot 451 4.7.1 | 451 4.7.1 later",
				"deferred a@b.example #2 @banner 450 | 450 go away",
				"expired a@b.example #3 @helo [198.51.100.34]:25 | Tried all MXs (Remote end 198.51.100.34:25 closed connection while we were processing mail.)",
			},
		},
		"DNS and TLS failures have their phase": {
			[]string{"a@b.example"},
			[]string{
				info("1", fmt.Sprintf(file, 0)+"DNS lookup failure: Error: queryMx ESERVFAIL b.example"),
				info("1", fmt.Sprintf(file, 1)+"No TLS available but required by configuration."),
				info("1", "bouncing mail: Domain b.example sends and receives no email (NULL MX)"),
			},
			[]string{
				"deferred a@b.example #1 @dns | DNS lookup failure: Error: queryMx ESERVFAIL b.example",
				"deferred a@b.example #2 @starttls | No TLS available but required by configuration.",
				"bounced a@b.example #3 @dns | Domain b.example sends and receives no email (NULL MX)",
			},
		},
		"a reply that Haraka did not understand": {
			[]string{"a@b.example", "c@d.example", "e@f.example"},
			[]string{
				info("1", "bouncing mail: Unrecognized response from upstream server: 550  "),
				info("2", `bouncing mail: Unrecognized response from upstream server: 250 \r`),
				info("3", "Bouncing mail: Unrecognized response from upstream server: XYZZY plugh  "),
			},
			[]string{
				"bounced a@b.example #1 550 | 550",
				"bounced c@d.example #1 250 | Unrecognized response from upstream server: 250",
				"bounced e@f.example #1 | Unrecognized response from upstream server: XYZZY plugh",
			},
		},
		"more recipients than were delivered are not guessed from": {
			[]string{"a@b.example", "c@b.example", "e@b.example"},
			[]string{delivered("1", "b.example", "fails=0 rcpts=2/0/0")},
			nil,
		},
		"a recipient given twice is delivered once": {
			[]string{"a@b.example", "a@b.example"},
			[]string{delivered("1", "b.example", "fails=0 rcpts=2/0/0")},
			[]string{"delivered a@b.example #1" + to("b.example")},
		},
		"damaged status lines are counted": {
			[]string{"a@b.example"},
			[]string{
				notice("1", " delivered file=x domain=b.example"),
				notice("1", "recipient <a@b.example> pondered: 550"),
				notice("1", `recipient <"a@b.example deferred: 450`),
				info("1", "Temp failing x"),
			},
			[]string{
				"error: read haraka outbound line: delivered line without its fields",
				"error: read haraka outbound line: recipient line without an outcome",
				"error: read haraka outbound line: recipient line without an outcome",
				"error: read haraka outbound line: deferral without a reason",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newHaraka(Options{})
			wantHaraka(t, harakaRun(t, p, append(harakaAccepted(c.recipients...), c.lines...)...), c.want...)
		})
	}
}

func TestHarakaOfUnknownTransaction(t *testing.T) {
	const bounce = "AFD7A44B-A83A-45FA-9099-EFAFCC867633.1"
	p := newHaraka(Options{})
	wantHaraka(t, harakaRun(t, p,
		"[NOTICE] ["+bounce+"] [outbound]  delivered file=1_1_0_105_a_144_mta-out domain=sender.example host=mx ip=198.51.100.1 port=25 response=Ok delay=0.06 fails=0 rcpts=1/0/0",
		"[INFO] ["+bounce+"] [outbound] Temp failing 1_1_0_105_a_1_mta-out for 5 seconds: Tried all MXs",
		"[INFO] ["+bounce+"] [outbound] Temp failing 1_1_1_105_a_1_mta-out for 5 seconds: Some recipients temp failed: <a@b.example>, <c@b.example>",
		"[NOTICE] ["+bounce+"] [outbound] recipient <a@b.example> deferred: 450 4.2.0 wait",
		"[NOTICE] ["+bounce+"] [outbound]  delivered file=1_1_2_105_a_1_mta-out domain=b.example host=mx ip=198.51.100.1 port=25 response=Ok delay=9 fails=2 rcpts=1/1/0",
	),
		"deferred  #1 | Tried all MXs",
		"deferred a@b.example #2 @rcpt | Some recipients temp failed: <a@b.example>, <c@b.example>",
		"deferred c@b.example #2 @rcpt | Some recipients temp failed: <a@b.example>, <c@b.example>",
		"deferred a@b.example #3 @rcpt 450 4.2.0 | 450 4.2.0 wait",
		"delivered c@b.example #3 mx[198.51.100.1]:25 | Ok",
	)
}

func TestHarakaRejects(t *testing.T) {
	lines := []string{
		"[NOTICE] [" + harakaTx + `] [core] recipient <nosuch@example.net> code=DENY msg="no such user here" sender=user@client.example`,
		"[NOTICE] [" + harakaTx + `] [core] recipient <ok@example.net> code=OK msg="" sender=user@client.example`,
		"[NOTICE] [" + harakaTx + `] [core] sender <rejected@client.example> code=DENY msg="first line,second line: \"quoted\""`,
		`{"level":"NOTICE","uuid":"` + harakaTx + `","origin":"core","message":"sender <tempfail@client.example>","code":"DENYSOFT","msg":["first","second \"q\""]}`,
		"[NOTICE] [" + harakaTx + `] [core] message mid="" size=31 rcpts=1/0/0 delay=0 code=DENY msg="Virus found"`,
		"[NOTICE] [" + harakaTx + `] [core] queue code=DENYSOFT msg="queue says later (` + harakaTx + `)"`,
	}
	if got := harakaRun(t, newHaraka(Options{}), lines...); got != nil {
		t.Errorf("not asked for, yet got %q", got)
	}
	p := newHaraka(Options{Rejects: true})
	wantHaraka(t, harakaRun(t, p, lines...),
		"rejected nosuch@example.net @rcpt | no such user here",
		`rejected  @mail | first line,second line: "quoted"`,
		`rejected  @mail | first,second "q"`,
		"rejected ok@example.net @dot | Virus found",
		"rejected  @dot | queue says later")
	if p.memory.len() != 0 {
		t.Error("the refused transaction is still remembered")
	}
}
