package parsers

import (
	"testing"

	"mtatap/event"
)

// The forms are those of smtp_proto.c, smtp_trouble.c, smtp_connect.c and
// smtp_addr.c, of the local delivery agents, and of what error(8) is told to say.
func TestPostfixPhaseOfEveryReason(t *testing.T) {
	const peer, other = "mx.b.example[198.51.100.6]", "mx.b.example[2001:db8::6]"
	for reason, c := range map[string]struct {
		daemon, relay string
		phase         event.Phase
	}{
		"lost connection with " + peer + " while receiving the initial server greeting":                                                        {"smtp", peer + ":25", event.PhaseBanner},
		"lost connection with " + peer + " while performing the EHLO handshake":                                                                {"smtp", peer + ":25", event.PhaseHelo},
		"lost connection with " + peer + " while performing the HELO handshake":                                                                {"smtp", peer + ":25", event.PhaseHelo},
		"lost connection with " + peer + " while performing the LHLO handshake":                                                                {"lmtp", peer + ":24", event.PhaseHelo},
		"lost connection with " + peer + " while receiving the STARTTLS response":                                                              {"smtp", peer + ":25", event.PhaseStartTLS},
		"lost connection with " + peer + " while sending MAIL FROM":                                                                            {"smtp", peer + ":25", event.PhaseMail},
		"lost connection with " + peer + " while sending RCPT TO":                                                                              {"smtp", peer + ":25", event.PhaseRcpt},
		"lost connection with " + peer + " while sending DATA command":                                                                         {"smtp", peer + ":25", event.PhaseData},
		"lost connection with " + peer + " while sending message body":                                                                         {"smtp", peer + ":25", event.PhaseData},
		"lost connection with " + peer + " while sending end of data -- message may be sent more than once":                                    {"smtp", peer + ":25", event.PhaseDot},
		"conversation with " + peer + " timed out while sending end of data -- message may be sent more than once":                             {"smtp", peer + ":25", event.PhaseDot},
		"conversation with " + peer + " timed out while sending RCPT TO":                                                                       {"smtp", peer + ":25", event.PhaseRcpt},
		"conversation with " + peer + " timed out while doing what nobody knows":                                                               {"smtp", peer + ":25", event.PhaseUnknown},
		"connect to " + peer + ":25: Connection refused":                                                                                       {"smtp", "none", event.PhaseConnect},
		"connect to " + peer + ":25: Connection timed out":                                                                                     {"smtp", "none", event.PhaseConnect},
		"connect to " + peer + ":25: No route to host":                                                                                         {"smtp", "none", event.PhaseConnect},
		"connect to " + other + ":25: Network is unreachable":                                                                                  {"smtp", "none", event.PhaseConnect},
		"connect to " + peer + ":25: Connection reset by peer":                                                                                 {"smtp", "none", event.PhaseConnect},
		"connect to mta-out.example[/run/dovecot/lmtp]: No such file or directory":                                                             {"lmtp", "none", event.PhaseConnect},
		"connect to mta-out.example[private/dovecot-lmtp]: Permission denied":                                                                  {"lmtp", "none", event.PhaseConnect},
		"server unavailable or unable to receive mail":                                                                                         {"smtp", "none", event.PhaseConnect},
		"Host or domain name not found. Name service error for name=b.example type=A: Host not found":                                          {"smtp", "none", event.PhaseDNS},
		"Host or domain name not found. Name service error for name=b.example type=MX: Host not found, try again":                              {"smtp", "none", event.PhaseDNS},
		"Name service error for name=b.example type=MX: Malformed or unexpected name server reply":                                             {"smtp", "none", event.PhaseDNS},
		"Host found but no data record of requested type":                                                                                      {"smtp", "none", event.PhaseDNS},
		"unable to look up host b.example: Name or service not known":                                                                          {"smtp", "none", event.PhaseDNS},
		"unable to find primary relay for b.example":                                                                                           {"smtp", "none", event.PhaseDNS},
		"Domain b.example does not accept mail (nullMX)":                                                                                       {"smtp", "none", event.PhaseDNS},
		"mail for b.example loops back to myself":                                                                                              {"smtp", "none", event.PhaseDNS},
		"TLS is required, but was not offered by host " + peer:                                                                                 {"smtp", peer + ":25", event.PhaseStartTLS},
		"TLS is required, but our TLS engine is unavailable":                                                                                   {"smtp", peer + ":25", event.PhaseStartTLS},
		"Server certificate not verified":                                                                                                      {"smtp", peer + ":25", event.PhaseStartTLS},
		"Server certificate not trusted":                                                                                                       {"smtp", peer + ":25", event.PhaseStartTLS},
		"Cannot start TLS: handshake failure":                                                                                                  {"smtp", peer + ":25", event.PhaseStartTLS},
		"TLSA lookup error for b.example:25":                                                                                                   {"smtp", "none", event.PhaseStartTLS},
		"client TLS configuration problem":                                                                                                     {"smtp", peer + ":25", event.PhaseStartTLS},
		"SMTPUTF8 is required, but was not offered by host " + peer:                                                                            {"smtp", peer + ":25", event.PhaseHelo},
		"message size 20000 exceeds size limit 10000 of server " + peer:                                                                        {"smtp", peer + ":25", event.PhaseHelo},
		"SASL authentication failed; cannot authenticate to server " + peer + ": no mechanism available":                                       {"smtp", peer + ":587", event.PhaseAuth},
		"SASL authentication failed: server " + peer + " offered no compatible authentication mechanisms for this type of connection security": {"smtp", peer + ":587", event.PhaseAuth},
		"delivery temporarily suspended: lost connection with " + peer + " while sending RCPT TO":                                              {"error", "none", event.PhaseRcpt},
		"delivery temporarily suspended: Server certificate not verified":                                                                      {"error", "none", event.PhaseStartTLS},
		"delivery temporarily suspended: unknown mail transport error":                                                                         {"qmgr", "none", event.PhaseQueue},
		"mail transport unavailable":                                                                                                           {"error", "none", event.PhaseQueue},
		"User unknown in virtual alias table":                                                                                                  {"error", "none", event.PhaseQueue},
		"message is administratively expired":                                                                                                  {"qmgr", "none", event.PhaseQueue},
		"header says no (status=sent (250 ok))":                                                                                                {"cleanup", "none", event.PhaseQueue},
		`unknown user: "a"`:                                                                                                                    {"local", "local", event.PhaseLocal},
		`unknown user: "a@b.example"`:                                                                                                          {"virtual", "virtual", event.PhaseLocal},
		"mail forwarding loop for a@b.example":                                                                                                 {"local", "local", event.PhaseLocal},
		"alias database loop for a":                                                                                                            {"local", "local", event.PhaseLocal},
		"user lookup error":                                                                                                                    {"local", "local", event.PhaseLocal},
		"mail system configuration error":                                                                                                      {"virtual", "virtual", event.PhaseLocal},
		"cannot update mailbox /var/mail/a for user a. unable to lock for exclusive access: Resource temporarily unavailable":                  {"local", "local", event.PhaseLocal},
		`Command time limit exceeded: "/usr/lib/x"`:                                                                                            {"pipe", "x", event.PhaseLocal},
		`temporary failure. Command output: connect to h[192.0.2.1]:25: refused`:                                                               {"pipe", "x", event.PhaseLocal},
	} {
		t.Run(reason, func(t *testing.T) {
			line := c.daemon + "[1]: 40C20532618: to=<a@b.example>, relay=" + c.relay + ", delay=1, delays=0/0/0/1, dsn=4.0.0, status=deferred (" + reason + ")"
			got := deliveriesOf(t, newPostfix(Options{}), line)
			if len(got) != 1 || got[0].Phase != c.phase || got[0].SMTPCode != 0 {
				t.Errorf("got %+v, want phase %q", got, c.phase)
			}
		})
	}
}

