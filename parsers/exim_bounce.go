package parsers

import (
	"strings"

	"mtatap/event"
)

// recover names the recipient that d is really about where that is another than
// the address on the line: of a bounce that came in, and of a failure whose line
// names a command, a file or a reply of the system filter alone. m may be nil.
func (p *exim) recover(m *eximMessage, d *event.Delivery, f *eximFields, address, original string) {
	switch {
	case d.Status == event.Delivered:
		if len(p.verp) == 0 || !m.isBounce() {
			return
		}
		if !d.NotAttempted && !d.Relay.Known() && !isEximDiscard(address) {
			p.verp.asynchronousBounce(d, unescapeExim(string(m.said)), original, address)
		}
		m.said = m.said[:0]
	case d.Status.Final() && isEximNoAddress(d.Recipient):
		logged := d.Recipient
		d.Recipient, d.RecipientSource = "", event.RecipientUnknown
		if strings.IndexByte(f.commanded, '@') > 0 {
			d.Recipient, d.RecipientSource = f.commanded, event.RecipientFromDiagnostic
			return
		}
		if p.verp.recoverRecipient(d); d.Recipient == "" {
			d.Recipient, d.RecipientSource = logged, event.RecipientFromLog
		}
	}
}

// isEximDiscard reports whether the address of a delivery says that nobody got
// the message.
func isEximDiscard(address string) bool {
	return address == ":blackhole:" || address == "discarded"
}

// eximSystemFilter stands as the original address of what the system filter
// made.
const eximSystemFilter = "system-filter"

// isEximNoAddress reports whether recipient can be no mail address, nor the
// local part of one.
func isEximNoAddress(recipient string) bool {
	return recipient == eximSystemFilter || recipient != "" && strings.IndexByte("|/:>", recipient[0]) >= 0
}
