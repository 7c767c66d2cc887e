package parsers

import "strings"

// harakaWindow counts between the moment when a message goes to the outbound
// queue and the moment when it is there. One "Transaction delivery" line for
// each recipient instead of each domain shows that always_split is on.
type harakaWindow struct{ open, items, domains, recipients int }

func (w *harakaWindow) begin(t *harakaTransaction) {
	if w.open >= 64 { // ends went missing
		*w = harakaWindow{}
	}
	w.open++
	w.domains += int(t.domains)
	w.recipients += len(t.recipients)
}

func (w *harakaWindow) outbound(m string) {
	switch {
	case w.open == 0:
	case hasHarakaPrefix(m, "Transaction delivery for domain: ", "Processing delivery for domain: "):
		w.items++
	case strings.HasPrefix(m, "Created transaction: "):
		w.domains++
		w.recipients++
	}
}

// end returns whether always_split is on, was where it cannot tell.
func (w *harakaWindow) end(was bool) bool {
	if w.open--; w.open > 0 {
		return was
	}
	seen := *w
	*w = harakaWindow{}
	switch {
	case seen.domains == seen.recipients:
		return was
	case seen.items == seen.recipients:
		return true
	case seen.items == seen.domains:
		return false
	}
	return was
}

// learn draws from a delivered line whether always_split is on.
func (p *haraka) learn(t *harakaTransaction, number int32, counts harakaTally) {
	switch total := counts.delivered + counts.deferred + counts.bounced; {
	case !t.numbered():
	case total > 1:
		p.split = false
	case t.untouched(number) > 1:
		p.split = true
	default:
		p.learnIndex(t, number)
	}
}

// numbered reports whether the order of recipients tells the number of an item.
func (t *harakaTransaction) numbered() bool { return t.whole && !t.doubtful }

// untouched returns how many recipients of a domain had no outcome yet.
func (t *harakaTransaction) untouched(domain int32) int {
	n := 0
	for i := range t.recipients {
		if r := &t.recipients[i]; r.domain == domain && r.item == 0 && !r.twice {
			n++
		}
	}
	return n
}

// learnIndex draws it from the number of an item: more than there are domains.
func (p *haraka) learnIndex(t *harakaTransaction, number int32) {
	if t.numbered() && number > t.domains && int(number) <= len(t.recipients) {
		p.split = true
	}
}

// learnFrom draws it from an item that names its recipient.
func (p *haraka) learnFrom(t *harakaTransaction, r *harakaRecipient, number int32) {
	if !t.numbered() {
		return
	}
	at := int32(0)
	for i := range t.recipients {
		if &t.recipients[i] == r {
			at = int32(i) + 1
		}
	}
	if byIndex, byDomain := at == number, r.domain == number; byIndex != byDomain {
		p.split = byIndex
	}
}
