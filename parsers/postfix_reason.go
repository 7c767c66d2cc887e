package parsers

import (
	"strings"

	"mtatap/event"
)

// readPostfixReason sets relay, phase, codes and diagnostic of d from the relay
// and the reason of its status line.
func readPostfixReason(d *event.Delivery, f *postfixStatus) {
	reason := f.reason
	if f.cut {
		reason = trimCutRune(reason)
	}
	switch {
	case f.isPeer:
		d.Relay = f.peer
	case f.relay != "none" && f.relay != "" || isPostfixLocal(d.Program) || d.Program == "" && d.Status == event.Delivered:
		d.Phase, d.Diagnostic = event.PhaseLocal, onePostfixLine(reason)
		return
	}
	switch {
	case d.Status != event.Delivered:
		rest, suspended := strings.CutPrefix(reason, "delivery temporarily suspended: ")
		d.NotAttempted = suspended
		readPostfixTrouble(d, rest, f)
	case f.isPeer:
		d.Phase = event.PhaseDot
		setPostfixReply(d, reason)
	default:
		d.Diagnostic = onePostfixLine(reason)
	}
}

// isPostfixLocal reports whether the daemon delivers on this host.
func isPostfixLocal(program string) bool {
	switch program {
	case "local", "virtual", "pipe", "discard":
		return true
	}
	return false
}

// readPostfixTrouble reads why a delivery over the network failed (smtp_proto.c,
// smtp_trouble.c, smtp_connect.c and smtp_addr.c of Postfix), or what error(8)
// was told to say.
func readPostfixTrouble(d *event.Delivery, reason string, f *postfixStatus) {
	if rest, ok := strings.CutPrefix(strings.TrimPrefix(reason, "Protocol error: "), "host "); ok {
		if relay, rest, ok := cutPostfixHost(rest); ok {
			if reply, ok := strings.CutPrefix(rest, " said: "); ok {
				setPostfixRelay(d, relay)
				reply, d.Phase = cutPostfixCommand(reply, f.cut)
				setPostfixReply(d, reply)
				return
			}
			if reply, ok := strings.CutPrefix(rest, " refused to talk to me: "); ok {
				setPostfixRelay(d, relay)
				setPostfixReply(d, reply)
				d.Phase = postfixGreetingPhase(d, f.word)
				return
			}
		}
	}
	d.Diagnostic = onePostfixLine(reason)
	for i := range postfixTroubles {
		t := &postfixTroubles[i]
		rest, ok := strings.CutPrefix(reason, t.prefix)
		if !ok {
			continue
		}
		d.Phase = t.phase
		if t.peer != "" {
			_, rest, ok = strings.Cut(rest, t.peer)
		}
		if !ok {
			return
		}
		relay, rest, ok := cutPostfixPeer(rest)
		if !ok {
			return
		}
		setPostfixRelay(d, relay)
		if t.reply != "" && strings.HasPrefix(rest, t.reply) {
			rest = rest[len(t.reply):]
			if t.phase == event.PhaseConnect {
				rest, d.Phase = strings.TrimSuffix(rest, "(port 25)"), event.PhaseBanner
			}
			setPostfixReply(d, rest)
		}
		if t.phase == event.PhaseUnknown {
			_, doing, _ := strings.Cut(rest, " while ")
			d.Phase = postfixStepPhase(doing)
		}
		return
	}
	if strings.HasSuffix(d.Diagnostic, " does not accept mail (nullMX)") || strings.HasSuffix(d.Diagnostic, " loops back to myself") {
		d.Phase = event.PhaseDNS
		return
	}
	switch d.Program {
	case "error", "retry", "qmgr", "oqmgr", "cleanup", "bounce":
		d.Phase = event.PhaseQueue
	}
}

