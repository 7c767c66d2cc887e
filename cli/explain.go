package cli

import (
	"bufio"
	"fmt"

	"mtatap/rules"
)

// explained returns the rule that decided and those it shadowed, as
// "id (file:line)".
func explained(set *rules.Set, in *rules.Input) (matched, shadowed []string) {
	x := set.Explain(in)
	if x.Matched != nil {
		matched = []string{ruleAt(*x.Matched)}
	}
	for _, m := range x.Shadowed {
		shadowed = append(shadowed, ruleAt(m))
	}
	return matched, shadowed
}

func ruleAt(m rules.RuleMatch) string { return fmt.Sprintf("%s (%s)", m.ID, m.Where) }

// writeExplanation tells how the verdict on in came about.
func writeExplanation(w *bufio.Writer, set *rules.Set, in *rules.Input) error {
	x := set.Explain(in)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-10s %s\n", name, printable(fmt.Sprintf(format, args...)))
	}
	v := x.Verdict
	line("verdict", "%s (%s bounce, %s)", v.Category, v.BounceType, dash(v.Reason))
	line("action", "%s, %s", v.Action, resendAdvice(v.Resend))
	line("rule", "%s", v.Rule)
	line("text", "%s", x.Text)
	if x.Code != 0 || x.Enhanced != "" {
		line("codes", "reply code %d, enhanced code %s", x.Code, dash(x.Enhanced))
	}
	line("provider", "%s", firstOf(x.Provider, "unknown"))
	if x.Matched != nil {
		line("matched", "%s: %q", ruleAt(*x.Matched), x.Matched.Words)
	}
	if x.Softened {
		line("softened", "the rule says hard, but a temporary failure never is")
	}
	for _, m := range x.Shadowed {
		line("shadowed", "%s: %q, would be %s %s", ruleAt(m), m.Words, m.Category, m.Reason)
	}
	for _, o := range x.Codes {
		line("table", "%s: %s (%s): %s %s", o.Rule, o.About, firstOf(o.RFC, "RFC 5321"), o.Category, o.Reason)
	}
	return w.WriteByte('\n')
}

func resendAdvice(resend bool) string {
	if resend {
		return "resend once our IP or domain is accepted again"
	}
	return "do not resend"
}
