package suppress

import (
	"cmp"
	"time"

	"mtatap/event"
)

// Outcome is what an event, or an operator, says about one recipient.
type Outcome struct {
	Kind Kind
	// Time is when it happened: the time of the log.
	Time     time.Time
	Category event.Category // of a failure
	Reason   string         // finer than the category; of Add the operator's own words
	// Message tells messages apart: their Message-ID, or else host and queue id.
	Message string
	Evidence
}

// Kind is the kind of an Outcome.
type Kind uint8

// The kinds. Nothing is an event that says nothing about its recipient.
const (
	Nothing Kind = iota
	Delivery
	Failure
	Add     // by hand
	Release // by hand
)

// Evidence is what a verdict rests on, for people who ask why.
type Evidence struct {
	ID           string    `json:"id"`
	Time         time.Time `json:"time"`
	SMTPCode     int       `json:"smtp_code,omitempty"`
	EnhancedCode string    `json:"enhanced_code,omitempty"`
	Text         string    `json:"text,omitempty"`
}

const (
	textBytes = 300 // of a reply kept as evidence
	// MaxRecipient is the length in bytes of the longest recipient that anything is
	// remembered of. It is longer than any address that can be mailed (RFC 5321
	// section 4.5.3.1), in UTF-8 too. What is longer comes from whoever plays with us.
	MaxRecipient = 1000
	// aheadOfReading is how far the clock of a log may be ahead of ours.
	aheadOfReading = 5 * time.Minute
)

// OutcomeOf returns what e says about its recipient. What was not attempted, was
// refused by this host itself or names no recipient says nothing; a hard verdict
// counts only where the MTA has given up, which is where its action is suppress.
func OutcomeOf(e *event.Event) Outcome {
	o := Outcome{Time: happened(e.Time, e.Observed)}
	switch {
	case e.Recipient == "" || len(e.Recipient) > MaxRecipient || e.NotAttempted || !usable(o.Time):
		return o
	case e.Status == event.Delivered:
		o.Kind = Delivery
		return o
	case e.Status == event.Rejected, e.BounceType == event.Hard && e.Action != event.Suppress:
		return o
	case e.Status == event.Deferred || e.Status.Final():
		o.Kind = Failure
	default:
		return o
	}
	o.Category, o.Reason = e.Category, clip(e.Reason)
	o.Message = cmp.Or(e.MessageID, e.Host+" "+e.QueueID)
	o.Evidence = Evidence{ID: e.ID.String(), Time: o.Time, SMTPCode: e.SMTPCode, EnhancedCode: clip(e.EnhancedCode), Text: clip(e.Diagnostic)}
	return o
}

// OutcomeByHand returns what an operator asks for: kind is Add or Release. It is
// Nothing if recipient can be none, or at no time to reckon with.
func OutcomeByHand(kind Kind, recipient, reason string, at time.Time) Outcome {
	o := Outcome{Kind: kind, Time: at.UTC(), Reason: clip(reason)}
	if recipient == "" || len(recipient) > MaxRecipient || !usable(o.Time) {
		return Outcome{}
	}
	return o
}

// usable reports whether t is a time that JSON can hold, and another one after it.
func usable(t time.Time) bool { return t.Year() >= 1970 && t.Year() < 9000 }

// happened is the time of the log unless it has none or its clock is ahead: a
// delivery in the future would hide all failures until then.
func happened(logged, observed time.Time) time.Time {
	if logged.IsZero() || !observed.IsZero() && logged.After(observed.Add(aheadOfReading)) {
		return observed
	}
	return logged
}

func clip(s string) string {
	if len(s) <= textBytes {
		return s
	}
	cut := textBytes
	for cut > 0 && s[cut]&0xC0 == 0x80 { // not inside a character
		cut--
	}
	return s[:cut] + "..."
}
