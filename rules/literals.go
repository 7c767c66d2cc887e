package rules

import "regexp/syntax"

// maxRequired bounds how many literals may stand for each other.
const maxRequired = 64

// required returns sets of literals, in normalised form: every text that the
// expression matches has one of each set. None if there is no such set.
func required(re *syntax.Regexp) [][]string {
	switch re.Op {
	case syntax.OpLiteral:
		return [][]string{{foldLiteral(re.Rune)}}
	case syntax.OpCharClass:
		if all := classLiterals(re.Rune); all != nil {
			return [][]string{all}
		}
	case syntax.OpCapture, syntax.OpPlus:
		return required(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			return required(re.Sub[0])
		}
	case syntax.OpConcat:
		var all [][]string
		for _, sub := range re.Sub {
			all = append(all, required(sub)...)
		}
		return all
	case syntax.OpAlternate:
		var all []string
		for _, sub := range re.Sub {
			some := mostSelective(required(sub))
			if some == nil || len(all)+len(some) > maxRequired {
				return nil
			}
			all = append(all, some...)
		}
		return [][]string{all}
	}
	return nil
}

// mostSelective returns the set whose shortest literal is the longest, nil if
// there is no set.
func mostSelective(sets [][]string) (best []string) {
	for _, set := range sets {
		if best == nil || shortest(set) > shortest(best) {
			best = set
		}
	}
	return best
}

// worthwhile leaves out sets that nearly every text has: with a literal of one
// byte, unless there is no better set.
func worthwhile(sets [][]string) (all [][]string) {
	for _, set := range sets {
		if shortest(set) > 1 {
			all = append(all, set)
		}
	}
	if best := mostSelective(sets); all == nil && best != nil {
		all = append(all, best)
	}
	return all
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
