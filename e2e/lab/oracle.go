package lab

import (
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"mtatap/event"
)

// Exchange is what the scripted server really said about one recipient in one
// attempt: the end of that attempt.
type Exchange struct {
	Time    time.Time `json:"time"`
	Session int       `json:"session"`
	// Attempt of this sender for this recipient, from 1.
	Attempt   int    `json:"attempt"`
	Sender    string `json:"sender"`
	Recipient string `json:"recipient"`
	Script    string `json:"script,omitempty"` // name; none: nothing to refuse
	Stage     Stage  `json:"stage"`
	// Code and Enhanced are those of the reply's last line; 0 for a hang-up.
	Code     int            `json:"code,omitempty"`
	Enhanced string         `json:"enhanced,omitempty"`
	Reply    string         `json:"reply"` // as said, lines separated by "\n"
	Category event.Category `json:"category"`
	Hostile  bool           `json:"hostile,omitempty"`
}

// oracle collects exchanges; safe for use by many sessions.
type oracle struct {
	mu        sync.Mutex
	attempts  map[string]int // by sender and recipient: how many are recorded
	exchanges []Exchange
}

func (o *oracle) attempt(sender, recipient string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.attempts[sender+" "+recipient] + 1
}

func (o *oracle) record(session int, at Stage, script Script, sender, recipient, reply string) {
	e := Exchange{
		Time: time.Now().UTC(), Session: session, Sender: sender, Recipient: recipient,
		Script: script.Name, Stage: at, Reply: reply, Category: script.Category, Hostile: script.Hostile,
	}
	if reply == HangUp {
		e.Reply = ""
	}
	e.Code, e.Enhanced = codes(e.Reply)
	if e.Code/100 == 2 {
		e.Category = event.CategoryDelivered
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	key := sender + " " + recipient
	o.attempts[key]++
	e.Attempt = o.attempts[key]
	o.exchanges = append(o.exchanges, e)
}

func (o *oracle) all() []Exchange {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]Exchange(nil), o.exchanges...)
}

var replyLine = regexp.MustCompile(`^(\d\d\d)(?: ([245]\.\d{1,3}\.\d{1,3})(?: |$))?`)

// codes reads the last line of a reply by its own grammar, not the product's.
func codes(reply string) (code int, enhanced string) {
	m := replyLine.FindStringSubmatch(reply[strings.LastIndexByte(reply, '\n')+1:])
	if m == nil {
		return 0, ""
	}
	code, _ = strconv.Atoi(m[1])
	return code, m[2]
}
