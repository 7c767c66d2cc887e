// Package review judges a rule set by the replies of real logs: what another set
// would decide differently, and which rules are missing.
//
// Its input are replies with what is known about them; its output are counts,
// reply templates and rules in YAML. Memory is bounded however many replies there
// are and whatever they say. The package must never read a file, and whatever it
// returns of a reply is fit for a terminal: control characters are gone.
package review
