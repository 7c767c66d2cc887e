package logs

import "strconv"

// haraka writes Haraka's log in its default format and level, with time stamps.
// Each message has one recipient.
type haraka struct{ *writer }

func (haraka) others() int { return 8 }

func (h haraka) begin(m *message) {
	// A connection has a UUID, its first transaction adds ".1", the first
	// delivery of that another one.
	m.id += "-53F5-42EB-A03B-34E2BE3E65A2"
	m.id = m.id[2:10] + m.id[10:]
	_, ip := h.client()
	h.log("NOTICE", m.id, "core", "connect ip=", ip, " port=39106 local_ip=10.0.0.1 local_port=25")
	h.log("NOTICE", m.id+".1", "core", "sender <", m.sender, "> code=CONT msg=\"\"")
	for _, to := range m.recipients {
		h.log("NOTICE", m.id+".1", "core", "recipient <", to, "> code=OK msg=\"\" sender=", m.sender)
	}
	h.log("NOTICE", m.id+".1", "core", "message mid=<", m.id, "@app.example> size=", strconv.Itoa(2000+h.random.IntN(90000)), " rcpts=1/0/0 delay=0 code=CONT msg=\"\"")
	h.log("INFO", "-", "outbound", "Transaction delivery for domain: ", m.domain)
	h.log("NOTICE", m.id+".1", "core", "queue code=OK msg=\"Message Queued (", m.id, ".1)\"")
	h.log("NOTICE", m.id, "core", "disconnect ip=", ip, " rdns=app.internal.example helo=app.internal.example relay=Y early=N esmtp=Y tls=N pipe=N errors=0 txns=1 rcpts=1/0/0 msgs=1/0/0 bytes=2000 lr=\"\" time=0.052")
}

func (h haraka) outcome(m *message, r result) {
	id, f := m.id+".1.1", r.failed
	file := "1795469066352_1795469066352_0_25970_" + m.id[:6] + "_" + strconv.Itoa(r.serial) + "_mta-out"
	if f == nil {
		h.log("NOTICE", id, "outbound", " delivered file=", file, " domain=", m.domain, " host=", m.relay, " ip=", m.ip,
			" port=25 mode=SMTP tls=Y auth=N response=\"Ok: queued as ", m.id[:8], "\" delay=", h.decimal(30), " fails=0 rcpts=1/0/0")
		return
	}
	verb, fate := " rejected: ", "bouncing mail: "
	if f.deferred {
		verb, fate = " deferred: ", "Temp failing "+file+" for 64 seconds: "
	}
	why := "Tried all MXs"
	switch {
	case f.after == "RCPT":
		h.log("NOTICE", id, "outbound", "recipient <", r.to, ">", verb, r.reply)
		why = "Some recipients failed: <" + r.to + ">"
		if f.deferred {
			why = "Some recipients temp failed: <" + r.to + ">"
		}
	case f.after != "" && f.deferred:
		why = "Upstream error: " + r.reply
	case f.after != "":
		why = r.reply
	}
	h.log("INFO", id, "outbound", fate, why)
}

func (h haraka) end(m *message) {
	h.log("INFO", m.id+".1.1", "outbound", "closing connection to ", m.ip, " of domain ", m.domain)
}

func (h haraka) noise() {
	h.log("NOTICE", "-", "core", "connection limits: none of ", h.pid(), " reached")
}

func (h haraka) log(level, id, plugin string, parts ...string) {
	var stamp [24]byte
	h.w.Write(h.clock.AppendFormat(stamp[:0], "2006-01-02T15:04:05.000Z"))
	for _, s := range []string{" [", level, "] [", id, "] [", plugin, "] "} {
		h.w.WriteString(s)
	}
	h.line(parts...)
}
