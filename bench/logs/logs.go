// Package logs makes mail logs of any length for measurements: the same options
// give the same bytes, on every machine. Addresses and replies are invented; the
// lines are of the form that Postfix, Exim and Haraka write. It must never use the
// clock or chance, or take from a real log.
package logs

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// Options say what kind of log to make. Zero values mean the default.
type Options struct {
	MTA    string  // postfix (the default), exim or haraka
	Lines  int     // at least; the last message is whole
	Seed   uint64  // of the random numbers
	Status float64 // share of lines that tell an outcome; default: that of mails with one recipient
	Failed float64 // share of outcomes that are no success; default one in five
	// Distinct gives each failure a reply of its own.
	Distinct bool
	// FailedOnly writes nothing but failed status lines, each with a reply of its
	// own. In Haraka's log, where such a line means nothing alone, the lines
	// around it stay.
	FailedOnly bool
}

// Write writes a log to out.
func Write(out io.Writer, o Options) error {
	if o.Failed == 0 {
		o.Failed = 0.2
	}
	if o.FailedOnly {
		o.Failed, o.Status = 1, 1
	}
	w := &writer{Options: o, w: bufio.NewWriterSize(out, 1<<20), random: rand.New(rand.NewPCG(o.Seed, o.Seed)),
		clock: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)}
	var m mta
	switch o.MTA {
	case "", "postfix":
		m = postfix{w}
	case "exim":
		m = exim{w}
	case "haraka":
		m = haraka{w}
	default:
		return fmt.Errorf("make log of %q: use postfix, exim or haraka", o.MTA)
	}
	natural := 1 / float64(1+m.others())
	_, single := m.(haraka)
	switch {
	case w.Status == 0 || single && o.FailedOnly:
		w.Status = natural
	case w.Status < 0 || w.Status > 1 || single && w.Status > natural:
		return fmt.Errorf("make log of %s: a share of status lines of %g is impossible", o.MTA, w.Status)
	}
	for w.lines < o.Lines {
		w.message(m)
	}
	return w.w.Flush()
}

// mta writes lines in the form of one mail server.
type mta interface {
	others() int                  // how many lines of a message tell no outcome
	begin(m *message)             // the lines before the outcomes
	outcome(m *message, r result) // one line for one recipient
	end(m *message)
	noise() // one line of no message
}

// message is one mail under way.
type message struct {
	id         string
	domain     string
	relay      string // host name and address
	ip         string
	sender     string
	recipients []string
}

// result is how a message fares for one recipient.
type result struct {
	to     string
	failed *failure // nil: delivered
	reply  string   // of the remote; "" where there was no connection
	serial int
}

// failure is a kind of failure: the remote's reply, in which {relay}, {to} and {n}
// are filled in, and what was said last to get it.
type failure struct {
	deferred bool
	dsn      string
	reply    string
	after    string // RCPT, MAIL or DATA; "" where the connection failed
}

var failures = []failure{
	{false, "5.1.1", "550 5.1.1 <{to}>: Recipient address rejected: User unknown in virtual mailbox table, request {n}", "RCPT"},
	{false, "5.7.1", "550 5.7.1 Unfortunately, messages from [192.0.2.7] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3150) {n}", "MAIL"},
	{true, "4.2.2", "452 4.2.2 <{to}>: The recipient's inbox is out of storage space {n}", "RCPT"},
	{true, "4.7.1", "451 4.7.1 <{to}>: Recipient address rejected: Greylisted, try again in {n} seconds", "RCPT"},
	{false, "5.0.0", "554 Message rejected as spam, reference {n}", "DATA"},
	{true, "4.4.1", "", ""},
}

var domains = []string{"gmail.com", "outlook.com", "yahoo.com", "icloud.com", "example.com", "example.net", "mail.example.org", "web.de", "orange.fr", "comcast.net"}

// writer keeps count of what was written.
type writer struct {
	Options
	w        *bufio.Writer
	random   *rand.Rand
	clock    time.Time
	lines    int
	outcomes int
	serial   int
}

// message writes one message, with as many recipients or as much noise around it
// as keep the share of outcomes.
func (w *writer) message(m mta) {
	w.clock = w.clock.Add(time.Duration(w.random.IntN(120)) * time.Millisecond)
	recipients := 1
	if w.Status < 1 {
		want := (w.Status*float64(w.lines+m.others()) - float64(w.outcomes)) / (1 - w.Status)
		recipients = max(1, int(want+0.5))
	}
	for float64(w.outcomes+1) > w.Status*float64(w.lines+m.others()+1)+0.5 {
		m.noise()
	}
	domain := domains[w.random.IntN(len(domains))]
	msg := &message{domain: domain, sender: "bounce+" + strconv.Itoa(w.random.IntN(100000)) + "@sender.example",
		relay: "mx" + strconv.Itoa(1+w.random.IntN(4)) + "." + domain, ip: "198.51.100." + strconv.Itoa(1+w.random.IntN(250))}
	for range recipients {
		msg.recipients = append(msg.recipients, "user"+strconv.Itoa(100000+w.random.IntN(900000))+"@"+domain)
	}
	msg.id = strings.ToUpper(strconv.FormatUint(0x4000000000+w.random.Uint64()&0x3fffffffff, 16))
	bare := w.Status == 1
	if !bare {
		m.begin(msg)
	}
	for _, to := range msg.recipients {
		m.outcome(msg, w.result(msg, to))
		w.outcomes++
	}
	if !bare {
		m.end(msg)
	}
}

func (w *writer) result(m *message, to string) result {
	w.serial++
	r := result{to: to, serial: w.serial}
	if w.random.Float64() >= w.Failed {
		return r
	}
	n := w.serial
	if !w.Distinct && !w.FailedOnly {
		n = w.random.IntN(1000)
	}
	r.failed = &failures[w.random.IntN(len(failures))]
	r.reply = strings.NewReplacer("{relay}", m.relay, "{to}", to, "{n}", strconv.Itoa(n)).Replace(r.failed.reply)
	return r
}

// line writes one line of these parts.
func (w *writer) line(parts ...string) {
	for _, p := range parts {
		w.w.WriteString(p) // errors are kept by the writer and told by Flush
	}
	w.w.WriteByte('\n')
	w.lines++
}

// pid returns a process number; there are few, as on a real host.
func (w *writer) pid() string { return strconv.Itoa(1000 + w.random.IntN(50)) }

// client returns the host that gave us a message.
func (w *writer) client() (name, ip string) {
	n := strconv.Itoa(w.random.IntN(9))
	return "app" + n + ".internal.example", "10.0." + n + "." + strconv.Itoa(w.random.IntN(250))
}

func (w *writer) decimal(n int) string {
	return strconv.Itoa(w.random.IntN(n)) + "." + strconv.Itoa(10+w.random.IntN(90))
}
