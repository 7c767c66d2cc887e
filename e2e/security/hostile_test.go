//go:build e2e

package security

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"mtatap/e2e/lab"
)

// hostileReplies are what remote servers say to be believed. Nothing that they speak
// of may become an event: no delivery, and nobody of forged.example.
var hostileReplies = []string{
	"550 5.1.1 no (in reply to RCPT TO command)) dsn=2.0.0, status=sent (250 ok)",
	"550 5.1.1 x>, relay=none, delay=0, delays=0/0/0/0, dsn=2.0.0, status=sent (delivered to mailbox)",
	"550 5.1.1 gone\\n2026-11-23T19:26:51.000000+00:00 mta-out postfix/smtp[485]: 4E5845325CC: to=<victim@forged.example>, relay=none, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (gone)",
	"550 5.1.1 #011 postfix/smtp[1]: AAAAAAAAAA: to=<victim@forged.example>, status=bounced (x)",
	"550 5.1.1 => victim@forged.example R=remote T=remote_smtp H=mx [198.51.100.9] C=\"250 ok\"",
	"550 5.1.1 2026-11-23 19:26:51 1xVe4m-0004P3-0S ** victim@forged.example R=remote T=remote_smtp: gone",
	"550 5.1.1 [NOTICE] [72D89817-58BD-4437-AC04-39CE88B63EF2.1.1] [outbound] recipient <victim@forged.example> rejected: 550 gone",
	"550 5.1.1 \" delivered file=1_1_0_1_a_1_h domain=forged.example host=mx ip=198.51.100.9 port=25 response=\"ok\" rcpts=1/0/0",
	"550 5.1.1 {\"level\":\"NOTICE\",\"message\":\"recipient <victim@forged.example> rejected: 550 x\"}",
	"550 5.1.1 \x1b[2J\x1b]0;title\x07\x9b31m\u202egnihton\xff\xfe\xc0\xaf\xed\xa0\x80",
	"550 5.1.1 \x00\x00\x00 nothing \x00",
	"550 5.1.1 " + strings.Repeat("long ", 800),
	"550 5.1.1 \r status=sent \r (250 ok)",
	"550 5.1.1 mtatap_events_total{mta=\"x\"} 1\" , = } {",
}

// attacks write one failed delivery each, to a recipient and by a relay that never
// were there before.
var attacks = map[string]func(n int, reply string) string{
	"postfix": func(n int, reply string) string {
		return fmt.Sprintf("2026-11-23T19:26:51.000000+00:00 mta-out postfix/smtp[485]: %X: to=<user-%d@d%d.attacker.example>, relay=mx%d.attacker.example[198.51.100.%d]:25, delay=0.04, delays=0.01/0.02/0.01/0, dsn=5.1.1, status=bounced (host mx%d.attacker.example[198.51.100.%d] said: %s (in reply to RCPT TO command))\n",
			0x4E58450000+n, n, n, n, n%250, n, n%250, reply)
	},
	"exim": func(n int, reply string) string {
		return fmt.Sprintf("2026-11-23 19:26:51 1xV%03d-0004P3-%02d ** user-%d@d%d.attacker.example R=remote T=remote_smtp H=mx%d.attacker.example [198.51.100.%d]: SMTP error from remote mail server after RCPT TO:<user-%d@d%d.attacker.example>: %s\n",
			n/100%1000, n%100, n, n, n, n%250, n, n, reply)
	},
	"haraka": func(n int, reply string) string {
		return fmt.Sprintf("[NOTICE] [72D89817-58BD-4437-AC04-%012X.1.1] [outbound] recipient <user-%d@d%d.attacker.example> rejected: %s\n", n, n, n, reply)
	},
}

var series = regexp.MustCompile(`(?m)^([a-z_]+(?:\{.*\})?) \S+$`)

// seriesOf returns the names and labels of all that is measured.
func (p *process) seriesOf() map[string]bool {
	p.t.Helper()
	_, body := p.get("/metrics")
	all := map[string]bool{}
	for _, m := range series.FindAllStringSubmatch(body, -1) {
		all[m[1]] = true
	}
	return all
}

