package rules

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"mtatap/event"
)

// defaultFile is the rule set that the binary embeds.
const defaultFile = "../rules.yaml"

var defaultSet = sync.OnceValues(func() (*Set, error) { return Load(defaultFile, nil) })

func loadDefault(tb testing.TB) *Set {
	tb.Helper()
	s, err := defaultSet()
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// sampleReplies are what servers say most often, one of each kind.
var sampleReplies = []string{
	"550 5.1.1 <anna@example.com>: Recipient address rejected: User unknown in virtual mailbox table",
	"550-5.1.1 The email account that you tried to reach does not exist. Please try double-checking the recipient's email address for typos or unnecessary spaces. Learn more at https://support.example/mail/?p=NoSuchUser - gsmtp",
	"452-4.2.2 The email account that you tried to reach is over quota. Please direct the recipient to https://support.example/mail/?p=OverQuotaTemp - gsmtp",
	"550 5.7.1 Service unavailable, Client host [192.0.2.1] blocked using Spamhaus. To request removal from this list see https://www.spamhaus.org/query/ip/192.0.2.1",
	"421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints - 4.16.55.1",
	"451 4.7.1 Greylisting in action, please come back later",
	"554 5.7.1 <anna@example.com>: Relay access denied",
	"552 5.3.4 Message size exceeds fixed limit",
	"connect to mx1.example.com[192.0.2.10]:25: Connection timed out",
	"Host or domain name not found. Name service error for name=nodomain.example type=A: Host not found",
	"550 5.4.1 Recipient address rejected: Access denied. AS(201806281) [XX0EUR01FT012.eop-EUR01.prod.protection.outlook.com]",
	"554 Transaction failed",
}

func sampleInputs() []Input {
	var all []Input
	for _, text := range sampleReplies {
		all = append(all, ParseText(text))
	}
	return all
}

func BenchmarkClassify(b *testing.B) {
	benchmarkClassify(b, loadDefault(b))
}

// BenchmarkClassifyTenTimesTheRules has the default rules and nine times as
// many generated ones of about the same length before them.
func BenchmarkClassifyTenTimesTheRules(b *testing.B) {
	base := loadDefault(b)
	s, err := Parse("generated.yaml", []byte(generatedRules(9*len(base.rules))), base)
	if err != nil {
		b.Fatal(err)
	}
	benchmarkClassify(b, s)
}

func benchmarkClassify(b *testing.B, s *Set) {
	inputs := sampleInputs()
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		s.Classify(&inputs[n%len(inputs)])
		n++
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "replies/s")
}

// BenchmarkClassifyHostile has a reply made to be slow: 16 KiB of words that
// phrases begin and end with, in the wrong order.
func BenchmarkClassifyHostile(b *testing.B) {
	s := loadDefault(b)
	in := Input{Code: 550, Text: strings.Repeat("found exist quota storage header sender ", 25) + strings.Repeat("user mailbox domain message ", 500)}
	b.ReportAllocs()
	for b.Loop() {
		s.Classify(&in)
	}
}

func BenchmarkClassifyDelivered(b *testing.B) {
	s := loadDefault(b)
	in := Input{Text: "250 2.0.0 Ok: queued as 4AB12", Code: 250, Status: event.Delivered}
	b.ReportAllocs()
	for b.Loop() {
		s.Classify(&in)
	}
}

func BenchmarkProvider(b *testing.B) {
	s := loadDefault(b)
	b.ReportAllocs()
	for b.Loop() {
		s.Provider("example-com.mail.protection.outlook.com", "example.com")
	}
}

func BenchmarkParse(b *testing.B) {
	data, err := os.ReadFile(defaultFile)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(defaultFile, data, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// generatedRules returns a file with n rules that extends the default, made of
// words that replies also have.
func generatedRules(n int) string {
	words := strings.Fields("mailbox recipient address sender message server quota policy relay domain host connection " +
		"rejected refused denied blocked unknown disabled full exceeded temporary permanent invalid closed")
	var b strings.Builder
	b.WriteString("schema: 1\nversion: generated\nextends: default\nrules:\n")
	for i := range n {
		fmt.Fprintf(&b, "  - {id: generated-%d, category: general, match: [", i)
		for j := range 20 {
			w := func(k int) string { return words[(i*7+j*13+k*5+i/11)%len(words)] }
			fmt.Fprintf(&b, "%s %s %s %d, ", w(0), w(1), w(2), i)
		}
		fmt.Fprintf(&b, "], regex: '%s .{0,30}%s %d'}\n", words[i%len(words)], words[(i*3+1)%len(words)], i)
	}
	return b.String()
}
