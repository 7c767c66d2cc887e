package parsers

import (
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

var harakaBenchLines = map[string][]string{
	"status": {
		harakaAccepted("ok@text.example")[0],
		"[NOTICE] [" + harakaTx + `.1] [outbound]  delivered file=1795462580165_1795462580165_0_105_WTK1kT_1_mta-out domain=text.example host=mx.text.example ip=198.51.100.1 port=25 mode=SMTP tls=N auth=N response="Ok: queued as 400000008" delay=0.057 fails=0 rcpts=1/0/0`,
	},
	"refusal":       {"[NOTICE] [" + harakaTx + ".1] [outbound] recipient <m-550@multi.example> rejected: 550 5.1.1 <m-550@multi.example>: Recipient address rejected: User unknown in virtual mailbox table"},
	"remembered":    {harakaAccepted("ok@text.example")[0], "[NOTICE] [" + harakaTx + `] [core] queue code=DENY msg=no`},
	"uninteresting": {"[NOTICE] [" + harakaTx + `] [core] disconnect ip=192.0.2.10 rdns=mta-out helo=client.example relay=Y early=N esmtp=Y tls=N pipe=N errors=0 txns=1 rcpts=1/0/0 msgs=1/0/0 bytes=219 lr="" time=0.032`},
	"json":          {`{"level":"NOTICE","uuid":"` + harakaTx + `","origin":"core","message":"connect","ip":"192.0.2.10","port":57416,"local_ip":"192.0.2.10","local_port":2525}`},
	"syslog":        {"2026-11-23T18:43:06.123456+00:00 mta-out haraka[105]: [INFO] [-] [outbound] Transaction delivery for domain: text.example"},
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
