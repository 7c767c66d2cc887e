package parsers

import (
	"strings"
	"testing"
	"time"
)

func TestEnvelopeRead(t *testing.T) {
	for name, c := range map[string]struct {
		line string
		want envelope
	}{
		"RFC 3164 as rsyslog and postlogd write it": {
			"Nov  3 18:43:06 mta-out postfix/smtp[372]: 4E58: to=<a@b>",
			envelope{stamp: "Nov  3 18:43:06", host: "mta-out", tag: "postfix/smtp", pid: "372", message: "4E58: to=<a@b>"}},
		"a tag without a pid": {
			"Nov 13 18:43:06 h haraka: [INFO] x",
			envelope{stamp: "Nov 13 18:43:06", host: "h", tag: "haraka", message: "[INFO] x"}},
		"an RFC 3339 stamp": {
			"2026-11-23T18:43:06.123456+00:00 h postfix/qmgr[1]: x",
			envelope{stamp: "2026-11-23T18:43:06.123456+00:00", host: "h", tag: "postfix/qmgr", pid: "1", message: "x"}},
		"RFC 5424 with two spaces before the message": {
			"<22>1 2026-11-23T18:43:06Z h postfix/smtp 372 - -  4E58: x",
			envelope{stamp: "2026-11-23T18:43:06Z", host: "h", tag: "postfix/smtp", pid: "372", message: "4E58: x"}},
		"RFC 5424 with structured data that holds a bracket": {
			`<22>1 2026-11-23T18:43:06Z h exim 372 - [a k="]\""][b] x`,
			envelope{stamp: "2026-11-23T18:43:06Z", host: "h", tag: "exim", pid: "372", message: "x"}},
		"a priority in front of RFC 3164": {
			"<22>Nov 23 18:43:06 h exim[7]: x",
			envelope{stamp: "Nov 23 18:43:06", host: "h", tag: "exim", pid: "7", message: "x"}},
		"JSON with the tag and not the cut program": {
			`{"timestamp":"2026-11-23T18:43:06Z", "host":"h", "severity":"info", "tag":"postfix/smtp[372]:", "program":"postfix", "message":" 4E58: x"}`,
			envelope{stamp: "2026-11-23T18:43:06Z", host: "h", tag: "postfix/smtp", pid: "372", message: "4E58: x"}},
		"JSON with escapes in the message": {
			`{"timestamp":"2026-11-23T18:43:06Z", "host":"h", "tag":"postfix/smtp[372]:", "message":" say \"\u00e9\ud83d\ude00\ud83d\" \\ \/"}`,
			envelope{stamp: "2026-11-23T18:43:06Z", host: "h", tag: "postfix/smtp", pid: "372", message: "say \"é😀\ufffd\" \\ /", copied: true}},
	} {
		t.Run(name, func(t *testing.T) {
			var r envelopeReader
			got, ok := r.read(c.line)
			if !ok || got != c.want {
				t.Errorf("read(%q) = %v\n got %+v\nwant %+v", c.line, ok, got, c.want)
			}
		})
	}
}

func TestEnvelopeReadRefuses(t *testing.T) {
	for _, line := range []string{"", "x", "<22>", "<22>1 a b", "Nov 23 18:43:06 h", "{", `{"message":"x"`, "2026-11-23 18:43:06 1xVZNh-00001t-1b => a"} {
		var r envelopeReader
		if e, ok := r.read(line); ok {
			t.Errorf("read(%q) = %+v, want no envelope", line, e)
		}
	}
}

