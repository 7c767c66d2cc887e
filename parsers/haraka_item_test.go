package parsers

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// harakaQueueFile is a queue file that was tried once before.
const harakaQueueFile = "1795462586964_1795462586964_1_105_b3BNr4_278_mta-out"

// harakaItem1 is a record about the first item of harakaTx.
func harakaItem1(level, message string) string {
	return "[" + level + "] [" + harakaTx + ".1] [outbound] " + message
}

func harakaDelivered1(rest string) string {
	return harakaItem1("NOTICE", " delivered file="+harakaQueueFile+" domain=multi.example host=mx.multi.example ip=198.51.100.1 port=25 mode=SMTP tls=N auth=N "+rest)
}

// An item that fails as a whole, for whatever reason and at whatever point, fails
// for each of its recipients.
func TestHarakaFailureOfAnItemReachesEachOfItsRecipients(t *testing.T) {
	for reason, want := range map[string]string{
		// Refusals that are no reply to RCPT TO look all the same at INFO level.
		"bouncing mail: 550 5.1.8 <s@x.example>: Sender refused (MAIL)":                            "bounced %s 550 5.1.8 | 550 5.1.8 <s@x.example>: Sender refused (MAIL)",
		"bouncing mail: 554 5.5.1 no valid recipients (DATA)":                                      "bounced %s 554 5.5.1 | 554 5.5.1 no valid recipients (DATA)",
		"bouncing mail: 550 5.7.26 Unauthenticated mail (dot)":                                     "bounced %s 550 5.7.26 | 550 5.7.26 Unauthenticated mail (dot)",
		"bouncing mail: 554 5.7.1 listed (banner)":                                                 "bounced %s 554 5.7.1 | 554 5.7.1 listed (banner)",
		"Temp failing Q for 5 seconds: Upstream error: 421 4.3.2 busy (banner)":                    "deferred %s 421 4.3.2 | 421 4.3.2 busy (banner)",
		"Temp failing Q for 5 seconds: Upstream error: 454 4.7.0 TLS not available":                "deferred %s 454 4.7.0 | 454 4.7.0 TLS not available",
		"Temp failing Q for 5 seconds: Upstream error: 334 unexpected":                             "deferred %s 334 | 334 unexpected",
		"Temp failing Q for 5 seconds: Tried all MXs":                                              "deferred %s | Tried all MXs",
		"Temp failing Q for 5 seconds: DNS lookup failure: Error: queryMx ESERVFAIL multi.example": "deferred %s @dns | DNS lookup failure: Error: queryMx ESERVFAIL multi.example",
		"Temp failing Q for 5 seconds: Temporary MX lookup error for multi.example":                "deferred %s @dns | Temporary MX lookup error for multi.example",
		"bouncing mail: No MX for multi.example":                                                   "bounced %s @dns | No MX for multi.example",
		"bouncing mail: No Such Domain: multi.example":                                             "bounced %s @dns | No Such Domain: multi.example",
		"bouncing mail: Nowhere to deliver mail to for domain: multi.example":                      "bounced %s @dns | Nowhere to deliver mail to for domain: multi.example",
		"bouncing mail: Domain multi.example sends and receives no email (NULL MX)":                "bounced %s @dns | Domain multi.example sends and receives no email (NULL MX)",
		"Temp failing Q for 5 seconds: No TLS available but required by configuration.":            "deferred %s @starttls | No TLS available but required by configuration.",
		"Temp failing Q for 5 seconds: Host failed TLS verification required by configuration.":    "deferred %s @starttls | Host failed TLS verification required by configuration.",
		"bouncing mail: Too many failures (Upstream error: 451 4.7.1 Greylisted)":                  "expired %s 451 4.7.1 | 451 4.7.1 Greylisted",
		"bouncing mail: Too many failures (Tried all MXs)":                                         "expired %s | Tried all MXs",
		"bouncing mail: Too many failures (DNS lookup failure: Error: queryMx ETIMEOUT x)":         "expired %s @dns | DNS lookup failure: Error: queryMx ETIMEOUT x",
		"bouncing mail: Error splitting to new recipients: Error: ENOSPC":                          "bounced %s | Error splitting to new recipients: Error: ENOSPC",
		"bouncing mail: Error re-queueing email: Error: EACCES":                                    "bounced %s | Error re-queueing email: Error: EACCES",
	} {
		t.Run(reason, func(t *testing.T) {
			p := newHaraka(Options{})
			harakaRun(t, p, harakaAccepted("a@multi.example", "x@other.example", "b@multi.example")...)
			wantHaraka(t, harakaRun(t, p, harakaItem1("INFO", strings.Replace(reason, " Q ", " "+harakaQueueFile+" ", 1))),
				fmt.Sprintf(want, "a@multi.example"+attemptOf(reason)), fmt.Sprintf(want, "b@multi.example"+attemptOf(reason)))
		})
	}
}

