package parsers

import (
	"net/netip"
	"strings"

	"mtatap/event"
)

const triedAllMXs = "Tried all MXs"

const lastHarakaPhase = uint8(event.PhaseQueue)

// failed reads a line about a whole item: "Temp failing QF for N seconds: REASON"
// or "bouncing mail: REASON".
func (p *haraka) failed(dst []event.Delivery, line Line, id string, number int32, loose []byte) ([]event.Delivery, error) {
	l := p.retain(line)
	status, attempt, reason, ok := readHarakaFailure(l.text(l.message))
	if !ok {
		return dst, errHarakaDeferral
	}
	t, isNew := p.remember(id)
	before := t.size
	it := t.item(number)
	if it != nil && reason == triedAllMXs {
		it.adopt(loose)
	}
	l.delivery.Status = status
	if l.delivery.Attempt = attempt; attempt == 0 {
		l.delivery.Attempt = p.attempt(t, it, isNew)
	}
	l.from(t)
	if named, ok := cutHarakaNamed(reason); ok {
		dst = p.failedSome(dst, l, t, number, named, reason)
	} else {
		dst = p.failedAll(dst, l, t, number, reason)
	}
	if it != nil {
		it.attemptEnds()
		if it.fails++; attempt > 0 {
			it.fails = int32(attempt)
		}
	}
	p.bytes += t.size - before
	if status != event.Deferred {
		p.forgetClosed(id, t)
	}
	return dst, nil
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
	for _, head := range [...]string{"Some recipients temp failed: ", "Some recipients failed: "} {
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
			dst = appendHarakaOnce(dst, before, l.to(string(r.addr)))
		}
		// A recipient that was rejected is tried again with all the others.
		if r.state = harakaOpen; d.Status != event.Deferred {
			r.state = harakaClosed
		}
	}
	if !known {
		dst = append(dst, *d)
	}
	return dst
}

// attemptEnds forgets what was only true of the attempt.
func (it *harakaItem) attemptEnds() {
	it.phase, it.lost, it.peer, it.trouble = 0, 0, it.peer[:0], it.trouble[:0]
}

