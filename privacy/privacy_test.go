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
			for _, s := range []string{e.Recipient, e.OriginalRecipient, e.Sender, e.Diagnostic} {
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
	f.Add("user <a@b.example> unknown @ x@ @y")
	m, err := New(config.Privacy{Addresses: "drop"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if out := m.Text(s); strings.Count(out, "@") > strings.Count(s, "@") {
			t.Errorf("%q became %q", s, out)
		}
	})
}
