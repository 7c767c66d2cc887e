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
