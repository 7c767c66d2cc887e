package event

import "testing"

func TestFindAddress(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"a plain address":                     {"user ann@shop.example unknown", "ann@shop.example"},
		"in angle brackets":                   {"<Ann.Smith@Shop.example>: unknown", "Ann.Smith@Shop.example"},
		"a quoted local part":                 {`to <"ann smith"@shop.example> now`, `"ann smith"@shop.example`},
		"a quoted local part with a quote":    {`to <"ann \" smith"@shop.example>`, `"ann \" smith"@shop.example`},
		"a quoted local part in a JSON log":   {`{"to":"\"ann smith\"@shop.example"}`, `\"ann smith\"@shop.example`},
		"UTF-8":                               {"an jörg@bücher.example geht", "jörg@bücher.example"},
		"a bounce address with another in it": {"from news+ann=shop.example@list.example.", "news+ann=shop.example@list.example"},
		"percent-encoded in a URL":            {"see https://x.example/?to=ann%40shop.example&n=1", "//x.example/?to=ann%40shop.example"},
		"percent-encoded behind a percent":    {"a%20 b%c%40shop.example", "b%c%40shop.example"},
		"a domain literal":                    {"ann@[192.0.2.1] refused", "ann@[192.0.2.1]"},
		"an apostrophe in the local part":     {"'o'brien@shop.example'", "o'brien@shop.example"},
		"the end of a sentence":               {"ask ann@shop.example.", "ann@shop.example"},
		"behind a lone @":                     {"@ a@ @b c@d.example", "c@d.example"},
		"no address":                          {"550 5.1.1 User unknown @ here, 40% of a@", ""},
		"an open domain literal":              {"ann@[192.0.2.1 refused", ""},
		"nothing":                             {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			if start, end := FindAddress(c.text); start >= 0 {
				got = c.text[start:end]
			}
			if got != c.want {
				t.Errorf("found %q in %q, want %q", got, c.text, c.want)
			}
		})
	}
}

func FuzzFindAddress(f *testing.F) {
	f.Add(`x "a\"b"@c.d %40 e%40f @[1]`)
	f.Fuzz(func(t *testing.T, s string) {
		if start, end := FindAddress(s); start >= 0 && (start >= end || end > len(s)) || start < -1 {
			t.Errorf("FindAddress(%q) is %d, %d", s, start, end)
		}
	})
}
