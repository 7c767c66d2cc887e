package suppress

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"time"

	"mtatap/event"
)

// SchemaVersion is the version of the published form of a Record.
const SchemaVersion = 1

//go:embed schema.json
var schema string

// Schema returns the JSON Schema of a Record.
func Schema() string { return schema }

// Record is what is published of a recipient: that it must not be mailed any more
// and why, or that it may be again.
type Record struct {
	SchemaVersion int            `json:"schema_version"`
	Recipient     string         `json:"recipient"` // lower-cased, or its HMAC
	Status        RecordStatus   `json:"status"`
	Cause         Cause          `json:"cause"`
	Category      event.Category `json:"category,omitempty"`
	ConvertedFrom event.Category `json:"converted_from,omitempty"`
	Reason        string         `json:"reason,omitempty"`
	Since         time.Time      `json:"since,omitzero"`
	Expires       time.Time      `json:"expires,omitzero"`
	Released      time.Time      `json:"released,omitzero"`
	Evidence      []Evidence     `json:"evidence,omitempty"`
}

// RecordStatus says whether a recipient may be mailed.
type RecordStatus string

// The statuses of a Record.
const (
	Suppressed RecordStatus = "suppressed"
	Released   RecordStatus = "released"
)

// RecordOf returns the record of a decision about recipient.
func RecordOf(recipient string, d Decision) Record {
	if d.Suppression != nil {
		return d.Suppression.Record(recipient)
	}
	return Record{SchemaVersion: SchemaVersion, Recipient: recipient, Status: Released, Cause: d.Cause, Released: d.At.UTC()}
}

// Record returns the record of the suppression of recipient.
func (s *Suppression) Record(recipient string) Record {
	return Record{SchemaVersion: SchemaVersion, Recipient: recipient, Status: Suppressed, Cause: s.cause(), Category: s.Category,
		ConvertedFrom: s.ConvertedFrom, Reason: s.Reason, Since: s.Since, Expires: s.Expires, Evidence: s.Evidence}
}

func (s *Suppression) cause() Cause {
	switch {
	case s.Manual:
		return CauseManual
	case s.ConvertedFrom != "":
		return CauseConversion
	}
	return CauseBounce
}

// Lapsed reports whether a suppression of limited time is over.
func (r *Record) Lapsed(now time.Time) bool { return !r.Expires.IsZero() && !now.Before(r.Expires) }

// Encode returns r as JSON on one line, without its newline.
func (r *Record) Encode() []byte {
	text, err := json.Marshal(r)
	if err != nil { // only a time beyond the year 9999, which no log has
		return fmt.Appendf(nil, `{"schema_version":%d,"recipient":%q,"status":%q,"cause":%q}`, r.SchemaVersion, r.Recipient, r.Status, r.Cause)
	}
	return text
}

// DecodeRecord reads what Encode wrote.
func DecodeRecord(text []byte) (Record, error) {
	var r Record
	if err := json.Unmarshal(text, &r); err != nil {
		return Record{}, fmt.Errorf("read suppression: %w", err)
	}
	if r.SchemaVersion != SchemaVersion || r.Recipient == "" || r.Status != Suppressed && r.Status != Released {
		return Record{}, fmt.Errorf("read suppression: not of schema version %d", SchemaVersion)
	}
	return r, nil
}
