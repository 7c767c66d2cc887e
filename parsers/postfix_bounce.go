package parsers

import (
	"strings"

	"mtatap/event"
)

// asynchronousBounce turns the delivery on this host of mail from the null
// sender to a bounce address into what it says: that a recipient bounced after
// another server had taken the mail. Our own notices are left alone, because
// their cause is an event already.
func (p *postfix) asynchronousBounce(d *event.Delivery, m *postfixMessage, s *postfixStatus) {
	if len(p.verp) == 0 || m == nil || m.ownNotice || !m.senderKnown || len(m.sender) > 0 || !isPostfixMailbox(d) {
		return
	}
	p.verp.asynchronousBounce(d, postfixCommandOutput(s.reason), s.origTo, s.to)
}

// isPostfixMailbox reports whether d ended on this host: in a mailbox, a file, a
// command, or a server behind a socket.
func isPostfixMailbox(d *event.Delivery) bool {
	if d.Phase == event.PhaseLocal {
		return d.Program != "discard" && !strings.HasPrefix(d.Diagnostic, "forwarded as ")
	}
	return d.Program == "lmtp" && d.Relay.IP == "" && strings.IndexByte(d.Relay.Host, '/') >= 0
}

// postfixCommandOutput returns what a command that took the mail wrote, which
// pipe(8) logs as "delivered via SERVICE service (OUTPUT)".
func postfixCommandOutput(reason string) string {
	rest, ok := strings.CutPrefix(reason, "delivered via ")
	if !ok {
		return ""
	}
	_, output, ok := strings.Cut(rest, " service (")
	if !ok {
		return ""
	}
	return onePostfixLine(strings.TrimSuffix(output, ")"))
}
