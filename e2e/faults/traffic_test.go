//go:build e2e

package faults

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// outcome is a delivery status that was logged, as an event must tell it.
type outcome struct {
	serial    string // in the reply, one for each status line
	status    string
	recipient string
	sender    string
	messageID string
	attempt   int
}

// name is unique: an expiry repeats the serial of the last deferral.
func (o outcome) name() string { return o.serial + " " + o.status }

// traffic makes up the log of a busy Postfix: many messages under way at once,
// some recipients deferred until they are delivered, refused or given up.
type traffic struct {
	patient  bool // messages never expire
	rng      *rand.Rand
	under    []*message
	messages int
	serials  int
	outcomes []outcome
}

type message struct {
	id        string
	sender    string
	messageID string
	stage     stage
	todo      []*recipient // of this activation
	deferred  []*recipient // in the order of their first deferral
	rounds    int
}

type recipient struct {
	address  string
	attempts int
	last     string // serial of the last deferral
}

type stage int

const (
	stageClient stage = iota
	stageMessageID
	stageActive
	stageStatus
	stageExpire
	stageNotify
	stageRemove
)

const (
	messagesUnderWay = 1500 // at the usual rate each takes some ten seconds
	hotRecipients    = 30
	maxRounds        = 4
)

func newTraffic(seed uint64) *traffic {
	return &traffic{rng: rand.New(rand.NewPCG(seed, 1))}
}

// line returns the next line of the log without its newline.
func (t *traffic) line(now time.Time) string {
	if t.rng.IntN(6) == 0 {
		return t.noise(now)
	}
	for len(t.under) < messagesUnderWay {
		t.under = append(t.under, t.message())
	}
	i := t.rng.IntN(len(t.under))
	m := t.under[i]
	line := t.advance(m, now)
	if m.stage > stageRemove {
		t.under = slices.Delete(t.under, i, i+1)
	}
	return line
}

// single returns the lines of a message to one recipient who gets no other.
func (t *traffic) single(now time.Time) string {
	m := t.message()
	m.todo = m.todo[:1]
	var b strings.Builder
	for len(m.todo) > 0 {
		b.WriteString(t.advance(m, now) + "\n")
	}
	m.todo, m.deferred, m.stage = nil, nil, stageRemove
	return b.String()
}

func (t *traffic) message() *message {
	t.messages++
	m := &message{
		id:        fmt.Sprintf("4E%09X", t.messages),
		sender:    fmt.Sprintf("news+%d@sender.example", t.messages%100),
		messageID: fmt.Sprintf("m%07d@sender.example", t.messages),
	}
	m.todo = append(m.todo, &recipient{address: fmt.Sprintf("u%06d@d%03d.example", t.messages, t.messages%200)})
	for range t.rng.IntN(3) {
		n := t.rng.IntN(hotRecipients)
		r := &recipient{address: fmt.Sprintf("Hot%02d@d%03d.example", n, n)}
		if !slices.ContainsFunc(m.todo, func(o *recipient) bool { return o.address == r.address }) {
			m.todo = append(m.todo, r)
		}
	}
	return m
}

// advance returns the next line of m.
func (t *traffic) advance(m *message, now time.Time) string {
	switch m.stage {
	case stageClient:
		m.stage = stageMessageID
		return logged(now, "smtpd", "%s: client=app.sender.example[192.0.2.10]", m.id)
	case stageMessageID:
		m.stage = stageActive
		return logged(now, "cleanup", "%s: message-id=<%s>", m.id, m.messageID)
	case stageActive:
		m.stage = stageStatus
		return logged(now, "qmgr", "%s: from=<%s>, size=%d, nrcpt=%d (queue active)", m.id, m.sender, 2000+t.messages%5000, len(m.todo))
	case stageExpire:
		m.stage = stageNotify
		for _, r := range m.deferred {
			t.note(m, r, r.last, "expired", r.attempts)
		}
		return logged(now, "qmgr", "%s: from=<%s>, status=expired, returned to sender", m.id, m.sender)
	case stageNotify:
		m.stage = stageRemove
		return logged(now, "bounce", "%s: sender non-delivery notification: 4F%s", m.id, m.id[2:])
	case stageRemove:
		m.stage++
		return logged(now, "qmgr", "%s: removed", m.id)
	}
	line := t.status(m, now)
	if len(m.todo) > 0 {
		return line
	}
	m.rounds++
	switch {
	case len(m.deferred) == 0:
		m.stage = stageRemove
	case m.rounds == maxRounds && !t.patient:
		m.stage = stageExpire
	default:
		m.stage, m.todo = stageActive, slices.Clone(m.deferred)
	}
	return line
}

// status returns the line that says what became of the next recipient of m.
func (t *traffic) status(m *message, now time.Time) string {
	r := m.todo[0]
	m.todo = m.todo[1:]
	t.serials++
	serial := fmt.Sprintf("S%07d", t.serials)
	host := fmt.Sprintf("mx.%s[192.0.2.%d]", r.address[len(r.address)-len("d000.example"):], 20+t.serials%200)
	r.attempts++
	status, dsn, reply := "sent", "2.0.0", "250 2.0.0 Ok: queued as "+serial
	event := "delivered"
	switch n := t.rng.IntN(10); {
	case n < 3:
		status, dsn, event = "deferred", "4.2.1", "deferred"
		reply = fmt.Sprintf("host %s said: 450 4.2.1 %s Mailbox busy, try again later (in reply to RCPT TO command)", host, serial)
	case n < 5:
		status, dsn, event = "bounced", "5.1.1", "bounced"
		reply = fmt.Sprintf("host %s said: 550 5.1.1 %s no such user here (in reply to RCPT TO command)", host, serial)
	}
	t.note(m, r, serial, event, r.attempts)
	known := slices.Index(m.deferred, r)
	switch {
	case status == "deferred":
		r.last = serial
		if known < 0 {
			m.deferred = append(m.deferred, r)
		}
	case known >= 0:
		m.deferred = slices.Delete(m.deferred, known, known+1)
	}
	return logged(now, "smtp", "%s: to=<%s>, relay=%s:25, delay=%.2f, delays=0.01/0.02/0.3/0.1, dsn=%s, status=%s (%s)",
		m.id, r.address, host, 0.43+float64(r.attempts-1)*300, dsn, status, reply)
}

func (t *traffic) note(m *message, r *recipient, serial, status string, attempt int) {
	t.outcomes = append(t.outcomes, outcome{serial, status, r.address, m.sender, m.messageID, attempt})
}

func (t *traffic) noise(now time.Time) string {
	switch t.rng.IntN(4) {
	case 0:
		return logged(now, "smtpd", "connect from app.sender.example[192.0.2.10]")
	case 1:
		return logged(now, "smtpd", "disconnect from app.sender.example[192.0.2.10] ehlo=1 mail=1 rcpt=2 data=1 quit=1 commands=6")
	case 2:
		return logged(now, "smtp", "4E%09X: host mx1.d001.example[192.0.2.21] said: 450 4.2.1 S9999999 first host busy (in reply to RCPT TO command)", t.messages)
	}
	return logged(now, "anvil", "statistics: max connection rate %d/60s for (smtp:192.0.2.10)", 1+t.rng.IntN(90))
}

func logged(now time.Time, program, format string, args ...any) string {
	return now.UTC().Format("2006-01-02T15:04:05.000000+00:00") + " mx1 postfix/" + program + "[372]: " + fmt.Sprintf(format, args...)
}
