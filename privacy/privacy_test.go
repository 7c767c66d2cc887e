package privacy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mtatap/config"
	"mtatap/event"
)

func keyFile(t *testing.T, key string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func bounced() event.Event {
	return event.Event{Delivery: event.Delivery{
		Recipient: "Ann@Example.com", OriginalRecipient: "ann.smith@example.org", Sender: "news@shop.example", SenderKnown: true,
		RecipientSource: event.RecipientFromLog,
		Diagnostic:      "550 5.1.1 <ann@example.com>: user Ann@Example.com unknown, ask postmaster@example.com. (mailto:x@y.example)",
	}}
}

func TestApplyLeavesNoAddressInTheEvent(t *testing.T) {
	for _, c := range []config.Privacy{{Addresses: "drop"}, {Addresses: "hmac", KeyFile: keyFile(t, "0123456789abcdef\n")}} {
		t.Run(c.Addresses, func(t *testing.T) {
			m, err := New(c)
			if err != nil {
				t.Fatal(err)
			}
			e := bounced()
			m.Apply(&e)
			for _, s := range []string{e.Recipient, e.OriginalRecipient, e.Sender, e.Diagnostic, e.Key(), string(new(event.Encoder).Append(nil, &e))} {
				if strings.Contains(s, "@") {
					t.Errorf("an address is left in %q", s)
				}
			}
			if !strings.Contains(e.Diagnostic, "550 5.1.1 <") || !strings.Contains(e.Diagnostic, "unknown, ask ") {
				t.Errorf("the words of the diagnostic are gone: %q", e.Diagnostic)
			}
			if c.Addresses == "hmac" && (len(e.Recipient) != 32 || strings.Count(e.Diagnostic, e.Recipient) != 2) {
				t.Errorf("recipient %q is not the same hash everywhere in %q", e.Recipient, e.Diagnostic)
			}
			if c.Addresses == "drop" && (e.Recipient != "" || e.SenderKnown || e.RecipientSource != event.RecipientUnknown) {
				t.Errorf("dropped addresses leave traces: %+v", e.Delivery)
			}
		})
	}
}

func TestTextLeavesNoAddressOfAnyForm(t *testing.T) {
	m, err := New(config.Privacy{Addresses: "drop"})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ known, text, want string }{
		"in angle brackets":          {"", "550 <ann@b.example>: unknown", "550 <[address]>: unknown"},
		"a quoted local part":        {"", `550 <"ann smith"@b.example> unknown`, "550 <[address]> unknown"},
		"UTF-8":                      {"", "550 jörg@bücher.example unknown", "550 [address] unknown"},
		"inside a bounce address":    {"", "550 news+ann=b.example@list.example refused", "550 [address] refused"},
		"percent-encoded":            {"", "550 https://x.example/ann%40b.example", "550 https:[address]"},
		"known in another case":      {"Ann@B.example", "550 ANN@b.EXAMPLE unknown", "550 [address] unknown"},
		"known and strange":          {"ann(x)@b.example", "550 ann(x)@b.example unknown", "550 [address] unknown"},
		"known, behind another":      {"ann(x)@b.example", "550 c@d.example ann(x)@b.example", "550 [address] [address]"},
		"the local part alone":       {"ann.smith@b.example", "550 no such user: Ann.Smith.", "550 no such user: [address]."},
		"the local part in a path":   {"ann@b.example", "cannot open /var/mail/ann: full", "cannot open /var/mail/[address]: full"},
		"the local part in a word":   {"ann@b.example", "550 annual cleaning by anna", "550 annual cleaning by anna"},
		"a local part like a code":   {"5@b.example", "550 5.1.1 unknown", "550 5.1.1 unknown"},
		"a quoted local part, alone": {`"ann smith"@b.example`, "550 no mailbox ann smith here", "550 no mailbox [address] here"},
		"a recipient without domain": {"root", "cannot deliver to root", "cannot deliver to [address]"},
		"no address":                 {"ann@b.example", "421 busy @ 12:00", "421 busy @ 12:00"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := m.Text(c.text, c.known); got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

// A message id is made by others and may hold the recipient's address.
func TestAMessageIDIsHiddenLikeAnAddress(t *testing.T) {
	hashed, err := New(config.Privacy{Addresses: "hmac", KeyFile: keyFile(t, "0123456789abcdef")})
	if err != nil {
		t.Fatal(err)
	}
	e := event.Event{Delivery: event.Delivery{MessageID: "ann=b.example.1@list.example"}}
	hashed.Apply(&e)
	if len(e.MessageID) != 32 || strings.ContainsAny(e.MessageID, "@=.") {
		t.Errorf("message id %q, want a hash", e.MessageID)
	}
	dropped, err := New(config.Privacy{Addresses: "drop"})
	if err != nil {
		t.Fatal(err)
	}
	if dropped.Apply(&e); e.MessageID != "" {
		t.Errorf("message id %q, want none", e.MessageID)
	}
}

func TestTheNullSenderStaysKnown(t *testing.T) {
	m, err := New(config.Privacy{Addresses: "drop"})
	if err != nil {
		t.Fatal(err)
	}
	e := event.Event{Delivery: event.Delivery{SenderKnown: true}}
	if m.Apply(&e); !e.SenderKnown || e.Sender != "" {
		t.Errorf("sender %q known %v, want the null sender", e.Sender, e.SenderKnown)
	}
}

func TestNewRefusesAShortKeyAndKnowsPlain(t *testing.T) {
	if _, err := New(config.Privacy{Addresses: "hmac", KeyFile: keyFile(t, "short")}); err == nil {
		t.Error("a key of 5 bytes was taken")
	}
	if m, err := New(config.Privacy{Addresses: "plain"}); m != nil || err != nil {
		t.Errorf("plain gives %v, %v", m, err)
	}
}

func FuzzText(f *testing.F) {
	f.Add("user <a@b.example> unknown @ x@ @y a", "a@b.example")
	m, err := New(config.Privacy{Addresses: "drop"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s, known string) {
		if _, end := event.FindAddress(known); end < len(known) {
			known = ""
		}
		out := m.Text(s, known)
		if start, end := event.FindAddress(out); start >= 0 && !strings.Contains(out[start:end], hiddenAddress) {
			t.Errorf("%q became %q with %q left", s, out, out[start:end])
		}
		if strings.Contains(known, "@") && indexFold(out, known) >= 0 {
			t.Errorf("%q became %q with %q left", s, out, known)
		}
	})
}
