package parsers

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"mtatap/event"
)

func TestHarakaFormatsTellTheSame(t *testing.T) {
	records := [][3]string{
		{
			`[NOTICE] [T] [core] recipient <"back\\slash\"quote"@text.example> code=OK msg="" sender="\"odd sender\"@sender.example"`,
			`level=NOTICE uuid=T origin=core message="recipient <\"back\\\\slash\\\"quote\"@text.example>" code=OK msg="" sender="\"odd sender\"@sender.example"`,
			`{"level":"NOTICE","uuid":"T","origin":"core","message":"recipient <\"back\\\\slash\\\"quote\"@text.example>","code":"OK","msg":"","sender":"\"odd sender\"@sender.example"}`,
		}, {
			`[NOTICE] [T] [core] message mid="<x>, \"q\" \\n@host>" size=238 rcpts=1/0/0 delay=0 code=CONT msg=""`,
			`level=NOTICE uuid=T origin=core message=message mid="<x>, \"q\" \\n@host>" size=238 rcpts=1/0/0 delay=0 code=CONT msg=""`,
			`{"level":"NOTICE","uuid":"T","origin":"core","message":"message","mid":"<x>, \"q\" \\n@host>","size":238,"rcpts":"1/0/0","delay":0,"code":"CONT","msg":""}`,
		}, {
			`[NOTICE] [T.1] [outbound] recipient <"back\\slash\"quote"@text.example> deferred: 450 4.2.0 "wait" \o/`,
			`level=NOTICE uuid=T.1 origin=outbound message="recipient <\"back\\\\slash\\\"quote\"@text.example> deferred: 450 4.2.0 \"wait\" \\o/"`,
			`{"level":"NOTICE","uuid":"T.1","origin":"outbound","message":"recipient <\"back\\\\slash\\\"quote\"@text.example> deferred: 450 4.2.0 \"wait\" \\o/"}`,
		}, {
			`[NOTICE] [T.1] [outbound]  delivered file=1_2_1_1_a_1_h domain=text.example host=mx.text.example ip=198.51.100.1 port=25 mode=SMTP tls=N auth=N response="\"Ok\" said \\the\\ server, queued=\"Q21\"" delay=0.053 fails=1 rcpts=1/0/0`,
			`level=NOTICE uuid=T.1 origin=outbound message="" delivered file=1_2_1_1_a_1_h domain=text.example host=mx.text.example ip=198.51.100.1 port=25 mode=SMTP tls=N auth=N response="\"Ok\" said \\the\\ server, queued=\"Q21\"" delay=0.053 fails=1 rcpts=1/0/0`,
			`{"level":"NOTICE","uuid":"T.1","origin":"outbound","message":"","delivered file":"1_2_1_1_a_1_h","domain":"text.example","host":"mx.text.example","ip":"198.51.100.1","port":25,"mode":"SMTP","tls":"N","auth":"N","response":"\"Ok\" said \\the\\ server, queued=\"Q21\"","delay":0.053,"fails":1,"rcpts":"1/0/0"}`,
		},
	}
	envelopes := map[string]struct {
		head, tail string
		host       string
		json, time bool
	}{
		"alone":                     {},
		"with Haraka's time stamps": {head: "2026-11-23T19:17:56.970Z ", time: true},
		"in a traditional envelope": {head: "Nov 23 19:17:56 mta-out haraka[105]: ", host: "mta-out", time: true},
		"in an ISO envelope":        {head: "2026-11-23T19:17:56.970123+00:00 mta-out haraka[105]: ", host: "mta-out", time: true},
		"in an RFC 5424 envelope":   {head: "<22>1 2026-11-23T19:17:56.970123Z mta-out haraka 105 - -  ", host: "mta-out", time: true},
		"in rsyslog's JSON":         {head: `{"timestamp":"2026-11-23T19:17:56Z","host":"mta-out","tag":"haraka[105]:","message":" `, tail: `"}`, host: "mta-out", json: true, time: true},
	}
	for name, e := range envelopes {
		for format := range 3 {
			t.Run(fmt.Sprintf("%s, format %d", name, format), func(t *testing.T) {
				p := newHaraka(Options{})
				var ds []event.Delivery
				for _, r := range records {
					text := strings.ReplaceAll(strings.ReplaceAll(r[format], "uuid=T", "uuid="+harakaTx), "[T", "["+harakaTx)
					text = strings.ReplaceAll(text, `"uuid":"T`, `"uuid":"`+harakaTx)
					if e.json {
						text = strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text)
					}
					var err error
					if ds, err = p.Parse(ds, Line{Text: []byte(e.head + text + e.tail), Reference: time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)}); err != nil {
						t.Fatal(err)
					}
				}
				if len(ds) != 2 {
					t.Fatalf("%d deliveries, want 2", len(ds))
				}
				wantHaraka(t, []string{harakaShort(ds[0]), harakaShort(ds[1])},
					`deferred "back\\slash\"quote"@text.example @rcpt 450 4.2.0 | 450 4.2.0 "wait" \o/`,
					`delivered "back\\slash\"quote"@text.example #2 mx.text.example[198.51.100.1]:25 | "Ok" said \the\ server, queued="Q21"`)
				d := ds[1]
				if d.Sender != `"odd sender"@sender.example` || !d.SenderKnown || d.MessageID != `x>, "q" \n@host` || d.QueueID != harakaTx+".1" || d.Host != e.host {
					t.Errorf("sender %q, message id %q, queue id %q, host %q", d.Sender, d.MessageID, d.QueueID, d.Host)
				}
				if s, ok := d.Delay.Value(); !ok || s != 0.053 {
					t.Errorf("delay %v", s)
				}
				if got := d.Time.Truncate(time.Second); e.time != got.Equal(time.Date(2026, 11, 23, 19, 17, 56, 0, time.UTC)) || !e.time && !d.Time.IsZero() {
					t.Errorf("time %v", d.Time)
				}
			})
		}
	}
}

func TestRecognizeHaraka(t *testing.T) {
	for line, want := range map[string]bool{
		"Starting up Haraka version 3.3.4": true,
		"[INFO] [-] [plugins] loading x":   true,
		"2026-11-23T19:17:56.970Z [NOTICE] [" + harakaTx + "] [core] connect ip=192.0.2.10":             true,
		"Nov 23 18:43:06 mta-out haraka[105]: [NOTICE] [" + harakaTx + "] [core] connect ip=192.0.2.10": true,
		"level=NOTICE uuid=" + harakaTx + ` origin=core message=connect`:                                true,
		`{"level":"NOTICE","uuid":"-","origin":"server","message":"Listening on 127.0.0.1:2525"}`:       true,
		"loglevel: INFO": false,
		"Nov 23 18:43:06 mta-out postfix/smtp[372]: 4jYFXb4PjgzmR10: to=<a@b>, status=sent (x)": false,
		"2026-11-23 19:07:13 1xVZNh-00001t-1b => alice <alice@example.net>":                     false,
		"[INFO] [main] [app] started": false,
		"":                            false,
	} {
		if got := recognizeHaraka(line); got != want {
			t.Errorf("recognizeHaraka(%q) = %v", line, got)
		}
	}
}
