package e2e

import (
	"fmt"
	"slices"
	"strings"

	"mtatap/e2e/lab"
	"mtatap/event"
)

// published is what a consumer reads of an event's JSON.
type published struct {
	MTA               string  `json:"mta"`
	QueueID           string  `json:"queue_id"`
	Sender            *string `json:"sender"`
	Recipient         string  `json:"recipient"`
	OriginalRecipient string  `json:"original_recipient"`
	RecipientSource   string  `json:"recipient_source"`
	Status            string  `json:"status"`
	Attempted         *bool   `json:"attempted"`
	Phase             string  `json:"phase"`
	SMTPCode          int     `json:"smtp_code"`
	EnhancedCode      string  `json:"enhanced_code"`
	Diagnostic        string  `json:"diagnostic"`
	Category          string  `json:"category"`
	Action            string  `json:"action"`
	Rule              string  `json:"rule"`
	ID                string  `json:"id"`
}

func (e published) String() string {
	sender := "?"
	if e.Sender != nil {
		sender = "<" + *e.Sender + ">"
	}
	diagnostic := e.Diagnostic[:min(len(e.Diagnostic), 120)]
	return fmt.Sprintf("%s from %s: %s at %s %d %s %s by %s: %q", e.Recipient, sender, e.Status, e.Phase, e.SMTPCode, e.EnhancedCode, e.Category, e.Rule, diagnostic)
}

// compare holds events against what the remote side really said and returns
// every difference. Of each recipient the n-th event must tell of the n-th
// exchange; expiries have no exchange of their own, and recipients of
// lab.RefusedDomain never reached the remote side at all.
func compare(mta string, said []lab.Exchange, events []published) []string {
	var wrong []string
	complain := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }

	byRecipient := map[string][]published{}
	for _, e := range events {
		if e.Attempted != nil && !*e.Attempted {
			continue
		}
		if mta == "opensmtpd" && e.Phase == "connect" && !strings.HasSuffix(e.Recipient, "@"+lab.RefusedDomain) {
			if e.SMTPCode != 0 || e.Category != string(event.CategoryGeneral) {
				complain("%s: a failed connection told as %v", e.Recipient, e)
			}
			continue // nor how often it was, but that the network failed
		}
		key := recipientOf(e, said)
		byRecipient[key] = append(byRecipient[key], e)
	}
	exchanges := map[string][]lab.Exchange{}
	for _, x := range said {
		if mta == "haraka" && notification(x) {
			continue // Haraka does not log for whom its own bounces are
		}
		if mta == "opensmtpd" && x.Stage == lab.StageBanner && x.Code/100 != 2 {
			continue // OpenSMTPD does not log for whom a greeting was refused
		}
		key := plainAddress(x.Recipient)
		exchanges[key] = append(exchanges[key], x)
	}

	for recipient, xs := range exchanges {
		got, expired := splitExpired(byRecipient[recipient])
		delete(byRecipient, recipient)
		last := xs[len(xs)-1]
		if mta == "exim" && len(expired) == 1 && len(got) == len(xs)-1 {
			xs = xs[:len(got)] // Exim logs a last failure as an expiry alone
		}
		if len(got) != len(xs) {
			complain("%s: %d events for %d exchanges: %v", recipient, len(got), len(xs), got)
			continue
		}
		for i, x := range xs {
			for _, difference := range differences(mta, x, got[i]) {
				complain("%s, attempt %d, server said %.80q: %s\n\t%v", recipient, x.Attempt, x.Reply, difference, got[i])
			}
		}
		wantExpired := 0
		if expectedStatus(mta, last) == event.Deferred {
			wantExpired = 1
		}
		if len(expired) != wantExpired {
			complain("%s: %d expiries, want %d", recipient, len(expired), wantExpired)
		}
		for _, e := range expired {
			if e.Category != string(last.Category) && readable(mta, last) {
				complain("%s: expired as %s, want %s\n\t%v", recipient, e.Category, last.Category, e)
			}
		}
	}

	for recipient, left := range byRecipient {
		if strings.HasSuffix(recipient, "@"+lab.RefusedDomain) {
			wrong = append(wrong, compareUnreached(left)...)
			continue
		}
		complain("%s: nothing was said about it, yet there are %v", recipient, left)
	}
	slices.Sort(wrong)
	return wrong
}