func TestPostfixRelayForms(t *testing.T) {
	for relay, want := range map[string]event.Relay{
		"mx.b.example[198.51.100.6]:25":         {Host: "mx.b.example", IP: "198.51.100.6", Port: 25},
		"mx.b.example[2001:db8::6]:587":         {Host: "mx.b.example", IP: "2001:db8::6", Port: 587},
		"198.51.100.6[198.51.100.6]:2525":       {Host: "198.51.100.6", IP: "198.51.100.6", Port: 2525},
		"mx.b.example[::ffff:198.51.100.6]:25":  {Host: "mx.b.example", IP: "::ffff:198.51.100.6", Port: 25},
		"mx.b.example[198.51.100.6]":            {Host: "mx.b.example", IP: "198.51.100.6"},
		"unknown[198.51.100.6]:25":              {Host: "unknown", IP: "198.51.100.6", Port: 25},
		"mta-out.example[/run/dovecot/lmtp]":    {Host: "/run/dovecot/lmtp"},
		"mta-out.example[private/dovecot-lmtp]": {Host: "private/dovecot-lmtp"},
		"none":                                  {},
		"local":                                 {},
		"virtual":                               {},
		"pipescript":                            {},
		"x-y_z.1":                               {},
	} {
		got := deliveriesOf(t, newPostfix(Options{}), "smtp[1]: 40C20532618: to=<a@b.example>, relay="+relay+", delay=1, delays=0/0/0/1, tls=(disabled:dane)/may?, dsn=2.0.0, status=sent (250 ok)")
		if len(got) != 1 || got[0].Relay != want {
			t.Errorf("relay=%s: got %+v, want %+v", relay, got, want)
		}
	}
}

func TestPostfixDaemonIsTheLastPartOfTheTag(t *testing.T) {
	for tag, want := range map[string][2]string{
		"postfix/smtp":            {"postfix", "smtp"},
		"postfix-out/smtp":        {"postfix-out", "smtp"},
		"submission/smtpd":        {"submission", "smtpd"},
		"mta-1/postfix/smtp":      {"mta-1/postfix", "smtp"},
		"postfix/reinject/smtpd":  {"postfix/reinject", "smtpd"},
		"postfix-10.0.0.1/lmtp":   {"postfix-10.0.0.1", "lmtp"},
		"mail_batch.example/pipe": {"mail_batch.example", "pipe"},
		"postfix":                 {"postfix", ""},
	} {
		if instance, program := splitPostfixTag(tag); instance != want[0] || program != want[1] {
			t.Errorf("tag %q: instance %q, program %q, want %q", tag, instance, program, want)
		}
	}
}
