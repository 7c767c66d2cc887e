package cli

import (
	"strings"
	"testing"
)

func TestOnlyAddressesThatMeanThemselvesGoIntoTables(t *testing.T) {
	for _, good := range []string{"a@b.example", "a.b+c_d@b-c.example", "x=y@b", "zoë@müller.example", "o'neil@b", "1@2"} {
		if !plainAddress(good) {
			t.Errorf("%q is left out", good)
		}
	}
	for _, bad := range []string{
		"", "a", "@b", "a@", "#a@b", "*@b", "a*@b", "a b@b", "a\tb@b", "a\nb@b", "a@b\nc@d REJECT", `"a"@b`, `a\@b`, "a:@b", "a@b:c", "a@b@c", "a@.b", "a@b.",
		"a@[192.0.2.1]", "a,b@c", "!a@b", "$a@b", "A@b", "a@b c", "a\u2028b@c", "a\u00a0b@c", "a\ufffd@b", "a\x00b@c", "a@b#c", "/etc/passwd@b", "a@b OK\n", strings.Repeat("a", 600) + "@b",
	} {
		if plainAddress(bad) {
			t.Errorf("%q is let through", bad)
		}
	}
	for cell, want := range map[string]bool{"a@b": true, "": true, "=1+1@b": false, "+a@b": false, "-a@b": false, "@b": false, "a\x1b[1m@b": false, "\ta@b": false} {
		if safeCell(cell) != want {
			t.Errorf("%q: %v", cell, !want)
		}
	}
}
