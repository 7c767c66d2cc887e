package rules

import (
	"slices"
	"testing"

	"mtatap/event"
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

// A wrong hard bounce loses a reader, so these must never be one.
func TestBlocksAndVagueRefusalsAreNotHard(t *testing.T) {
	s := loadDefault(t)
	for _, text := range []string{
		"550 Mailbox unavailable. Your IP address 192.0.2.1 is blacklisted",
		"550 5.1.1 <b@example.com>: Sender address rejected: User unknown",
		"550-Verification failed for <b@example.com> 550 Sender verify failed",
		"550 The sender's mailbox does not exist",
		"550 your email address is not valid",
		"550 The sending account has been suspended",
		"550 invalid user name or password",
		"535 5.7.8 authentication failed: user unknown",
		"550 message for user was removed: virus found",
		"550 Delivery to recipient failed for unknown reason",
		"550 recipient's server is not available",
		"550 user has exceeded message rate limit",
		"550 You are not allowed to send to this address",
		"550 residential address rejected",
		"550 user blocked your address",
		"503 5.5.1 no recipients specified",
		"450 4.1.1 User unknown",
		"554 Transaction failed",
		"554 Votre adresse IP est bloquée",
		"550 Absenderadresse existiert nicht",
		"connect to unknown-user.example.com[192.0.2.10]:25: Connection timed out",
	} {
		in := ParseText(text)
		if v := s.Classify(&in); v.Category == "hard" {
			t.Errorf("%q is hard by %s", text, v.Rule)
		}
	}
}

// The names of hosts may hold any word.
func TestWordsInTheNameOfAHostDecideNothing(t *testing.T) {
	s := loadDefault(t)
	for text, want := range map[string]event.Category{
		"connect to spam-relay.example.com[192.0.2.10]:25: Connection refused":                                               "general",
		"lost connection with blacklist.example.com[192.0.2.10] while sending RCPT TO":                                       "general",
		"Host or domain name not found. Name service error for name=mailbox-full.example type=MX: Host not found, try again": "dns-failure",
		"Host or domain name not found. Name service error for name=relay-denied.example type=A: Host not found":             "dns-failure",
	} {
		in := ParseText(text)
		if v := s.Classify(&in); v.Category != want {
			t.Errorf("%q is %s by %s, want %s", text, v.Category, v.Rule, want)
		}
	}
}
