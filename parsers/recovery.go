package parsers

import (
	"slices"
	"strings"

	"mtatap/event"
)

// verp holds the patterns of bounce addresses that carry the recipient which the
// bounced mail was for (variable envelope return path), such as
// "+{local}={domain}@" for bounces+john=example.com@sender.example.
type verp []verpPattern

type verpPattern struct{ before, between, after string }

// newVERP reads patterns: {local} and {domain}, in this order, once each and with
// something between them. Others are left out; the configuration refuses them.
func newVERP(patterns []string) verp {
	var v verp
	for _, s := range patterns {
		before, rest, ok := strings.Cut(s, "{local}")
		if !ok {
			continue
		}
		if between, after, ok := strings.Cut(rest, "{domain}"); ok && between != "" {
			v = append(v, verpPattern{before, between, after})
		}
	}
	return v
}

// recipient returns the recipient that the first of addresses to carry one
// carries, and that address.
func (v verp) recipient(addresses ...string) (recipient, address string, ok bool) {
	for i := range v {
		for _, address := range addresses {
			if recipient, ok := v[i].recipient(address); ok {
				return recipient, address, true
			}
		}
	}
	return "", "", false
}

// recipient returns the recipient that address carries. Its domain starts after
// the last separator, because local parts may hold it too.
func (v *verpPattern) recipient(address string) (string, bool) {
	start := strings.Index(address, v.before)
	end := len(address)
	if v.after != "" {
		end = strings.LastIndex(address, v.after)
	}
	if start < 0 || end < start+len(v.before) {
		return "", false
	}
	inner := address[start+len(v.before) : end]
	i := strings.LastIndex(inner, v.between)
	if i < 1 {
		return "", false
	}
	local, domain := inner[:i], inner[i+len(v.between):]
	if !isDomain(domain) || strings.ContainsFunc(inner, func(r rune) bool { return r <= ' ' || strings.ContainsRune("@<>\"", r) }) {
		return "", false
	}
	return local + "@" + domain, true
}

// asynchronousBounce makes of d, which tells that this host delivered a message
// from the null sender, the bounce that such a message is: another server took
// the mail and sent it back later. The recipient is carried by one of addresses,
// those that the message went to; or it is the one that said names, where that is
// a permanent failure in the words of the program that took the bounce. As a rule
// that program is silent and the cause stands in the mail alone. It returns
// whether d is a bounce now. The caller sees to it that the sender is null, that
// the message has reached its end and that it is no notice of this host's own,
// whose cause is an event already.
func (v verp) asynchronousBounce(d *event.Delivery, said string, addresses ...string) bool {
	if len(v) == 0 {
		return false
	}
	if recipient, address, ok := v.recipient(addresses...); ok {
		d.OriginalRecipient = address
		bounceOf(d, recipient, event.RecipientFromVERP, said)
		return true
	}
	if recipient, ok := addressIn(said); ok && isPermanent(said) && !slices.Contains(addresses, recipient) {
		d.OriginalRecipient = d.Recipient
		bounceOf(d, recipient, event.RecipientFromDiagnostic, said)
		return true
	}
	return false
}

// isPermanent reports whether text starts with the reply code or the enhanced
// status code of a permanent failure.
func isPermanent(text string) bool {
	enhanced, _ := event.CutEnhanced(text)
	return event.ParseReply(text).Code >= 500 || strings.HasPrefix(enhanced, "5")
}

// bounceOf makes d the bounce of mail to recipient. said is the only thing that
// d keeps of why, for what the log tells of the attempt is about the bounce.
func bounceOf(d *event.Delivery, recipient string, source event.RecipientSource, said string) {
	reply := event.ParseReply(said)
	d.Recipient, d.RecipientSource = recipient, source
	d.Status, d.Phase, d.DSN = event.Bounced, event.PhaseUnknown, ""
	d.SMTPCode, d.EnhancedCode, d.Diagnostic = reply.Code, reply.Enhanced, reply.Text
	if d.EnhancedCode == "" && d.SMTPCode == 0 {
		d.EnhancedCode, _ = event.CutEnhanced(said)
	}
	d.Relay, d.Delay, d.Attempt = event.Relay{}, event.Seconds{}, 0
}

// recoverRecipient names the recipient of a failure whose line names none, from
// the surest of what else is known: the original recipient, a VERP sender, the
// one address that the diagnostic holds.
func (v verp) recoverRecipient(d *event.Delivery) {
	if d.Recipient != "" || !d.Status.Final() {
		return
	}
	if d.OriginalRecipient != "" {
		d.Recipient, d.OriginalRecipient, d.RecipientSource = d.OriginalRecipient, "", event.RecipientFromOriginal
	} else if recipient, _, ok := v.recipient(d.Sender); ok {
		d.Recipient, d.RecipientSource = recipient, event.RecipientFromVERP
	} else if recipient, ok := addressIn(d.Diagnostic); ok && recipient != d.Sender {
		d.Recipient, d.RecipientSource = recipient, event.RecipientFromDiagnostic
	}
}

// addressIn returns the one mail address that text holds, in angle brackets or
// between spaces. Of several none is better than the other.
func addressIn(text string) (address string, ok bool) {
	for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return r <= ' ' || strings.ContainsRune("<>()[]\"',;", r) }) {
		word = strings.TrimRight(strings.TrimPrefix(word, "mailto:"), ".:")
		at := strings.LastIndexByte(word, '@')
		if at < 1 || at > 64 || len(word) > 320 || !isDomain(word[at+1:]) || strings.Contains(word[:at], "//") {
			continue
		}
		if ok && !strings.EqualFold(word, address) {
			return "", false
		}
		if !ok {
			address, ok = word, true
		}
	}
	return address, ok
}

// isDomain reports whether s is two or more labels joined by dots.
func isDomain(s string) bool {
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || label[0] == '-' || strings.ContainsAny(label, "/:=%@!?") {
			return false
		}
	}
	return strings.IndexByte(s, '.') > 0
}
