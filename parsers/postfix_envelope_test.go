package parsers

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"mtatap/event"
)

func TestPostfixReadsOddEnvelopes(t *testing.T) {
	const message = `4B96653268B: to=<a@b.example>, relay=local, delay=0, delays=0/0/0/0, dsn=5.1.1, status=bounced (unknown user: "a")`
	day := func(hour, minute, second, nano int) time.Time {
		return time.Date(2026, 11, 23, hour, minute, second, nano, time.UTC)
	}
	for name, c := range map[string]struct {
		line, host, instance, program string
		at                            time.Time
	}{
		"doubled spaces":         {"Nov 23 18:43:06  mta  postfix/local[3]:  " + message, "mta", "postfix", "local", day(18, 43, 6, 0)},
		"no host":                {"Nov 23 18:43:06 postfix/local[3]: " + message, "", "postfix", "local", day(18, 43, 6, 0)},
		"no host and no pid":     {"Nov 23 18:43:06 postfix/local: " + message, "", "postfix", "local", day(18, 43, 6, 0)},
		"a priority and no host": {"<22>Nov 23 18:43:06 postfix/local[3]: " + message, "", "postfix", "local", day(18, 43, 6, 0)},
		"a priority in front of an RFC 3339 stamp":   {"<22>2026-11-23T18:43:06.25Z mta postfix/local[3]: " + message, "mta", "postfix", "local", day(18, 43, 6, 250e6)},
		"RFC 5424 with structured data":              {`<22>1 2026-11-23T18:43:06.25Z mta postfix/local 3 - [meta seq="7" x="a]\"b"] ` + message, "mta", "postfix", "local", day(18, 43, 6, 250e6)},
		"RFC 5424 without process and with a BOM":    {"<22>1 2026-11-23T18:43:06.25Z mta postfix/local - - - \ufeff" + message, "mta", "postfix", "local", day(18, 43, 6, 250e6)},
		"an offset without a colon":                  {"2026-11-23T19:43:06+0100 mta postfix/local[3]: " + message, "mta", "postfix", "local", day(18, 43, 6, 0)},
		"a space for the T":                          {"2026-11-23 18:43:06.5 mta postfix/local[3]: " + message, "mta", "postfix", "local", day(18, 43, 6, 500e6)},
		"a space for the T and an offset":            {"2026-11-23 19:43:06 +0100 mta postfix/local[3]: " + message, "mta", "postfix", "local", day(18, 43, 6, 0)},
		"microseconds behind a stamp without a year": {"Nov 23 18:43:06.123456 mta postfix/local[3]: " + message, "mta", "postfix", "local", day(18, 43, 6, 123456e3)},
		"the year behind the time":                   {"Nov 23 18:43:06 2026 mta postfix/local[3]: " + message, "mta", "postfix", "local", day(18, 43, 6, 0)},
		"the year behind the day":                    {"Nov 23 2026 18:43:06 mta postfix/local[3]: " + message, "mta", "postfix", "local", day(18, 43, 6, 0)},
		"a day of the week":                          {"Mon 2026-11-23 18:43:06 UTC mta postfix/local[3]: " + message, "mta", "postfix", "local", day(18, 43, 6, 0)},
		"a day of the week and the name of a zone":   {"Mon 2026-11-23 18:43:06 CEST mta postfix/local[3]: " + message, "mta", "postfix", "local", day(18, 43, 6, 0)},
		"seconds since 1970":                         {"1795459386.250000 mta postfix/local[3]: " + message, "mta", "postfix", "local", day(18, 43, 6, 250e6)},
		"a level instead of the host":                {"2026-11-23T18:43:06+00:00 INFO    postfix/local[3]: " + message, "", "postfix", "local", day(18, 43, 6, 0)},
		"a tag in brackets and no host":              {"Nov 23 18:43:06 [postfix/local] " + message, "", "postfix", "local", day(18, 43, 6, 0)},
		"a container's name in front":                {"mail-postfix-1  | Nov 23 18:43:06 mta postfix/local[3]: " + message, "mta", "postfix", "local", day(18, 43, 6, 0)},
		"no stamp":                                   {"mta postfix-out/local[3]: " + message, "mta", "postfix-out", "local", time.Time{}},
		"neither stamp nor host":                     {"postfix/local[3]: " + message, "", "postfix", "local", time.Time{}},
		"nothing at all":                             {message, "", "", "", time.Time{}},
		"a line in a container's JSON log":           {`{"log":"Nov 23 18:43:06 mta postfix/local[3]: ` + strings.ReplaceAll(message, `"`, `\"`) + `\n","stream":"stdout","time":"2026-11-23T18:43:07Z"}`, "mta", "postfix", "local", day(18, 43, 6, 0)},
		"JSON with a program alone and epoch time":   {`{"time":"1795459386","program":"postfix/local","priority":"info","message":"` + strings.ReplaceAll(message, `"`, `\"`) + `"}`, "", "postfix", "local", day(18, 43, 6, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			if recognizePostfix(c.line) != (c.program != "") { // a message alone is not enough
				t.Error("recognizePostfix is wrong")
			}
			text := []byte(c.line)
			dst, err := newPostfix(Options{}).Parse(nil, Line{Text: text, Reference: postfixReference})
			if err != nil || len(dst) != 1 {
				t.Fatalf("%d deliveries, %v", len(dst), err)
			}
			copy(text, strings.Repeat("x", len(text))) // what was read must not be part of the buffer
			d := dst[0]
			if got, want := describePostfix(d), `bounced a@b.example at local dsn=5.1.1: unknown user: "a"`; c.program != "" && got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			if d.Host != c.host || d.Instance != c.instance || d.Program != c.program || !d.Time.Equal(c.at) || d.Raw != c.line || d.QueueID != "4B96653268B" {
				t.Errorf("host %q, instance %q, program %q, time %v, queue id %q", d.Host, d.Instance, d.Program, d.Time, d.QueueID)
			}
		})
	}
}

