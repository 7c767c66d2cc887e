package rules

import "testing"

func TestParseText(t *testing.T) {
	for name, c := range map[string]struct {
		in       string
		text     string
		code     int
		enhanced string
	}{
		"a plain reply":             {"550 5.1.1 User unknown", "550 5.1.1 User unknown", 550, "5.1.1"},
		"no code at all":            {" Connection timed out ", "Connection timed out", 0, ""},
		"an enhanced code alone":    {"5.7.0 Blocked", "5.7.0 Blocked", 0, "5.7.0"},
		"an enhanced code behind #": {"550 no mailbox here by that name (#5.1.1)", "550 no mailbox here by that name (#5.1.1)", 550, "5.1.1"},
		"an enhanced code behind # that disagrees with the reply code": {"450 busy (#5.1.1)", "450 busy (#5.1.1)", 450, ""},
		"Postfix: a refusal": {
			"host mx.example.com[192.0.2.1] said: 550-5.1.1 No such 550 5.1.1 user (in reply to RCPT TO command)",
			"550 5.1.1 No such user", 550, "5.1.1"},
		"Postfix: a refused greeting": {
			"host mx.example.com[192.0.2.1] refused to talk to me: 554 5.7.1 Go away", "554 5.7.1 Go away", 554, "5.7.1"},
		"Postfix: a suspended delivery": {
			"delivery temporarily suspended: host mx[192.0.2.1] said: 451 later (in reply to end of DATA command)", "451 later", 451, ""},
		"Exim: escapes and continued lines": {
			`SMTP error from remote mail server after RCPT TO:<a@b.example>: 550-5.7.1 Bo\303\256te\n550 5.7.1 pleine`,
			"550 5.7.1 Boîte pleine", 550, "5.7.1"},
		"Exim: a stage with a colon": {
			"SMTP error from remote mail server after pipelined MAIL FROM:<a@b.example> SIZE=10: 451 4.7.1 wait", "451 4.7.1 wait", 451, "4.7.1"},
		"Exim: the older form": {
			"SMTP error from remote mailer after RCPT TO:<a@b.example>: host mx.b.example [192.0.2.1]: 550 no", "550 no", 550, ""},
		"Exim: LMTP":                         {"LMTP error after DATA: 452 4.2.2 full", "452 4.2.2 full", 452, "4.2.2"},
		"Exim: escapes without the wrapping": {`550-one\n550 two`, "550 one two", 550, ""},
		"a backslash that is no escape":      {`550 DOMAIN\name unknown`, `550 DOMAIN\name unknown`, 550, ""},
		"Haraka: giving up":                  {"Too many failures (Upstream error: 452 4.2.2 mailbox full)", "452 4.2.2 mailbox full", 452, "4.2.2"},
		"Haraka: one recipient":              {"recipient <a@b.example> rejected: 550 5.1.1 no", "550 5.1.1 no", 550, "5.1.1"},
		"qmail":                              {"192.0.2.1 does not like recipient.\nRemote host said: 553 no such user", "553 no such user", 553, ""},
		"a DSN's diagnostic code":            {"smtp; 550 5.1.1 User unknown", "550 5.1.1 User unknown", 550, "5.1.1"},
		"Sendmail":                           {"... while talking to mx.example.com.:\n>>> RCPT To:<a@b.example>\n<<< 550 5.1.1 no", "550 5.1.1 no", 550, "5.1.1"},
		"a reply inside other words":         {"LMTP transmission failure has occurred 522 5.2.0 Over quota", "LMTP transmission failure has occurred 522 5.2.0 Over quota", 522, "5.2.0"},
		"a code before a hyphen":             {"Error message below: 550 - no such user", "Error message below: 550 - no such user", 550, ""},
		"a number is no code":                {"connect to mx[192.0.2.1]:25: timed out after 450 seconds", "connect to mx[192.0.2.1]:25: timed out after 450 seconds", 0, ""},
		"empty":                              {"", "", 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			want := Input{Text: c.text, Code: c.code, Enhanced: c.enhanced}
			if got := ParseText(c.in); got != want {
				t.Errorf("got %+v\nwant %+v", got, want)
			}
		})
	}
}

func TestNormalise(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"case and white space are folded":       {"  User\t UNKNOWN \r\n here ", "user unknown here"},
		"case is folded in all scripts":         {"ПОЛЬЗОВАТЕЛЬ Œuf Straße", "пользователь œuf straße"},
		"letters that fold together are one":    {"K ſ Å", "k s å"},
		"white space of any script is a space":  {"a\u00a0\u3000b", "a b"},
		"an apostrophe is plain":                {"doesn’t", "doesn't"},
		"bytes that are not UTF-8 are replaced": {"bo\xeete", "bo?te"},
		"control characters are spaces":         {"a\x00\x1b[31mb", "a [31mb"},
		"local parts of addresses are left out": {"550 <Spam@Example.com> a+b@c, x: (mailto:d@e) @f g@", "550 <@example.com> @c, x: (mailto:@e) @f @"},
		"only white space is nothing":           {" \n\t", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := string(normalise(nil, c.in)); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestOnlyTheFirstBytesOfATextCount(t *testing.T) {
	s := loadDefault(t)
	long := make([]byte, maxText)
	for i := range long {
		long[i] = 'x'
	}
	in := Input{Text: string(long) + " user unknown", Code: 550}
	if got := s.Classify(&in); got.Rule != "reply:550" {
		t.Errorf("decided by %s, want reply:550", got.Rule)
	}
}
