package rules

import (
	"os"
	"path/filepath"
	"testing"
	"unicode/utf8"

	"mtatap/event"
)

func FuzzParse(f *testing.F) {
	base := loadBase(f)
	files, _ := filepath.Glob("testdata/*.yaml")
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse("fuzz.yaml", data, base)
		if (s == nil) == (err == nil) {
			t.Fatalf("set %v, error %v", s, err)
		}
		if s != nil {
			s.Classify(&Input{Text: "550 5.1.1 base text user unknown", Code: 550})
		}
	})
}

func FuzzQuickLooksMissNothing(f *testing.F) {
	for _, text := range append(sampleReplies, "SMTP error from remote mailer after initial connection: 421 x", "Too many failures (x)",
		"192.0.2.1 failed after I sent the message. ", "::1 does not like recipient.", "\u017fmtp; x", "ho\u017ft x said: y", "... While tal\u212aing to y", "X-UNIX; x", "x 450 4.2.2 y: 550", "host x said: y (in reply to MAIL FROM command)") {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if (eximStage.MatchString(text) || tooMany.MatchString(text) || prefixes.MatchString(text)) && !mayBeWrapped(text) {
			t.Errorf("the wrapping of %q is missed", text)
		}
		if inReply.MatchString(text) && !mayBeInReply(text) {
			t.Errorf("the end of %q is missed", text)
		}
		if code, _ := innerCodes(text, ""); code == 0 && inner.MatchString(text) {
			t.Errorf("the code in %q is missed", text)
		}
	})
}

func FuzzParseText(f *testing.F) {
	s := loadDefault(f)
	for _, text := range sampleReplies {
		f.Add(text)
	}
	f.Add(`SMTP error from remote mail server after RCPT TO:<a@b>: 550-5.7.1 Bo\303\256te\n550 5.7.1 x`)
	f.Add("host mx[192.0.2.1] said: 550 no (in reply to RCPT TO command)")
	f.Fuzz(func(t *testing.T, text string) {
		in := ParseText(text)
		if in.Code != 0 && (in.Code < 200 || in.Code > 599) {
			t.Errorf("code %d", in.Code)
		}
		if in.Enhanced != "" && event.EnhancedLen(in.Enhanced) != len(in.Enhanced) {
			t.Errorf("enhanced %q", in.Enhanced)
		}
		if n := normalise(nil, text); !utf8.Valid(n) {
			t.Errorf("normalised to invalid UTF-8 %q", n)
		}
		v := s.Classify(&in)
		if in.Code/100 == 4 && v.BounceType == event.Hard {
			t.Errorf("hard by %s for a reply %d", v.Rule, in.Code)
		}
		if e := s.Explain(&in); e.Verdict != v {
			t.Errorf("explained %+v, given %+v", e.Verdict, v)
		}
	})
}
