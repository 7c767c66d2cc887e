package rules

import (
	"fmt"
	"strings"
	"testing"
)

// enhancedWant is what each enhanced code means where no rule knows the text:
// category, then the reason if there is one.
const enhancedWant = `
5.0.0 general
5.1.0 general
5.1.1 hard user-unknown
5.1.2 hard domain-not-found
5.1.3 hard bad-address
5.1.4 general ambiguous-address
5.1.5 general
5.1.6 hard mailbox-moved
5.1.7 block-general sender-rejected
5.1.8 block-general sender-rejected
5.1.9 general
5.1.10 hard null-mx
5.2.0 general
5.2.1 hard mailbox-disabled
5.2.2 mailbox-full mailbox-full
5.2.3 message-too-large message-too-large
5.2.4 general list-expansion
5.3.0 general
5.3.1 transient system-full
5.3.2 transient not-accepting
5.3.3 general not-supported
5.3.4 message-too-large message-too-large
5.3.5 general misconfigured
5.3.6 general
5.4.0 general
5.4.1 general no-answer
5.4.2 general bad-connection
5.4.3 dns-failure dns-error
5.4.4 dns-failure unroutable
5.4.5 transient congestion
5.4.6 general routing-loop
5.4.7 general expired
5.5.0 general
5.5.1 general protocol-error
5.5.2 general syntax
5.5.3 transient too-many-recipients
5.5.4 general syntax
5.5.5 general protocol-error
5.5.6 general protocol-error
5.6.0 block-spam content-rejected
5.6.1 block-spam content-rejected
5.6.2 general conversion
5.6.3 general conversion
5.6.4 general conversion
5.6.5 general conversion
5.6.6 general
5.6.7 general smtputf8
5.6.8 general smtputf8
5.6.9 general smtputf8
5.6.10 general smtputf8
5.7.0 block-general policy
5.7.1 block-general policy
5.7.2 block-general list-restricted
5.7.3 general security-conversion
5.7.4 general security-features
5.7.5 general cryptographic-failure
5.7.6 general cryptographic-failure
5.7.7 block-general message-integrity
5.7.8 relay-denied authentication-failed
5.7.9 relay-denied authentication-failed
5.7.10 block-general tls-required
5.7.11 relay-denied tls-required
5.7.12 relay-denied authentication-failed
5.7.13 relay-denied account-disabled
5.7.14 relay-denied trust-required
5.7.15 general priority-too-low
5.7.16 message-too-large message-too-large
5.7.17 hard mailbox-owner-changed
5.7.18 hard domain-owner-changed
5.7.19 general owner-test-failed
5.7.20 block-general dkim
5.7.21 block-general dkim
5.7.22 block-general dkim
5.7.23 block-general spf
5.7.24 block-general spf
5.7.25 block-general ptr
5.7.26 block-general authentication
5.7.27 block-general sender-null-mx
5.7.28 block-general mail-flood
5.7.29 block-general arc
5.7.30 general tls-required`

const replyWant = `
421 transient
450 transient
451 transient
452 transient
500 general
501 general
502 general
503 general
504 general
550 general
551 relay-denied
552 mailbox-full
553 general
554 general`

func TestEveryEnhancedCodeOfTheTable(t *testing.T) {
	s := loadDefault(t)
	lines := strings.Split(strings.TrimSpace(enhancedWant), "\n")
	if 2*len(lines) != len(s.enhanced) {
		t.Errorf("the test has %d codes of class 5, the table %d of both classes", len(lines), len(s.enhanced))
	}
	for _, line := range lines {
		f := append(strings.Fields(line), "")
		code, category, reason := f[0], f[1], f[2]
		got := s.Classify(&Input{Code: 550, Enhanced: code})
		if string(got.Category) != category || got.Reason != reason || got.Rule != "enhanced:"+code {
			t.Errorf("%s: got %s %q by %s, want %s %q", code, got.Category, got.Reason, got.Rule, category, reason)
		}
		if category == "hard" {
			category = "transient"
		}
		code = "4" + code[1:]
		got = s.Classify(&Input{Code: 450, Enhanced: code})
		if string(got.Category) != category || got.Reason != reason || got.Rule != "enhanced:"+code {
			t.Errorf("%s: got %s %q by %s, want %s %q", code, got.Category, got.Reason, got.Rule, category, reason)
		}
	}
}

func TestEveryReplyCodeOfTheTable(t *testing.T) {
	s := loadDefault(t)
	for _, line := range strings.Split(strings.TrimSpace(replyWant), "\n") {
		var code int
		var category string
		fmt.Sscan(line, &code, &category)
		got := s.Classify(&Input{Text: fmt.Sprint(code), Code: code})
		if string(got.Category) != category || got.Rule != fmt.Sprintf("reply:%d", code) {
			t.Errorf("%d: got %s by %s, want %s", code, got.Category, got.Rule, category)
		}
	}
}

func TestEveryRowSaysWhatTheCodeMeansAndWhere(t *testing.T) {
	s := loadDefault(t)
	for _, o := range s.enhanced {
		if o.row.about == "" || o.row.rfc == "" {
			t.Errorf("%s: about %q, rfc %q", o.key, o.row.about, o.row.rfc)
		}
	}
	for _, o := range s.reply {
		if o.row.about == "" || o.row.rfc == "" {
			t.Errorf("%s: about %q, rfc %q", o.key, o.row.about, o.row.rfc)
		}
	}
}

func TestParseEnhanced(t *testing.T) {
	for s, want := range map[string]enhancedCode{
		"5.1.1": makeEnhanced(5, 1, 1), "4.7.650": makeEnhanced(4, 7, 650), "5.999.999": makeEnhanced(5, 999, 999),
		"": 0, "3.1.1": 0, "5.1": 0, "5.1.": 0, "5.1.1.": 0, "5.1.1x": 0, "5.1.1234": 0, "x.1.1": 0, "5..1": 0,
	} {
		if got := parseEnhanced(s); got != want {
			t.Errorf("%q: got %d, want %d", s, got, want)
		}
	}
}
