package parsers

import (
	"strings"

	"mtatap/event"
)

const (
	triedAllMXs      = "Tried all MXs"
	harakaTempFailed = "Some recipients temp failed: "
)

const lastHarakaPhase = uint8(event.PhaseQueue)

// failed reads a line about a whole item: "Temp failing QF for N seconds: REASON"
// or "bouncing mail: REASON".
func (p *haraka) failed(dst []event.Delivery, line Line, id string, number int32, loose []byte) ([]event.Delivery, error) {
	var l harakaLine
	p.retain(&l, line, p.memory.get(id))
	status, attempt, reason, ok := readHarakaFailure(l.text(l.message))
	if !ok {
		return dst, errHarakaDeferral
	}
	return p.fails(dst, &l, harakaFailure{id, number, status, attempt, reason}, loose), nil
}

// harakaFailure is the end of an attempt that failed for an item.
type harakaFailure struct {
	id      string // of the transaction
	number  int32
	status  event.Status
	attempt int // 0 if the line has none
	reason  string
}

// fails gives the failure to the recipients that it is about.
func (p *haraka) fails(dst []event.Delivery, l *harakaLine, f harakaFailure, loose []byte) []event.Delivery {
	t, isNew := p.remember(f.id)
	before := t.size
	it := t.item(f.number)
	if it != nil && f.reason == triedAllMXs {
		it.adopt(loose)
	}
	l.delivery.Status = f.status
	if l.delivery.Attempt = f.attempt; f.attempt == 0 {
		l.delivery.Attempt = p.attempt(t, it, isNew)
	}
	if named, ok := cutHarakaNamed(f.reason); ok {
		dst = p.failedSome(dst, l, t, f.number, named, f.reason)
	} else {
		dst = p.failedAll(dst, l, t, f.number, f.reason)
	}
	if it != nil {
		it.attemptEnds()
		if it.fails++; f.attempt > 0 {
			it.fails = int32(f.attempt)
		}
	}
	p.bytes += t.size - before
	if f.status != event.Deferred {
		p.forgetClosed(f.id, t)
	}
	return dst
}

// unjoined reads the failure of an item whose queue file could not be read, so
// that Haraka itself does not know whose it was.
func (p *haraka) unjoined(dst []event.Delivery, line Line) ([]event.Delivery, error) {
	var l harakaLine
	p.retain(&l, line, nil)
	m := l.text(l.message)
	d := l.delivery
	var ok bool
	if d.Status, d.Attempt, d.Diagnostic, ok = readHarakaFailure(m); !ok {
		return dst, errHarakaDeferral
	}
	d.Phase = event.PhaseQueue
	file, found := strings.CutPrefix(m, "Temp failing ")
	if d.QueueID, _, _ = strings.Cut(file, " "); !found {
		d.QueueID = ""
	}
	return append(dst, d), nil
}

// isHarakaDropped reports whether m says that a plugin did not want the message to
// be tried again: "plugin responded with: 906. Not deferring. Deleting mail."
func isHarakaDropped(m string) bool {
	rest, ok := strings.CutPrefix(m, "plugin responded with: ")
	if !ok {
		return false
	}
	code, rest, _ := strings.Cut(rest, ".")
	return allDigits(code) && rest == " Not deferring. Deleting mail."
}

// dropped gives up the recipients that the attempt deferred, or, where it failed
// as a whole, all of the item.
func (p *haraka) dropped(dst []event.Delivery, line Line, id string, number int32) ([]event.Delivery, error) {
	var l harakaLine
	t := p.memory.get(id)
	p.retain(&l, line, t)
	reason := l.text(l.message)
	if t != nil {
		var deferred []string
		for i := range t.recipients {
			if r := &t.recipients[i]; r.item == number && r.state == harakaDeferred {
				deferred = append(deferred, "<"+string(r.addr)+">")
			}
		}
		if deferred != nil {
			reason = harakaTempFailed + strings.Join(deferred, ", ")
		}
	}
	return p.fails(dst, &l, harakaFailure{id: id, number: number, status: event.Expired, reason: reason}, nil), nil
}

// harakaFaults are lines that come before the one that gives up an item for the
// same reason. That one is an INFO line; they are not.
var harakaFaults = [...]string{"Unrecognized response from upstream server: ", "MX Lookup for ", "get_mx plugin returned DENY"}

