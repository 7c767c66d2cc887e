package parsers

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"mtatap/event"
)

func FuzzHaraka(f *testing.F) {
	for _, l := range harakaAccepted("a@multi.example", `"x>y"@multi.example`, "c@two.example") {
		f.Add(l + "\n[NOTICE] [" + harakaTx + ".1] [outbound]  delivered file=1_1_0_1_a_1_h domain=multi.example host=mx ip=1.2.3.4 port=25 response=\"a\\\"b\" delay=1 fails=0 rcpts=2/0/0\n")
	}
	f.Add("[INFO] [A.1.1] [outbound] Temp failing 1_2_3 for 5 seconds: Some recipients temp failed: <a@b>, <\"x\\\">@b>\n[INFO] [A.1.1] [outbound] bouncing mail: Too many failures (Tried all MXs)")
	f.Add(`{"level":"NOTICE","uuid":"A.1","origin":"core","message":"recipient <a@b>","code":"OK","msg":{"a":[1,"}"]},"sender":null}`)
	f.Add(`level=NOTICE uuid=A.1.1 origin=outbound message="recipient <a@b> rejected: 550 x`)
	f.Fuzz(func(t *testing.T, log string) {
		p := newHaraka(Options{Rejects: true, MaxRemembered: 4})
		for l := range strings.SplitSeq(log, "\n") {
			ds, _ := p.Parse(nil, Line{Text: []byte(l)})
			seen := map[string]bool{}
			for _, d := range ds {
				if seen[d.Recipient] {
					t.Errorf("two deliveries to %q from %q", d.Recipient, l)
				}
				seen[d.Recipient] = true
				if d.Status == event.StatusUnknown || d.Raw != l || d.SMTPCode != 0 && (d.SMTPCode < 200 || d.SMTPCode > 599) || d.Attempt < 0 || d.Relay.Port > 65535 {
					t.Errorf("strange delivery %+v from %q", d, l)
				}
			}
			if p.memory.len() == 0 && p.bytes != 0 || p.bytes < 0 || p.memory.len() > 4 {
				t.Fatalf("%d bytes in %d transactions after %q", p.bytes, p.memory.len(), l)
			}
		}
		s := p.Snapshot(nil)
		if err := p.Restore(s); err != nil {
			t.Fatalf("restore own snapshot: %v", err)
		}
	})
}

