package rules

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"mtatap/event"
)

// ParseText reads a raw reply in the wrapping of any MTA, such as a person or a
// log has it, and returns its text with the codes found in it. Status, Phase
// and Provider stay unknown.
func ParseText(text string) Input {
	if len(text) > maxText {
		text = text[:maxText]
	}
	text = strings.TrimSpace(text)
	escaped := mayBeWrapped(text) && eximStage.MatchString(text) || strings.IndexByte(text, '\\') >= 0 && escapedLine.MatchString(text)
	text = unwrap(text)
	if escaped {
		text = unescape(text)
	}
	reply := event.ParseReply(text)
	in := Input{Text: reply.Text, Code: reply.Code, Enhanced: reply.Enhanced}
	if in.Code == 0 {
		in.Enhanced, _ = event.CutEnhanced(in.Text)
		in.Code, in.Enhanced = innerCodes(in.Text, in.Enhanced)
	}
	if in.Enhanced == "" {
		in.Enhanced = markedEnhanced(in.Text, in.Code)
	}
	return in
}

var (
	// eximStage is what Exim puts in front of a reply.
	eximStage = regexp.MustCompile(`^(?:(?:SMTP|LMTP) error from remote (?:mail server|mailer)|LMTP error) after `)
	// escapedLine is an end of line as Exim writes it, with the code of the
	// next line behind.
	escapedLine = regexp.MustCompile(`\\n[2-5]\d\d[ -]`)
	// replyStart is a reply code as it begins a reply.
	replyStart = regexp.MustCompile(`: ([2-5]\d\d(?:[ -]|$))`)
	// prefixes are put in front of a reply or reason and say nothing about it.
	prefixes = regexp.MustCompile(`^(?i:` + strings.Join([]string{
		`delivery temporarily suspended: `,                 // Postfix
		`host [^ ]+ (?:said|refused to talk to me): `,      // Postfix
		`host [^ ]+ \[[0-9a-f.:]+\]: `,                     // Exim before 4.83
		`[0-9a-f.:]+ failed after I sent the message\.\s*`, // qmail
		`[0-9a-f.:]+ does not like recipient\.\s*`,         // qmail
		`Remote host said: `,                               // qmail
		`Upstream error: `,                                 // Haraka
		`recipient <[^ ]*> (?:rejected|deferred): `,        // Haraka
		`(?:smtp|lmtp|x-[a-z-]+); ?`,                       // Diagnostic-Code (RFC 3464)
		`<<< `,                                             // Sendmail
		`(?:\.\.\. )?while talking to \S+\s*`,              // Sendmail
		`>>> [^\n]*\n`,                                     // Sendmail
	}, "|") + `)`)
	// inReply is what Postfix puts behind a reply.
	inReply = regexp.MustCompile(` ?\(in reply to [A-Za-z -]+ command\)\)?$`)
	// tooMany is how Haraka gives up.
	tooMany = regexp.MustCompile(`^Too many failures \((.*)\)$`)
)

// unwrap removes what MTAs put around a reply.
func unwrap(text string) string {
	for range 8 { // wrappings nest, but not without end
		before := len(text)
		if mayBeInReply(text) {
			text = inReply.ReplaceAllString(text, "")
		}
		if mayBeWrapped(text) {
			text = withoutPrefix(text)
		}
		if text = strings.TrimSpace(text); len(text) == before {
			break
		}
	}
	return text
}

// withoutPrefix removes what one MTA put in front of a reply.
func withoutPrefix(text string) string {
	if loc := eximStage.FindStringIndex(text); loc != nil {
		text = afterStage(text[loc[1]:])
	}
	if m := tooMany.FindStringSubmatch(text); m != nil {
		text = m[1]
	}
	if loc := prefixes.FindStringIndex(text); loc != nil {
		text = text[loc[1]:]
	}
	return text
}

// mayBeInReply is a quick look at how text ends: false where inReply finds nothing.
func mayBeInReply(text string) bool {
	return strings.HasSuffix(text, " command)") || strings.HasSuffix(text, " command))")
}

// mayBeWrapped is a quick look at how text begins: false where no wrapping does.
func mayBeWrapped(text string) bool {
	if text == "" {
		return false
	}
	if headByte[text[0]] && slices.ContainsFunc(heads[:], func(head string) bool { return begins(text, head) }) {
		return true
	}
	// An address in front of what qmail says.
	if !qmailAddress[text[0]] {
		return false
	}
	_, said, _ := strings.Cut(text, " ")
	return begins(said, "failed after i ") || begins(said, "does not like ")
}

