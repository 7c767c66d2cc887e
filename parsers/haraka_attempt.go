package parsers

import (
	"net/netip"
	"strconv"
	"strings"

	"mtatap/event"
)

// progress remembers what a line tells about the attempt that an item is in: the
// peer, the last command, the connection that failed.
func (p *haraka) progress(rec *harakaRecord, id string, number int32) {
	m := rec.message
	if rec.level == "PROTOCOL" {
		phase, ok := harakaCommand(m)
		if it := p.itemFor(id, number, ok && (phase != event.PhaseBanner || p.memory.get(id) != nil)); it != nil {
			it.enter(phase, m)
		}
		return
	}
	if peer, hasPort, ok := cutHarakaPeer(m); ok {
		if it := p.itemFor(id, number, true); it != nil {
			if it.peer = append(it.peer[:0], clip(peer)...); !hasPort {
				it.peer = append(it.peer, ':')
			}
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

// enter notes the protocol line m, which belongs to that phase: a command, or a
// reply where the phase is the greeting.
func (it *harakaItem) enter(phase event.Phase, m string) {
	isReply := phase == event.PhaseBanner
	if !isReply || it.phase == 0 {
		it.phase = uint8(phase)
	}
	if !isReply {
		it.said = it.said[:0]
	} else if reply := m[len("S: "):]; it.phase == uint8(event.PhaseDot) {
		it.said = append(it.said[:0], reply[:min(len(reply), maxHarakaSaid)]...)
	}
}

// giveReply gives d the codes of the reply to the message's end, which only
// protocol lines have; a "delivered" line has lost them.
func (it *harakaItem) giveReply(d *event.Delivery) {
	if it == nil || len(it.said) == 0 {
		return
	}
	r := event.ParseReply(trimHarakaReason(string(it.said)))
	if r.Code/100 != 2 {
		return
	}
	head := strconv.Itoa(r.Code)
	if d.EnhancedCode == "" && r.Enhanced != "" {
		d.EnhancedCode = r.Enhanced
		head += " " + r.Enhanced
	}
	d.SMTPCode, d.Diagnostic = r.Code, strings.TrimSpace(head+" "+d.Diagnostic)
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

// cutHarakaPeer returns whom the line that starts an attempt names: "host:port",
// at INFO level in 2.8, at DEBUG level in 3.0; since then the host alone, at DEBUG
// level.
func cutHarakaPeer(m string) (peer string, hasPort, ok bool) {
	rest, hasPort := strings.CutPrefix(m, "Attempting to deliver to: ")
	if !hasPort {
		if rest, hasPort = strings.CutPrefix(m, "delivering from: "); hasPort {
			_, rest, ok = strings.Cut(rest, " to: ")
		} else if rest, ok = strings.CutPrefix(m, "deliver: "); ok {
			_, rest, ok = strings.Cut(rest, " -> ")
		}
		if !ok {
			return "", false, false
		}
	}
	peer, _, _ = strings.Cut(rest, " ")
	return peer, hasPort, true
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

// harakaWaiting returns the phase of "socket timeout waiting on rcpt", or that of
// what OpenSSL and Node say of a failed handshake.
func harakaWaiting(cause string) event.Phase {
	_, command, waiting := strings.Cut(cause, "socket timeout waiting on ")
	if !waiting {
		for _, mark := range [...]string{"SSL routines:", "TLS connection", "certificate"} {
			if strings.Contains(cause, mark) {
				return event.PhaseStartTLS
			}
		}
		return event.PhaseUnknown
	}
	switch command {
	case "connect", "connect_lmtp":
		return event.PhaseBanner
	case "dot", "dot_lmtp":
		return event.PhaseDot
	}
	return commandPhase(strings.ToUpper(command))
}

// harakaPeer reads "address:port" or "address:"; what is no address is a host
// name or the path of a socket, whose port is none.
func harakaPeer[T ~string | ~[]byte](peer T) event.Relay {
	s := string(peer)
	colon := strings.LastIndexByte(s, ':')
	if colon < 0 {
		return event.Relay{Host: s}
	}
	host, port := s[:colon], s[colon+1:]
	if strings.HasPrefix(s, "/") {
		if harakaPort(port) > 0 || port == "" || port == "undefined" {
			return event.Relay{Host: host}
		}
		return event.Relay{Host: s}
	}
	relay := event.Relay{Port: harakaPort(port)}
	if isHarakaIP(host) {
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
