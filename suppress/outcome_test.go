package suppress

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"mtatap/event"
)

func TestEventsAtNoTimeToReckonWithSayNothing(t *testing.T) {
	for _, c := range []struct {
		name             string
		logged, observed time.Time
		want             time.Time // zero: nothing
	}{
		{"as logged", at(1), at(2), at(1)},
		{"ahead of the reader by more than clocks are", at(9), at(1), at(1)},
		{"without a time of its own", time.Time{}, at(1), at(1)},
		{"without any", time.Time{}, time.Time{}, time.Time{}},
		{"at the end of the calendar", time.Date(9999, 12, 31, 23, 59, 59, 0, time.FixedZone("", -86340)).UTC(), time.Time{}, time.Time{}},
	} {
		e := &event.Event{Observed: c.observed}
		e.Time, e.Recipient, e.Status, e.Category, e.Action = c.logged, "a@b.example", event.Bounced, event.CategoryHard, event.Suppress
		e.BounceType = event.Hard
		o := OutcomeOf(e)
		if (o.Kind == Failure) != !c.want.IsZero() || o.Kind == Failure && !o.Time.Equal(c.want) {
			t.Errorf("%s: %v at %v", c.name, o.Kind, o.Time)
		}
	}
}

func TestAnOutcomeIsBoundedAndCanBeEncoded(t *testing.T) {
	e := &event.Event{}
	e.Time, e.Recipient, e.Status, e.Category, e.Action = at(1), "a@b.example", event.Bounced, event.CategoryHard, event.Suppress
	e.Reason, e.EnhancedCode, e.Diagnostic = strings.Repeat("r", 1<<20), strings.Repeat("5", 1<<20), strings.Repeat("\u00e9", 1<<20)
	s, decisions := Apply(State{}, OutcomeOf(e), usual)
	text, err := json.Marshal(s)
	if err != nil || len(text) > 3000 || len(decisions) != 1 {
		t.Errorf("%d bytes, %d decisions, %v", len(text), len(decisions), err)
	}
	e.Recipient = strings.Repeat("a", MaxRecipient+1)
	if o := OutcomeOf(e); o.Kind != Nothing {
		t.Errorf("%d bytes of recipient: %v", len(e.Recipient), o.Kind)
	}
}