// heads are how eximStage, tooMany and prefixes begin, but for what qmail says.
var heads = [...]string{
	"smtp", "lmtp", "too many failures (", "delivery temporarily suspended: ", "host ", "remote host said: ", "upstream error: ",
	"recipient <", "x-", "<<< ", "... while talking to ", "while talking to ", ">>> ",
}

// begins reports whether text may begin with head, which is in lower case. Of
// other letters than those of ASCII, some are equal to one of these.
func begins(text, head string) bool {
	for i := range len(head) {
		if i == len(text) {
			return false
		}
		if text[i] >= utf8.RuneSelf {
			return true
		}
		if lower := text[i] | 0x20; text[i] != head[i] && (lower != head[i] || lower < 'a' || lower > 'z') {
			return false
		}
	}
	return true
}

// headByte tells the bytes that a text may begin with if it begins with a head.
var headByte = func() (t [256]bool) {
	for c := range t {
		t[c] = slices.ContainsFunc(heads[:], func(head string) bool { return begins(string([]byte{byte(c)}), head[:1]) })
	}
	return t
}()

// qmailAddress tells the bytes that an address has in what qmail says.
var qmailAddress = func() (t [256]bool) {
	for _, c := range []byte("0123456789abcdefABCDEF.:") {
		t[c] = true
	}
	return t
}()

// afterStage returns the reply behind "RCPT TO:<a@b>: ".
func afterStage(text string) string {
	if m := replyStart.FindStringSubmatchIndex(text); m != nil {
		return text[m[2]:]
	}
	if _, reply, ok := strings.Cut(text, ": "); ok {
		return reply
	}
	return text
}

// unescape undoes Exim's escapes: C's letters and three octal digits.
func unescape(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c != '\\' || i+1 == len(text) {
			b.WriteByte(c)
			continue
		}
		switch n := text[i+1]; {
		case n == 'n' || n == 'r' || n == 't':
			b.WriteByte(map[byte]byte{'n': '\n', 'r': '\r', 't': '\t'}[n])
			i++
		case i+3 < len(text) && n >= '0' && n <= '3' && octal(text[i+2]) && octal(text[i+3]):
			b.WriteByte((n-'0')<<6 | (text[i+2]-'0')<<3 | (text[i+3] - '0'))
			i += 3
		default:
			b.WriteByte(c)
		}
	}
	if s := b.String(); utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(b.String(), "?")
}

func octal(c byte) bool { return c >= '0' && c <= '7' }

// inner is a reply inside other words: a code with an enhanced code, or a code
// that a colon or a hyphen sets off.
var inner = regexp.MustCompile(`(?:^|[\s:<(])([45]\d\d)(?:[ -]#?([45]\.\d{1,3}\.\d{1,3})\b|:| - )`)

// innerCodes looks for codes further back in a text that does not start with a
// reply code.
func innerCodes(text, enhanced string) (int, string) {
	if !hasCode(text) {
		return 0, enhanced
	}
	if m := inner.FindStringSubmatch(text); m != nil {
		code := int(m[1][0]-'0')*100 + int(m[1][1]-'0')*10 + int(m[1][2]-'0')
		if enhanced == "" {
			enhanced = m[2]
		}
		return code, enhanced
	}
	if m := replyStart.FindStringSubmatch(text); m != nil && m[1][0] >= '4' {
		return int(m[1][0]-'0')*100 + int(m[1][1]-'0')*10 + int(m[1][2]-'0'), enhanced
	}
	return 0, enhanced
}

// hasCode is a quick look whether text has a reply code of a failure that stands
// by itself.
func hasCode(text string) bool {
	for i := 0; i+2 < len(text); i++ {
		if c := text[i]; (c != '4' && c != '5') || text[i+1]-'0' > 9 || text[i+2]-'0' > 9 {
			continue
		}
		if i > 0 && strings.IndexByte(" :<(\t\n\f\r", text[i-1]) < 0 {
			continue
		}
		if i+3 == len(text) || strings.IndexByte(" -:", text[i+3]) >= 0 {
			return true
		}
	}
	return false
}

// markedEnhanced returns the enhanced code that text has behind a "#", as in
// "(#5.1.1)", if it agrees with the class of the reply code; "" if there is
// none.
func markedEnhanced(text string, code int) string {
	for {
		i := strings.IndexByte(text, '#')
		if i < 0 {
			return ""
		}
		text = text[i+1:]
		if n := event.EnhancedLen(text); n > 0 && (code == 0 || code/100 == int(text[0]-'0')) {
			return text[:n]
		}
	}
}