func attemptOf(reason string) string {
	if strings.HasPrefix(reason, "Temp failing") {
		return " #2"
	}
	return " #1"
}

func TestHarakaPeers(t *testing.T) {
	fail := harakaItem1("INFO", "Temp failing "+harakaQueueFile+" for 5 seconds: Upstream error: 451 4.7.1 later")
	tried := harakaItem1("INFO", "Temp failing "+harakaQueueFile+" for 5 seconds: Tried all MXs")
	for name, c := range map[string]struct {
		before, last, want string
	}{
		"2.8 by address":                     {harakaItem1("INFO", "Attempting to deliver to: 198.51.100.9:2525 (0) (0)"), fail, "451 4.7.1 [198.51.100.9]:2525 | 451 4.7.1 later"},
		"2.8 by IPv6 address":                {harakaItem1("INFO", "Attempting to deliver to: 2001:db8::1:25 (0) (0)"), fail, "451 4.7.1 [2001:db8::1]:25 | 451 4.7.1 later"},
		"2.8 by socket":                      {harakaItem1("INFO", "Attempting to deliver to: /run/dovecot/lmtp:25 using LMTP (0) (0)"), fail, "451 4.7.1 /run/dovecot/lmtp[]:0 | 451 4.7.1 later"},
		"3.0":                                {harakaItem1("DEBUG", "delivering from: me.example to: 198.51.100.9:25 (0) (0)"), fail, "451 4.7.1 [198.51.100.9]:25 | 451 4.7.1 later"},
		"3.3 by address":                     {harakaItem1("DEBUG", "deliver: me.example -> 198.51.100.9 (via DNS) (0) (0)"), fail, "451 4.7.1 [198.51.100.9]:0 | 451 4.7.1 later"},
		"3.3 by IPv6 address":                {harakaItem1("DEBUG", "deliver: me.example -> 2001:db8::1 (0) (0)"), fail, "451 4.7.1 [2001:db8::1]:0 | 451 4.7.1 later"},
		"3.3 by socket":                      {harakaItem1("DEBUG", "deliver: me.example -> /run/dovecot/lmtp using LMTP (0) (0)"), fail, "451 4.7.1 /run/dovecot/lmtp[]:0 | 451 4.7.1 later"},
		"a socket that hung up":              {harakaItem1("ERROR", "Remote end /run/dovecot/lmtp:24 closed connection while we were processing mail. Trying next MX."), tried, "/run/dovecot/lmtp[]:0 | Tried all MXs (Remote end /run/dovecot/lmtp:24 closed connection while we were processing mail.)"},
		"a socket that is not there":         {harakaItem1("ERROR", "Failed to get socket: connect ENOENT /run/dovecot/lmtp"), tried, "@connect /run/dovecot/lmtp[]:0 | Tried all MXs (connect ENOENT /run/dovecot/lmtp)"},
		"several addresses":                  {harakaItem1("NOTICE", "Failed to get socket: connect ECONNREFUSED 2001:db8::1:25, connect ECONNREFUSED 198.51.100.9:25"), tried, "@connect [2001:db8::1]:25 | Tried all MXs (connect ECONNREFUSED 2001:db8::1:25, connect ECONNREFUSED 198.51.100.9:25)"},
		"a failed handshake":                 {harakaItem1("ERROR", "Ongoing connection failed to 198.51.100.9:25 : Error: 0080:error:0A00010B:SSL routines:ssl3_get_record:wrong version number:x.c:354:"), tried, "@starttls [198.51.100.9]:25 | Tried all MXs (Ongoing connection failed to 198.51.100.9:25 : Error: 0080:error:0A00010B:SSL routines:ssl3_get_record:wrong version number:x.c:354:)"},
		"a reset connection":                 {harakaItem1("ERROR", "Ongoing connection failed to 198.51.100.9:25 : Error: read ECONNRESET"), tried, "[198.51.100.9]:25 | Tried all MXs (Ongoing connection failed to 198.51.100.9:25 : Error: read ECONNRESET)"},
		"2.8, whose host has no address":     {harakaItem1("NOTICE", "DNS lookup of mx.multi.example failed: Error: queryA ENOTFOUND mx.multi.example"), tried, "@dns | Tried all MXs (DNS lookup of mx.multi.example failed: Error: queryA ENOTFOUND mx.multi.example)"},
		"3.0, whose host has no address":     {harakaItem1("NOTICE", "DNS (A) for mx.multi.example resulted in no data"), tried, "@dns | Tried all MXs (DNS (A) for mx.multi.example resulted in no data)"},
		"debug lines between, before 3.1":    {"[NOTICE] [-] [core] [outbound] Failed to get socket: Outbound connection error: Error: connect ECONNREFUSED 198.51.100.9:25\n[DEBUG] [-] [core] Temp fail for: Tried all MXs\n" + harakaItem1("DEBUG", "running deferred hooks"), tried, "@connect [198.51.100.9]:25 | Tried all MXs (connect ECONNREFUSED 198.51.100.9:25)"},
		"a socket that is not there, in 2.8": {harakaItem1("INFO", "Attempting to deliver to: /run/lmtp:25 using LMTP (0) (1)") + "\n[ERROR] [-] [core] [outbound] Failed to get pool entry: Outbound connection error: Error: connect ENOENT /run/lmtp", tried, "@connect /run/lmtp[]:0 | Tried all MXs (connect ENOENT /run/lmtp)"},
		"other debug lines are no bridge":    {"[NOTICE] [-] [core] [outbound] Failed to get socket: Outbound connection error: Error: connect ECONNREFUSED 198.51.100.9:25\n[DEBUG] [-] [core] running queue hooks", tried, "| Tried all MXs"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newHaraka(Options{})
			harakaRun(t, p, append(harakaAccepted("a@multi.example"), strings.Split(c.before, "\n")...)...)
			wantHaraka(t, harakaRun(t, p, c.last), "deferred a@multi.example #2 "+c.want)
		})
	}
}

