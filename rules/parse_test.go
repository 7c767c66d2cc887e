package rules

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mtatap/event"
)

var update = flag.Bool("update", false, "rewrite the expected error texts in testdata")

func loadBase(tb testing.TB) *Set {
	tb.Helper()
	s, err := Load("testdata/base.yaml", nil)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// Each invalid-*.yaml has the exact text of its error beside it.
func TestEveryMistakeIsReportedWithItsLine(t *testing.T) {
	base := loadBase(t)
	files, _ := filepath.Glob("testdata/invalid-*.yaml")
	if len(files) < 20 {
		t.Fatalf("only %d files", len(files))
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, err = Parse("rules.yaml", data, base)
			if err == nil {
				t.Fatal("no error")
			}
			expected := strings.TrimSuffix(path, ".yaml") + ".err"
			if *update {
				if err := os.WriteFile(expected, []byte(err.Error()+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, _ := os.ReadFile(expected)
			if got := err.Error() + "\n"; got != string(want) {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}

func parseOn(t *testing.T, base *Set, source string) *Set {
	t.Helper()
	s, err := Parse("mine.yaml", []byte("schema: 1\nversion: mine\n"+source), base)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func verdictOn(s *Set, text string) string {
	in := ParseText(text)
	v := s.Classify(&in)
	return string(v.Category) + " by " + v.Rule
}

func TestExtendingTheDefaultSet(t *testing.T) {
	base := loadBase(t)
	for name, c := range map[string]struct{ source, text, want string }{
		"without rules everything is as before": {"extends: default\n", "550 base text", "hard by base-rule"},
		"new rules come first": {
			"extends: default\nrules: [{id: mine, category: general, match: [base text]}]\n", "550 base text", "general by mine"},
		"a rule of the same id takes the place of the old one": {
			"extends: default\nrules: [{id: base-rule, category: general, match: [other text]}]\n", "550 base text", "general by reply:550"},
		"a disabled rule is gone": {"extends: default\ndisable: [base-rule]\n", "550 base text", "general by reply:550"},
		"own categories can be used": {
			"extends: default\ncategories: {parked: {type: soft, compat: 99, action: watch}}\nrules: [{id: p, category: parked, match: [parked]}]\n",
			"550 parked", "parked by p"},
		"a changed category changes the tables too": {
			"extends: default\nenhanced_codes: {5.1.1: {category: general}}\n", "550 5.1.1 x", "general by enhanced:5.1.1"},
		"groups of words are shared": {
			"extends: default\nrules: [{id: w, category: general, phrase: 'my {base-words}'}]\n", "550 my two", "general by w"},
		"own groups of words are for own rules": {
			"extends: default\nwords: {base-words: [nine]}\nrules: []\n", "450 one and three", "transient by base-second"},
		"without extends nothing is inherited": {
			"categories: {general: {type: soft, compat: 20, action: watch}, transient: {type: soft, compat: 70, action: retry}, delivered: {type: none, compat: 1, action: none}}\n",
			"550 base text", "general by default"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := verdictOn(parseOn(t, base, c.source), c.text); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
	if got := verdictOn(base, "550 base text"); got != "hard by base-rule" {
		t.Errorf("the base has changed: %s", got)
	}
}

func TestOrderOfRulesWhenExtending(t *testing.T) {
	s := parseOn(t, loadBase(t), "extends: default\nrules: [{id: base-second, category: general, match: [abc]}, {id: mine, category: general, match: [abc]}]\n")
	if want := []string{"mine", "base-rule", "base-second"}; !slices.Equal(s.RuleIDs(), want) {
		t.Errorf("got %v, want %v", s.RuleIDs(), want)
	}
}

func TestProvidersAreJoinedWhenExtending(t *testing.T) {
	s := parseOn(t, loadBase(t), "extends: default\nproviders: {google: {hosts: [mail.example]}, mine: {hosts: [two.example]}}\n")
	for host, want := range map[string]string{"a.google.example": "google", "mail.example": "google", "two.example": "mine"} {
		if got := s.Provider(host, ""); got != want {
			t.Errorf("%s: got %s, want %s", host, got, want)
		}
	}
	if want := []string{"google", "two", "mine"}; !slices.Equal(s.Providers(), want) {
		t.Errorf("got %v, want %v", s.Providers(), want)
	}
}

func TestAnOwnHardCategoryIsNotGivenForATemporaryFailure(t *testing.T) {
	s := parseOn(t, loadBase(t), "extends: default\ncategories: {gone: {type: hard, compat: 11, action: suppress}}\nrules: [{id: g, category: gone, match: [abc]}]\n")
	in := Input{Text: "abc", Code: 450, Status: event.Bounced}
	if got := s.Classify(&in); got.Category != "transient" {
		t.Errorf("got %s, want transient", got.Category)
	}
}

func TestAnOwnCategoryMayConvert(t *testing.T) {
	s := parseOn(t, loadDefault(t), `extends: default
categories:
  parked: {type: soft, compat: 99, action: watch}
  lapsed: {type: hard, compat: 11, action: suppress}
conversion: {parked: {to: lapsed, messages: 2, spread: 24h, window: 10d}}
`)
	want := Conversion{From: "parked", To: "lapsed", Messages: 2, Spread: 24 * time.Hour, Window: 240 * time.Hour}
	if got := s.Conversion(); !slices.Contains(got, want) || len(got) != 2 {
		t.Errorf("got %+v, want %+v beside the default one", got, want)
	}
}

func TestARedeclaredCategoryMustFitTheConversionsThatItInherits(t *testing.T) {
	for _, source := range []string{
		"hard: {type: soft, compat: 10, action: watch}",
		"mailbox-full: {type: none, compat: 22, action: watch}",
	} {
		_, err := Parse("x.yaml", []byte("schema: 1\nversion: x\nextends: default\ncategories:\n  "+source+"\n"), loadDefault(t))
		if err == nil || !strings.Contains(err.Error(), "x.yaml:5: category "+source[:4]) || !strings.Contains(err.Error(), "convert") {
			t.Errorf("%s: %v", source, err)
		}
	}
}

func TestVersionAndHash(t *testing.T) {
	base := loadBase(t)
	one, two := parseOn(t, base, "extends: default\n"), parseOn(t, base, "extends: default\n# changed\n")
	if one.Version() != "mine" || len(one.SHA256()) != 64 || one.SHA256() == two.SHA256() || one.SHA256() == base.SHA256() {
		t.Errorf("version %q, hashes %s, %s and %s", one.Version(), base.SHA256(), one.SHA256(), two.SHA256())
	}
}

func TestLoadOfAFileThatIsNotThere(t *testing.T) {
	if _, err := Load("testdata/absent.yaml", nil); err == nil || !os.IsNotExist(unwrapAll(err)) {
		t.Errorf("got %v", err)
	}
}

func unwrapAll(err error) error {
	for {
		u, ok := err.(interface{ Unwrap() error })
		if !ok || os.IsNotExist(err) {
			return err
		}
		err = u.Unwrap()
	}
}
