package parsers

import (
	"testing"

	"mtatap/event"
)

func TestEximTellsWhatWasNotTried(t *testing.T) {
	for name, c := range map[string]struct {
		line      string
		requested bool // an event only with NonAttempts
		status    event.Status
		text      string
	}{
		"a domain's retry time":        {`== t@free.example <Team@x.example> routing defer (-52): retry time not reached`, true, event.Deferred, "retry time not reached"},
		"a recipient's retry time":     {`== t@free.example R=r T=t defer (-53): Retry time not yet reached`, true, event.Deferred, "Retry time not yet reached"},
		"the retry time of all hosts":  {`== t@free.example R=r T=t defer (-54): retry time not reached for any host for 'free.example'`, true, event.Deferred, "retry time not reached for any host for 'free.example'"},
		"the number of older versions": {`== t@free.example routing defer (-51): retry time not reached`, true, event.Deferred, "retry time not reached"},
		"a domain that is held":        {`== t@free.example routing defer (-23): domain is held`, false, event.Deferred, "domain is held"},
		"a domain that is queued":      {`== t@free.example routing defer (-56): domain is in queue_domains`, false, event.Deferred, "domain is in queue_domains"},
		"too many at a time":           {`== t@free.example R=r T=t defer (-57): concurrency limit reached for transport`, false, event.Deferred, "concurrency limit reached for transport"},
		"queued by the command line":   {`== t@free.example R=r T=t defer (0): SMTP delivery explicitly queued`, false, event.Deferred, "SMTP delivery explicitly queued"},
		"queued by a control":          {`== t@free.example R=r T=t defer (-1): first-pass only routing due to -odqs, queue_smtp_domains or control=queue`, false, event.Deferred, "first-pass only routing due to -odqs, queue_smtp_domains or control=queue"},
		"suppressed by -N":             {`*> t@free.example R=r T=t H=mx [192.0.2.1] C="delivery bypassed by -N option"`, false, event.Delivered, "delivery bypassed by -N option"},
		"a local one suppressed by -N": {`*> alice <alice@example.net> R=localuser T=local_delivery`, false, event.Delivered, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := parseExim(t, Options{}, eximHead+c.line); (len(got) == 0) != c.requested {
				t.Errorf("%d deliveries without being asked for", len(got))
			}
			got := parseExim(t, Options{NonAttempts: true}, eximHead+c.line)
			if len(got) != 1 {
				t.Fatalf("%d deliveries, want 1", len(got))
			}
			if d := got[0]; !d.NotAttempted || d.Status != c.status || d.Phase != event.PhaseQueue || d.Diagnostic != c.text || d.SMTPCode != 0 {
				t.Errorf("got %+v", d)
			}
		})
	}
	for name, line := range map[string]string{
		"a tainted path":          `== t@free.example R=r T=t defer (-51): Tainted 'x' (file or directory name) not permitted`,
		"a reply that says so":    `== t@free.example R=r T=t defer (-44) H=mx [192.0.2.1]: SMTP error from remote mail server after RCPT TO:<t@free.example>: 450 retry time not reached defer (-54)`,
		"words that say more":     `== t@free.example R=r defer (-1): the SMTP delivery explicitly queued itself`,
		"an address that says so": `== " defer (-54) "@free.example <" defer (-54) "@free.example> R=r T=t defer (0): no`,
	} {
		if got := parseExim(t, Options{}, eximHead+line); len(got) != 1 || got[0].NotAttempted {
			t.Errorf("%s: got %+v, want an attempt", name, got)
		}
	}
}

func TestEximReadsEveryFlagAsOneEvent(t *testing.T) {
	for flag, want := range map[string]event.Status{
		"=>": event.Delivered, "->": event.Delivered, ">>": event.Delivered, "*>": event.Delivered, "**": event.Bounced, "==": event.Deferred,
	} {
		for _, id := range []string{"1xVZNh-00001t-1b", "1xVZSz-0000000001u-22o0"} {
			got := parseExim(t, Options{}, "2026-11-23 19:07:13 "+id+" "+flag+" a@b.example <A@b.example> R=r T=t defer (0) H=mx [192.0.2.1]: no")
			if len(got) != 1 || got[0].Status != want || got[0].Recipient != "A@b.example" || got[0].QueueID != id || got[0].Relay.IP != "192.0.2.1" {
				t.Errorf("%s of %s gave %+v, want one that is %v", flag, id, got, want)
			}
		}
	}
	for _, flag := range []string{"<=", "(=", "=", "=<", "<<", "++"} {
		if got := parseExim(t, Options{Rejects: true, NonAttempts: true}, eximHead+flag+" a@b.example R=r T=t H=mx [192.0.2.1]: no"); len(got) > 0 {
			t.Errorf("%s gave %+v, want nothing", flag, got)
		}
	}
}

