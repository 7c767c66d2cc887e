package lab

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"mtatap/e2e/port"
)

// Server is the scripted remote side: a listener for each domain of its scripts,
// on a loopback address of its own so that no mail server takes two of them for
// one host. It accepts whatever no script refuses.
type Server struct {
	scripts   []Script
	oracle    oracle
	listeners map[string]net.Listener // by recipient domain
	closed    netip.AddrPort          // without a listener
	release   func()                  // of closed

	mu       sync.Mutex
	sessions int
	queued   int
	conns    map[net.Conn]struct{}
	wg       sync.WaitGroup
}

// StartServer listens on free ports and serves until Close.
func StartServer(scripts []Script) (*Server, error) {
	s := &Server{scripts: scripts, listeners: map[string]net.Listener{}, conns: map[net.Conn]struct{}{}}
	s.oracle.attempts = map[string]int{}
	addr := netip.MustParseAddr("127.0.0.2")
	for _, domain := range s.domains() {
		l, err := net.Listen("tcp", netip.AddrPortFrom(addr, 0).String())
		if err != nil {
			s.Close()
			return nil, fmt.Errorf("listen for %s: %w", domain, err)
		}
		addr = addr.Next()
		s.listeners[domain] = l
		s.wg.Go(func() { s.serve(l, domain) })
	}
	closed, release, err := port.Reserve(addr)
	if err != nil {
		s.Close()
		return nil, err
	}
	s.closed, s.release = closed, release
	return s, nil
}

// Routes returns where mail for each domain goes; nobody listens for
// RefusedDomain.
func (s *Server) Routes() map[string]netip.AddrPort {
	routes := map[string]netip.AddrPort{SenderDomain: address(s.listeners[DefaultDomain]), RefusedDomain: s.closed}
	for domain, l := range s.listeners {
		routes[domain] = address(l)
	}
	return routes
}

// Oracle returns what was said so far, in the order in which it was said.
func (s *Server) Oracle() []Exchange { return s.oracle.all() }

// Close ends the listeners and all sessions and waits for them.
func (s *Server) Close() {
	for _, l := range s.listeners {
		l.Close()
	}
	s.mu.Lock()
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
	if s.release != nil {
		s.release()
	}
}

func (s *Server) domains() []string {
	domains := []string{DefaultDomain}
	for _, sc := range s.scripts {
		if sc.Domain != "" {
			domains = append(domains, sc.Domain)
		}
	}
	return domains
}

func (s *Server) serve(l net.Listener, domain string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.sessions++
		s.conns[c] = struct{}{}
		session := &session{server: s, domain: domain, number: s.sessions, conn: c, in: bufio.NewReader(c), out: bufio.NewWriter(c)}
		s.mu.Unlock()
		s.wg.Go(func() {
			// An error is the client's going away or a scripted hang-up.
			_ = session.run()
			c.Close()
			s.mu.Lock()
			delete(s.conns, c)
			s.mu.Unlock()
		})
	}
}

func (s *Server) nextQueueID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queued++
	return fmt.Sprintf("4F%08X", s.queued)
}

// session is one connection; one goroutine owns it.
type session struct {
	server *Server
	domain string
	number int
	conn   net.Conn
	in     *bufio.Reader
	out    *bufio.Writer

	mailing    bool // MAIL FROM was accepted
	sender     string
	recipients []string // accepted at RCPT TO
}

var errHangUp = errors.New("scripted hang-up")

func (c *session) run() error {
	c.conn.SetDeadline(time.Now().Add(2 * time.Minute))
	if script, ok := c.domainScript(StageBanner); ok {
		if refused, err := c.refuse(script, StageBanner, script.Recipient(), ""); refused || err != nil {
			return err
		}
	}
	if err := c.say("220 mx." + c.domain + " ESMTP"); err != nil {
		return err
	}
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			return err
		}
		if err := c.command(strings.TrimRight(line, "\r\n")); err != nil {
			return err
		}
	}
}

func (c *session) command(line string) error {
	verb, rest, _ := strings.Cut(line, " ")
	switch strings.ToUpper(verb) {
	case "EHLO":
		return c.say("250-mx." + c.domain + "\n250-PIPELINING\n250-SIZE 10485760\n250-8BITMIME\n250-SMTPUTF8\n250 ENHANCEDSTATUSCODES")
	case "HELO":
		return c.say("250 mx." + c.domain)
	case "MAIL":
		return c.mail(path(rest))
	case "RCPT":
		return c.rcpt(path(rest))
	case "DATA":
		return c.data()
	case "RSET":
		c.mailing, c.recipients = false, nil
		return c.say("250 2.0.0 Ok")
	case "NOOP":
		return c.say("250 2.0.0 Ok")
	case "QUIT":
		c.say("221 2.0.0 Bye")
		return errHangUp
	}
	return c.say("502 5.5.1 Command not implemented")
}

