package rules

import (
	"slices"
	"testing"
)

func TestEveryDefaultRuleHasAnExampleAndAReason(t *testing.T) {
	for _, u := range loadDefault(t).rules {
		if len(u.examples) == 0 || u.reason == "" {
			t.Errorf("rule %s: %d examples, reason %q", u.id, len(u.examples), u.reason)
		}
	}
}

// An expression that must run on every text would make the cost of a verdict
// grow with the number of rules.
func TestEveryDefaultExpressionNeedsALiteral(t *testing.T) {
	for _, u := range loadDefault(t).rules {
		for _, x := range u.regexps {
			if best := mostSelective(x.required); best == nil || shortest(best) < 3 {
				t.Errorf("rule %s: %q needs only %q", u.id, x.source, best)
			}
		}
	}
}

// The texts that operators are promised to be hard bounces.
func TestSampleHardBounces(t *testing.T) {
	s := loadDefault(t)
	for _, text := range []string{
		"Unknown or illegal alias",
		"Address rejected",
		"No such user here",
		"Bad destination mailbox address",
		"Rule imposed mailbox access for refused: user invalid",
	} {
		in := ParseText(text)
		if v := s.Classify(&in); v.Category != "hard" {
			t.Errorf("%q is %s by %s, want hard", text, v.Category, v.Rule)
		}
	}
}

func TestOnlyBlocksOfOurAddressOrDomainAreWorthSendingAgain(t *testing.T) {
	s := loadDefault(t)
	for _, u := range s.rules {
		if u.resend != nil && *u.resend && !slices.Contains([]string{"ip-listed", "domain-listed", "reputation"}, u.reason) {
			t.Errorf("rule %s with reason %s says resend", u.id, u.reason)
		}
	}
}
