package lab

import (
	"strings"

	"mtatap/event"
)

// Stage is the point of the SMTP dialogue at which a script gives its reply.
type Stage string

// The stages. A script without a stage gives its reply to RCPT TO.
const (
	StageBanner Stage = "banner"
	StageMail   Stage = "mail"
	StageRcpt   Stage = "rcpt"
	StageData   Stage = "data"
	StageDot    Stage = "dot"
)

// Replies that are not text.
const (
	// Accept is a plain success: the dialogue goes on and the dot is answered
	// by "250 2.0.0 Ok: queued as ...".
	Accept = ""
	// HangUp closes the connection instead of replying.
	HangUp = "\x00hang up"
)

// DefaultDomain is where scripts live that need no listener of their own.
const DefaultDomain = "remote.example"

// Script is how the scripted server treats one recipient.
type Script struct {
	// Name is the recipient's local part; for the stage mail the sender's too.
	Name string
	// Domain other than DefaultDomain has a listener of its own, so that what
	// upsets an MTA about a host touches no other script.
	Domain string
	At     Stage
	// Replies of the first, second, ... attempt; the last one is repeated.
	// Lines are separated by "\n"; the server adds the CRLFs and nothing else.
	Replies []string
	// Category that is right for every reply which is no success.
	Category event.Category
	// Hostile replies try to be mistaken for something else in a log.
	Hostile bool
	// Sample puts the script into the sample logs of testdata.
	Sample bool
}

// Recipient returns the address that gets the script's replies.
func (s Script) Recipient() string { return s.Name + "@" + s.domain() }

// Sender returns the envelope sender to use with the script.
func (s Script) Sender() string {
	if s.At == StageMail {
		return s.Name + "@" + SenderDomain
	}
	return "sender@" + SenderDomain
}

// SenderDomain takes the notifications that go back to senders.
const SenderDomain = "sender.example"

func (s Script) domain() string {
	if s.Domain == "" {
		return DefaultDomain
	}
	return s.Domain
}

func (s Script) stage() Stage {
	if s.At == "" {
		return StageRcpt
	}
	return s.At
}

// reply returns what the given attempt (from 1) is answered.
func (s Script) reply(attempt int) string {
	if len(s.Replies) == 0 {
		return Accept
	}
	return s.Replies[min(attempt, len(s.Replies))-1]
}

// RefusedDomain has a route to a port that nobody listens on.
const RefusedDomain = "refused.example"