// postfixTroubles are the reasons that are not a plain reply, by how they start.
var postfixTroubles = [...]struct {
	prefix string
	phase  event.Phase // PhaseUnknown: the reason says " while " doing what
	peer   string      // what stands between prefix and the peer's name, if anything
	reply  string      // what stands between the peer's name and its reply
}{
	{"lost connection with ", event.PhaseUnknown, "", ""},
	{"conversation with ", event.PhaseUnknown, "", ""},
	{"connect to ", event.PhaseConnect, "", ": server refused to talk to me: "}, // before version 2.3
	{"Host or domain name not found.", event.PhaseDNS, "", ""},
	{"Name service error for ", event.PhaseDNS, "", ""},
	{"Host found but no data", event.PhaseDNS, "", ""},
	{"Malformed DNS server reply", event.PhaseDNS, "", ""},
	{"Malformed or unexpected name server reply", event.PhaseDNS, "", ""},
	{"unable to look up host ", event.PhaseDNS, "", ""},
	{"unable to find primary relay", event.PhaseDNS, "", ""},
	{"DNS reply filter ", event.PhaseDNS, "", ""},
	{"TLS is required, but host ", event.PhaseStartTLS, "", " refused to start TLS: "},
	{"TLS is required", event.PhaseStartTLS, " by host ", ""},
	{"Server certificate ", event.PhaseStartTLS, "", ""},
	{"Cannot start TLS", event.PhaseStartTLS, "", ""},
	{"TLS policy lookup", event.PhaseStartTLS, "", ""},
	{"client TLS configuration problem", event.PhaseStartTLS, "", ""},
	{"TLSA records unusable", event.PhaseStartTLS, "", ""},
	{"TLSA lookup error for ", event.PhaseStartTLS, "", ""},
	{"no TLSA records", event.PhaseStartTLS, "", ""},
	{"non DNSSEC destination", event.PhaseStartTLS, "", ""},
	{"SASL authentication failed; server ", event.PhaseAuth, "", " said: "},
	{"SASL [CACHED] authentication failed; server ", event.PhaseAuth, "", " said: "},
	{"SASL authentication failed", event.PhaseAuth, " server ", ""},
	{"REQUIRETLS Failure: sender requested REQUIRETLS, but host ", event.PhaseStartTLS, "", " refused to start TLS: "},
	{"REQUIRETLS Failure: sender requested REQUIRETLS, but TLS service was not offered by host ", event.PhaseStartTLS, "", ""},
	{"REQUIRETLS Failure", event.PhaseStartTLS, " server was ", ""},
	{"SMTPUTF8 is required", event.PhaseHelo, " by host ", ""},
	{"message requires SMTPUTF8", event.PhaseHelo, " server was ", ""},
	{"server unavailable or unable to receive mail", event.PhaseConnect, "", ""},
	{"message size ", event.PhaseHelo, " of server ", ""},
	{"local data error while talking to ", event.PhaseLocal, "", ""},
}

// postfixStepPhase maps what the client was doing when the connection broke.
func postfixStepPhase(doing string) event.Phase {
	switch {
	case strings.HasPrefix(doing, "receiving the initial server greeting"):
		return event.PhaseBanner
	case strings.HasPrefix(doing, "sending MAIL FROM"):
		return event.PhaseMail
	case strings.HasPrefix(doing, "sending RCPT TO"):
		return event.PhaseRcpt
	case strings.HasPrefix(doing, "sending DATA command"), strings.HasPrefix(doing, "sending message body"):
		return event.PhaseData
	case strings.HasPrefix(doing, "sending end of data"):
		return event.PhaseDot
	case strings.Contains(doing, "STARTTLS"), strings.Contains(doing, "TLS handshake"):
		return event.PhaseStartTLS
	case strings.Contains(doing, "EHLO"), strings.Contains(doing, "HELO"), strings.Contains(doing, "LHLO"):
		return event.PhaseHelo
	case strings.Contains(doing, "AUTH"), strings.Contains(doing, "SASL"):
		return event.PhaseAuth
	}
	return event.PhaseUnknown
}

// postfixGreetingPhase tells a refused EHLO or HELO from a refusing greeting,
// which the log words alike. A 5xx greeting is only deferred (the default of
// smtp_skip_5xx_greeting) and a 5xx after HELO bounces. Of the rest only 421
// ends the dialogue after EHLO at once; a greeting names its host in front (RFC
// 5321 section 4.3.1), so a 421 without a name is taken for one after EHLO.
func postfixGreetingPhase(d *event.Delivery, word string) event.Phase {
	switch {
	case d.SMTPCode >= 500 && word != "deferred":
		return event.PhaseHelo
	case d.SMTPCode == 421:
		text := strings.TrimPrefix(strings.TrimPrefix(d.Diagnostic, "421 "), d.EnhancedCode)
		first, _, _ := strings.Cut(strings.TrimSpace(text), " ")
		if i := strings.IndexByte(first, '.'); i < 1 || i == len(first)-1 {
			return event.PhaseHelo
		}
	}
	return event.PhaseBanner
}