func TestPostfixDoesNotAllocateForOtherLinesInOddEnvelopes(t *testing.T) {
	p := newPostfix(Options{})
	var lines []Line
	for _, head := range []string{
		"Nov 23 18:43:06 postfix/", "Nov 23 18:43:06 2026 mta postfix/", "Nov 23 2026 18:43:06 mta postfix/", "Mon 2026-11-23 18:43:06 CET mta postfix/",
		"1795459386.25 mta postfix/", "app-1 | Nov 23 18:43:06 mta postfix/", "2026-11-23T18:43:06Z INFO  postfix/", "mta postfix/",
	} {
		lines = append(lines, postfixLine(head, postfixSmtpdLine, ""), postfixLine(head, postfixQmgr, "40C20532618"), postfixLine(head, postfixRemoved, "40C20532618"))
	}
	lines = append(lines, Line{Text: []byte(`{"log":"Nov 23 18:43:06 mta postfix/` + postfixSmtpdLine + `\n","stream":"stdout"}`)})
	parse := func() {
		for _, l := range lines {
			mustParse(t, p, nil, l)
		}
	}
	parse()
	if n := testing.AllocsPerRun(10, parse); n > 0 {
		t.Errorf("%v allocations for %d lines, want 0", n, len(lines))
	}
}

func TestPostfixReadsNoOtherEnvelopes(t *testing.T) {
	const message = `4B96653268B: to=<a@b.example>, relay=local, delay=0, delays=0/0/0/0, dsn=5.1.1, status=bounced (unknown user: "a")`
	for name, line := range map[string]string{
		"a daemon that Postfix does not have":     "mta victim/shell[3]: " + message,
		"words in front of the tag":               "Nov 23 18:43:06 mta says that postfix/local[3]: " + message,
		"a main log of Exim":                      "2026-11-23 18:43:06 1xVZNh-00001t-1b => a@b R=postfix/smtp[1]: " + message,
		"a pid of letters":                        "mta postfix/local[x]: " + message,
		"a message that is no delivery":           "4B96653268B: from=<a@b.example>, status=expired, returned to sender",
		"a word and a colon":                      "warning: to=<a@b.example>, relay=none, delay=0, status=sent (ok)",
		"JSON in JSON":                            `{"message":"{\"message\":\"Nov 23 18:43:06 mta postfix/local[3]: 4B96653268B: to=<a@b>, status=sent (x)\"}"}`,
		"two lines in one JSON member":            `{"log":"x\nNov 23 18:43:06 mta postfix/local[3]: 4B96653268B: to=<a@b>, relay=none, delay=0, status=sent (x)"}`,
		"a quoted line of another program's text": `Nov 23 18:43:06 mta app[3]: "postfix/local[3]: ` + message,
	} {
		t.Run(name, func(t *testing.T) {
			dst, err := newPostfix(Options{}).Parse(nil, Line{Text: []byte(line), Reference: postfixReference})
			if err != nil || len(dst) > 0 {
				t.Errorf("%d deliveries, %v: %+v", len(dst), err, dst)
			}
		})
	}
}