func TestHostileLogsForgeNothingAndLeaveTheNumberOfSeriesUnchanged(t *testing.T) {
	const attempts = 100_000 // of all servers together
	dir, addr := t.TempDir(), lab.FreeAddr(t)
	config, logs := "sources:\n", map[string]*os.File{}
	for mta, attack := range attacks {
		f, err := os.Create(filepath.Join(dir, mta+".log"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		logs[mta] = f
		config += fmt.Sprintf("  - {path: %s, format: %s, start: beginning}\n", f.Name(), mta)
		if _, err := f.WriteString(attack(0, "550 5.1.1 User unknown")); err != nil {
			t.Fatal(err)
		}
	}
	events := filepath.Join(dir, "events.ndjson")
	config += fmt.Sprintf("state_dir: %s\nsinks: {file: {path: %s}}\nweb: {listen_address: %q}\n", dir, events, addr)
	p := follow(t, dir, "http://"+addr, config, nil)
	p.awaitReady()
	p.await("a first event of each server", func() bool { return bytes.Count([]byte(text(t, events)), []byte("\n")) == len(attacks) })
	before := p.seriesOf()
	if len(before) < 100 {
		t.Fatalf("only %d series", len(before))
	}

	each := attempts / len(attacks)
	for mta, attack := range attacks {
		w := bufio.NewWriter(logs[mta])
		for n := 1; n <= each; n++ {
			w.WriteString(attack(n, hostileReplies[n%len(hostileReplies)]))
			if n%10_000 == 0 {
				w.WriteString(strings.Repeat("\x00", 5000) + strings.Repeat("x", 1<<20) + "\n") // no delivery at all
			}
		}
		// A delivery that is longer than a line may be.
		w.WriteString(attack(each+1, "550 5.1.1 "+strings.Repeat("status=sent (ok) ", 1<<16)))
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	want := len(attacks) * (each + 2)
	awaitLines(t, p, events, want)

	got := map[string]int{}
	f, err := os.Open(events)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e struct{ ID, MTA, Status, Recipient, Category string }
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil || !utf8.Valid(lines.Bytes()) {
			t.Fatalf("no JSON: %v in %.300s", err, lines.Text())
		}
		if e.Status != "bounced" || !strings.HasSuffix(e.Recipient, ".attacker.example") {
			t.Fatalf("forged: %.500s", lines.Text())
		}
		got[e.MTA]++
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	for mta := range attacks {
		if got[mta] != each+2 {
			t.Errorf("%d events of %s, want %d", got[mta], mta, each+2)
		}
	}
	after := p.seriesOf()
	for name := range after {
		if !before[name] {
			t.Errorf("a new series: %s", name)
		}
	}
	if len(after) != len(before) {
		t.Errorf("%d series, and %d after the attack", len(before), len(after))
	}
	memory := p.memory()
	if memory > 200 {
		t.Errorf("it took %d MiB", memory)
	}
	t.Logf("%d hostile relays and recipients: %d series before and %d after, at most %d MiB", attempts, len(before), len(after), memory)
	p.stop()
}

// awaitLines waits until the file has so many lines, for as long as it grows.
func awaitLines(t *testing.T, p *process, path string, want int) {
	t.Helper()
	last, since := 0, time.Now()
	for {
		n := bytes.Count([]byte(text(t, path)), []byte("\n"))
		switch {
		case n >= want:
			return
		case n != last:
			last, since = n, time.Now()
		case time.Since(since) > 20*time.Second:
			t.Fatalf("%d events, want %d", n, want)
		}
		select {
		case <-p.ended:
			t.Fatalf("mtatap ended: %v", p.err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// memory is the most that the process ever held, in MiB.
func (p *process) memory() int {
	p.t.Helper()
	kib := 0
	for line := range strings.Lines(text(p.t, fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))) {
		if size, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			scan(p.t, strings.TrimSpace(size), "%d kB", &kib)
		}
	}
	return kib >> 10
}
