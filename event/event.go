package event

import (
	"strings"
	"time"
)

// BounceType is the coarse class of a category.
type BounceType string

// The bounce types. None belongs to what is no bounce.
const (
	Hard BounceType = "hard"
	Soft BounceType = "soft"
	None BounceType = "none"
)

// Action is what a sender should do about a verdict.
type Action string

// The actions, see docs/categories.md.
const (
	Suppress   Action = "suppress"
	Watch      Action = "watch"
	FixMessage Action = "fix-message"
	FixSending Action = "fix-sending"
	Retry      Action = "retry"
	Ignore     Action = "ignore"
	NoAction   Action = "none"
)

// Category is the slug of a verdict's category. A rules file may add its own.
type Category string

// The built-in categories, see docs/categories.md.
const (
	CategoryHard              Category = "hard"
	CategoryGeneral           Category = "general"
	CategoryDNSFailure        Category = "dns-failure"
	CategoryMailboxFull       Category = "mailbox-full"
	CategoryMessageTooLarge   Category = "message-too-large"
	CategoryNoAddressReturned Category = "no-address-returned"
	CategoryBlockGeneral      Category = "block-general"
	CategoryBlockSpam         Category = "block-spam"
	CategoryRelayDenied       Category = "relay-denied"
	CategoryTransient         Category = "transient"
	CategoryChallengeResponse Category = "challenge-response"
	CategoryDelivered         Category = "delivered"
)

// NeverSuppresses reports whether c says nothing about the recipient, so that no
// number of such failures may take one off a list.
func (c Category) NeverSuppresses() bool {
	switch c {
	case CategoryBlockGeneral, CategoryBlockSpam, CategoryRelayDenied, CategoryMessageTooLarge,
		CategoryChallengeResponse, CategoryTransient, CategoryDelivered:
		return true
	}
	return false
}

// Verdict is what the rules made of a delivery.
type Verdict struct {
	Category   Category
	BounceType BounceType
	Reason     string // finer than the category, kebab-case; "" where none is known
	Action     Action
	Resend     bool   // worth sending again once the cause is mended
	Rule       string // id of the deciding rule, or enhanced:X.Y.Z, reply:NNN, default
	Compat     int    // numeric class used by bulk-mail systems
}

// Event is a delivery with its verdict, as every sink gets it. Sinks must not
// change an Event: all of them share it.
type Event struct {
	Delivery
	Verdict

	ID              ID
	Observed        time.Time // when the line was read, UTC
	RecipientDomain string    // lower-case; "" where there is no recipient
	Provider        string    // provider group, "other" where none is known
	RulesVersion    string    // hash of the rule set that gave the verdict

	// JSON is the encoded event without a newline, built once and shared by
	// the sinks. Valid as long as the Event.
	JSON []byte
}

// Key returns what orders and partitions events: the lower-cased recipient, or
// the queue id where no recipient is known.
func (e *Event) Key() string {
	if e.Recipient == "" {
		return e.QueueID
	}
	return strings.ToLower(e.Recipient)
}