// The four logs that rsyslog wrote of one run say the same, in order; the one
// that Postfix wrote itself, of another run, the same of each recipient.
func TestPostfixEventsAreTheSameInEveryEnvelope(t *testing.T) {
	want := postfixSample(t, "rfc3164")
	if len(want) < 50 {
		t.Fatalf("only %d deliveries", len(want))
	}
	for _, envelope := range []string{"iso", "rfc5424", "json"} {
		t.Run(envelope, func(t *testing.T) {
			got := postfixSample(t, envelope)
			if len(got) != len(want) {
				t.Fatalf("%d deliveries, want %d", len(got), len(want))
			}
			for i := range got {
				g, w := got[i], want[i]
				if !g.Time.Truncate(time.Second).Equal(w.Time) || g.Time.Equal(g.Time.Truncate(time.Second)) {
					t.Errorf("time %v, want %v with microseconds", g.Time, w.Time)
				}
				if g.Raw == w.Raw {
					t.Errorf("the raw line is the same: %q", g.Raw)
				}
				g.Time, g.Offset, g.Raw = w.Time, w.Offset, w.Raw
				if envelope == "rfc5424" { // rsyslog cuts the name of the program at its slash
					if g.Instance != "postfix" || g.Program != "" {
						t.Errorf("instance %q, program %q", g.Instance, g.Program)
					}
					g.Program = w.Program
				}
				if g != w {
					t.Errorf("delivery %d\n got %+v\nwant %+v", i, g, w)
				}
			}
		})
	}
	t.Run("maillog", func(t *testing.T) {
		got := describeAll(postfixSample(t, "maillog"))
		for i, w := range describeAll(want) {
			if i >= len(got) || got[i] != w {
				t.Fatalf("delivery %d of %d\n got %v\nwant %s", i, len(got), got[min(i, len(got)-1)], w)
			}
		}
	})
}

// postfixSample returns the deliveries of a log of testdata.
func postfixSample(t *testing.T, name string) []event.Delivery {
	t.Helper()
	return postfixLog(t, newPostfix(Options{}), name)
}

// postfixLog has p parse a log of testdata.
func postfixLog(t *testing.T, p *postfix, name string) []event.Delivery {
	t.Helper()
	content, err := os.ReadFile("../testdata/postfix/" + name + ".log")
	if err != nil {
		t.Fatal(err)
	}
	var all []event.Delivery
	offset := int64(0)
	for line := range bytes.Lines(content) {
		l := Line{Text: bytes.TrimSuffix(line, []byte("\n")), Offset: offset, Reference: time.Date(2026, 12, 31, 0, 0, 0, 0, time.UTC)}
		if all, err = p.Parse(all, l); err != nil {
			t.Errorf("%v: %s", err, line)
		}
		offset += int64(len(line))
	}
	return all
}

// describeAll describes deliveries, sorted, without what differs from run to run.
func describeAll(ds []event.Delivery) []string {
	var all []string
	for _, d := range ds {
		d.Relay.Port = 0
		d.Diagnostic = d.Diagnostic[:min(len(d.Diagnostic), 1500)] // cut where the record is
		if d.Status == event.Delivered {
			d.Diagnostic = "" // "queued as", with an id of the run
		} else if d.Relay.IP != "" {
			d.Diagnostic = strings.Join(strings.FieldsFunc(d.Diagnostic, func(r rune) bool { return r >= '0' && r <= '9' }), "#")
		}
		all = append(all, describePostfix(d))
	}
	slices.Sort(all)
	return all
}