func isHarakaFault(rec *harakaRecord) bool {
	return rec.level != "PROTOCOL" && rec.level != "DEBUG" && hasHarakaPrefix(rec.message, harakaFaults[:]...)
}

// faulted reads what is told of a failure where the log has no INFO lines, not
// even those that come between a message's arrival and its delivery.
func (p *haraka) faulted(dst []event.Delivery, line Line, id string, number int32) ([]event.Delivery, error) {
	t := p.memory.get(id)
	if t == nil || !t.whole || !t.queued {
		return dst, nil
	}
	var l harakaLine
	p.retain(&l, line, t)
	f := harakaFailure{id: id, number: number, status: event.Bounced, reason: trimHarakaReason(l.text(l.message))}
	switch _, cause, _ := strings.Cut(f.reason, " failed: "); {
	case strings.HasPrefix(f.reason, "get_mx plugin returned DENYSOFT"):
		f.status = event.Deferred
	case strings.HasPrefix(f.reason, "MX Lookup for ") && !strings.Contains(cause, " ENOTFOUND ") && cause != "Error: Found nowhere to deliver to":
		f.status = event.Deferred
	}
	return p.fails(dst, &l, f, nil), nil
}

// readHarakaFailure splits the line into what it means and why. The attempt is
// that of the queue file, 0 where the line has none.
func readHarakaFailure(m string) (status event.Status, attempt int, reason string, ok bool) {
	if rest, found := strings.CutPrefix(m, "Temp failing "); found {
		file, rest, ok := strings.Cut(rest, " for ")
		if !ok {
			return 0, 0, "", false
		}
		_, reason, ok = strings.Cut(rest, " seconds: ")
		return event.Deferred, harakaAttempt(file), trimHarakaReason(reason), ok
	}
	reason = trimHarakaReason(m[len("bouncing mail: "):])
	if inner, found := strings.CutPrefix(reason, "Too many failures ("); found {
		return event.Expired, 0, trimHarakaReason(strings.TrimSuffix(inner, ")")), true
	}
	return event.Bounced, 0, reason, true
}

// trimHarakaReason removes what a remote line's end left: white space, and "\r"
// as versions before 3.1 write it.
func trimHarakaReason(s string) string {
	for {
		t := strings.TrimRight(s, " \r\n\t")
		if t = strings.TrimSuffix(t, `\r`); t == s {
			return t
		}
		s = t
	}
}

// harakaAttempt returns the number of the attempt that the name of a queue file
// (arrival_next_attempts_pid_unique_counter_host) carries, 0 if it is none.
func harakaAttempt(file string) int {
	for range 2 {
		_, rest, ok := strings.Cut(file, "_")
		if !ok {
			return 0
		}
		file = rest
	}
	part, _, _ := strings.Cut(file, "_")
	n, ok := harakaNumber(part)
	if !ok {
		return 0
	}
	return int(n) + 1
}

// cutHarakaNamed returns the list "<a>, <b>" of a reason that names recipients.
func cutHarakaNamed(reason string) (list string, ok bool) {
	for _, head := range [...]string{harakaTempFailed, "Some recipients failed: "} {
		if list, ok := strings.CutPrefix(reason, head); ok {
			return list, true
		}
	}
	return "", false
}

// failedSome gives the recipients that the reason names their outcome, unless
// their own lines already did. Expiry is told in any case: it is final, where
// their own lines said deferred.
func (p *haraka) failedSome(dst []event.Delivery, l *harakaLine, t *harakaTransaction, number int32, list, reason string) []event.Delivery {
	before := len(dst)
	if it := t.known(number); it != nil {
		l.delivery.Relay = harakaPeer(it.peer)
	}
	for range maxHarakaRecipients {
		addr, rest, ok := cutHarakaAddress(list)
		if !ok {
			break
		}
		r := t.find(addr, number)
		d := l.to(addr)
		switch {
		case r != nil && r.state == harakaDeferred && d.Status == event.Expired:
			setHarakaReply(&d, string(r.reply))
			d.Phase = event.PhaseRcpt
			dst = appendHarakaOnce(dst, before, d)
		case r == nil || r.state == harakaOpen:
			d.Diagnostic, d.Phase = reason, event.PhaseRcpt
			dst = appendHarakaOnce(dst, before, d)
		}
		if r == nil {
			r = t.add(addr)
		}
		if r != nil {
			r.item = number
			if r.state = harakaOpen; d.Status != event.Deferred {
				r.state = harakaClosed
			}
		}
		if list, ok = strings.CutPrefix(rest, ", "); !ok {
			break
		}
	}
	return dst
}

