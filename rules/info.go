package rules

import (
	"fmt"
	"strings"

	"mtatap/event"
)

// RuleInfo describes a rule of a set.
type RuleInfo struct {
	ID              string
	Where           string // file:line
	Category        event.Category
	Reason          string // "" where the rule gives none
	Resend          bool
	Providers       []string
	Examples        []string
	Counterexamples int
}

// Rules returns the rules in the order of evaluation.
func (s *Set) Rules() []RuleInfo {
	all := make([]RuleInfo, len(s.rules))
	for i, u := range s.rules {
		v := s.hot[i].outcome.watch
		all[i] = RuleInfo{
			ID: u.id, Where: u.where(), Category: v.Category, Reason: v.Reason, Resend: v.Resend,
			Counterexamples: len(u.counterexamples),
		}
		for _, e := range u.examples {
			all[i].Examples = append(all[i].Examples, e.text)
		}
		for _, p := range u.providers {
			all[i].Providers = append(all[i].Providers, p.text)
		}
	}
	return all
}

func (u *rule) where() string { return fmt.Sprintf("%s:%d", u.file, u.line) }

// ByText reports whether a verdict's rule is one that a file names. The others
// are rows of the code tables ("enhanced:5.1.1", "reply:550") and "default".
func ByText(rule string) bool { return rule != "" && rule != byDefault && !strings.Contains(rule, ":") }

// byDefault is the rule of verdicts that nothing but the status decided.
const byDefault = "default"

// reservedIDs can't name a rule: verdicts and metrics use them for what no rule
// decided.
var reservedIDs = []string{byDefault, "enhanced", "reply", "other"}

// Fold returns text as patterns see it: case and white space folded, without the
// local parts of addresses, at most 16 KiB of it.
func Fold(text string) string { return string(normalise(nil, text)) }