func (c *session) mail(sender string) error {
	c.mailing, c.sender, c.recipients = false, sender, nil
	if script, ok := c.senderScript(); ok {
		if refused, err := c.refuse(script, StageMail, script.Recipient(), sender); refused || err != nil {
			return err
		}
	}
	c.mailing = true
	return c.say("250 2.1.0 Ok")
}

func (c *session) rcpt(recipient string) error {
	if !c.mailing {
		return c.say("503 5.5.1 Need MAIL command")
	}
	if script, ok := find(c.server.scripts, recipient); ok && script.stage() == StageRcpt {
		if refused, err := c.refuse(script, StageRcpt, recipient, c.sender); refused || err != nil {
			return err
		}
	}
	c.recipients = append(c.recipients, recipient)
	return c.say("250 2.1.5 Ok")
}

func (c *session) data() error {
	if len(c.recipients) == 0 {
		return c.say("554 5.5.1 No valid recipients")
	}
	if reply, script := c.transactionReply(StageData); reply != Accept {
		return c.finish(StageData, script, reply)
	}
	if err := c.say("354 End data with <CR><LF>.<CR><LF>"); err != nil {
		return err
	}
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			return err
		}
		if line == ".\r\n" {
			break
		}
	}
	reply, script := c.transactionReply(StageDot)
	if reply == Accept {
		reply = "250 2.0.0 Ok: queued as " + c.server.nextQueueID()
	}
	return c.finish(StageDot, script, reply)
}

// transactionReply returns what the transaction as a whole is answered at that
// stage: the reply of the first accepted recipient that has a script for it.
func (c *session) transactionReply(at Stage) (string, Script) {
	for _, r := range c.recipients {
		if script, ok := find(c.server.scripts, r); ok && script.stage() == at {
			return script.reply(c.server.oracle.attempt(c.sender, r)), script
		}
	}
	return Accept, Script{}
}

// finish records reply for every accepted recipient and gives it.
func (c *session) finish(at Stage, script Script, reply string) error {
	for _, r := range c.recipients {
		c.server.oracle.record(c.number, at, script, c.sender, r, reply)
	}
	c.mailing, c.recipients = false, nil
	return c.give(reply)
}

// refuse gives the script's reply for this attempt unless that is to accept.
func (c *session) refuse(script Script, at Stage, recipient, sender string) (bool, error) {
	reply := script.reply(c.server.oracle.attempt(sender, recipient))
	if reply == Accept {
		return false, nil
	}
	c.server.oracle.record(c.number, at, script, sender, recipient, reply)
	return true, c.give(reply)
}

// give says reply; after a hang-up or a 421 the session is over.
func (c *session) give(reply string) error {
	if reply == HangUp {
		c.out.Flush()
		return errHangUp
	}
	if err := c.say(reply); err != nil {
		return err
	}
	if strings.HasPrefix(reply, "421") {
		c.out.Flush()
		return errHangUp
	}
	return nil
}

// say writes a reply whose lines are separated by "\n", as it is.
func (c *session) say(reply string) error {
	for line := range strings.SplitSeq(reply, "\n") {
		c.out.WriteString(line)
		c.out.WriteString("\r\n")
	}
	if c.in.Buffered() > 0 {
		return nil // more commands are waiting: answer them together
	}
	return c.out.Flush()
}

func (c *session) domainScript(at Stage) (Script, bool) {
	for _, s := range c.server.scripts {
		if s.stage() == at && s.domain() == c.domain {
			return s, true
		}
	}
	return Script{}, false
}

func (c *session) senderScript() (Script, bool) {
	local, _, _ := strings.Cut(c.sender, "@")
	script, ok := find(c.server.scripts, local+"@"+DefaultDomain)
	return script, ok && script.stage() == StageMail && strings.HasSuffix(c.sender, "@"+SenderDomain)
}

// path returns what stands in the angle brackets of "FROM:<a@b> SIZE=1".
func path(s string) string {
	_, s, _ = strings.Cut(s, "<")
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quoted:
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == '>' && !quoted:
			return s[:i]
		}
	}
	return s
}

func address(l net.Listener) netip.AddrPort { return l.Addr().(*net.TCPAddr).AddrPort() }