func TestHarakaDeliveredOverASocketHasNoPort(t *testing.T) {
	p := newHaraka(Options{})
	harakaRun(t, p, harakaAccepted("a@multi.example")...)
	wantHaraka(t, harakaRun(t, p, harakaItem1("NOTICE", " delivered file=x domain=multi.example host=/run/dovecot/lmtp ip=/run/dovecot/lmtp port=24 mode=LMTP tls=N auth=N response=Saved delay=0.1 fails=0 rcpts=1/0/0")),
		"delivered a@multi.example #1 /run/dovecot/lmtp[]:0 | Saved")
}

func TestHarakaCodesOfASuccess(t *testing.T) {
	protocol := func(lines ...string) (records []string) {
		for _, l := range lines {
			records = append(records, harakaItem1("PROTOCOL", l))
		}
		return records
	}
	const peer = " mx.multi.example[198.51.100.1]:25 | "
	for name, c := range map[string]struct {
		before   []string
		response string
		want     string
	}{
		"are not in the log":                    {nil, "Ok: queued as 1", peer + "Ok: queued as 1"},
		"are not those that its words speak of": {nil, "Message 550 5.1.1 accepted", peer + "Message 550 5.1.1 accepted"},
		"are in protocol lines":                 {protocol("C: .", "S: 250 2.0.0 Ok: queued as 1", "C: QUIT"), "Ok: queued as 1", " 250 2.0.0" + peer + "250 2.0.0 Ok: queued as 1"},
		"are in those of 2.8":                   {protocol("C: .", `S: 250 2.0.0 Ok: queued as 1\r\n`), "Ok: queued as 1", " 250 2.0.0" + peer + "250 2.0.0 Ok: queued as 1"},
		"are those of the last line":            {protocol("C: .", "S: 250-2.0.0 Ok", "S: 251 2.1.5 Ok"), "Ok Ok", " 251 2.1.5" + peer + "251 2.1.5 Ok Ok"},
		"may stay in the words":                 {protocol("C: .", "S: 250 2.6.10 Ok"), "2.6.10 Ok", " 250 2.6.10" + peer + "250 2.6.10 Ok"},
		"may be the reply code alone":           {protocol("C: .", "S: 250 Ok"), "Ok", " 250" + peer + "250 Ok"},
		"are not those of a command before":     {protocol("C: RCPT TO:<a@multi.example>", "S: 250 2.1.5 Ok", "C: DATA", "S: 354 go"), "Ok", peer + "Ok"},
		"are not those of an attempt before":    {append(protocol("C: .", "S: 250 2.0.0 Ok"), harakaItem1("ERROR", "Remote end 198.51.100.34:25 closed connection while we were processing mail. Trying next MX."), harakaItem1("INFO", "Temp failing "+harakaQueueFile+" for 5 seconds: Tried all MXs")), "Ok", peer + "Ok"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newHaraka(Options{})
			harakaRun(t, p, append(harakaAccepted("a@multi.example"), c.before...)...)
			wantHaraka(t, harakaRun(t, p, harakaDelivered1(fmt.Sprintf("response=%q delay=0.055 fails=0 rcpts=1/0/0", c.response))),
				"delivered a@multi.example #1"+c.want)
		})
	}
}