// differences compares one event with one exchange.
func differences(mta string, x lab.Exchange, e published) []string {
	var wrong []string
	check := func(what string, got, want any) {
		if got != want {
			wrong = append(wrong, fmt.Sprintf("%s %v, want %v", what, got, want))
		}
	}
	check("status", e.Status, expectedStatus(mta, x).String())
	if mta == "opensmtpd" && !readable(mta, x) {
		x.Code, x.Enhanced, x.Category = 0, "", event.CategoryGeneral // it does not say what it could not read
	}
	check("category", e.Category, string(x.Category))
	if code := x.Code; code/100 != 2 || mta != "haraka" { // Haraka logs no code of a success
		check("code", e.SMTPCode, code)
		check("enhanced code", e.EnhancedCode, x.Enhanced)
	}
	switch {
	case e.Sender == nil:
		wrong = append(wrong, "sender is missing")
	case x.Stage != lab.StageBanner: // no sender was said
		check("sender", foldDomain(*e.Sender), foldDomain(x.Sender)) // Haraka 2.8 says it in lower case
	}
	if x.Code >= 400 && !mayMissPhase(mta, x, e.Phase) {
		check("phase", e.Phase, string(x.Stage))
	}
	return wrong
}

// mayMissPhase tells where a log does not say when a reply was given.
func mayMissPhase(mta string, x lab.Exchange, phase string) bool {
	switch mta {
	case "haraka": // only refused recipients have lines of their own
		return phase == "" && x.Stage != lab.StageRcpt
	case "opensmtpd": // a reply is logged without the command that it answers
		return phase == ""
	case "postfix": // one wording for greeting and EHLO; records are cut at 2000 bytes
		return phase == "helo" && x.Stage == lab.StageBanner || phase == "" && len(x.Reply) > 1500
	}
	return false
}

// notification reports whether x is mail that the server itself sent back.
func notification(x lab.Exchange) bool {
	return x.Sender == "" && x.Script == "" && strings.HasSuffix(strings.ToLower(x.Recipient), "@"+lab.SenderDomain)
}

// expectedStatus is what the mail server makes of a reply, by its own rules.
func expectedStatus(mta string, x lab.Exchange) event.Status {
	switch {
	case x.Code/100 == 2:
		return event.Delivered
	case !readable(mta, x): // tried again
		return event.Deferred
	case x.Code/100 == 5 && (mta != "postfix" || x.Stage != lab.StageBanner):
		return event.Bounced
	}
	return event.Deferred // 4xx, a hang-up, and Postfix after a 5xx greeting
}

// readable reports whether the mail server takes a reply of that length.
func readable(mta string, x lab.Exchange) bool {
	return mta != "exim" && mta != "opensmtpd" || len(x.Reply) <= 4096
}

// compareUnreached checks the events of a recipient whose host never answered.
func compareUnreached(events []published) []string {
	var wrong []string
	tries, expired := splitExpired(events)
	if len(tries) < 2 || len(expired) != 1 {
		wrong = append(wrong, fmt.Sprintf("%s: %d deferrals and %d expiries", lab.RefusedDomain, len(tries), len(expired)))
	}
	for _, e := range events {
		if e.SMTPCode != 0 || e.Status == "deferred" && e.Phase != "connect" || e.Category != string(event.CategoryGeneral) {
			wrong = append(wrong, fmt.Sprintf("%s: %v", lab.RefusedDomain, e))
		}
	}
	return wrong
}

func splitExpired(events []published) (tries, expired []published) {
	for _, e := range events {
		if e.Status == event.Expired.String() {
			expired = append(expired, e)
		} else {
			tries = append(tries, e)
		}
	}
	return tries, expired
}

// recipientOf returns the address under which the remote side knows e: an alias
// is known by what it stands for.
func recipientOf(e published, said []lab.Exchange) string {
	for _, addr := range []string{e.Recipient, e.OriginalRecipient} {
		plain := plainAddress(addr)
		if slices.ContainsFunc(said, func(x lab.Exchange) bool { return plainAddress(x.Recipient) == plain }) {
			return plain
		}
	}
	if plainAddress(e.Recipient) == lab.AliasRecipient {
		return lab.AliasTarget // Exim logs the envelope recipient
	}
	return plainAddress(e.Recipient)
}

// plainAddress folds case and takes the quotes off a local part.
func plainAddress(addr string) string {
	addr = strings.ToLower(addr)
	at := strings.LastIndexByte(addr, '@')
	if at < 2 || addr[0] != '"' || addr[at-1] != '"' {
		return addr
	}
	return addr[1:at-1] + addr[at:]
}

// foldDomain folds the case of an address's domain.
func foldDomain(addr string) string {
	at := strings.LastIndexByte(addr, '@') + 1
	return addr[:at] + strings.ToLower(addr[at:])
}
