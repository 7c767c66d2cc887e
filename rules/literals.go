package rules

import "regexp/syntax"

// maxRequired bounds how many literals stand for one regular expression.
const maxRequired = 64

// requiredLiterals returns literals, in normalised form, one of which is part
// of every text that the expression matches; nil if there is no such set.
func requiredLiterals(re *syntax.Regexp) []string {
	switch re.Op {
	case syntax.OpLiteral:
		return []string{foldLiteral(re.Rune)}
	case syntax.OpCapture, syntax.OpPlus:
		return requiredLiterals(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			return requiredLiterals(re.Sub[0])
		}
	case syntax.OpAlternate:
		var all []string
		for _, sub := range re.Sub {
			some := requiredLiterals(sub)
			if some == nil || len(all)+len(some) > maxRequired {
				return nil
			}
			all = append(all, some...)
		}
		return all
	case syntax.OpConcat:
		return bestOfSequence(re.Sub)
	case syntax.OpCharClass:
		return classLiterals(re.Rune)
	}
	return nil
}

// bestOfSequence returns the set of one member of a sequence that is the most
// selective: its shortest literal is the longest.
func bestOfSequence(subs []*syntax.Regexp) []string {
	var best []string
	for _, sub := range subs {
		if some := requiredLiterals(sub); some != nil && (best == nil || better(some, best)) {
			best = some
		}
	}
	return best
}

func better(a, b []string) bool {
	x, y := shortest(a), shortest(b)
	return x > y || x == y && len(a) < len(b)
}

func shortest(literals []string) int {
	n := len(literals[0])
	for _, l := range literals {
		n = min(n, len(l))
	}
	return n
}

func foldLiteral(runes []rune) string {
	folded := make([]rune, len(runes))
	for i, r := range runes {
		folded[i] = foldRune(r)
	}
	return string(folded)
}

// classLiterals returns the runes of a small class.
func classLiterals(ranges []rune) []string {
	var all []string
	for i := 0; i+1 < len(ranges); i += 2 {
		for r := ranges[i]; r <= ranges[i+1]; r++ {
			if len(all) == 8 {
				return nil
			}
			all = append(all, string(foldRune(r)))
		}
	}
	return all
}
