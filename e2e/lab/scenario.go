package lab

import (
	"slices"
	"strings"
	"unicode"
)

// Submission is one message to hand to a mail server.
type Submission struct {
	ID   string // Message-ID without brackets
	From string
	To   []string
}

// AliasRecipient is rewritten to AliasTarget by servers that know aliases.
const (
	AliasRecipient = "team@alias.example"
	AliasTarget    = "ok+team@" + DefaultDomain
)

// EachScript returns one message for every script, in the order of the table.
func EachScript(scripts []Script) []Submission {
	all := make([]Submission, 0, len(scripts))
	for _, s := range scripts {
		all = append(all, Submission{ID: s.Name + ".1@" + SenderDomain, From: s.Sender(), To: []string{s.Recipient()}})
	}
	return all
}

// Mixed returns the messages that are about addresses and about several
// recipients rather than about one reply, as far as that mail server takes
// them: Haraka knows no aliases and refuses some quoted addresses, OpenSMTPD all
// of them and those beyond ASCII.
func Mixed(mta string) []Submission {
	const sender = "sender@" + SenderDomain
	all := []Submission{
		{ID: "two-domains@" + SenderDomain, From: sender, To: []string{"ok+two@remote.example", "second@sender.example"}},
		{ID: "some-refused@" + SenderDomain, From: sender, To: []string{"ok+some@remote.example", "unknown+some@remote.example", "full+some@remote.example", "ok+more@remote.example"}},
		{ID: "null-sender@" + SenderDomain, From: "", To: []string{"unknown+null@remote.example"}},
		{ID: "addresses@" + SenderDomain, From: "Sender.Name+tag=x@Sender.Example", To: []string{`"ok+john doe"@remote.example`, "OK+Case@Remote.Example", "ok+o'brien@remote.example", `"ok+a>b, status=sent (x)"@remote.example`}},
		{ID: "utf8@" + SenderDomain, From: "absender+grüße@sender.example", To: []string{"ok+用户@remote.example", "unknown+用户@remote.example"}},
		{ID: `forged>, status=sent (250 fake) "q"@sender.example`, From: sender, To: []string{"ok+forged@remote.example"}},
		{ID: "port-closed@" + SenderDomain, From: sender, To: []string{"nobody@" + RefusedDomain}},
	}
	if mta != "haraka" {
		all = append(all,
			Submission{ID: "alias@" + SenderDomain, From: sender, To: []string{AliasRecipient}},
			Submission{ID: "quoted@" + SenderDomain, From: sender, To: []string{`"unknown+a: to=<b@c>"@remote.example`}})
	}
	if mta == "opensmtpd" {
		return openSMTPDTakes(all)
	}
	return all
}

// ArrivingSubmissions returns mail for users of SenderDomain: a bounce that comes
// to a VERP address, which carries the recipient that bounced, and what only
// looks like one.
func ArrivingSubmissions() []Submission {
	const verp = "bounces+john=remote.example@" + SenderDomain
	return []Submission{
		{ID: "bounce@remote.example", From: "", To: []string{verp}},
		{ID: "reply@remote.example", From: "john@remote.example", To: []string{verp}},
		{ID: "receipt@remote.example", From: "", To: []string{"sender@" + SenderDomain}},
	}
}

// BriefSubmissions returns the mixed messages and of the scripts one for each
// point of the dialogue and kind of reply: enough to show how a log is written.
func BriefSubmissions(scripts []Script, mta string) []Submission {
	type kind struct {
		stage   Stage
		reply   byte
		hostile bool
	}
	seen := map[kind]bool{}
	var few []Script
	for _, s := range scripts {
		k := kind{stage: s.stage(), hostile: s.Hostile}
		if first := s.reply(1); first != Accept {
			k.reply = first[0]
		}
		if !seen[k] {
			seen[k] = true
			few = append(few, s)
		}
	}
	return append(EachScript(few), Mixed(mta)...)
}

// SampleSubmissions returns what the sample logs are made of: the scripts
// marked for it, those that answer RCPT TO a few to a message to keep the logs
// short, and the mixed ones.
func SampleSubmissions(scripts []Script, mta string) []Submission {
	const perMessage = 9
	var together, alone []Submission
	for _, s := range scripts {
		if !s.Sample {
			continue
		}
		one := Submission{ID: s.Name + ".1@" + SenderDomain, From: s.Sender(), To: []string{s.Recipient()}}
		if s.stage() != StageRcpt || s.Domain != "" {
			alone = append(alone, one)
			continue
		}
		if n := len(together); n > 0 && len(together[n-1].To) < perMessage {
			together[n-1].To = append(together[n-1].To, s.Recipient())
			continue
		}
		together = append(together, one)
	}
	return append(append(together, alone...), Mixed(mta)...)
}

// Bounces returns messages that tell of bounces in each of the ways that the
// variant PostfixBounces knows, one that does not, and one whose recipient is
// refused so that a notice of the server's own takes the same way.
func Bounces() []Submission {
	async := func(id, to string) Submission { return Submission{ID: id + "@remote.example", To: []string{to}} }
	return []Submission{
		async("pipe", "news+john=remote.example@lists.example"),
		async("equals", "news+john=doe=remote.example@lists.example"),
		async("handled", "news+mary=remote.example@handler.example"),
		async("told", "returns@handler.example"),
		async("mailbox", "news+paul=remote.example@virtual.example"),
		async("command", "news+anna=remote.example@local.example"),
		async("ordinary", "news+weekly@lists.example"),
		{ID: "written@" + SenderDomain, From: "sender@" + SenderDomain, To: []string{"news+john=remote.example@lists.example"}},
		{ID: "own@" + SenderDomain, From: "news+unknown=remote.example@lists.example", To: []string{"unknown@remote.example"}},
		async("aliased", "news+lisa=remote.example@alias.example"),
	}
}

// without returns messages without the addresses that a server refuses, and
// without those that are then to nobody.
func without(messages []Submission, refused func(addr string) bool) []Submission {
	taken := slices.Clone(messages)
	for i := range taken {
		taken[i].To = slices.DeleteFunc(slices.Clone(taken[i].To), refused)
	}
	return slices.DeleteFunc(taken, func(s Submission) bool { return len(s.To) == 0 || refused(s.From) })
}

func quoted(addr string) bool { return strings.HasPrefix(addr, `"`) }

// openSMTPDTakes returns what of messages OpenSMTPD takes: it refuses quoted
// local parts, and those beyond ASCII.
func openSMTPDTakes(messages []Submission) []Submission {
	return without(messages, func(addr string) bool {
		return quoted(addr) || strings.ContainsFunc(addr, func(r rune) bool { return r > unicode.MaxASCII })
	})
}
