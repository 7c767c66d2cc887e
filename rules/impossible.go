package rules

import (
	"fmt"
	"regexp/syntax"
	"strings"
)

// impossible returns why an expression can match no reply in the form in which
// replies are compared, "" if it may.
func impossible(re *syntax.Regexp) string {
	switch re.Op {
	case syntax.OpNoMatch:
		return "it matches nothing"
	case syntax.OpLiteral:
		text := string(re.Rune)
		if re.Flags&syntax.FoldCase != 0 {
			text = foldLiteral(re.Rune)
		}
		return vanishes(text)
	case syntax.OpCharClass:
		return noneSurvives(re.Rune)
	case syntax.OpCapture, syntax.OpPlus:
		return impossible(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			return impossible(re.Sub[0])
		}
	case syntax.OpConcat:
		if why := misplacedAnchor(re.Sub); why != "" {
			return why
		}
		for _, sub := range re.Sub {
			if why := impossible(sub); why != "" {
				return why
			}
		}
	case syntax.OpAlternate:
		why := ""
		for _, sub := range re.Sub {
			if why = impossible(sub); why == "" {
				return ""
			}
		}
		return why
	}
	return ""
}

// vanishes returns why no reply has text in it once it is normalised.
func vanishes(text string) string {
	if strings.Contains(string(normalise(nil, "a"+text+"a")), text) {
		return ""
	}
	hint := "replies are compared in lower case, with each run of white space as one space"
	if strings.Contains(text, "@") {
		hint = "replies are compared without the local parts of addresses"
	}
	return fmt.Sprintf("it can never match, because no reply has %q in it: %s", text, hint)
}

// noneSurvives returns why no reply has one of a class of runes.
func noneSurvives(ranges []rune) string {
	for i := 0; i+1 < len(ranges); i += 2 {
		if ranges[i+1]-ranges[i] >= 64 {
			return ""
		}
		for r := ranges[i]; r <= ranges[i+1]; r++ {
			if vanishes(string(r)) == "" {
				return ""
			}
		}
	}
	return "it can never match: replies are compared in lower case, with a space for each run of white space, and no reply has a character of one of its classes"
}

// misplacedAnchor returns why a sequence has something before the beginning or
// behind the end of the text.
func misplacedAnchor(all []*syntax.Regexp) string {
	before := false
	for _, sub := range all {
		if before && (sub.Op == syntax.OpBeginText || sub.Op == syntax.OpBeginLine) {
			return `it can never match: something must stand before "^"`
		}
		before = before || shortestMatch(sub) > 0
	}
	ended := false
	for _, sub := range all {
		if ended && shortestMatch(sub) > 0 {
			return `it can never match: something must stand behind "$"`
		}
		ended = ended || sub.Op == syntax.OpEndText || sub.Op == syntax.OpEndLine
	}
	return ""
}

// shortestMatch returns at least how many runes re matches.
func shortestMatch(re *syntax.Regexp) int {
	n := 0
	switch re.Op {
	case syntax.OpLiteral:
		return len(re.Rune)
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return 1
	case syntax.OpCapture, syntax.OpPlus:
		return shortestMatch(re.Sub[0])
	case syntax.OpRepeat:
		return min(re.Min, 1) * shortestMatch(re.Sub[0])
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			n += shortestMatch(sub)
		}
	case syntax.OpAlternate:
		n = shortestMatch(re.Sub[0])
		for _, sub := range re.Sub[1:] {
			n = min(n, shortestMatch(sub))
		}
	}
	return n
}