// failedAll gives the outcome to the recipients of the item that had none in
// this attempt; a final one also to those reported as deferred. Where no
// recipient is known the delivery has none.
func (p *haraka) failedAll(dst []event.Delivery, l *harakaLine, t *harakaTransaction, number int32, reason string) []event.Delivery {
	d := &l.delivery
	explainHaraka(d, t.known(number), reason)
	p.learnIndex(t, number)
	known, before := false, len(dst)
	for i := range t.recipients {
		r := &t.recipients[i]
		if t.itemOf(i, p.split) != number {
			continue
		}
		known = true
		if r.twice && !p.split || r.state == harakaClosed {
			continue
		}
		if r.state == harakaOpen || r.state == harakaDeferred && d.Status != event.Deferred {
			dst = l.give(dst, before, string(r.addr))
		}
		// A recipient that was rejected is tried again with all the others.
		if r.state = harakaOpen; d.Status != event.Deferred {
			r.state = harakaClosed
		}
	}
	if !known {
		p.verp.recoverRecipient(d)
		dst = append(dst, *d)
	}
	return dst
}

// attemptEnds forgets what was only true of the attempt.
func (it *harakaItem) attemptEnds() {
	it.phase, it.lost, it.peer, it.trouble, it.said = 0, 0, it.peer[:0], it.trouble[:0], it.said[:0]
}

// adopt takes a failed connection that was logged without an item. Before 3.1 it
// is logged so, and for the last host of an item directly before the line that
// gives up. Where the item's peer is known it must be that of the connection.
func (it *harakaItem) adopt(loose []byte) {
	peer := string(it.peer)
	if path := harakaPeer(peer).Host; strings.HasPrefix(path, "/") {
		peer = path // a connection to a socket fails without its port
	}
	if len(loose) > 0 && strings.Contains(string(loose), peer) {
		it.trouble, it.lost = append(it.trouble[:0], loose...), 0
	}
}

// setHarakaReply fills in a remote's reply.
func setHarakaReply(d *event.Delivery, s string) {
	r := event.ParseReply(s)
	d.SMTPCode, d.EnhancedCode, d.Diagnostic = r.Code, r.Enhanced, r.Text
}

// explainHaraka fills in the reason of an item's failure: reply, phase and peer.
func explainHaraka(d *event.Delivery, it *harakaItem, reason string) {
	if it != nil {
		d.Phase = event.Phase(it.phase)
		d.Relay = harakaPeer(it.peer)
	}
	reply, isReply := strings.CutPrefix(reason, "Upstream error: ")
	if setHarakaReply(d, reply); isReply || d.SMTPCode != 0 {
		return
	}
	if reply, ok := strings.CutPrefix(reason, "Unrecognized response from upstream server: "); ok {
		if setHarakaReply(d, reply); d.SMTPCode < 400 {
			d.Diagnostic = reason
		}
		return
	}
	switch {
	case reason == triedAllMXs || isHarakaDropped(reason):
		explainTrouble(d, it)
	case hasHarakaPrefix(reason, "DNS lookup failure", "Temporary MX lookup error", "No MX for ", "No Such Domain", "Nowhere to deliver mail", "Domain ", "MX Lookup for ", "get_mx plugin "):
		d.Phase, d.Relay = event.PhaseDNS, event.Relay{}
	case hasHarakaPrefix(reason, "No TLS available", "Host failed TLS verification"):
		d.Phase = event.PhaseStartTLS
	}
}

// explainTrouble adds the connection that failed last: the reason "Tried all MXs"
// does not say what happened.
func explainTrouble(d *event.Delivery, it *harakaItem) {
	if it == nil || len(it.trouble) == 0 {
		return
	}
	trouble := string(it.trouble)
	d.Diagnostic += " (" + trouble + ")"
	if d.Relay, d.Phase = readHarakaTrouble(trouble); d.Phase == event.PhaseUnknown {
		d.Phase = event.Phase(it.lost)
	}
}

func hasHarakaPrefix(s string, prefixes ...string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}
