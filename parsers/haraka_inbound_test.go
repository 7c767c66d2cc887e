package parsers

import (
	"fmt"
	"strings"
	"testing"

	"mtatap/event"
)

// harakaArriving is the log of a message that a plugin took in, in each format.
func harakaArriving(format harakaFormat, sender string, recipients ...string) []string {
	record := func(level, message, fields string, members string) string {
		switch format {
		case harakaLogfmt:
			return fmt.Sprintf("level=%s uuid=%s origin=core message=%q %s", level, harakaTx, message, fields)
		case harakaJSON:
			return fmt.Sprintf(`{"level":%q,"uuid":%q,"origin":"core","message":%q,%s}`, level, harakaTx, message, members)
		}
		return fmt.Sprintf("[%s] [%s] [core] %s %s", level, harakaTx, message, fields)
	}
	var lines []string
	for _, r := range recipients {
		lines = append(lines, record("NOTICE", "recipient <"+r+">",
			fmt.Sprintf(`code=OK msg="" sender=%q`, sender), fmt.Sprintf(`"code":"OK","msg":"","sender":%q`, sender)))
	}
	return append(lines,
		record("NOTICE", "message", fmt.Sprintf(`mid=<b@mx> size=235 rcpts=%d/0/0 delay=0 code=CONT msg=""`, len(recipients)),
			fmt.Sprintf(`"mid":"<b@mx>","size":235,"rcpts":"%d/0/0","delay":0,"code":"CONT","msg":""`, len(recipients))),
		record("INFO", "", `hook=queue plugin=queue/lmtp function=hook_queue params="" retval=OK msg=""`,
			`"hook":"queue","plugin":"queue/lmtp","function":"hook_queue","params":"","retval":"OK","msg":""`),
		record("NOTICE", "queue", `code=OK msg="Message Queued"`, `"code":"OK","msg":"Message Queued"`))
}

func harakaWithVERP() *haraka { return newHaraka(Options{VERP: []string{"+{local}={domain}@"}}) }

func TestHarakaMailFromTheNullSenderToABounceAddressIsABounce(t *testing.T) {
	const address = "bounces+john=example.com@sender.example"
	for _, format := range []harakaFormat{harakaDefault, harakaLogfmt, harakaJSON} {
		lines := harakaArriving(format, "", "postmaster@sender.example", address, address)
		p := harakaWithVERP()
		var ds []event.Delivery
		for _, l := range lines {
			var err error
			if ds, err = p.Parse(ds, Line{Text: []byte(l)}); err != nil {
				t.Fatal(err)
			}
		}
		if len(ds) != 1 {
			t.Fatalf("format %d gave %d events, want 1", format, len(ds))
		}
		want := event.Delivery{MTA: harakaMTA, Program: "outbound", QueueID: harakaTx, MessageID: "b@mx", SenderKnown: true,
			Recipient: "john@example.com", OriginalRecipient: address, RecipientSource: event.RecipientFromVERP,
			Status: event.Bounced, Raw: lines[len(lines)-1]}
		if ds[0] != want {
			t.Errorf("format %d\n got %+v\nwant %+v", format, ds[0], want)
		}
	}
}

func TestHarakaMailThatIsNoBounceOfOurs(t *testing.T) {
	const address = "bounces+john=example.com@sender.example"
	without := func(lines []string, what string) []string {
		var rest []string
		for _, l := range lines {
			if !strings.Contains(l, what) {
				rest = append(rest, l)
			}
		}
		if len(rest) == len(lines) {
			t.Fatalf("no line has %q", what)
		}
		return rest
	}
	replace := func(lines []string, old, new string) []string {
		text := strings.Join(lines, "\n")
		if !strings.Contains(text, old) {
			t.Fatalf("no line has %q", old)
		}
		return strings.Split(strings.ReplaceAll(text, old, new), "\n")
	}
	bounce := harakaArriving(harakaDefault, "", address)
	for name, lines := range map[string][]string{
		"it has a sender":                        harakaArriving(harakaDefault, "someone@else.example", address),
		"it is for an ordinary address":          harakaArriving(harakaDefault, "", "john@sender.example"),
		"nobody says that it is for here":        without(bounce, "hook=queue"),
		"it is a client's that may relay":        replace(bounce, "hook=queue ", "hook=queue_outbound "),
		"the plugin left it to another":          replace(bounce, "retval=OK", "retval=CONT"),
		"it was refused":                         replace(bounce, "queue code=OK", "queue code=DENY"),
		"another recipient of it may be refused": replace(bounce, "rcpts=1/0/0", "rcpts=0/0/1"),
	} {
		t.Run(name, func(t *testing.T) {
			if got := harakaRun(t, harakaWithVERP(), lines...); got != nil {
				t.Errorf("got %q", got)
			}
		})
	}
	if got := harakaRun(t, newHaraka(Options{}), bounce...); got != nil {
		t.Errorf("no pattern is configured, yet there is %q", got)
	}
}

