// Package rules turns the outcome of a delivery into a verdict: category,
// reason and what to do about it.
//
// Its input is a rules file (YAML, see docs/rules.md) and, for each delivery,
// an Input; its output is an event.Verdict. The package decides and nothing
// else: it must never start a goroutine, log, or open any file but the one that
// Load is given.
//
// The rules are tried in order and the first that matches wins; after them the
// table of enhanced status codes, the table of reply codes and a default by
// status are asked. The literals of all rules, and the literals that each
// regular expression cannot match without, go into one automaton, so that the
// cost of a verdict hardly depends on the number of rules.
package rules
