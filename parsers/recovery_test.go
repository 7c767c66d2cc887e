package parsers

import (
	"strings"
	"testing"

	"mtatap/event"
)

func TestVERPRecipient(t *testing.T) {
	for name, c := range map[string]struct {
		pattern, address, want string
	}{
		"after a plus":                           {"+{local}={domain}@", "bounce+user=example.com@sender.example", "user@example.com"},
		"a local part that holds the separator":  {"+{local}={domain}@", "bounce+a=b=example.com@sender.example", "a=b@example.com"},
		"a local part with a plus":               {"+{local}={domain}@", "bounce+user+tag=example.com@sender.example", "user+tag@example.com"},
		"other separators":                       {"-{local}#{domain}@", "list-user#example.com@sender.example", "user@example.com"},
		"the whole local part":                   {"{local}={domain}@", "user=example.com@sender.example", "user@example.com"},
		"a plain address":                        {"+{local}={domain}@", "user@sender.example", ""},
		"a tag that is no address":               {"+{local}={domain}@", "user+tag@sender.example", ""},
		"a domain without a dot":                 {"+{local}={domain}@", "bounce+user=example@sender.example", ""},
		"no local part":                          {"+{local}={domain}@", "bounce+=example.com@sender.example", ""},
		"an address inside the address":          {"+{local}={domain}@", `"bounce+a@b=example.com"@sender.example`, ""},
		"the null sender":                        {"+{local}={domain}@", "", ""},
		"a pattern that is none":                 {"{nonsense}", "bounce+user=example.com@sender.example", ""},
		"a pattern with nothing between its two": {"{local}{domain}", "user=example.com@sender.example", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, address, ok := newVERP([]string{c.pattern}).recipient("other@sender.example", c.address)
			if got != c.want || ok != (c.want != "") || ok && address != c.address {
				t.Errorf("got %q of %q, %v, want %q", got, address, ok, c.want)
			}
		})
	}
}

func TestRecoverRecipient(t *testing.T) {
	for name, c := range map[string]struct {
		in     event.Delivery
		want   string
		source event.RecipientSource
	}{
		"named in the line": {
			event.Delivery{Status: event.Bounced, Recipient: "a@b.example", RecipientSource: event.RecipientFromLog, Sender: "x+c=d.example@s.example"},
			"a@b.example", event.RecipientFromLog},
		"the original recipient before all else": {
			event.Delivery{Status: event.Bounced, OriginalRecipient: "a@b.example", Sender: "x+c=d.example@s.example", Diagnostic: "550 <e@f.example> unknown"},
			"a@b.example", event.RecipientFromOriginal},
		"a VERP sender before the text": {
			event.Delivery{Status: event.Expired, Sender: "x+c=d.example@s.example", Diagnostic: "550 <e@f.example> unknown"},
			"c@d.example", event.RecipientFromVERP},
		"the text": {
			event.Delivery{Status: event.Bounced, Sender: "s@s.example", Diagnostic: "550 5.1.1 <e@f.example>: unknown, see https://help.example/?q=@x.y"},
			"e@f.example", event.RecipientFromDiagnostic},
		"the text, twice the same": {
			event.Delivery{Status: event.Bounced, Diagnostic: "550 <E@f.example>: no mailbox e@F.example."},
			"E@f.example", event.RecipientFromDiagnostic},
		"two addresses in the text":       {event.Delivery{Status: event.Bounced, Diagnostic: "550 <e@f.example> not permitted to <g@h.example>"}, "", event.RecipientUnknown},
		"the sender in the text":          {event.Delivery{Status: event.Bounced, Sender: "s@s.example", Diagnostic: "550 <s@s.example> refused"}, "", event.RecipientUnknown},
		"a local part that is too long":   {event.Delivery{Status: event.Bounced, Diagnostic: "550 <" + strings.Repeat("e", 65) + "@f.example> unknown"}, "", event.RecipientUnknown},
		"a label that starts with a dash": {event.Delivery{Status: event.Bounced, Diagnostic: "550 <e@-f.example> unknown"}, "", event.RecipientUnknown},
		"nothing":                         {event.Delivery{Status: event.Bounced, Diagnostic: "550 no"}, "", event.RecipientUnknown},
		"a deferral is not the end":       {event.Delivery{Status: event.Deferred, Diagnostic: "450 <e@f.example> later"}, "", event.RecipientUnknown},
		"a success is nobody's loss":      {event.Delivery{Status: event.Delivered, Sender: "x+c=d.example@s.example"}, "", event.RecipientUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			d := c.in
			newVERP([]string{"+{local}={domain}@"}).recoverRecipient(&d)
			if d.Recipient != c.want || d.RecipientSource != c.source {
				t.Errorf("got %q from %q, want %q from %q", d.Recipient, d.RecipientSource, c.want, c.source)
			}
		})
	}
}

