package parsers

import (
	"net"
	"strconv"
	"strings"

	"mtatap/event"
)

const postfixMTA event.MTA = "postfix"

// postfix reads the log of Postfix 2.2 to 3.12, of any number of instances.
//
// A delivery status line carries nearly everything; sender and message id are
// joined by queue id from the lines of cleanup and qmgr. A message that expires
// gets one line without recipients, so those still deferred are remembered.
// A suspended delivery ("delivery temporarily suspended") is an event of its
// own with NotAttempted set, whatever Options.NonAttempts says: its line is a
// delivery status like any other. Address probes give none.
type postfix struct {
	opts     Options
	envelope envelopeReader
	stamps   stamps
	hops     []event.Relay
	verp     verp
	messages *memory[postfixMessage]
	deferred deferralPool
}

func newPostfix(opts Options) *postfix {
	p := &postfix{opts: opts, stamps: stamps{zone: opts.zone()}, verp: newVERP(opts.VERP)}
	p.clear()
	for _, hop := range opts.FilterHops {
		if host, port, err := net.SplitHostPort(hop); err == nil {
			n, _ := strconv.Atoi(port)
			p.hops = append(p.hops, event.Relay{Host: host, Port: n})
		} else {
			p.hops = append(p.hops, event.Relay{Host: hop})
		}
	}
	return p
}

// Parse implements Parser.
func (p *postfix) Parse(dst []event.Delivery, line Line) ([]event.Delivery, error) {
	message, ok := p.envelope.message(view(line.Text))
	if !ok {
		e, ok := readPostfixOdd(view(line.Text))
		if !ok {
			return dst, nil
		}
		message = e.message
	}
	if message != "" && message[0] == ' ' {
		message = strings.TrimLeft(message, " ")
	}
	id, rest, ok := cutPostfixID(message)
	if !ok {
		if p.opts.Rejects {
			rest, ok := strings.CutPrefix(message, noQueue+": ")
			if ok && isPostfixReject(rest) || strings.HasPrefix(message, "proxy-reject: ") {
				return p.reject(dst, line)
			}
		}
		return dst, nil
	}
	switch rest[0] {
	case 't':
		if strings.HasPrefix(rest, "to=<") {
			return p.status(dst, line, id)
		}
	case 'f':
		if from, ok := strings.CutPrefix(rest, "from=<"); ok {
			return p.from(dst, line, id, from)
		}
	case 'm':
		if value, ok := strings.CutPrefix(rest, "message-id="); ok {
			p.messageID(id, value)
		} else if p.opts.Rejects && isPostfixReject(rest) {
			return p.reject(dst, line)
		}
	case 'u':
		if uid, ok := strings.CutPrefix(rest, "uid="); ok {
			p.pickup(id, uid)
		}
	case 'r':
		if rest == "removed" {
			p.messages.drop(id)
		} else if p.opts.Rejects && isPostfixReject(rest) {
			return p.reject(dst, line)
		}
	case 's':
		p.notification(rest)
	}
	return dst, nil
}

// Flush implements Parser. Every Postfix line stands for itself.
func (p *postfix) Flush(dst []event.Delivery) []event.Delivery { return dst }

// from reads a line of qmgr, which ends in text of its own after the sender:
// "from=<a>, size=N, nrcpt=N (queue active)", at every activation, or
// "from=<a>, status=expired, returned to sender".
func (p *postfix) from(dst []event.Delivery, line Line, id, s string) ([]event.Delivery, error) {
	s = strings.TrimSuffix(s, "\r")
	if strings.HasSuffix(s, ")") {
		if end := strings.LastIndexByte(s, '>'); end >= 0 && strings.HasPrefix(s[end:], ">, size=") {
			p.messages.put(id).setSender(s[:end])
		}
		return dst, nil
	}
	for _, tail := range [...]string{">, status=expired, returned to sender", ">, status=force-expired, returned to sender"} {
		if sender, ok := strings.CutSuffix(s, tail); ok {
			m := p.messages.put(id)
			m.setSender(sender)
			return p.expire(dst, line, m), nil
		}
	}
	return dst, nil
}