// postfixCommands are the ends of a reply that follows a command.
var postfixCommands = [...]struct {
	suffix string
	phase  event.Phase
}{
	{" (in reply to RCPT TO command)", event.PhaseRcpt},
	{" (in reply to end of DATA command)", event.PhaseDot},
	{" (in reply to MAIL FROM command)", event.PhaseMail},
	{" (in reply to DATA command)", event.PhaseData},
	{" (in reply to EHLO command)", event.PhaseHelo},
	{" (in reply to HELO command)", event.PhaseHelo},
	{" (in reply to LHLO command)", event.PhaseHelo},
	{" (in reply to STARTTLS command)", event.PhaseStartTLS},
}

// cutPostfixCommand cuts "(in reply to CMD command)" off the end of a reply. Of
// a record that was cut, only a beginning of it may be there.
func cutPostfixCommand(reply string, cut bool) (string, event.Phase) {
	if cut {
		return cutPostfixCommandPart(reply)
	}
	for _, c := range postfixCommands {
		if rest, ok := strings.CutSuffix(reply, c.suffix); ok {
			return rest, c.phase
		}
	}
	// Any other command: AUTH with its mechanism, XFORWARD, the final RSET.
	i := strings.LastIndex(reply, " (in reply to ")
	switch {
	case i < 0 || reply[len(reply)-1] != ')':
		return cutPostfixCommandPart(reply) // cut right before the last ")"
	case strings.HasPrefix(reply[i:], " (in reply to AUTH"):
		return reply[:i], event.PhaseAuth
	}
	return reply[:i], event.PhaseUnknown
}

func cutPostfixCommandPart(reply string) (string, event.Phase) {
	i := strings.LastIndex(reply, " (")
	if i < 0 {
		return reply, event.PhaseUnknown
	}
	part, phase, found := reply[i:], event.PhaseUnknown, false
	for _, c := range postfixCommands {
		if strings.HasPrefix(c.suffix, part) {
			if found {
				return reply[:i], event.PhaseUnknown
			}
			phase, found = c.phase, true
		}
	}
	if found {
		return reply[:i], phase
	}
	return reply, event.PhaseUnknown
}

func setPostfixReply(d *event.Delivery, reply string) {
	r := event.ParseReply(reply)
	d.SMTPCode, d.EnhancedCode, d.Diagnostic = r.Code, r.Enhanced, r.Text
}

// setPostfixRelay sets the peer that the reason names where relay= names none.
func setPostfixRelay(d *event.Delivery, r event.Relay) {
	if !d.Relay.Known() {
		d.Relay = r
	}
}

// cutPostfixPeer cuts "host[ip]", "host[ip]:port" or "host[/socket]" off the
// head of s. Of a socket the path is the name.
func cutPostfixPeer(s string) (r event.Relay, rest string, ok bool) {
	i := strings.IndexByte(s, '[')
	if i < 0 || i > 255 || strings.IndexByte(s[:i], ' ') >= 0 {
		return r, s, false
	}
	end := strings.IndexByte(s[i:], ']')
	if end < 2 {
		return r, s, false
	}
	inside := s[i+1 : i+end]
	rest = s[i+end+1:]
	if strings.IndexByte(inside, '/') >= 0 {
		return event.Relay{Host: inside}, rest, true
	}
	r.Host, r.IP = s[:i], strings.TrimPrefix(inside, "IPv6:")
	r.Port, rest = cutPort(rest)
	return r, rest, true
}

// cutPostfixHost cuts "host[ip]" off the head of s, or a name alone as excerpts
// have it.
func cutPostfixHost(s string) (r event.Relay, rest string, ok bool) {
	if r, rest, ok = cutPostfixPeer(s); ok {
		return r, rest, true
	}
	i := strings.IndexByte(s, ' ')
	if i < 1 || !isHostName(s[:i]) {
		return r, s, false
	}
	return event.Relay{Host: s[:i]}, s[i:], true
}

// onePostfixLine returns s trimmed and, where a log format kept them, with
// newlines folded.
func onePostfixLine(s string) string {
	if strings.IndexByte(s, '\n') >= 0 {
		return strings.Join(strings.Fields(s), " ")
	}
	return strings.TrimSpace(s)
}
