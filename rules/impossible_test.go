package rules

import (
	"regexp"
	"regexp/syntax"
	"testing"
)

func TestImpossible(t *testing.T) {
	for source, want := range map[string]bool{
		`user unknown`:            false,
		`USER unknown`:            false, // compared without case
		`(?-i:USER) unknown`:      true,
		`user  unknown`:           true,
		`user {2}unknown`:         false, // not found: only plain words are
		`user {1,2}unknown`:       false,
		`user\tunknown`:           true,
		`user\s+unknown`:          false,
		`user[\t ]unknown`:        false,
		`ann@shop\.example`:       true,
		`@shop\.example`:          false,
		`<@shop\.example>`:        false,
		`(ann@shop|@shop)`:        false,
		`x(ann@shop)?y`:           false,
		`x(ann@shop){0,3}y`:       false,
		`x(ann@shop)+y`:           true,
		`^user`:                   false,
		`user$`:                   false,
		`user^`:                   true,
		`$user`:                   true,
		`(x?)^user`:               false,
		`(a|^)b`:                  false,
		`user$\b`:                 false,
		`it\x{2019}s`:             true,
		`\x{200b}`:                true,
		`[A-Z]`:                   false,
		`(?-i)[A-Z]`:              true,
		`(?-i)\p{Lu}`:             false, // not found: too many to look at
		`[^a]`:                    false,
		`Ünknown`:                 false,
		`(?-i)Ünknown`:            true,
		`user [[:cntrl:]]unknown`: true,
		`[^\x00-\x{10FFFF}]`:      true,
	} {
		parsed, err := syntax.Parse(source, syntax.Perl|syntax.FoldCase)
		if err != nil {
			t.Fatal(err)
		}
		if why := impossible(parsed); (why != "") != want {
			t.Errorf("%s: %q, want impossible: %v", source, why, want)
		}
	}
}

// What matches the form of some text is not called impossible.
func FuzzImpossible(f *testing.F) {
	f.Add(`(?i)user (unknown|^gone)$`, "User  unknown")
	f.Add(`[\t ]a@b|\bx`, "x a@b")
	f.Fuzz(func(t *testing.T, source, text string) {
		if len(source) > 100 {
			return
		}
		parsed, err := syntax.Parse(source, syntax.Perl|syntax.FoldCase)
		if err != nil {
			return
		}
		compiled, err := regexp.Compile("(?i)" + source)
		if err != nil {
			return
		}
		folded := normalise(nil, text)
		if why := impossible(parsed); why != "" && compiled.Match(folded) {
			t.Errorf("%q matches %q, but is called impossible: %s", source, folded, why)
		}
	})
}
