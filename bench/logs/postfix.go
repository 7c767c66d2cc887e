package logs

import "strconv"

// postfix writes what Postfix gives to syslog.
type postfix struct{ *writer }

func (postfix) others() int { return 6 }

func (p postfix) begin(m *message) {
	name, ip := p.client()
	client := name + "[" + ip + "]"
	p.log("smtpd", "connect from ", client)
	p.log("smtpd", m.id, ": client=", client)
	p.log("cleanup", m.id, ": message-id=<", strconv.FormatInt(p.clock.UnixNano(), 10), ".", m.id, "@app.example>")
	p.log("qmgr", m.id, ": from=<", m.sender, ">, size=", strconv.Itoa(2000+p.random.IntN(90000)), ", nrcpt=", strconv.Itoa(len(m.recipients)), " (queue active)")
	p.log("smtpd", "disconnect from ", client, " ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5")
}

func (p postfix) outcome(m *message, r result) {
	relay, status, dsn, reason := m.relay+"["+m.ip+"]:25", "sent", "2.0.0", "250 2.0.0 Ok: queued as "+m.id
	if f := r.failed; f != nil {
		status, dsn = "bounced", f.dsn
		if f.deferred {
			status = "deferred"
		}
		switch f.after {
		case "":
			relay, reason = "none", "connect to "+m.relay+"["+m.ip+"]:25: Connection timed out"
		case "DATA":
			reason = "host " + m.relay + "[" + m.ip + "] said: " + r.reply + " (in reply to end of DATA command)"
		default:
			reason = "host " + m.relay + "[" + m.ip + "] said: " + r.reply + " (in reply to " + postfixCommand(f.after) + " command)"
		}
	}
	p.log("smtp", m.id, ": to=<", r.to, ">, relay=", relay, ", delay=", p.decimal(30), ", delays=0.1/0/0.3/0.5, dsn=", dsn, ", status=", status, " (", reason, ")")
}

func postfixCommand(after string) string {
	if after == "MAIL" {
		return "MAIL FROM"
	}
	return "RCPT TO"
}

func (p postfix) end(m *message) { p.log("qmgr", m.id, ": removed") }

func (p postfix) noise() {
	name, ip := p.client()
	p.log("anvil", "statistics: max connection rate 1/60s for (smtp:", ip, ") of ", name)
}

func (p postfix) log(daemon string, parts ...string) {
	var stamp [15]byte
	p.w.Write(p.clock.AppendFormat(stamp[:0], "Jan _2 15:04:05"))
	for _, s := range []string{" mta-out postfix/", daemon, "[", p.pid(), "]: "} {
		p.w.WriteString(s)
	}
	p.line(parts...)
}
