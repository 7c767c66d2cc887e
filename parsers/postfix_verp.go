package parsers

import (
	"strings"

	"mtatap/event"
)

// postfixVERP is a pattern such as "+{local}={domain}@": how a bounce address
// carries the recipient that the bounced mail was for.
type postfixVERP struct{ before, between, after string }

// newPostfixVERP reads a pattern: {local} and {domain}, in this order, once each.
func newPostfixVERP(pattern string) (v postfixVERP, ok bool) {
	before, rest, ok := strings.Cut(pattern, "{local}")
	if !ok {
		return v, false
	}
	between, after, ok := strings.Cut(rest, "{domain}")
	return postfixVERP{before, between, after}, ok && between != ""
}

// recipient returns the address that addr carries. The domain starts after the
// last separator, because local parts may hold it too.
func (v postfixVERP) recipient(addr string) (string, bool) {
	start := strings.Index(addr, v.before)
	end := len(addr)
	if v.after != "" {
		end = strings.LastIndex(addr, v.after)
	}
	if start < 0 || end < start+len(v.before) {
		return "", false
	}
	inner := addr[start+len(v.before) : end]
	i := strings.LastIndex(inner, v.between)
	if i < 1 {
		return "", false
	}
	local, domain := inner[:i], inner[i+len(v.between):]
	if !strings.Contains(domain, ".") || strings.ContainsAny(inner, "@<> ") {
		return "", false
	}
	return local + "@" + domain, true
}

// asynchronousBounce turns the delivery on this host of mail from the null
// sender to a VERP address into what it says: that the recipient in the address
// bounced after another server had taken the mail. What bounced it stands in
// the mail, not in the log. Our own notices are left alone, because their cause
// is an event already.
func (p *postfix) asynchronousBounce(d *event.Delivery, m *postfixMessage, s *postfixStatus) {
	if m == nil || m.ownNotice || !m.senderKnown || len(m.sender) > 0 || d.Phase != event.PhaseLocal || d.Program == "discard" {
		return
	}
	for _, v := range p.verp {
		for _, addr := range [...]string{s.origTo, s.to} {
			if recipient, ok := v.recipient(addr); ok {
				d.Recipient, d.OriginalRecipient, d.RecipientSource = recipient, addr, event.RecipientFromVERP
				d.Status, d.Phase, d.DSN, d.Diagnostic = event.Bounced, event.PhaseUnknown, "", ""
				d.Delay, d.Attempt = event.Seconds{}, 0
				return
			}
		}
	}
}