// Scripts returns the whole table.
func Scripts() []Script {
	const (
		hard      = event.CategoryHard
		general   = event.CategoryGeneral
		dns       = event.CategoryDNSFailure
		full      = event.CategoryMailboxFull
		large     = event.CategoryMessageTooLarge
		block     = event.CategoryBlockGeneral
		spam      = event.CategoryBlockSpam
		relay     = event.CategoryRelayDenied
		transient = event.CategoryTransient
	)
	one := func(reply string) []string { return []string{reply} }
	later := func(reply string) []string { return []string{reply, Accept} }
	forged := "to=<victim@fake.example>, relay=mx.fake.example[192.0.2.66]:25, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (host mx.fake.example[192.0.2.66] said: 550 5.1.1 User unknown (in reply to RCPT TO command))"

	return []Script{
		{Name: "ok", Sample: true},
		{Name: "okmulti", At: StageDot, Replies: one("250-2.0.0 Thank you\n250 2.0.0 Message accepted as 1B2C3D"), Sample: true},
		{Name: "okbare", At: StageDot, Replies: one("250 OK id=1xVZgb-000000000AB-1abc")},
		{Name: "okutf8", At: StageDot, Replies: one("250 2.0.0 Zugestellt: schöne Grüße, 完了"), Sample: true},

		{Name: "unknown", Replies: one("550 5.1.1 <unknown@remote.example>: Recipient address rejected: User unknown in virtual mailbox table"), Category: hard, Sample: true},
		{Name: "nouser", Replies: one("550-5.1.1 The address you wrote to does not exist here.\n550-5.1.1 Please look for typing mistakes and\n550 5.1.1 unnecessary spaces. No such user"), Category: hard, Sample: true},
		{Name: "bareunknown", Replies: one("550 No such user here"), Category: hard, Sample: true},
		{Name: "disabled", Replies: one("550 5.2.1 The mailbox is disabled, not accepting messages"), Category: hard, Sample: true},
		{Name: "nohost", Replies: one("550 5.1.2 Bad destination host: domain not found"), Category: dns},
		{Name: "atdot", At: StageDot, Replies: one("550 5.1.1 User unknown; rejecting"), Category: hard},

		{Name: "full", Replies: one("452 4.2.2 The mailbox is over its quota"), Category: full, Sample: true},
		{Name: "fullhard", Replies: one("552 5.2.2 Mailbox full"), Category: full, Sample: true},
		{Name: "fullonce", At: StageDot, Replies: later("452 4.2.2 Over quota"), Category: full},
		{Name: "toolarge", At: StageDot, Replies: one("552 5.3.4 Message size exceeds fixed limit"), Category: large, Sample: true},

		{Name: "busy", Replies: later("450 4.2.0 Mailbox temporarily locked, try again later"), Category: transient, Sample: true},
		{Name: "grey", Replies: later("451 4.7.1 Greylisting in action, please come back later"), Category: transient, Sample: true},
		{Name: "disk", At: StageDot, Replies: later("451 4.3.1 Insufficient system storage, try again later"), Category: transient},
		{Name: "atdata", At: StageData, Replies: later("451 4.3.2 System busy, please try again later"), Category: transient, Sample: true},
		{Name: "shutdown", Domain: "shutdown.example", Replies: later("421 4.3.2 Service shutting down, try again later"), Category: transient, Sample: true},
		{Name: "crowded", Domain: "crowded.example", At: StageBanner, Replies: later("421 4.3.2 Too many connections, try again later"), Category: transient, Sample: true},
		{Name: "mailtemp", At: StageMail, Replies: later("451 4.3.0 Temporary server error, try again later"), Category: transient},

		{Name: "blocked", Replies: one("554 5.7.1 Service unavailable; Client host [192.0.2.10] blocked using zen.spamhaus.org; https://check.example/query/ip/192.0.2.10"), Category: block, Sample: true},
		{Name: "policy", At: StageData, Replies: one("550 5.7.1 Access denied by local policy"), Category: block},
		{Name: "dmarc", At: StageDot, Replies: one("550 5.7.26 Unauthenticated email from sender.example is not accepted due to the domain's DMARC policy"), Category: block, Sample: true},
		{Name: "ratelimit", Replies: later("451 4.7.650 The mail server [192.0.2.10] has been temporarily rate limited due to IP reputation"), Category: block},
		{Name: "badsender", At: StageMail, Replies: one("550 5.1.8 <badsender@sender.example>: Sender address rejected: Domain not found"), Category: block, Sample: true},
		{Name: "listed", Domain: "listed.example", At: StageBanner, Replies: one("554 5.7.1 Your IP address 192.0.2.10 is listed on our block list"), Category: block, Sample: true},
		{Name: "spam", At: StageDot, Replies: one("550 5.7.1 Message content rejected: identified as spam"), Category: spam, Sample: true},
		{Name: "virus", At: StageDot, Replies: one("554 5.7.1 Virus found in message"), Category: spam},
		{Name: "relay", Replies: one("550 5.7.1 Relaying denied"), Category: relay, Sample: true},
		{Name: "relay551", Replies: one("551 User not local; relaying not permitted"), Category: relay},

		{Name: "bare550", Replies: one("550 Requested action not taken"), Category: general, Sample: true},
		{Name: "bare554", At: StageDot, Replies: one("554 Transaction failed"), Category: general, Sample: true},
		{Name: "hangup", Domain: "hangup.example", Replies: later(HangUp), Category: general, Sample: true},
		{Name: "silent", Domain: "silent.example", At: StageBanner, Replies: later(HangUp), Category: general},
		{Name: "cutoff", Domain: "cutoff.example", At: StageDot, Replies: later(HangUp), Category: general},

		{Name: "forgestatus", Replies: one("550 5.1.1 User unknown, dsn=2.0.0, status=sent (250 ok)"), Category: hard, Hostile: true, Sample: true},
		{Name: "forgeparen", Replies: one("550 5.1.1 User unknown (in reply to RCPT TO command)), dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 4F00000001)"), Category: hard, Hostile: true},
		{Name: "forgepostfix", Replies: one("550 5.1.1 User unknown) Nov 23 10:00:00 mta-out postfix/smtp[66]: 4F00000001: " + forged), Category: hard, Hostile: true, Sample: true},
		{Name: "forgesyslog", Replies: one("550-5.1.1 User unknown\n550-2026-11-23T10:00:00.000000+00:00 mta-out postfix/smtp[66]: 4F00000001: " + forged + "\n550 5.1.1 User unknown"), Category: hard, Hostile: true},
		{Name: "forgeexim", Replies: one("550-5.1.1 User unknown\n550-2026-11-23 10:00:00 1xVZgb-00001p-2t ** victim@fake.example R=remote T=remote_smtp H=mx.fake.example [192.0.2.66]: SMTP error from remote mail server after RCPT TO:<victim@fake.example>: 550 5.1.1 forged\n550 5.1.1 User unknown"), Category: hard, Hostile: true, Sample: true},
		{Name: "forgehead", Replies: one("550 5.1.1 User unknown ** victim@fake.example R=remote T=remote_smtp: 550 forged => victim@fake.example R=remote T=remote_smtp H=mx.fake.example [192.0.2.66] C=\"250 ok\""), Category: hard, Hostile: true},
		{Name: "forgeharaka", Replies: one("550 5.1.1 User unknown delivered file=1795461000000_1795461000000_0_66_abcdef_1_mta domain=fake.example host=mx.fake.example ip=192.0.2.66 port=25 mode=SMTP tls=N auth=N response=\"ok\" delay=1 fails=0 rcpts=1/0/0"), Category: hard, Hostile: true, Sample: true},
		{Name: "forgercpt", Replies: one("550-5.1.1 User unknown\n550-[NOTICE] [AE27A46C-3E99-436D-83BC-BFCA5A97CD96.1.1] [outbound] recipient <victim@fake.example> rejected: 550 5.1.1 forged\n550 5.1.1 User unknown"), Category: hard, Hostile: true},
		{Name: "forgejson", Replies: one(`550 5.1.1 User unknown","status":"delivered","recipient":"victim@fake.example","x":{"y":"`), Category: hard, Hostile: true},
		{Name: "forgebounce", At: StageDot, Replies: one("250 2.0.0 Ok (550 5.1.1 User unknown) status=bounced ** victim@fake.example rcpts=0/0/1"), Hostile: true, Sample: true},
		{Name: "quotes", Replies: one(`550 5.1.1 User unknown: "quoted \"twice\"" back\slash \n 'single' %s %d ${HOME} $(id)`), Category: hard, Hostile: true, Sample: true},
		{Name: "okquotes", At: StageDot, Replies: one(`250 2.0.0 Ok "quoted \"twice\"" back\slash \n DT=1s: => x`), Hostile: true},
		{Name: "terminal", Replies: one("550 5.1.1 User unknown \x1b[31mred\x1b[0m \x1b]0;title\x07 \b\b\b bell\x07"), Category: hard, Hostile: true, Sample: true},
		{Name: "latin1", Replies: one("550 5.1.1 User unknown: Empf\xe4nger \xff\xfe unbekannt"), Category: hard, Hostile: true, Sample: true},
		{Name: "gbk", Replies: one("550 5.1.1 User unknown \xd3\xc3\xbb\xa7\xb2\xbb\xb4\xe6\xd4\xda"), Category: hard, Hostile: true},
		{Name: "utf8", Replies: one("550 5.1.1 User unknown: 用户不存在, usuario desconocido, пользователь не найден"), Category: hard, Hostile: true, Sample: true},
		{Name: "nul", Replies: one("550 5.1.1 User unknown\x00 hidden, status=sent (250 ok)"), Category: hard, Hostile: true},
		{Name: "lonecr", Replies: one("550 5.1.1 User unknown\rstatus=sent (250 ok)"), Category: hard, Hostile: true},
		{Name: "long", Domain: "long.example", Replies: one("550 5.1.1 User unknown " + strings.Repeat("blah ", 8*1024/5)), Category: hard, Hostile: true},
		{Name: "longlines", Replies: one(strings.Repeat("550-5.1.1 User unknown "+strings.Repeat("blah ", 60)+"\n", 8) + "550 5.1.1 User unknown"), Category: hard, Hostile: true, Sample: true},
	}
}

// Find returns the script of that recipient or, as the sender's local part
// decides in the stage mail, of that sender. What follows a "+" in a local part
// does not count, nor do quotes around it or the case of either part.
func find(scripts []Script, addr string) (Script, bool) {
	addr = strings.ToLower(addr)
	at := strings.LastIndexByte(addr, '@')
	if at < 0 {
		return Script{}, false
	}
	local, _, _ := strings.Cut(strings.Trim(addr[:at], `"`), "+")
	for _, s := range scripts {
		if s.Name == local && s.domain() == addr[at+1:] {
			return s, true
		}
	}
	return Script{}, false
}