// adopt takes a failed connection that was logged without an item. Before 3.1 it
// is logged so, and for the last host of an item directly before the line that
// gives up. Where the item's peer is known it must be that of the connection.
func (it *harakaItem) adopt(loose []byte) {
	if len(loose) > 0 && strings.Contains(string(loose), string(it.peer)) {
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
	case reason == triedAllMXs:
		explainTrouble(d, it)
	case hasHarakaPrefix(reason, "DNS lookup failure", "Temporary MX lookup error", "No MX for ", "No Such Domain", "Nowhere to deliver mail", "Domain "):
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

// progress remembers what a line tells about the attempt that an item is in: the
// peer, the last command, the connection that failed.
func (p *haraka) progress(rec *harakaRecord, id string, number int32) {
	m := rec.message
	if rec.level == "PROTOCOL" {
		phase, ok := harakaCommand(m)
		if it := p.itemFor(id, number, ok && (phase != event.PhaseBanner || p.memory.get(id) != nil)); it != nil && (it.phase == 0 || phase != event.PhaseBanner) {
			it.phase = uint8(phase)
		}
		return
	}
	if peer, ok := cutHarakaPeer(m); ok {
		if it := p.itemFor(id, number, true); it != nil {
			it.peer = append(it.peer[:0], clip(peer)...)
		}
		return
	}
	if !hasHarakaPrefix(m, "Failed to get ", "Ongoing connection failed to ", "Remote end ", "DNS lookup of ", "DNS (") {
		return
	}
	if it := p.itemFor(id, number, true); it != nil {
		it.trouble = appendHarakaTrouble(it.trouble[:0], rec)
		it.lost, it.phase, it.peer = it.phase, 0, it.peer[:0]
	}
}

// itemFor returns the item, nil if it is unwanted or there are too many.
func (p *haraka) itemFor(id string, number int32, wanted bool) *harakaItem {
	if !wanted {
		return nil
	}
	t, _ := p.remember(id)
	before := t.size
	it := t.item(number)
	p.bytes += t.size - before
	return it
}

// harakaCommand returns the phase that a protocol line enters: the command of
// "C: RCPT TO:<a>", or of "S: 220 ..." the greeting, unless a command came before.
func harakaCommand(m string) (event.Phase, bool) {
	if strings.HasPrefix(m, "S: ") {
		return event.PhaseBanner, true
	}
	command, ok := strings.CutPrefix(m, "C: ")
	if !ok {
		return 0, false
	}
	if command == "." {
		return event.PhaseDot, true
	}
	word, _, _ := strings.Cut(command, " ")
	phase := commandPhase(word)
	return phase, phase != event.PhaseUnknown
}

// cutHarakaPeer returns "host:port" of the line that starts an attempt: at INFO
// level in 2.8, at DEBUG level in 3.0.
func cutHarakaPeer(m string) (peer string, ok bool) {
	rest, ok := strings.CutPrefix(m, "Attempting to deliver to: ")
	if !ok {
		if rest, ok = strings.CutPrefix(m, "delivering from: "); ok {
			_, rest, ok = strings.Cut(rest, " to: ")
		}
	}
	if !ok {
		return "", false
	}
	peer, _, _ = strings.Cut(rest, " ")
	return peer, true
}

// appendHarakaTrouble appends the message without its wrapping.
func appendHarakaTrouble(dst []byte, rec *harakaRecord) []byte {
	m := rec.message
	for _, head := range [...]string{"Failed to get socket: ", "Failed to get pool entry: ", "Outbound connection error: ", "Error: "} {
		m = strings.TrimPrefix(m, head)
	}
	m, _, _ = strings.Cut(m, " - Local (")
	m = strings.TrimSuffix(m, " Trying next MX.")
	start := len(dst)
	if m = clip(m); rec.format == harakaDefault {
		dst = append(dst, m...)
	} else {
		dst = appendUnescaped(dst, m)
	}
	return dst[:min(len(dst), start+maxHarakaTrouble)]
}

// readHarakaTrouble returns the peer and the phase of a connection that failed:
//
//	connect ECONNREFUSED 192.0.2.1:25
//	connection timed out to outbound::{"port":25,"host":"192.0.2.1"}
//	Outbound connection timed out to 192.0.2.1:25
//	Ongoing connection failed to 192.0.2.1:25 : socket timeout waiting on rcpt
//	Remote end 192.0.2.1:25 closed connection while we were processing mail.
func readHarakaTrouble(s string) (event.Relay, event.Phase) {
	if rest, ok := strings.CutPrefix(s, "connect "); ok {
		_, peer, _ := strings.Cut(rest, " ")
		peer, _, _ = strings.Cut(peer, ",") // of several addresses the first
		return harakaPeer(peer), event.PhaseConnect
	}
	if rest, ok := strings.CutPrefix(s, "Outbound connection timed out to "); ok {
		return harakaPeer(rest), event.PhaseConnect
	}
	if rest, ok := strings.CutPrefix(s, "connection timed out"); ok {
		var relay event.Relay
		if _, at, ok := strings.Cut(rest, "{"); ok {
			f := harakaFields{json: true, rest: at}
			host, _ := f.find("host")
			port, _ := f.find("port")
			relay = harakaPeer(host + ":" + port)
		}
		return relay, event.PhaseConnect
	}
	if rest, ok := strings.CutPrefix(s, "Ongoing connection failed to "); ok {
		peer, cause, _ := strings.Cut(rest, " : ")
		return harakaPeer(peer), harakaWaiting(cause)
	}
	if rest, ok := strings.CutPrefix(s, "Remote end "); ok {
		peer, _, _ := strings.Cut(rest, " ")
		return harakaPeer(peer), event.PhaseUnknown
	}
	if strings.HasPrefix(s, "DNS ") {
		return event.Relay{}, event.PhaseDNS
	}
	return event.Relay{}, event.PhaseUnknown
}

// harakaWaiting returns the phase of "socket timeout waiting on rcpt".
func harakaWaiting(cause string) event.Phase {
	_, command, _ := strings.Cut(cause, "socket timeout waiting on ")
	switch command {
	case "connect", "connect_lmtp":
		return event.PhaseBanner
	case "dot", "dot_lmtp":
		return event.PhaseDot
	}
	return commandPhase(strings.ToUpper(command))
}

// harakaPeer reads "address:port"; what is no address is a host name or the path
// of a socket, which has no port.
func harakaPeer[T ~string | ~[]byte](peer T) event.Relay {
	s := string(peer)
	colon := strings.LastIndexByte(s, ':')
	if colon < 0 || strings.HasPrefix(s, "/") {
		return event.Relay{Host: s}
	}
	relay := event.Relay{Port: harakaPort(s[colon+1:])}
	if host := s[:colon]; isHarakaIP(host) {
		relay.IP = host
	} else {
		relay.Host = host
	}
	return relay
}

func isHarakaIP(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

// harakaPort returns the port that s is, 0 if it is none.
func harakaPort(s string) int {
	if n, ok := harakaNumber(s); ok && n <= 65535 {
		return int(n)
	}
	return 0
}