// messageID reads cleanup's "message-id=" line, the first that every message
// has. The value is any text, up to the end of the line.
func (p *postfix) messageID(id, value string) {
	m := p.messages.put(id)
	if m.fromStart {
		p.reset(m) // the queue id is used anew
	}
	m.fromStart = true
	value = strings.TrimSuffix(value, "\r")
	if n := len(value); n >= 2 && value[0] == '<' && value[n-1] == '>' {
		value = value[1 : n-1]
	}
	m.messageID = append(m.messageID[:0], clip(value)...)
}

// pickup reads "uid=N from=<a>", in older versions "uid=N from=a", with
// " orig_id=QID" behind it after a requeue.
func (p *postfix) pickup(id, s string) {
	_, s, ok := strings.Cut(s, " from=<")
	if !ok {
		return
	}
	if end := strings.LastIndexByte(s, '>'); end >= 0 {
		m := p.messages.put(id)
		p.reset(m)
		m.setSender(s[:end])
	}
}

// notification reads bounce's "sender non-delivery notification: QID2" and the
// like: that message is a bounce of this host itself.
func (p *postfix) notification(s string) {
	if !strings.HasPrefix(s, "sender ") || len(p.verp) == 0 {
		return
	}
	if i := strings.LastIndex(s, "notification: "); i >= 0 {
		if m := p.messages.get(s[i+len("notification: "):]); m != nil {
			m.ownNotice = true
		}
	}
}

// cutPostfixID cuts "QID: " off the head of s. A queue id is of upper case
// hexadecimal digits, or of digits and letters without vowels; tests of other
// programs make up theirs of any. It does not start with a lower case letter, as
// words such as "warning" do. rest is not empty.
func cutPostfixID(s string) (id, rest string, ok bool) {
	if s == "" || s[0] >= 'a' {
		return "", "", false
	}
	for i := 0; i < len(s); i++ {
		if !postfixIDByte[s[i]] {
			if s[i] != ':' || i == 0 || i+2 >= len(s) || s[i+1] != ' ' || s[:i] == noQueue {
				return "", "", false
			}
			return s[:i], s[i+2:], true
		}
	}
	return "", "", false
}

// noQueue stands for the queue id where there is none.
const noQueue = "NOQUEUE"

var postfixIDByte = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
	}
	return t
}()

// splitPostfixTag splits a tag, which is syslog name and daemon.
func splitPostfixTag(tag string) (instance, program string) {
	i := strings.LastIndexByte(tag, '/')
	if i < 0 {
		return tag, ""
	}
	return tag[:i], tag[i+1:]
}

var postfixDaemons = [...]string{
	"smtp", "lmtp", "local", "virtual", "pipe", "error", "retry", "discard", "qmgr", "oqmgr", "cleanup", "bounce",
	"smtpd", "pickup", "postscreen", "dnsblog", "tlsproxy", "anvil", "scache", "verify", "trivial-rewrite", "proxymap",
	"flush", "defer", "trace", "showq", "tlsmgr", "master", "postdrop", "sendmail", "postsuper", "postqueue", "postlogd",
	"postfix-script",
}

// recognizePostfix reports whether line surely is of a Postfix log.
func recognizePostfix(line string) bool {
	var r envelopeReader
	e, ok := r.read(line)
	if !ok {
		if e, ok = readPostfixOdd(line); !ok {
			return false
		}
	}
	instance, program := splitPostfixTag(e.tag)
	return isPostfixDaemon(program) || program == "" && instance == "postfix"
}

func isPostfixDaemon(program string) bool {
	for _, d := range postfixDaemons {
		if program == d {
			return true
		}
	}
	return false
}

var postfixUnparsed = func() map[string]*UnparsedError {
	t := map[string]*UnparsedError{}
	for _, d := range append(postfixDaemons[:], "other") {
		t[d] = &UnparsedError{MTA: postfixMTA, Program: d, Problem: "the fields do not follow the grammar"}
	}
	return t
}()

// unparsed returns the error for a line of that tag.
func (p *postfix) unparsed(tag string) error {
	_, program := splitPostfixTag(tag)
	if e, ok := postfixUnparsed[program]; ok {
		return e
	}
	return postfixUnparsed["other"]
}