func TestEnvelopeReadJSON(t *testing.T) {
	for name, c := range map[string]struct {
		line string
		want envelope
		ok   bool
	}{
		"the other names of the members, and members that are no strings": {
			`{"@timestamp":"2026-11-23T18:43:06Z","pri":22,"x":null,"hostname":"h","syslogtag":"postfix/smtp[372]:","msg":"x"}`,
			envelope{stamp: "2026-11-23T18:43:06Z", host: "h", tag: "postfix/smtp", pid: "372", message: "x"}, true},
		"a tag without a pid and a pid of its own": {
			`{"host":"h","procid":"372","tag":"postfix/smtp:","message":"x"}`,
			envelope{host: "h", tag: "postfix/smtp", pid: "372", message: "x"}, true},
		"no tag, only a program": {
			`{"host":"h","program":"postfix","message":"x"}`,
			envelope{host: "h", tag: "postfix", message: "x"}, true},
		"a tag with escapes": {
			`{"tag":"postfix\/smtp[372]:","message":"x"}`,
			envelope{tag: "postfix/smtp", pid: "372", message: "x", copied: false}, true},
		"bytes that are no UTF-8": {
			"{\"tag\":\"a[1]:\",\"message\":\"caf\xe9 \\u00e9\"}",
			envelope{tag: "a", pid: "1", message: "caf\xe9 é", copied: true}, true},
		"an escape at the end of a string":   {`{"tag":"a[1]:","message":"x\\"}`, envelope{tag: "a", pid: "1", message: `x\`, copied: true}, true},
		"damaged escapes":                    {`{"tag":"a[1]:","message":"\u12 \ud83dx \q"}`, envelope{tag: "a", pid: "1", message: "\ufffd12 \ufffdx q", copied: true}, true},
		"no message":                         {`{"tag":"a[1]:"}`, envelope{}, false},
		"no tag":                             {`{"message":"x"}`, envelope{}, false},
		"cut in a string":                    {`{"tag":"a[1]:","message":"x`, envelope{}, false},
		"cut after a backslash":              {`{"tag":"a[1]:","message":"x\`, envelope{}, false},
		"cut after an escape of two letters": {`{"tag":"a[1]:","message":"x\"`, envelope{}, false},
		"a nested object":                    {`{"tag":"a[1]:","x":{"message":"x"}}`, envelope{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			var r envelopeReader
			got, ok := r.read(c.line)
			if ok != c.ok || got != c.want {
				t.Errorf("read(%q) = %v\n got %+v\nwant %+v", c.line, ok, got, c.want)
			}
		})
	}
}

func TestEnvelopeMessage(t *testing.T) {
	for name, c := range map[string]struct{ line, want string }{
		"RFC 3164":                          {"Nov  3 18:43:06 mta-out postfix/smtp[372]: 4E58: to=<a@b>", "4E58: to=<a@b>"},
		"an RFC 3339 stamp":                 {"2026-11-23T18:43:06.123456+00:00 h postfix/qmgr[1]: a: b", "a: b"},
		"a tag without a pid":               {"Nov 13 18:43:06 h haraka: x [1]: forged", "x [1]: forged"},
		"a host of IPv6":                    {"Nov 13 18:43:06 2001:db8::1 exim[7]: x", "x"},
		"a host that ends like a tag":       {"Nov 13 18:43:06 h]: exim[7]: x", "x"},
		"a pid with a colon":                {"Nov 13 18:43:06 h exim[7:1]: x]: y", "x]: y"},
		"an empty message":                  {"Nov 13 18:43:06 h exim[7]:", ""},
		"a message behind a priority":       {"<22>Nov 13 18:43:06 h exim[7]: x", "x"},
		"RFC 5424":                          {"<22>1 2026-11-23T18:43:06Z h exim 7 - - x]: y", "x]: y"},
		"a tag in brackets inside the text": {"Nov 13 18:43:06 h a: b[1]: c", "b[1]: c"},
	} {
		t.Run(name, func(t *testing.T) {
			var r envelopeReader
			got, ok := r.message(c.line)
			e, read := r.read(c.line)
			if !ok || !read || got != c.want || e.message != c.want {
				t.Errorf("message(%q) = %q %v, read %q %v, want %q", c.line, got, ok, e.message, read, c.want)
			}
		})
	}
}

func TestStampsTime(t *testing.T) {
	berlin := time.FixedZone("CET", 3600)
	day := func(s string) time.Time {
		d, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	for name, c := range map[string]struct {
		stamp, ref, want string
		zone             *time.Location
	}{
		"a day of one digit":                         {"Nov  3 18:43:06", "2026-11-23T20:00:00Z", "2026-11-03T18:43:06Z", time.UTC},
		"a comma before the fraction":                {"2026-11-23T18:43:06,5Z", "2026-11-23T20:00:00Z", "2026-11-23T18:43:06.5Z", time.UTC},
		"an offset that changes the day":             {"2026-12-31T23:30:00-05:30", "2026-11-23T20:00:00Z", "2027-01-01T05:00:00Z", time.UTC},
		"same year":                                  {"Nov 23 18:43:06", "2026-11-23T20:00:00Z", "2026-11-23T18:43:06Z", time.UTC},
		"the log's own zone":                         {"Nov 23 18:43:06", "2026-11-23T20:00:00Z", "2026-11-23T17:43:06Z", berlin},
		"last year's line read after New Year":       {"Dec 31 23:59:59", "2027-01-01T00:00:01Z", "2026-12-31T23:59:59Z", time.UTC},
		"a clock ahead across New Year":              {"Jan  1 00:00:01", "2026-12-31T23:59:58Z", "2027-01-01T00:00:01Z", time.UTC},
		"an old log":                                 {"Nov 25 10:00:00", "2026-11-23T20:00:00Z", "2025-11-25T10:00:00Z", time.UTC},
		"29 February belongs to the last leap year":  {"Feb 29 10:00:00", "2026-11-23T20:00:00Z", "2024-02-29T10:00:00Z", time.UTC},
		"microseconds and an offset":                 {"2026-11-23T18:43:06.123456+02:00", "2026-11-23T20:00:00Z", "2026-11-23T16:43:06.123456Z", berlin},
		"Exim's zone after a space":                  {"2026-11-23 20:07:13.517 +0100", "2026-11-23T20:00:00Z", "2026-11-23T19:07:13.517Z", time.UTC},
		"no zone in the stamp":                       {"2026-11-23 20:07:13", "2026-11-23T20:00:00Z", "2026-11-23T19:07:13Z", berlin},
		"an offset written without a colon and west": {"2026-11-23T18:43:06-0330", "2026-11-23T20:00:00Z", "2026-11-23T22:13:06Z", time.UTC},
	} {
		t.Run(name, func(t *testing.T) {
			s := stamps{zone: c.zone}
			for range 2 { // the second time from the cache
				got, ok := s.time(c.stamp, day(c.ref))
				if !ok || !got.Equal(day(c.want)) {
					t.Errorf("time(%q) = %v %v, want %s", c.stamp, got, ok, c.want)
				}
			}
		})
	}
	for _, bad := range []string{"", "Nov 23 18:43", "Nov 23 18:43:6x", "Nov xx 18:43:06", "ovD 23 18:43:06", "Nov  0 18:43:06", "2026-11-23T18:43", "2026-11-2xT18:43:06Z", "Xxx 23 18:43:06", "Nov 31 18:43:06", "2026-13-23T18:43:06Z", "2026-11-23T28:43:06Z"} {
		s := stamps{zone: time.UTC}
		if got, ok := s.time(bad, day("2026-11-23T20:00:00Z")); ok {
			t.Errorf("time(%q) = %v, want a refusal", bad, got)
		}
	}
}

func TestStampsTimeOfTheSameStampInAnotherYear(t *testing.T) {
	s := stamps{zone: time.UTC}
	for _, year := range []int{2026, 2027, 2026} {
		ref := time.Date(year, 11, 23, 20, 0, 0, 0, time.UTC)
		if got, ok := s.time("Nov 23 18:43:06", ref); !ok || got.Year() != year {
			t.Errorf("time = %v %v, want the year %d", got, ok, year)
		}
	}
}

func TestStampsTimeDoesNotAllocate(t *testing.T) {
	s := stamps{zone: time.UTC}
	ref := time.Date(2026, 11, 23, 20, 0, 0, 0, time.UTC)
	stamps := [...]string{"Nov 23 18:43:06", "Nov 23 18:43:07", "2026-11-23T18:43:06.123456+00:00"}
	if n := testing.AllocsPerRun(100, func() {
		for _, stamp := range stamps {
			s.time(stamp, ref)
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func TestMemoryForgetsTheLongestUntouched(t *testing.T) {
	evicted := 0
	m := newMemory(2, func() { evicted++ }, func(v *int) { *v = 0 })
	for i, id := range []string{"a", "b"} {
		*m.put(id) = i + 1
	}
	m.get("a")
	if c := m.put("c"); *c != 0 {
		t.Errorf("a new value is %d, want the reset one", *c)
	}
	if m.get("b") != nil || m.get("a") == nil || evicted != 1 || m.len() != 2 {
		t.Errorf("after eviction: a %v, b %v, evicted %d", m.get("a"), m.get("b"), evicted)
	}
	m.drop("a")
	if m.get("a") != nil || m.len() != 1 {
		t.Error("a is still remembered after drop")
	}
	var order string
	m.put("d")
	m.get("c")
	m.each(func(id []byte, _ *int) { order += string(id) })
	if order != "dc" {
		t.Errorf("order %q, want dc", order)
	}
}

func TestMemoryDoesNotAllocateInTheLongRun(t *testing.T) {
	m := newMemory(64, nil, func(v *[]byte) { *v = (*v)[:0] })
	ids := make([]string, 256)
	for i := range ids {
		ids[i] = string(rune('a'+i%26)) + string(rune('a'+i/26)) + "0123456789"
	}
	remember := func() {
		for i, id := range ids {
			v := m.put(id)
			*v = append(*v, "sender@example.com"...)
			if i%3 == 0 {
				m.drop(id)
			}
		}
	}
	remember()
	if n := testing.AllocsPerRun(20, remember); n > 0 {
		t.Errorf("%v allocations for %d messages, want 0", n, len(ids))
	}
}

func FuzzEnvelopeRead(f *testing.F) {
	f.Add(`{"timestamp":"2026-11-23T18:43:06Z", "tag":"postfix/smtp[372]:", "message":" say \"\u00e9\ud83d\ude00"}`)
	f.Add("<22>1 2026-11-23T18:43:06Z h exim 372 - [a k=\"]\"] x")
	f.Add("Nov  3 18:43:06 mta-out postfix/smtp[372]: 4E58: to=<a@b>")
	f.Fuzz(func(t *testing.T, line string) {
		var r envelopeReader
		m, seen := r.message(line)
		m = strings.Clone(m)
		if e, ok := r.read(line); ok {
			if !seen || m != e.message {
				t.Errorf("message(%q) = %q %v, want %q", line, m, seen, e.message)
			}
			s := stamps{zone: time.UTC}
			s.time(e.stamp, time.Unix(1795462000, 0))
			if e.tag == "" {
				t.Errorf("an envelope without a tag from %q", line)
			}
		}
	})
}