// Where a log has no INFO lines a failure shows only in what comes before it.
func TestHarakaAtLevelNotice(t *testing.T) {
	lines := []string{
		harakaItem1("ERROR", "Unrecognized response from upstream server: 550  "),
		harakaItem1("NOTICE", "MX Lookup for multi.example failed: Error: queryMx ENOTFOUND multi.example"),
		harakaItem1("NOTICE", "MX Lookup for multi.example failed: Error: Found nowhere to deliver to"),
		harakaItem1("NOTICE", "MX Lookup for ENOTFOUND.example failed: Error: queryMx ESERVFAIL ENOTFOUND.example"),
		harakaItem1("WARN", "get_mx plugin returned DENY: blocked here"),
		harakaItem1("WARN", "get_mx plugin returned DENYSOFT: not now"),
	}
	want := []string{
		"bounced a@multi.example @dns | get_mx plugin returned DENY: blocked here",
		"deferred a@multi.example @dns | MX Lookup for ENOTFOUND.example failed: Error: queryMx ESERVFAIL ENOTFOUND.example",
		"bounced a@multi.example @dns | MX Lookup for multi.example failed: Error: queryMx ENOTFOUND multi.example",
		"bounced a@multi.example @dns | MX Lookup for multi.example failed: Error: Found nowhere to deliver to",
		"bounced a@multi.example 550 | 550",
		"deferred a@multi.example @dns | get_mx plugin returned DENYSOFT: not now",
	}
	var got []string
	for _, l := range lines {
		p := newHaraka(Options{})
		got = append(got, harakaRun(t, p, append(harakaAccepted("a@multi.example"), l)...)...)

		p = newHaraka(Options{})
		harakaRun(t, p, "[INFO] [-] [outbound] Transaction delivery for domain: multi.example")
		if twice := harakaRun(t, p, append(harakaAccepted("a@multi.example"), l)...); twice != nil {
			t.Errorf("the log has INFO lines that will tell, yet there is %q", twice)
		}
		if unknown := harakaRun(t, newHaraka(Options{}), l); unknown != nil {
			t.Errorf("nothing was seen of the message, yet there is %q", unknown)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	wantHaraka(t, got, want...)
}

func TestHarakaPluginThatDropsADeferredMessage(t *testing.T) {
	drop := harakaItem1("INFO", "plugin responded with: 906. Not deferring. Deleting mail.")
	p := newHaraka(Options{})
	harakaRun(t, p, harakaAccepted("a@multi.example", "b@multi.example")...)
	wantHaraka(t, harakaRun(t, p, drop),
		"expired a@multi.example #1 | plugin responded with: 906. Not deferring. Deleting mail.",
		"expired b@multi.example #1 | plugin responded with: 906. Not deferring. Deleting mail.")
	harakaRun(t, p, harakaAccepted("a@multi.example")...)
	harakaRun(t, p, harakaItem1("NOTICE", "Failed to get socket: connect ECONNREFUSED 198.51.100.9:25"))
	wantHaraka(t, harakaRun(t, p, drop),
		"expired a@multi.example #1 @connect [198.51.100.9]:25 | plugin responded with: 906. Not deferring. Deleting mail. (connect ECONNREFUSED 198.51.100.9:25)")
	harakaRun(t, p, harakaAccepted("a@multi.example", "b@multi.example")...)
	wantHaraka(t, harakaRun(t, p, harakaItem1("NOTICE", "recipient <b@multi.example> deferred: 450 4.2.0 wait"), drop),
		"deferred b@multi.example #1 @rcpt 450 4.2.0 | 450 4.2.0 wait",
		"expired b@multi.example #1 @rcpt 450 4.2.0 | 450 4.2.0 wait")
}

func TestHarakaFailureOfAQueueFileThatCannotBeRead(t *testing.T) {
	p := newHaraka(Options{})
	for line, id := range map[string]string{
		"[INFO] [-] [outbound] Temp failing " + harakaQueueFile + " for 64 seconds: Error reading queue file x: Error: EIO": harakaQueueFile,
		"[INFO] [-] [outbound] bouncing mail: Too many failures (Error obtaining file size)":                                "",
	} {
		ds, err := p.Parse(nil, Line{Text: []byte(line)})
		if err != nil || len(ds) != 1 || ds[0].Recipient != "" || ds[0].QueueID != id || !strings.HasPrefix(ds[0].Diagnostic, "Error ") {
			t.Errorf("%s\ngave %+v, %v", line, ds, err)
		}
	}
}

// Transactions of one connection are messages of their own.
func TestHarakaTransactionsOfOneConnection(t *testing.T) {
	p := newHaraka(Options{})
	second := strings.TrimSuffix(harakaTx, "1") + "2"
	var lines []string
	for _, l := range harakaAccepted("b@multi.example", "c@multi.example") {
		lines = append(lines, strings.ReplaceAll(l, harakaTx, second))
	}
	harakaRun(t, p, append(harakaAccepted("a@multi.example"), lines...)...)
	wantHaraka(t, harakaRun(t, p,
		"[INFO] ["+second+".1] [outbound] bouncing mail: 550 5.7.1 no",
		harakaDelivered1("response=Ok delay=0.1 fails=0 rcpts=1/0/0")),
		"bounced b@multi.example #1 550 5.7.1 | 550 5.7.1 no",
		"bounced c@multi.example #1 550 5.7.1 | 550 5.7.1 no",
		"delivered a@multi.example #1 mx.multi.example[198.51.100.1]:25 | Ok")
}
