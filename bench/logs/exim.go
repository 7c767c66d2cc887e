package logs

import (
	"strconv"
	"strings"
)

// exim writes Exim's main log as it is by default.
type exim struct{ *writer }

func (exim) others() int { return 2 }

func (x exim) begin(m *message) {
	m.id = eximID(m.id)
	name, ip := x.client()
	x.log(m.id, " <= ", m.sender, " H=", name, " [", ip, "] P=esmtps X=TLS1.3:ECDHE_X25519__RSA_PSS_RSAE_SHA256__AES_256_GCM:256 CV=no S=",
		strconv.Itoa(2000+x.random.IntN(90000)), " id=", m.id, "@app.example")
}

// eximID makes a message id of the form of Exim 4.96 of ten hex digits.
func eximID(hex string) string {
	if len(hex) != 10 {
		return hex
	}
	return "1x" + hex[:4] + "-00" + hex[4:8] + "-" + strings.ToLower(hex[8:9]) + hex[9:]
}

func (x exim) outcome(m *message, r result) {
	m.id = eximID(m.id)
	route := " R=dnslookup T=remote_smtp H=" + m.relay + " [" + m.ip + "]"
	f := r.failed
	switch {
	case f == nil:
		x.log(m.id, " => ", r.to, route, " X=TLS1.3:ECDHE_X25519__RSA_PSS_RSAE_SHA256__AES_256_GCM:256 CV=yes K C=\"250 2.0.0 Ok: queued as ", m.id, "\"")
	case f.after == "":
		x.log(m.id, " == ", r.to, " R=dnslookup T=remote_smtp defer (110): Connection timed out H=", m.relay, " [", m.ip, "]")
	case f.deferred:
		x.log(m.id, " == ", r.to, " R=dnslookup T=remote_smtp defer (-44) H=", m.relay, " [", m.ip, "]: SMTP error from remote mail server after ", eximCommand(m, r), ": ", r.reply)
	default:
		x.log(m.id, " ** ", r.to, route, ": SMTP error from remote mail server after ", eximCommand(m, r), ": ", r.reply)
	}
}

func eximCommand(m *message, r result) string {
	switch r.failed.after {
	case "MAIL":
		return "MAIL FROM:<" + m.sender + "> SIZE=4096"
	case "DATA":
		return "end of data"
	}
	return "RCPT TO:<" + r.to + ">"
}

func (x exim) end(m *message) { x.log(m.id, " Completed") }

func (x exim) noise() { x.log("Start queue run: pid=", x.pid()) }

func (x exim) log(parts ...string) {
	var stamp [20]byte
	x.w.Write(x.clock.AppendFormat(stamp[:0], "2006-01-02 15:04:05 "))
	x.line(parts...)
}