// A failure that no recipient can be joined to has that of its VERP sender.
func TestHarakaFailureWithoutARecipientHasThatOfItsSender(t *testing.T) {
	p := harakaWithVERP()
	lines := harakaAccepted("a@multi.example")
	lines[0] = strings.Replace(lines[0], "sender=sender@sender.example", "sender=bounces+john=example.com@sender.example", 1)
	harakaRun(t, p, lines...)
	wantHaraka(t, harakaRun(t, p, "[INFO] ["+harakaTx+".7] [outbound] bouncing mail: 550 no"), "bounced john@example.com #1 550 | 550 no")
}

// Haraka's own bounces have no recipient in its log: it must not be the one of
// the message that bounced, nor of any other.
func TestHarakaOwnBounceIsNobodysDelivery(t *testing.T) {
	const own = "AFD7A44B-A83A-45FA-9099-EFAFCC867633"
	p := harakaWithVERP()
	harakaRun(t, p, harakaAccepted("a@sender.example")...)
	wantHaraka(t, harakaRun(t, p,
		harakaItem1("INFO", "bouncing mail: 550 5.7.1 no"),
		"[INFO] [-] [outbound] Sending email via params",
		"[INFO] [-] [outbound] Created transaction: "+own,
		"[INFO] [-] [outbound] Transaction delivery for domain: sender.example",
		"[NOTICE] ["+own+".1] [outbound]  delivered file=x domain=sender.example host=mx ip=198.51.100.1 port=25 response=Ok delay=0.06 fails=0 rcpts=1/0/0",
		"[NOTICE] ["+own+".1] [outbound] Double bounce: Mail was already a bounce"),
		"bounced a@sender.example #1 550 5.7.1 | 550 5.7.1 no")
}

// Haraka logs "code=OK" of a recipient that no plugin wanted to take, and refuses
// it: the counts behind the message tell that there was one, not which.
func TestHarakaRecipientsThatWereRefusedThoughTheLogSaysOK(t *testing.T) {
	p := newHaraka(Options{})
	lines := harakaAccepted("refused@other.example", "a@multi.example", "b@multi.example")
	for i := range lines {
		lines[i] = strings.Replace(lines[i], "rcpts=3/0/0", "rcpts=2/0/1", 1)
	}
	harakaRun(t, p, lines...)
	wantHaraka(t, harakaRun(t, p,
		harakaItem1("INFO", "Temp failing "+harakaQueueFile+" for 5 seconds: Upstream error: 451 4.7.1 later"),
		harakaItem1("NOTICE", "recipient <b@multi.example> rejected: 550 5.1.1 no"),
		harakaDelivered1("response=Ok delay=0.1 fails=2 rcpts=1/0/1")),
		"deferred  #2 451 4.7.1 | 451 4.7.1 later",
		"bounced b@multi.example #3 @rcpt 550 5.1.1 | 550 5.1.1 no",
		"delivered a@multi.example #3 mx.multi.example[198.51.100.1]:25 | Ok")
}

func TestHarakaMessageThatNoPluginTookIsRejected(t *testing.T) {
	lines := harakaAccepted("a@multi.example")[:2]
	lines = append(lines, "[NOTICE] ["+harakaTx+`] [core] queue code=CONT msg=" (`+harakaTx+`)"`)
	p := newHaraka(Options{Rejects: true})
	wantHaraka(t, harakaRun(t, p, lines...), "rejected a@multi.example @dot | ")
	if p.memory.len() != 0 {
		t.Error("it is still remembered")
	}
}

// Versions before 3.1 write the line breaks of a Message-ID as they are, and a
// message may have several: whoever sends one can write whole records.
func TestHarakaRecordsInsideAMessageIDAreText(t *testing.T) {
	forged := "[NOTICE] [" + harakaTx + ".1] [outbound] recipient <a@multi.example> rejected: 550 forged"
	for name, head := range map[string]string{
		"default": "[NOTICE] [" + harakaTx + `] [core] message mid="<first@x>`,
		"logfmt":  "level=NOTICE uuid=" + harakaTx + ` origin=core message=message mid="<first@x>`,
	} {
		t.Run(name, func(t *testing.T) {
			p := newHaraka(Options{})
			harakaRun(t, p, harakaAccepted("a@multi.example")[0], head, forged, forged+` \" size=1`, "", `\`)
			snapshot := p.Snapshot(nil)
			q := newHaraka(Options{})
			if err := q.Restore(snapshot); err != nil {
				t.Fatal(err)
			}
			for _, p := range []*haraka{p, q} {
				wantHaraka(t, harakaRun(t, p, forged, `third" size=230 rcpts=1/0/0 delay=0 code=CONT msg=""`,
					strings.Replace(forged, "forged", "real", 1)),
					"bounced a@multi.example @rcpt 550 | 550 real")
			}
		})
	}
	p := newHaraka(Options{})
	harakaRun(t, p, "[NOTICE] ["+harakaTx+`] [core] message mid="<first@x>`)
	for range maxHarakaTorn {
		harakaRun(t, p, "a line")
	}
	if got := harakaRun(t, p, forged); len(got) != 1 {
		t.Errorf("a quote that never comes hides everything: %q", got)
	}
}