func TestAsynchronousBounce(t *testing.T) {
	v := newVERP([]string{"+{local}={domain}@"})
	delivered := event.Delivery{Status: event.Delivered, Phase: event.PhaseLocal, DSN: "2.0.0", SMTPCode: 250, EnhancedCode: "2.0.0",
		Diagnostic: "delivered via bounces service", Recipient: "x+c=d.example@s.example", Delay: event.KnownSeconds(1), Attempt: 1}
	for name, c := range map[string]struct {
		said, diagnostic, enhanced string
		code                       int
	}{
		"silent":                   {},
		"with the remote's reply":  {"550 5.1.1 unknown", "550 5.1.1 unknown", "5.1.1", 550},
		"with a status code alone": {"5.2.2 full", "5.2.2 full", "5.2.2", 0},
	} {
		t.Run(name, func(t *testing.T) {
			d := delivered
			want := event.Delivery{Status: event.Bounced, Recipient: "c@d.example", OriginalRecipient: d.Recipient, RecipientSource: event.RecipientFromVERP,
				SMTPCode: c.code, EnhancedCode: c.enhanced, Diagnostic: c.diagnostic}
			if !v.asynchronousBounce(&d, c.said, "", d.Recipient) || d != want {
				t.Errorf("\n got %+v\nwant %+v", d, want)
			}
		})
	}
	for name, c := range map[string]struct {
		said, want string
		none       bool
	}{
		"mail to an ordinary address":         {},
		"words of no failure":                 {said: "stored for <c@d.example>"},
		"a failure that may pass":             {said: "451 4.2.0 <c@d.example> is busy"},
		"a failure of nobody":                 {said: "550 5.1.1 unknown"},
		"a failure of several":                {said: "550 5.1.1 <c@d.example> <e@d.example>"},
		"a failure of the bounce address":     {said: "550 5.1.1 <bounces@s.example> unknown"},
		"a failure of one":                    {said: "550 5.1.1 <c@d.example> unknown", want: "c@d.example"},
		"a failure with a status code alone":  {said: "5.1.1 c@d.example", want: "c@d.example"},
		"a failure of one, without a pattern": {said: "550 5.1.1 <c@d.example> unknown", none: true},
	} {
		t.Run(name, func(t *testing.T) {
			d := delivered
			d.Recipient = "bounces@s.example"
			patterns := v
			if c.none {
				patterns = nil
			}
			if ok := patterns.asynchronousBounce(&d, c.said, d.Recipient); ok != (c.want != "") {
				t.Fatalf("got %v and %+v", ok, d)
			}
			if c.want != "" && (d.Recipient != c.want || d.RecipientSource != event.RecipientFromDiagnostic || d.OriginalRecipient != "bounces@s.example" || d.Status != event.Bounced || d.Diagnostic != c.said) {
				t.Errorf("got %+v", d)
			}
		})
	}
}

func FuzzRecovery(f *testing.F) {
	f.Add("bounce+user=example.com@sender.example", "550 5.1.1 <e@f.example>: unknown")
	f.Add("+a=b.c@", "5.1.1 e@f.example, see <mailto:E@f.example>")
	f.Fuzz(func(t *testing.T, address, said string) {
		v := newVERP([]string{"+{local}={domain}@", "{local}#{domain}"})
		for _, d := range []event.Delivery{
			{Status: event.Expired, Sender: address, Diagnostic: said},
			{Status: event.Bounced, OriginalRecipient: address, Diagnostic: said},
			{Status: event.Delivered, Sender: address, Diagnostic: said},
		} {
			before := d
			v.recoverRecipient(&d)
			if d.Status != before.Status || d.Diagnostic != before.Diagnostic || (d.Recipient == "") != (d.RecipientSource == event.RecipientUnknown) {
				t.Errorf("%+v became %+v", before, d)
			}
			if d.RecipientSource > event.RecipientFromOriginal && (event.Domain(d.Recipient) == "" || strings.ContainsAny(d.Recipient, "<> \n")) {
				t.Errorf("recipient %q of %+v", d.Recipient, before)
			}
		}
		d := event.Delivery{Status: event.Delivered, Recipient: address}
		if ok := v.asynchronousBounce(&d, said, "", address); ok != (d.Status == event.Bounced) || ok && d.RecipientSource < event.RecipientFromVERP {
			t.Errorf("%v: %+v", ok, d)
		}
	})
}
