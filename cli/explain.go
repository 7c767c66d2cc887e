package cli

import (
	"bufio"
	"fmt"
	"strconv"

	"mtatap/event"
	"mtatap/rules"
)

// explanation is how a verdict came about, in JSON.
type explanation struct {
	Text      string           `json:"text"`
	Provider  string           `json:"provider,omitempty"`
	Status    string           `json:"status,omitempty"`
	Matched   *explainedRule   `json:"matched,omitempty"`
	Shadowed  []explainedRule  `json:"shadowed,omitempty"`
	Tables    []explainedTable `json:"tables,omitempty"`
	WhyAction string           `json:"why_action"`
	WhyResend string           `json:"why_resend"`
}

type explainedRule struct {
	Rule     string         `json:"rule"`
	Where    string         `json:"where"`
	Words    string         `json:"words,omitempty"`
	Category event.Category `json:"category"`
	Reason   string         `json:"reason,omitempty"`
}

type explainedTable struct {
	Row      string         `json:"row"`
	About    string         `json:"about,omitempty"`
	RFC      string         `json:"rfc,omitempty"`
	Category event.Category `json:"category"`
	Reason   string         `json:"reason,omitempty"`
}

// explained returns the rule that decided and those it shadowed, each as
// "id (file:line)", and everything else about the verdict.
func explained(set *rules.Set, in *rules.Input) (matched, shadowed []string, all *explanation) {
	x := set.Explain(in)
	all = &explanation{Text: x.Text, Provider: x.Provider, Status: x.Status.String(), WhyAction: whyAction(&x), WhyResend: whyResend(&x)}
	if x.Matched != nil {
		matched = []string{ruleAt(*x.Matched)}
		all.Matched = &explainedRule{x.Matched.ID, x.Matched.Where, x.Matched.Words, x.Matched.Category, x.Matched.Reason}
	}
	for _, m := range x.Shadowed {
		shadowed = append(shadowed, ruleAt(m))
		all.Shadowed = append(all.Shadowed, explainedRule{m.ID, m.Where, m.Words, m.Category, m.Reason})
	}
	for _, o := range x.Codes {
		all.Tables = append(all.Tables, explainedTable{o.Rule, o.About, o.RFC, o.Category, o.Reason})
	}
	return matched, shadowed, all
}

func ruleAt(m rules.RuleMatch) string { return fmt.Sprintf("%s (%s)", m.ID, m.Where) }

// wordsOf returns the words that m matched, or that it needs none.
func wordsOf(m rules.RuleMatch) string {
	if m.Words == "" {
		return "by its other conditions"
	}
	return strconv.Quote(m.Words)
}

// aboutCode returns what a row of a code table says about its code.
func aboutCode(o rules.CodeOpinion) string {
	about := firstOf(o.About, "no explanation")
	if _, err := strconv.Atoi(o.RFC); err == nil {
		return fmt.Sprintf("%s (RFC %s)", about, o.RFC)
	} else if o.RFC != "" {
		return fmt.Sprintf("%s (%s)", about, o.RFC)
	}
	return about
}

// writeExplanation tells people how the verdict on in came about.
func writeExplanation(w *bufio.Writer, paint painter, set *rules.Set, in *rules.Input) error {
	x := set.Explain(in)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%s %s\n", paint.dim(fmt.Sprintf("%-10s", name)), printable(fmt.Sprintf(format, args...)))
	}
	v := x.Verdict
	verdict := fmt.Sprintf("%s (%s bounce, %s)", v.Category, v.BounceType, dash(v.Reason))
	if v.BounceType == event.Hard {
		verdict = paint.red(verdict)
	} else {
		verdict = paint.green(verdict)
	}
	fmt.Fprintf(w, "%s %s\n", paint.dim("verdict   "), paint.bold(verdict))
	line("action", "%s: %s", v.Action, whyAction(&x))
	line("resend", "%s: %s", yesNo(v.Resend), whyResend(&x))
	line("rule", "%s", v.Rule)
	line("text", "%s", x.Text)
	if x.Code != 0 || x.Enhanced != "" {
		line("codes", "reply code %d, enhanced code %s", x.Code, dash(x.Enhanced))
	}
	line("status", "%s", whichStatus(&x, in))
	line("provider", "%s", firstOf(x.Provider, "unknown"))
	if x.Matched != nil {
		line("matched", "%s: %s", ruleAt(*x.Matched), wordsOf(*x.Matched))
	}
	switch {
	case x.Softened:
		line("softened", "%s would be %s, but a temporary failure never is", v.Rule, x.Decided)
	case x.Recovered:
		line("softened", "%s would be %s, but the log did not name the recipient, and a guess must not accuse anybody", v.Rule, x.Decided)
	}
	for _, m := range x.Shadowed {
		line("shadowed", "%s: %s, would be %s %s", ruleAt(m), wordsOf(m), m.Category, m.Reason)
	}
	for _, o := range x.Codes {
		line("table", "%s: %s: %s %s", o.Rule, aboutCode(o), o.Category, o.Reason)
	}
	return w.WriteByte('\n')
}

// whyAction says why the verdict asks for its action.
func whyAction(x *rules.Explanation) string {
	v := x.Verdict
	why := fmt.Sprintf("what the category %s asks for", v.Category)
	if v.Action != x.Action && v.Category == x.Decided {
		why = fmt.Sprintf("%s asks for %s, but not while the MTA still tries (status %s)", v.Category, x.Action, firstOf(x.Status.String(), "unknown"))
	}
	return why
}

// whyResend says why the message is, or is not, worth sending again.
func whyResend(x *rules.Explanation) string {
	switch {
	case x.Verdict.Resend:
		return "our address or domain is blocked; send again once it is accepted"
	case x.Verdict.Category == event.CategoryDelivered:
		return "it has arrived"
	case x.Verdict.Action == event.Retry:
		return "the MTA tries again by itself"
	case x.ResendByRule && !x.Softened && !x.Recovered:
		return fmt.Sprintf("the rule %s says so", x.Verdict.Rule)
	}
	return fmt.Sprintf("nothing is gained by sending again after %s", x.Verdict.Category)
}

// whichStatus returns the status that the verdict is about and where it is from.
func whichStatus(x *rules.Explanation, in *rules.Input) string {
	switch {
	case x.Status == event.StatusUnknown:
		return "unknown, taken as one that the MTA still tries"
	case in.Status == event.StatusUnknown:
		return x.Status.String() + ", as the codes say"
	}
	return x.Status.String()
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
