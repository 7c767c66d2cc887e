package suppress

import (
	"errors"
	"fmt"
	"time"

	"mtatap/event"
	"mtatap/rules"
)

// Policy says when a recipient is suppressed and for how long.
type Policy struct {
	// After has the categories that suppress. All others never do.
	After map[event.Category]Threshold
	// Expires is how long a suppression lasts that was not made by hand. 0 is
	// for ever.
	Expires time.Duration
}

// Threshold is how often a category must come for one recipient, with no
// delivery in between, until it suppresses.
type Threshold struct {
	To       event.Category // the category that the recipient then has; "" keeps it
	Messages int            // distinct messages, from 1 to 32
	Spread   time.Duration  // between the first and the last of them, at least
	Window   time.Duration  // that all of them lie in; 0 is without limit
}

// maxMessages bounds Threshold.Messages, so that what is remembered of a
// recipient stays bounded.
const maxMessages = rules.MaxConversionMessages

// PolicyOf returns the policy that the rules give.
func PolicyOf(set *rules.Set) (Policy, error) {
	s := set.Suppression()
	p := Policy{After: map[event.Category]Threshold{}, Expires: s.Expires}
	for _, a := range s.After {
		p.After[a.Category] = Threshold{Messages: a.Messages, Spread: a.Spread, Window: a.Window}
	}
	for _, c := range set.Conversion() {
		p.After[c.From] = Threshold{To: c.To, Messages: c.Messages, Spread: c.Spread, Window: c.Window}
	}
	if len(p.After) == 0 {
		return Policy{}, errors.New("the rules have neither suppression nor conversion: nothing would ever be suppressed")
	}
	return p, p.Check()
}

// Check returns an error if the policy would suppress for something that never
// may, or has a threshold that no events can meet.
func (p Policy) Check() error {
	for category, t := range p.After {
		switch {
		case category.NeverSuppresses():
			return fmt.Errorf("suppress after %s: says nothing about the recipient and must never suppress", category)
		case t.Messages < 1 || t.Messages > maxMessages:
			return fmt.Errorf("suppress after %s: messages: want 1 to %d, not %d", category, maxMessages, t.Messages)
		case t.Spread < 0 || t.Window < 0 || t.Window > 0 && t.Spread > t.Window:
			return fmt.Errorf("suppress after %s: spread %s does not fit into window %s", category, t.Spread, t.Window)
		}
	}
	if p.Expires < 0 {
		return fmt.Errorf("suppress: expires: want no negative time, not %s", p.Expires)
	}
	return nil
}

// longestWindow is how long anything of an unsuppressed recipient can matter.
func (p Policy) longestWindow() time.Duration {
	const least = 30 * 24 * time.Hour // a late duplicate must still be known as old
	longest := time.Duration(least)
	for _, t := range p.After {
		longest = max(longest, t.Window, t.Spread)
	}
	return longest
}
