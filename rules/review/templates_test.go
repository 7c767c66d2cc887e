package review

import (
	"fmt"
	"strings"
	"testing"
)

func TestTokensMaskWhatDiffers(t *testing.T) {
	for text, want := range map[string]string{
		"<ann@b.example>: Recipient rejected":                      "<address>: Recipient rejected",
		"user ann@b.example, unknown":                              "user <address>, unknown",
		"hidden before: <[address]> and [address]":                 "hidden before: <address> and <address>",
		"client [192.0.2.1] blocked":                               "client [<ip>] blocked",
		"from 2001:db8::1 refused":                                 "from <ip> refused",
		"connect to mx1.b.example[192.0.2.1]:25: timed out":        "connect to <host>[<ip>]:<number>: timed out",
		"connect to mx1.b.example:25 failed":                       "connect to <host>:<number> failed",
		"see https://b.example/x?ip=192.0.2.1&m=1 now":             "see <url> now",
		"(see http://b.example/x).":                                "(see <url>).",
		"Rejected by S3150 AUP#1310 TSS04 [OLS0]":                  "Rejected by S3150 AUP#1310 TSS04 [OLS0]",
		"id d2e1a72fcca58-77df0a1f4d5si1239476b3a.78 - gsmtp":      "id <id> - gsmtp",
		"queued as 4E5845325CB at 12:30:11, 12 of 30MB":            "queued as <id> at <number>, <number> of <number>MB",
		"5.1.1 unknown. User unknown.":                             "5.1.1 unknown. User unknown.",
		"пользователь не найден 550":                               "пользователь не найден <number>",
		`"ann smith"@b.example is not news+ann=b.example@l.exampl`: "<address> is not <address>",
	} {
		got, more := tokens(text)
		if strings.Join(got, " ") != want || more {
			t.Errorf("%q\n got %q\nwant %q", text, strings.Join(got, " "), want)
		}
	}
}

func TestRepliesOfTheSameWordsShareATemplate(t *testing.T) {
	g := newTemplates[int]()
	for i := range 30 {
		g.add(0, fmt.Sprintf("550 5.7.1 <u%d@b.example> your message from [192.0.2.%d] was held by rule r%c today", i, i, 'a'+i))
	}
	g.add(0, "550 5.7.1 Something else entirely")
	g.add(0, "550 5.1.1 Something else entirely")
	g.add(1, "550 5.7.1 Something else entirely")
	g.add(0, "user unknown")
	g.add(0, "mailbox unknown")
	g.add(0, "550")
	var got []string
	for _, a := range g.all() {
		got = append(got, fmt.Sprint(a.Count, " ", a.Key, " ", a))
	}
	want := []string{
		"30 0 550 5.7.1 <address> your message from [<ip>] was held by rule <*> today",
		"1 0 550", "1 0 550 5.1.1 Something else entirely", "1 0 550 5.7.1 Something else entirely", "1 1 550 5.7.1 Something else entirely",
		"1 0 mailbox unknown", "1 0 user unknown",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if n := len(g.all()[0].Samples); n != maxSamples {
		t.Errorf("%d samples kept, want %d", n, maxSamples)
	}
}

func TestTemplatesStayBoundedAndKeepTheFrequent(t *testing.T) {
	g := newTemplates[string]()
	const n = 3 * maxTemplates
	for i := range n {
		g.add("", fmt.Sprintf("%s w%c%c%c stays different", strings.Repeat("x ", i%30), 'a'+i%26, 'a'+i/26%26, 'a'+i/676%26))
		g.add("", "the same thing again and again")
		if g.count > maxTemplates {
			t.Fatalf("%d templates", g.count)
		}
	}
	top, sum := g.all()[0], g.dropped
	if top.Count != n || top.String() != "the same thing again and again" {
		t.Errorf("the most frequent is %d %q", top.Count, top)
	}
	for l, all := range g.leaves {
		if len(all) > maxAlike {
			t.Errorf("%d templates in %+v", len(all), l)
		}
	}
	for _, a := range g.all() {
		sum += a.Count
	}
	if sum != 2*n {
		t.Errorf("%d replies are accounted for, want %d", sum, 2*n)
	}
}

func TestCleanTextIsFitForATerminal(t *testing.T) {
	got := clean("550 \x1b[31mred\x07\r\n two\u0085three\u2028four\u202efive \xff\xfe\u200b six")
	if got != "550 [31mred two three four five six" {
		t.Errorf("got %q", got)
	}
	if n := len(clean(strings.Repeat("é", 2000))); n > maxShown {
		t.Errorf("%d bytes kept", n)
	}
}

func FuzzTokens(f *testing.F) {
	f.Add("550 5.1.1 <a@b.c>: x[1.2.3.4]:25 http://x ..:: \"=|")
	f.Fuzz(func(t *testing.T, text string) {
		g := newTemplates[int]()
		a := g.add(0, clean(text)).String()
		if strings.ContainsAny(a, "\n\r\x1b") {
			t.Errorf("template %q", a)
		}
		if b := g.add(0, clean(text)); b.Count != 2 || b.String() != a {
			t.Errorf("the same text again: %d %q, want 2 %q", b.Count, b, a)
		}
	})
}
