package rules

import (
	"slices"
	"testing"
	"time"

	"mtatap/event"
)

func TestDefaultCategories(t *testing.T) {
	s := loadDefault(t)
	for name, c := range map[string]struct {
		in   Input
		want event.Verdict
	}{
		"an unknown user is hard and suppressed": {
			Input{Text: "550 5.1.1 User unknown", Code: 550, Enhanced: "5.1.1", Status: event.Bounced},
			event.Verdict{Category: "hard", BounceType: event.Hard, Reason: "user-unknown", Action: event.Suppress, Rule: "user-unknown", Compat: 10},
		},
		"text that nobody knows is general": {
			Input{Text: "550 xyzzy", Code: 550, Status: event.Bounced},
			event.Verdict{Category: "general", BounceType: event.Soft, Action: event.Watch, Rule: "reply:550", Compat: 20},
		},
		"a missing domain is a DNS failure": {
			Input{Text: "Host or domain name not found. Name service error for name=x.example type=MX: Host not found", DSN: "5.4.4", Status: event.Bounced},
			event.Verdict{Category: "dns-failure", BounceType: event.Soft, Reason: "domain-not-found", Action: event.Watch, Rule: "postfix-domain-not-found", Compat: 21},
		},
		"a full mailbox is watched": {
			Input{Text: "452 4.2.2 Mailbox full", Code: 452, Enhanced: "4.2.2", Status: event.Deferred},
			event.Verdict{Category: "mailbox-full", BounceType: event.Soft, Reason: "mailbox-full", Action: event.Watch, Rule: "mailbox-full", Compat: 22},
		},
		"a message that is too large is to be mended": {
			Input{Text: "552 5.3.4 Message size exceeds fixed limit", Code: 552, Enhanced: "5.3.4", Status: event.Bounced},
			event.Verdict{Category: "message-too-large", BounceType: event.Soft, Reason: "message-too-large", Action: event.FixMessage, Rule: "message-too-large", Compat: 23},
		},
		"a listed address is worth sending again": {
			Input{Text: "554 5.7.1 blocked using zen.spamhaus.org", Code: 554, Enhanced: "5.7.1", Status: event.Bounced},
			event.Verdict{Category: "block-general", BounceType: event.Soft, Reason: "ip-listed", Action: event.FixSending, Resend: true, Rule: "ip-listed", Compat: 50},
		},
		"spam is not worth sending again": {
			Input{Text: "550 Your message was detected as spam", Code: 550, Status: event.Bounced},
			event.Verdict{Category: "block-spam", BounceType: event.Soft, Reason: "spam-content", Action: event.FixMessage, Rule: "spam-content", Compat: 51},
		},
		"relaying is denied": {
			Input{Text: "554 5.7.1 <a@b.example>: Relay access denied", Code: 554, Enhanced: "5.7.1", Status: event.Bounced},
			event.Verdict{Category: "relay-denied", BounceType: event.Soft, Reason: "relay-denied", Action: event.FixSending, Rule: "relay-denied", Compat: 54},
		},
		"greylisting is transient": {
			Input{Text: "450 4.2.0 Greylisted", Code: 450, Enhanced: "4.2.0", Status: event.Deferred},
			event.Verdict{Category: "transient", BounceType: event.Soft, Reason: "greylisted", Action: event.Retry, Rule: "greylisted", Compat: 70},
		},
		"a challenge is ignored": {
			Input{Text: "Unverified email to anna@example.com"},
			event.Verdict{Category: "challenge-response", BounceType: event.Soft, Reason: "challenge", Action: event.Ignore, Rule: "challenge-response", Compat: 100},
		},
		"what was delivered is delivered, whatever the text": {
			Input{Text: "250 2.0.0 user unknown", Code: 250, Status: event.Delivered},
			event.Verdict{Category: "delivered", BounceType: event.None, Action: event.NoAction, Rule: "default", Compat: 1},
		},
		"a reply of class 2 without a status is delivered": {
			Input{Text: "250 2.0.0 Ok", Code: 250},
			event.Verdict{Category: "delivered", BounceType: event.None, Action: event.NoAction, Rule: "default", Compat: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := s.Classify(&c.in); got != c.want {
				t.Errorf("got %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func TestDecisionWithoutARule(t *testing.T) {
	s := loadDefault(t)
	for name, c := range map[string]struct {
		in             Input
		category, rule string
	}{
		"the enhanced code comes before the reply code":        {Input{Code: 552, Enhanced: "5.1.1"}, "hard", "enhanced:5.1.1"},
		"an unknown enhanced code leaves it to the reply code": {Input{Code: 552, Enhanced: "5.99.99"}, "mailbox-full", "reply:552"},
		"the MTA's own code counts where the remote gave none": {Input{DSN: "5.4.4", Status: event.Bounced}, "dns-failure", "enhanced:5.4.4"},
		"the MTA's own code is nothing beside a reply code":    {Input{Code: 552, DSN: "5.1.1", Status: event.Bounced}, "mailbox-full", "reply:552"},
		"deferred with nothing known is transient":             {Input{Status: event.Deferred}, "transient", "default"},
		"an unknown reply code 4xx is transient":               {Input{Code: 499, Status: event.Bounced}, "transient", "default"},
		"an unknown reply code 5xx is general":                 {Input{Code: 599}, "general", "default"},
		"bounced with nothing known is general":                {Input{Status: event.Bounced}, "general", "default"},
		"expired with nothing known is general":                {Input{Status: event.Expired}, "general", "default"},
		"nothing at all is general":                            {Input{}, "general", "default"},
	} {
		t.Run(name, func(t *testing.T) {
			got := s.Classify(&c.in)
			if string(got.Category) != c.category || got.Rule != c.rule {
				t.Errorf("got %s by %s, want %s by %s", got.Category, got.Rule, c.category, c.rule)
			}
		})
	}
}

func TestAction(t *testing.T) {
	s := loadDefault(t)
	unknown := func(code int, status event.Status) Input {
		return Input{Text: "User unknown", Code: code, Status: status}
	}
	for name, c := range map[string]struct {
		in       Input
		category event.Category
		action   event.Action
	}{
		"bounced is suppressed":                          {unknown(550, event.Bounced), "hard", event.Suppress},
		"expired is suppressed":                          {unknown(550, event.Expired), "hard", event.Suppress},
		"5xx without a status is suppressed":             {unknown(550, event.StatusUnknown), "hard", event.Suppress},
		"a soft bounce is only watched":                  {unknown(550, event.Deferred), "hard", event.Watch},
		"what we refused is only watched":                {unknown(550, event.Rejected), "hard", event.Watch},
		"words alone are only watched":                   {unknown(0, event.StatusUnknown), "hard", event.Watch},
		"4xx is never hard":                              {unknown(450, event.Deferred), "transient", event.Retry},
		"4xx is not hard even when the MTA has given up": {unknown(450, event.Expired), "transient", event.Retry},
		"deferred with a code 4.x.x is not hard": {
			Input{Text: "User unknown", DSN: "4.1.1", Status: event.Deferred}, "transient", event.Retry},
		"a refused greeting with hard words is watched": {
			Input{Text: "554 User unknown", Code: 554, DSN: "4.7.1", Status: event.Deferred}, "hard", event.Watch},
	} {
		t.Run(name, func(t *testing.T) {
			got := s.Classify(&c.in)
			if got.Category != c.category || got.Action != c.action {
				t.Errorf("got %s and %s, want %s and %s", got.Category, got.Action, c.category, c.action)
			}
			if got.Rule != "user-unknown" || got.Reason != "user-unknown" {
				t.Errorf("rule %s, reason %s: want both kept", got.Rule, got.Reason)
			}
		})
	}
}

func TestARecipientThatTheLogDidNotName(t *testing.T) {
	s := loadDefault(t)
	for name, c := range map[string]struct {
		in       Input
		category event.Category
		reason   string
	}{
		"hard":                         {Input{Text: "550 User unknown", Code: 550, Status: event.Bounced}, "no-address-returned", "user-unknown"},
		"general":                      {Input{Text: "550 xyzzy", Code: 550, Status: event.Expired}, "no-address-returned", ""},
		"nothing known":                {Input{Status: event.Bounced}, "no-address-returned", ""},
		"a block stays a block":        {Input{Text: "550 listed in zen.spamhaus.org", Code: 550, Status: event.Bounced}, "block-general", "ip-listed"},
		"a deferral stays what it is":  {Input{Text: "450 Greylisted", Code: 450, Status: event.Deferred}, "transient", "greylisted"},
		"a soft bounce is not yet one": {Input{Text: "550 User unknown", Code: 550, Status: event.Deferred}, "hard", "user-unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, source := range []event.RecipientSource{event.RecipientFromOriginal, event.RecipientFromVERP, event.RecipientFromDiagnostic} {
				in := c.in
				in.Recipient = source
				v := s.Classify(&in)
				if v.Category != c.category || v.Reason != c.reason || v.Action == event.Suppress {
					t.Errorf("source %d: got %s %q, %s", source, v.Category, v.Reason, v.Action)
				}
			}
			in := c.in
			in.Recipient = event.RecipientFromLog
			if v := s.Classify(&in); v.Category == "no-address-returned" {
				t.Errorf("got %s although the log names the recipient", v.Category)
			}
		})
	}
}

func TestTheCategoriesOfTheContract(t *testing.T) {
	want := []event.Category{"hard", "general", "dns-failure", "mailbox-full", "message-too-large", "no-address-returned",
		"block-general", "block-spam", "relay-denied", "transient", "challenge-response", "delivered"}
	if got := loadDefault(t).Categories(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestConversion(t *testing.T) {
	want := []Conversion{{From: "mailbox-full", To: "hard", Messages: 3, Spread: 72 * time.Hour, Window: 30 * 24 * time.Hour}}
	if got := loadDefault(t).Conversion(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestInputOf(t *testing.T) {
	d := event.Delivery{Diagnostic: "550 sorry, no mailbox here (#5.1.1)", SMTPCode: 550, Status: event.Bounced, Phase: event.PhaseRcpt, DSN: "5.0.0", RecipientSource: event.RecipientFromVERP}
	want := Input{Text: d.Diagnostic, Code: 550, Enhanced: "5.1.1", Status: event.Bounced, Phase: event.PhaseRcpt, Provider: "other", Recipient: event.RecipientFromVERP, DSN: "5.0.0"}
	if got := InputOf(&d, "other"); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestNothingAllocatesForAVerdict(t *testing.T) {
	if raceDetector {
		t.Skip("allocations can't be counted under the race detector")
	}
	s := loadDefault(t)
	inputs := sampleInputs()
	d := event.Delivery{Diagnostic: "550 no (#5.1.1)", SMTPCode: 550}
	if n := testing.AllocsPerRun(200, func() {
		for i := range inputs {
			s.Classify(&inputs[i])
		}
		in := InputOf(&d, s.Provider("Mx1.Example-COM.mail.protection.Outlook.com.", "example.com"))
		s.Classify(&in)
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func TestASetIsSafeForConcurrentUse(t *testing.T) {
	s := loadDefault(t)
	inputs := sampleInputs()
	want := make([]event.Verdict, len(inputs))
	for i := range inputs {
		want[i] = s.Classify(&inputs[i])
	}
	done := make(chan bool)
	for range 4 {
		go func() {
			ok := true
			for i := range 400 {
				in := inputs[i%len(inputs)]
				ok = ok && s.Classify(&in) == want[i%len(inputs)]
			}
			done <- ok
		}()
	}
	for range 4 {
		if !<-done {
			t.Error("a verdict differs from the one given alone")
		}
	}
}