func TestEximReadsOldAndRareForms(t *testing.T) {
	mx := event.Relay{Host: "mx", IP: "192.0.2.1"}
	for name, c := range map[string]struct {
		line string
		want eximCore
	}{
		"a timeout that names the peer": {
			`== a@b.example R=r T=t defer (110): Connection timed out: SMTP timeout while connected to mx [192.0.2.1] after RCPT TO:<a@b.example>`,
			eximCore{event.Deferred, "a@b.example", "", "t", mx, event.PhaseRcpt, 0, "", "SMTP timeout while connected to mx [192.0.2.1] after RCPT TO:<a@b.example>: Connection timed out"}},
		"a closed connection that names the peer": {
			`== a@b.example R=r T=t defer (-18): Remote host mx [192.0.2.1] closed connection in response to initial connection`,
			eximCore{event.Deferred, "a@b.example", "", "t", mx, event.PhaseBanner, 0, "", "Remote host mx [192.0.2.1] closed connection in response to initial connection"}},
		"a malformed reply that names the peer": {
			`== a@b.example R=r T=t defer (-19): Malformed SMTP reply from mx [192.0.2.1] in response to EHLO x: 99 bottles`,
			eximCore{event.Deferred, "a@b.example", "", "t", mx, event.PhaseHelo, 0, "", "Malformed SMTP reply from mx [192.0.2.1] in response to EHLO x: 99 bottles"}},
		"the first versions' error": {
			`** a@b.example R=r T=t: SMTP error from remote mailer after MAIL FROM:<s@x.example> SIZE=1473: host mx [192.0.2.1]: 553 5.1.8 no`,
			eximCore{event.Bounced, "a@b.example", "", "t", mx, event.PhaseMail, 553, "5.1.8", "553 5.1.8 no"}},
		"a director of Exim 3": {
			`=> alice <alice@example.net> D=localuser T=local_delivery`,
			eximCore{event.Delivered, "alice@example.net", "", "local_delivery", event.Relay{}, event.PhaseLocal, 0, "", ""}},
		"an error number that was blotted out": {
			`== a@b.example R=r T=t defer (dd): Network Error`,
			eximCore{event.Deferred, "a@b.example", "", "t", event.Relay{}, event.PhaseConnect, 0, "", "Network Error"}},
		"a port that was blotted out": {
			`=> a@b.example R=r T=t H=mx [192.0.2.1]:PORT_S* I=[192.0.2.9]:4711 C="250 ok"`,
			eximCore{event.Delivered, "a@b.example", "", "t", mx, 0, 250, "", "250 ok"}},
		"times that were blotted out": {
			`** a@b.example R=r T=t H=mx [192.0.2.1]: SMTP error from remote mail server after end of data: 550 no QT=qqs DT=q.qqqs`,
			eximCore{event.Bounced, "a@b.example", "", "t", mx, event.PhaseDot, 550, "", "550 no"}},
		"the last host's trouble beside another host": {
			`== a@b.example R=r T=t defer (101): Network is unreachable H=mx [192.0.2.1]`,
			eximCore{event.Deferred, "a@b.example", "", "t", mx, event.PhaseConnect, 0, "", "Network is unreachable"}},
		"trouble with a file": {
			`== a@b.example R=r T=t defer (6): No such device or address: while opening named pipe /x`,
			eximCore{event.Deferred, "a@b.example", "", "t", event.Relay{}, event.PhaseLocal, 0, "", "while opening named pipe /x: No such device or address"}},
		"recipients that an ACL discarded": {
			`=> blackhole (RCPT ACL discarded recipients)`,
			eximCore{event.Delivered, "", "", "", event.Relay{}, event.PhaseLocal, 0, "", "blackhole (RCPT ACL discarded recipients)"}},
		"an automatic reply": {
			`=> >s@sender.example,t@sender.example, ... <userx@example.net> R=userfilter T=address_reply`,
			eximCore{event.Delivered, "userx@example.net", "", "address_reply", event.Relay{}, event.PhaseLocal, 0, "", ""}},
		"what the system filter made": {
			`=> /srv/archive <system-filter> T=address_file`,
			eximCore{event.Delivered, "system-filter", "", "address_file", event.Relay{}, event.PhaseLocal, 0, "", ""}},
		"a bypassed transport": {
			`=> /dev/null <hole@example.net> R=aliases T=**bypassed**`,
			eximCore{event.Delivered, "hole@example.net", "", "**bypassed**", event.Relay{}, event.PhaseLocal, 0, "", ""}},
		"a forced failure": {
			`** a@b.example R=fail_remote: unrouteable mail domain "b.example" (:fail:)`,
			eximCore{event.Bounced, "a@b.example", "", "", event.Relay{}, event.PhaseLocal, 0, "", `unrouteable mail domain "b.example" (:fail:)`}},
		"redirect data with an address in it": {
			`== a@b.example R=r defer (-17): error in redirect data: missing or malformed local part (expected word or "<") in "bad address"`,
			eximCore{event.Deferred, "a@b.example", "", "", event.Relay{}, event.PhaseLocal, 0, "", `error in redirect data: missing or malformed local part (expected word or "<") in "bad address"`}},
		"a message for this host": {
			`== a@b.example R=r T=t defer (-50): smtp transport found host mx to be local`,
			eximCore{event.Deferred, "a@b.example", "", "t", event.Relay{}, event.PhaseDNS, 0, "", "smtp transport found host mx to be local"}},
		"DANE that failed": {
			`== a@b.example R=r T=t defer (-37) H=mx [192.0.2.1]: DANE error: tlsa lookup DEFER`,
			eximCore{event.Deferred, "a@b.example", "", "t", mx, event.PhaseStartTLS, 0, "", "DANE error: tlsa lookup DEFER"}},
		"a domain that failed for long": {
			`** a@b.example R=r T=t: all hosts have been failing for a long time and were last tried after this message arrived`,
			eximCore{event.Expired, "a@b.example", "", "t", event.Relay{}, event.PhaseQueue, 0, "", "all hosts have been failing for a long time and were last tried after this message arrived"}},
		"a timeout that is final": {
			`** a@b.example R=r T=t H=mx [192.0.2.1]: Connection timed out: SMTP timeout after RCPT TO:<b@b.example>`,
			eximCore{event.Bounced, "a@b.example", "", "t", mx, event.PhaseRcpt, 0, "", "SMTP timeout after RCPT TO:<b@b.example>: Connection timed out"}},
		"a refused connection that is final": {
			`** a@b.example R=r T=t: Connection refused`,
			eximCore{event.Bounced, "a@b.example", "", "t", event.Relay{}, event.PhaseConnect, 0, "", "Connection refused"}},
		"a wrapper that must not deliver here": {
			`** file@b.example <F@b.example> routing yielded a local delivery`,
			eximCore{event.Bounced, "file@b.example", "F@b.example", "", event.Relay{}, event.PhaseLocal, 0, "", "routing yielded a local delivery"}},
		"a wrapper that can't wait": {
			`** a@b.example mua_wrapper forced failure for deferred delivery`,
			eximCore{event.Bounced, "a@b.example", "", "", event.Relay{}, event.PhaseLocal, 0, "", "mua_wrapper forced failure for deferred delivery"}},
		"a wrapper that fails all": {
			`** mua_wrapper is set but recipients cannot all be delivered in one transaction`,
			eximCore{event.Bounced, "", "", "", event.Relay{}, event.PhaseLocal, 0, "", "mua_wrapper is set but recipients cannot all be delivered in one transaction"}},
		"a refusal that claims to be an expiry": {
			`** a@b.example R=r T=t H=mx [192.0.2.1]: SMTP error from remote mail server after RCPT TO:<a@b.example>: 550 5.1.1 unknown: retry timeout exceeded`,
			eximCore{event.Bounced, "a@b.example", "", "t", mx, event.PhaseRcpt, 550, "5.1.1", "550 5.1.1 unknown: retry timeout exceeded"}},
		"a greeting refused until expiry": {
			`** a@b.example R=r T=t H=mx [192.0.2.1]: SMTP error from remote mail server after initial connection: 554 5.7.1 go away: retry timeout exceeded`,
			eximCore{event.Expired, "a@b.example", "", "t", mx, event.PhaseBanner, 554, "5.7.1", "554 5.7.1 go away"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := parseExim(t, Options{}, eximHead+c.line)
			if len(got) != 1 {
				t.Fatalf("%d deliveries, want 1", len(got))
			}
			if core := coreOfExim(got[0]); core != c.want {
				t.Errorf("\n got %+v\nwant %+v", core, c.want)
			}
		})
	}
}
