package rules

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
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

// distinctInputs returns n replies that all differ: the examples of the rules
// over and over, each with a number of its own.
func distinctInputs(s *Set, n int) []Input {
	var all []Input
	for len(all) < n {
		for _, u := range s.rules {
			for _, e := range u.examples {
				all = append(all, ParseText(fmt.Sprintf("%s (%d)", e.text, len(all))))
			}
		}
	}
	return all[:n]
}

func BenchmarkClassify(b *testing.B) {
	s := loadDefault(b)
	benchmarkClassify(b, s, distinctInputs(s, 20_000))
}

// BenchmarkClassifyTenTimesTheRules has the default rules and nine times as
// many generated ones before them.
func BenchmarkClassifyTenTimesTheRules(b *testing.B) {
	base := loadDefault(b)
	s, err := Parse("generated.yaml", []byte(generatedRules(9*len(base.rules))), base)
	if err != nil {
		b.Fatal(err)
	}
	benchmarkClassify(b, s, distinctInputs(base, 20_000))
}

func benchmarkClassify(b *testing.B, s *Set, inputs []Input) {
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		s.Classify(&inputs[n])
		if n++; n == len(inputs) {
			n = 0
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "replies/s")
}

// BenchmarkHostileText has a reply made to be slow, 16 KiB of the words of the
// rules, the parts of each phrase in the wrong order; every pattern that they
// make worth a look is evaluated, as if none before it had matched.
func BenchmarkHostileText(b *testing.B) {
	s := loadDefault(b)
	text := hostileText(s)
	sc := newScratch(s)
	b.ReportAllocs()
	for b.Loop() {
		sc.read(s, text)
		for _, n := range slices.Compact(sc.candidates) {
			sc.matches(&s.patterns[n])
		}
	}
}

func hostileText(s *Set) string {
	var b strings.Builder
	for b.Len() < maxText {
		for _, u := range s.rules {
			for _, p := range u.phrases {
				for _, part := range slices.Backward(p.parts) {
					b.WriteString(part[b.Len()%len(part)].text + " ")
				}
			}
			for _, e := range u.regexps {
				for _, set := range slices.Backward(e.required) {
					b.WriteString(set[0] + " ")
				}
			}
		}
	}
	return b.String()[:maxText]
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

// generatedRules returns a file with n rules that extends the default. They are
// as long as those of the default set and written like them, with words of the
// shape of English ones that differ from rule to rule, beside some that replies
// have.
func generatedRules(n int) string {
	r := rand.New(rand.NewPCG(1, 2))
	common := strings.Fields("mailbox recipient address sender message server quota policy relay domain host connection " +
		"rejected refused denied blocked unknown disabled full exceeded temporary permanent invalid closed")
	word := func() string {
		if r.IntN(4) == 0 {
			return pick(r, common)
		}
		var b strings.Builder
		for range 2 + r.IntN(2) {
			b.WriteString(pick(r, []string{"b", "c", "d", "f", "gr", "l", "m", "n", "p", "qu", "r", "st", "t", "v", "pl"}) +
				pick(r, []string{"a", "e", "i", "o", "u", "ea", "ou"}) + pick(r, []string{"", "", "n", "r", "s", "ck", "nd"}))
		}
		return b.String()
	}
	group := func() string { return "(" + word() + "|" + word() + "|" + word() + ") " + word() }
	var b strings.Builder
	b.WriteString("schema: 1\nversion: generated\nextends: default\nrules:\n")
	for i := range n {
		fmt.Fprintf(&b, "  - {id: generated-%d, category: general, match: [%s %s own%d, %s %s %s]", i, word(), word(), i, word(), word(), word())
		fmt.Fprintf(&b, ", phrase: ['%s * %s', '%s + %s own%d', '{person} * %s']", group(), group(), group(), word(), i, group())
		if i%10 == 0 {
			fmt.Fprintf(&b, ", regex: '%s .{0,30}%s own%d'", word(), word(), i)
		}
		b.WriteString("}\n")
	}
	return b.String()
}

func BenchmarkNormalise(b *testing.B) {
	var buf []byte
	size := 0
	for _, text := range sampleReplies {
		size += len(text)
	}
	b.SetBytes(int64(size / len(sampleReplies)))
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		buf = normalise(buf[:0], sampleReplies[n%len(sampleReplies)])
	}
}