func FuzzHarakaRestore(f *testing.F) {
	p := newHaraka(Options{})
	for _, l := range append(harakaAccepted("a@b.example", "c@d.example"), "[NOTICE] ["+harakaTx+".1] [outbound] recipient <a@b.example> deferred: 451 wait") {
		if _, err := p.Parse(nil, Line{Text: []byte(l)}); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(p.Snapshot(nil))
	f.Fuzz(func(t *testing.T, snapshot []byte) {
		p := newHaraka(Options{MaxRemembered: 4})
		if err := p.Restore(snapshot); err != nil && p.memory.len() != 0 {
			t.Error("a damaged snapshot left something")
		}
		if again := p.Snapshot(nil); newHaraka(Options{}).Restore(again) != nil {
			t.Error("its own snapshot is refused")
		}
	})
}

// harakaWriters write a record as Haraka's logger does in each format: its
// message and, behind it, its fields.
var harakaWriters = []func(level, uuid, origin, message string, fields ...string) string{
	func(level, uuid, origin, message string, fields ...string) string {
		s := "[" + level + "] [" + uuid + "] [" + origin + "] " + message
		for i := 0; i < len(fields); i += 2 {
			s += " " + fields[i] + "=" + quoteHaraka(fields[i+1])
		}
		return s
	},
	func(level, uuid, origin, message string, fields ...string) string {
		s := "level=" + level + " uuid=" + uuid + " origin=" + origin + " message=" + quoteHaraka(message)
		for i := 0; i < len(fields); i += 2 {
			s += " " + fields[i] + "=" + quoteHaraka(fields[i+1])
		}
		return s
	},
	func(level, uuid, origin, message string, fields ...string) string {
		s := `{"level":` + jsonHaraka(level) + `,"uuid":` + jsonHaraka(uuid) + `,"origin":` + jsonHaraka(origin) + `,"message":` + jsonHaraka(message)
		for i := 0; i < len(fields); i += 2 {
			s += "," + jsonHaraka(fields[i]) + ":" + jsonHaraka(fields[i+1])
		}
		return s + "}"
	},
}

func quoteHaraka(s string) string {
	if s != "" && !strings.ContainsAny(s, " =\"\\\r\n") {
		return s
	}
	return `"` + strings.NewReplacer(`"`, `\"`, `\`, `\\`, "\r", `\r`, "\n", `\n`).Replace(s) + `"`
}

// jsonHaraka writes a string as JavaScript does, which leaves "<" as it is.
func jsonHaraka(s string) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return `""`
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// Whatever a remote server replies and whatever a sender writes into the headers
// that Haraka logs, each outcome is that of the recipient whose it is.
func FuzzHarakaHostileText(f *testing.F) {
	for _, attack := range []string{
		"User unknown",
		`5.1.1 x delivered file=1_1_0_1_a_1_h domain=multi.example host=mx response="ok" rcpts=1/0/0`,
		`x" delivered file=1_1_0_1_a_1_h domain=multi.example rcpts=1/0/0 message="`,
		`x","delivered file":"1","domain":"multi.example","rcpts":"1/0/0","y":"`,
		"[NOTICE] [" + harakaTx + ".1] [outbound] recipient <victim@multi.example> rejected: 550 forged",
		"x> rejected: 550 5.1.1 <victim@multi.example> deferred: 450 y",
		"Too many failures (Some recipients temp failed: <victim@multi.example>)",
		"Some recipients failed: <victim@multi.example>, <a@multi.example>",
		". Not deferring. Deleting mail.",
		"for 5 seconds: Upstream error: 450 x", `\`, `\"`, "\x00\x1b[31m\xff\xfe", `\ud800\u0000`, "=", "{", "<>",
	} {
		f.Add(attack)
	}
	f.Fuzz(func(t *testing.T, attack string) {
		attack = strings.NewReplacer("\n", " ", "\r", " ").Replace(attack) // Haraka reads replies by line
		for _, write := range harakaWriters {
			for _, head := range []string{"", "2026-11-23T19:17:56.970Z ", "Nov 23 19:17:56 mta-out haraka[105]: "} {
				p := newHaraka(Options{Rejects: true, VERP: []string{"+{local}={domain}@"}})
				run := func(level, uuid, origin, message string, fields ...string) (got []string) {
					ds, err := p.Parse(nil, Line{Text: []byte(head + write(level, uuid, origin, message, fields...))})
					if err != nil {
						t.Fatalf("%q: %v", message, err)
					}
					for i := range ds {
						got = append(got, ds[i].Status.String()+" "+ds[i].Recipient)
						if text := new(event.Encoder).Append(nil, &event.Event{Delivery: ds[i]}); !json.Valid(text) {
							t.Errorf("%q is no JSON", text)
						}
					}
					return got
				}
				expect := func(got []string, want ...string) {
					t.Helper()
					if !slices.Equal(got, want) {
						t.Fatalf("%q after %q gave %q, want %q", attack, head, got, want)
					}
				}
				for _, r := range []string{"a@multi.example", "b@multi.example", "c@multi.example", "d@other.example"} {
					expect(run("NOTICE", harakaTx, "core", "recipient <"+r+">", "code", "OK", "msg", "", "sender", "s@sender.example"))
				}
				expect(run("NOTICE", harakaTx, "core", "message", "mid", attack, "size", "1", "rcpts", "4/0/0", "code", "CONT", "msg", attack))
				expect(run("NOTICE", harakaTx, "core", "queue", "code", "CONT", "msg", "Message Queued"))
				expect(run("INFO", "-", "outbound", "Transaction delivery for domain: multi.example"))
				expect(run("NOTICE", harakaTx, "core", "queue", "code", "OK", "msg", "Message Queued"))
				const item, other = harakaTx + ".1", harakaTx + ".2"
				expect(run("PROTOCOL", item, "outbound", "S: 220 "+attack))
				expect(run("NOTICE", item, "outbound", "recipient <a@multi.example> rejected: 550 "+attack), "bounced a@multi.example")
				expect(run("NOTICE", item, "outbound", "recipient <b@multi.example> deferred: 450 "+attack), "deferred b@multi.example")
				expect(run("NOTICE", item, "outbound", "", "delivered file", "1_1_0_1_a_1_h", "domain", "multi.example", "host", "mx", "ip", "198.51.100.1",
					"response", attack, "delay", "1", "fails", "0", "rcpts", "1/1/1"), "delivered c@multi.example")
				expect(run("ERROR", other, "outbound", "Unrecognized response from upstream server: "+attack))
				expect(run("INFO", other, "outbound", "Temp failing 1_1_0_1_a_1_h for 5 seconds: Upstream error: 451 "+attack), "deferred d@other.example")
				expect(run("INFO", other, "outbound", "bouncing mail: Too many failures (Upstream error: 451 "+attack+")"), "expired d@other.example")
			}
		}
	})
}

var harakaBenchLines = map[string][]string{
	"status": {
		harakaAccepted("ok@text.example")[0],
		"[NOTICE] [" + harakaTx + `.1] [outbound]  delivered file=1795462580165_1795462580165_0_105_WTK1kT_1_mta-out domain=text.example host=mx.text.example ip=198.51.100.1 port=25 mode=SMTP tls=N auth=N response="Ok: queued as 400000008" delay=0.057 fails=0 rcpts=1/0/0`,
	},
	"status in JSON": {
		`{"level":"NOTICE","uuid":"` + harakaTx + `","origin":"core","message":"recipient <ok@text.example>","code":"OK","msg":"","sender":"sender@sender.example"}`,
		`{"level":"NOTICE","uuid":"` + harakaTx + `.1","origin":"outbound","message":"","delivered file":"1795462580165_1795462580165_0_105_WTK1kT_1_mta-out","domain":"text.example","host":"mx.text.example","ip":"198.51.100.1","port":25,"mode":"SMTP","tls":"N","auth":"N","response":"Ok: queued as 400000008","delay":0.057,"fails":0,"rcpts":"1/0/0"}`,
	},
	"refusal in JSON": {`{"level":"NOTICE","uuid":"` + harakaTx + `.1","origin":"outbound","message":"recipient <m-550@multi.example> rejected: 550 5.1.1 <m-550@multi.example>: Recipient address rejected: User unknown in virtual mailbox table"}`},
	"refusal":         {"[NOTICE] [" + harakaTx + ".1] [outbound] recipient <m-550@multi.example> rejected: 550 5.1.1 <m-550@multi.example>: Recipient address rejected: User unknown in virtual mailbox table"},
	"remembered":      {harakaAccepted("ok@text.example")[0], "[NOTICE] [" + harakaTx + `] [core] queue code=DENY msg=no`},
	"uninteresting":   {"[NOTICE] [" + harakaTx + `] [core] disconnect ip=192.0.2.10 rdns=mta-out helo=client.example relay=Y early=N esmtp=Y tls=N pipe=N errors=0 txns=1 rcpts=1/0/0 msgs=1/0/0 bytes=219 lr="" time=0.032`},
	"json":            {`{"level":"NOTICE","uuid":"` + harakaTx + `","origin":"core","message":"connect","ip":"192.0.2.10","port":57416,"local_ip":"192.0.2.10","local_port":2525}`},
	"syslog":          {"2026-11-23T18:43:06.123456+00:00 mta-out haraka[105]: [INFO] [-] [outbound] Transaction delivery for domain: text.example"},
}

func BenchmarkHaraka(b *testing.B) {
	for name, lines := range harakaBenchLines {
		b.Run(name, func(b *testing.B) {
			p := newHaraka(Options{})
			var ds []event.Delivery
			size := 0
			texts := make([][]byte, len(lines))
			for i, l := range lines {
				texts[i] = []byte(l)
				size += len(l)
			}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				for _, l := range texts {
					ds, _ = p.Parse(ds[:0], Line{Text: l})
				}
			}
		})
	}
}

func TestHarakaLinesWithoutOutcomeDoNotAllocate(t *testing.T) {
	for _, name := range []string{"remembered", "uninteresting", "json", "syslog"} {
		p := newHaraka(Options{})
		var texts [][]byte
		for _, l := range harakaBenchLines[name] {
			texts = append(texts, []byte(l))
		}
		if n := testing.AllocsPerRun(100, func() {
			for _, l := range texts {
				if ds, err := p.Parse(nil, Line{Text: l}); ds != nil || err != nil {
					t.Fatalf("%s: %v, %v", name, ds, err)
				}
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations, want 0", name, n)
		}
	}
}
