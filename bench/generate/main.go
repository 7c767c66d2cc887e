// Command generate writes a mail log of any length for measurements: the same
// seed gives the same log.
//
//	go run ./bench/generate --lines 2000000 > mail.log
//
// In a Postfix log every seventh line is a delivery status and every fifth of
// these has failed, as on a busy relay.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"time"
)

func main() {
	lines := flag.Int("lines", 2_000_000, "how many lines to write")
	seed := flag.Uint64("seed", 1, "seed of the random numbers")
	distinct := flag.Bool("failed-only", false, "only failed status lines, each with a reply of its own")
	flag.Parse()
	if err := generate(os.Stdout, *lines, *seed, *distinct); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

// generate writes at least the given number of lines: whole messages.
func generate(out io.Writer, lines int, seed uint64, failedOnly bool) error {
	g := &postfix{w: bufio.NewWriterSize(out, 1<<20), random: rand.New(rand.NewPCG(seed, seed)), clock: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), failedOnly: failedOnly}
	for g.lines < lines {
		g.message()
	}
	return g.w.Flush()
}

// postfix writes what Postfix logs, message after message.
type postfix struct {
	w          *bufio.Writer
	random     *rand.Rand
	clock      time.Time
	lines      int
	failedOnly bool
}

var domains = []string{"gmail.com", "outlook.com", "yahoo.com", "icloud.com", "example.com", "example.net", "mail.example.org", "web.de", "orange.fr", "comcast.net"}

// reply is how a message fares: status, the MTA's status code and the reason, in
// which {relay}, {to} and {n} (a number) are filled in.
type reply struct{ status, dsn, reason string }

var (
	sent   = reply{"sent", "2.0.0", "250 2.0.0 Ok: queued as {n}"}
	failed = []reply{
		{"bounced", "5.1.1", "host {relay} said: 550-5.1.1 The email account that you tried to reach does not exist. Please try double-checking the recipient's email address for typos 550 5.1.1 <{to}> {n} - gsmtp (in reply to RCPT TO command)"},
		{"bounced", "5.7.1", "host {relay} said: 550 5.7.1 Unfortunately, messages from [192.0.2.{n}] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3150) (in reply to MAIL FROM command)"},
		{"deferred", "4.2.2", "host {relay} said: 452 4.2.2 <{to}>: The recipient's inbox is out of storage space {n} (in reply to RCPT TO command)"},
		{"deferred", "4.7.1", "host {relay} said: 451 4.7.1 <{to}>: Recipient address rejected: Greylisted, try again in {n} seconds (in reply to RCPT TO command)"},
		{"bounced", "5.0.0", "host {relay} said: 554 Message rejected as spam, reference {n} (in reply to end of DATA command)"},
		{"deferred", "4.4.1", "connect to {relay}:25: Connection timed out"},
	}
)

func (g *postfix) message() {
	g.clock = g.clock.Add(time.Duration(g.random.IntN(120)) * time.Millisecond)
	id := fmt.Sprintf("%010X", g.random.Uint64()&0xffffffffff)
	domain := domains[g.random.IntN(len(domains))]
	recipient := fmt.Sprintf("user%06d@%s", g.random.IntN(1_000_000), domain)
	relay := fmt.Sprintf("mx%d.%s[198.51.100.%d]", 1+g.random.IntN(4), domain, 1+g.random.IntN(250))
	r := sent
	if g.failedOnly || g.random.IntN(5) == 0 {
		r = failed[g.random.IntN(len(failed))]
	}
	if !g.failedOnly {
		client := fmt.Sprintf("app%d.internal.example[10.0.%d.%d]", g.random.IntN(9), g.random.IntN(250), g.random.IntN(250))
		g.line("smtpd", "connect from %s", client)
		g.line("smtpd", "%s: client=%s", id, client)
		g.line("cleanup", "%s: message-id=<%d.%s@app.example>", id, g.clock.UnixNano(), id)
		g.line("qmgr", "%s: from=<bounce+%d@sender.example>, size=%d, nrcpt=1 (queue active)", id, g.random.IntN(100000), 2000+g.random.IntN(90000))
		g.line("smtpd", "disconnect from %s ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5", client)
	}
	reason := strings.NewReplacer("{relay}", relay, "{to}", recipient, "{n}", strconv.Itoa(g.random.IntN(1<<20))).Replace(r.reason)
	g.line("smtp", "%s: to=<%s>, relay=%s:25, delay=%d.%d, delays=0.1/0/0.3/0.5, dsn=%s, status=%s (%s)", id, recipient, relay, g.random.IntN(30), g.random.IntN(100), r.dsn, r.status, reason)
	if !g.failedOnly {
		g.line("qmgr", "%s: removed", id)
	}
}

func (g *postfix) line(daemon, format string, args ...any) {
	fmt.Fprintf(g.w, "%s mta-out postfix/%s[%d]: ", g.clock.Format("Jan _2 15:04:05"), daemon, 1000+g.random.IntN(50))
	fmt.Fprintf(g.w, format, args...)
	g.w.WriteByte('\n') // errors are kept by the writer and told by Flush
	g.lines++
}
