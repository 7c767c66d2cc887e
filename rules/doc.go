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
// cost of a verdict hardly depends on the number of rules. A pattern is evaluated
// only where the part of it was found that is the rarest in the examples of all
// rules.
//
// The automaton is our own. Libraries that keep every transition of every state
// are quick with a few patterns, not with ours: for the 7,400 literals of the
// default set, coregx/ahocorasick 0.3.1 took 39 MB, half a second to build and
// 7 µs for a reply, its matches in a slice of their own; this one has 0.9 MB,
// 25 ms and 0.5 µs, and allocates nothing.
package rules
