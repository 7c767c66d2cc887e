package parsers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"mtatap/event"
)

// lineKeeper is a parser that keeps what it is given and makes a delivery of it.
type lineKeeper struct{ got string }

func (k *lineKeeper) Parse(dst []event.Delivery, line Line) ([]event.Delivery, error) {
	k.got = string(line.Text)
	return append(dst, event.Delivery{Raw: k.got, Offset: line.Offset, Origin: line.Origin}), nil
}
func (k *lineKeeper) Flush(dst []event.Delivery) []event.Delivery {
	return append(dst, event.Delivery{Raw: "Nov 23 21:23:00 h t: held back"})
}
func (k *lineKeeper) Snapshot(dst []byte) []byte { return dst }
func (k *lineKeeper) Restore([]byte) error       { return nil }

func TestARecordOfTheJournalIsReadAsALineOfSyslog(t *testing.T) {
	const rest = `"__CURSOR":"s=1;i=2","__REALTIME_TIMESTAMP":"1795000004000000","_HOSTNAME":"mail","SYSLOG_IDENTIFIER":"postfix/smtp","_PID":"12"}`
	const head = "2026-11-18T11:06:44.000000Z mail postfix/smtp[12]: "
	for name, c := range map[string]struct{ record, want string }{
		"a plain message":             {`{"MESSAGE":"hello",` + rest, head + "hello"},
		"escapes and other fields":    {`{ "X":[1,[2,"]"],null], "MESSAGE" : "a\"\\\n\t\u00e9", "N":12,` + rest, head + "a\"\\\n\t\u00e9"},
		"bytes":                       {`{"MESSAGE":[104,105,255,1,0],` + rest, head + "hi\xff\x01\x00"},
		"several messages":            {`{"MESSAGE":["one","two"],` + rest, head + "one"},
		"several, the first of bytes": {`{"MESSAGE":[[104, 105],"two"],` + rest, head + "hi"},
		"several, the first too long": {`{"MESSAGE":[null,"two"],` + rest, head + "two"},
		"a number that is no byte":    {`{"MESSAGE":[104,999],` + rest, head + "h"},
		"an empty message":            {`{"MESSAGE":"",` + rest, head},
		"a line break at the end":     {`{"MESSAGE":"x\n",` + rest, head + "x"},
		"the time of the sender":      {`{"MESSAGE":"x","_SOURCE_REALTIME_TIMESTAMP":"1795000003999993",` + rest, strings.Replace(head, "44.000000", "43.999993", 1) + "x"},
		"the pid of the sender":       {`{"MESSAGE":"x","SYSLOG_PID":"7",` + rest, strings.Replace(head, "12]", "7]", 1) + "x"},
		"a pid that is none":          {`{"MESSAGE":"x","SYSLOG_PID":"7]: to=",` + rest, strings.Replace(head, "[12]", "", 1) + "x"},
		"no identifier":               {strings.Replace(`{"MESSAGE":"x","_COMM":"exim4",`+rest, "SYSLOG_IDENTIFIER", "OTHER", 1), strings.Replace(head, "postfix/smtp", "exim4", 1) + "x"},
		"no host":                     {strings.Replace(`{"MESSAGE":"x",`+rest, "_HOSTNAME", "OTHER", 1), strings.Replace(head, "mail", "", 1) + "x"},
		"an odd identifier":           {strings.Replace(`{"MESSAGE":"x",`+rest, "postfix/smtp", `a b: [1]\n`, 1), strings.Replace(head, "postfix/smtp", "a_b___1__", 1) + "x"},
	} {
		t.Run(name, func(t *testing.T) {
			k := &lineKeeper{}
			p := newJournal(k)
			got, err := p.Parse(nil, Line{Text: []byte(c.record)})
			if err != nil || k.got != c.want {
				t.Fatalf("got  %q, %v\nwant %q", k.got, err, c.want)
			}
			_, message, _ := strings.Cut(c.want, ": ")
			if d := got[0]; d.Cursor != "s=1;i=2" || d.Raw != message {
				t.Errorf("delivery %+v", d)
			}
			if d := p.Flush(nil)[0]; d.Cursor != "s=1;i=2" || d.Raw != "held back" {
				t.Errorf("what was held back: %+v", d)
			}
		})
	}
}

func TestWhatIsNoRecordPassesAsItIs(t *testing.T) {
	for name, text := range map[string]string{
		"an empty line":        "",
		"a line of syslog":     "Nov 23 21:23:00 host exim[1]: x",
		"JSON of rsyslog":      `{"timestamp":"x","message":"y"}`,
		"no message":           `{"__CURSOR":"c","__REALTIME_TIMESTAMP":"1","SYSLOG_IDENTIFIER":"a"}`,
		"a message left out":   `{"__CURSOR":"c","__REALTIME_TIMESTAMP":"1","SYSLOG_IDENTIFIER":"a","MESSAGE":null}`,
		"no cursor":            `{"X":"__CURSOR","__REALTIME_TIMESTAMP":"1","SYSLOG_IDENTIFIER":"a","MESSAGE":"m"}`,
		"no time":              `{"__CURSOR":"c","__REALTIME_TIMESTAMP":"x","SYSLOG_IDENTIFIER":"a","MESSAGE":"m"}`,
		"a time beyond all":    `{"__CURSOR":"c","__REALTIME_TIMESTAMP":"999999999999999999","SYSLOG_IDENTIFIER":"a","MESSAGE":"m"}`,
		"nothing to call it":   `{"__CURSOR":"c","__REALTIME_TIMESTAMP":"1","MESSAGE":"m"}`,
		"an object in it":      `{"__CURSOR":"c","__REALTIME_TIMESTAMP":"1","SYSLOG_IDENTIFIER":"a","MESSAGE":"m","X":{}}`,
		"an object in a list":  `{"__CURSOR":"c","__REALTIME_TIMESTAMP":"1","SYSLOG_IDENTIFIER":"a","MESSAGE":"m","X":[{}]}`,
		"cut":                  `{"__CURSOR":"c","__REALTIME_TIMESTAMP":"1","SYSLOG_IDENTIFIER":"a","MESSAGE":"m`,
		"cut in an array":      `{"__CURSOR":"c","__REALTIME_TIMESTAMP":"1","SYSLOG_IDENTIFIER":"a","MESSAGE":[1,2`,
		"a cursor too long":    `{"__CURSOR":"` + strings.Repeat("c", 2000) + `","__REALTIME_TIMESTAMP":"1","SYSLOG_IDENTIFIER":"a","MESSAGE":"m"}`,
		"a bracket at the end": `{"__CURSOR":"c","MESSAGE":1]`,
	} {
		t.Run(name, func(t *testing.T) {
			k := &lineKeeper{}
			got, err := newJournal(k).Parse(nil, Line{Text: []byte(text)})
			if err != nil || k.got != text || got[0].Cursor != "" || got[0].Raw != text {
				t.Errorf("got %q, %v, %+v", k.got, err, got)
			}
		})
	}
}

// journalRecordOf makes a record of a line of syslog, its fields in any order and
// its message as bytes where odd.
func journalRecordOf(t testing.TB, line string, n int, reference time.Time) string {
	t.Helper()
	var r envelopeReader
	e, ok := r.read(line)
	if !ok {
		t.Fatalf("no envelope: %q", line)
	}
	s := stamps{zone: time.UTC}
	at, ok := s.time(e.stamp, reference)
	if !ok {
		t.Fatalf("no time: %q", e.stamp)
	}
	var message any = e.message
	if n%2 == 1 || !utf8.ValidString(e.message) {
		var list []int
		for _, c := range []byte(e.message) {
			list = append(list, int(c))
		}
		message = list
	}
	b, err := json.Marshal(map[string]any{
		"__CURSOR": fmt.Sprintf("s=1;i=%x", n), "__REALTIME_TIMESTAMP": strconv.FormatInt(at.UnixMicro()+50, 10),
		"_SOURCE_REALTIME_TIMESTAMP": strconv.FormatInt(at.UnixMicro(), 10),
		"_HOSTNAME":                  e.host, "SYSLOG_IDENTIFIER": e.tag, "SYSLOG_PID": e.pid, "_PID": "1", "MESSAGE": message,
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestTheJournalTellsTheSameAsTheFileOfSyslog(t *testing.T) {
	reference := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	for file, format := range map[string]string{
		"postfix/iso.log": "postfix", "postfix/rfc3164.log": Auto, "exim/syslog.log": "exim", "haraka/syslog.log": Auto,
	} {
		t.Run(file, func(t *testing.T) {
			text, err := os.ReadFile("../testdata/" + file)
			if err != nil {
				t.Fatal(err)
			}
			read := func(p Parser, line string) []event.Delivery {
				got, err := p.Parse(nil, Line{Text: []byte(line), Origin: &event.Origin{}, Reference: reference})
				if err != nil {
					t.Errorf("%v: %s", err, line)
				}
				return got
			}
			fromFile, _ := New(format, Options{Rejects: true})
			fromJournal, _ := New(format, Options{Rejects: true})
			events := 0
			for i, line := range bytes.Split(bytes.TrimSpace(text), []byte{'\n'}) {
				want := read(fromFile, string(line))
				got := read(fromJournal, journalRecordOf(t, string(line), i, reference))
				if len(got) != len(want) {
					t.Fatalf("line %d gives %d events, want %d: %s", i+1, len(got), len(want), line)
				}
				for k := range got {
					if g := got[k]; g.Cursor != fmt.Sprintf("s=1;i=%x", i) || g.Raw == "" || !strings.HasSuffix(want[k].Raw, g.Raw) || strings.HasPrefix(g.Raw, g.Time.Format("2006")+"-11-23T") {
						t.Errorf("line %d: cursor %q, raw %q", i+1, g.Cursor, g.Raw)
					}
					got[k].Cursor, got[k].Raw, want[k].Raw = "", "", ""
					if !reflect.DeepEqual(got[k], want[k]) {
						t.Errorf("line %d\n got %+v\nwant %+v", i+1, got[k], want[k])
					}
					events++
				}
			}
			if events < 10 {
				t.Errorf("only %d events compared", events)
			}
		})
	}
}

func TestIDsOfTheJournalDoNotDependOnTheOrderOfFields(t *testing.T) {
	const message = `"MESSAGE":"40C20532618: to=<a@b.example>, relay=none, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (no)"`
	const others = `"SYSLOG_IDENTIFIER":"postfix/smtp","__CURSOR":"s=1;i=2","__REALTIME_TIMESTAMP":"1795000004000000"`
	ids := map[event.ID]bool{}
	for _, record := range []string{"{" + message + "," + others + "}", "{" + others + "," + message + `,"_UID":"0"}`} {
		p, _ := New(Auto, Options{})
		got, err := p.Parse(nil, Line{Text: []byte(record), Origin: &event.Origin{Path: record}, Offset: int64(len(record))})
		if err != nil || len(got) != 1 {
			t.Fatalf("%d events, %v", len(got), err)
		}
		id, _ := event.NewID(&got[0], nil)
		ids[id] = true
	}
	if len(ids) != 1 {
		t.Error("the same entry has two ids")
	}
}

func TestTheErrorOfARecordHasItsLineAndCursor(t *testing.T) {
	record := journalRecordOf(t, "2026-11-23T21:29:48.939695+00:00 mta-out postfix/smtp[7]: 40C20532618: to=<a@b.example>, status=odd", 1, time.Time{})
	p, _ := New("postfix", Options{})
	_, err := p.Parse(nil, Line{Text: []byte(record)})
	var unparsed *UnparsedError
	var of *RecordError
	if !errors.As(err, &unparsed) || !errors.As(err, &of) {
		t.Fatalf("error %v", err)
	}
	if of.Cursor != "s=1;i=1" || of.Line != "2026-11-23T21:29:48.939695Z mta-out postfix/smtp[7]: 40C20532618: to=<a@b.example>, status=odd" {
		t.Errorf("got %+v", of)
	}
}

func TestARecordOfNoInterestCostsNoAllocation(t *testing.T) {
	record := []byte(`{"MESSAGE":"connect from \"x\"[192.0.2.1]","__CURSOR":"s=1;i=2","__REALTIME_TIMESTAMP":"1795000004000000","_HOSTNAME":"mail","SYSLOG_IDENTIFIER":"postfix/smtpd","_PID":"12"}`)
	p, _ := New("postfix", Options{})
	if n := testing.AllocsPerRun(100, func() {
		if got, err := p.Parse(nil, Line{Text: record}); err != nil || len(got) > 0 {
			t.Fatal(got, err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzJournal(f *testing.F) {
	f.Add("40C20532618: to=<a@b.example>, relay=none, delay=1, dsn=5.1.1, status=bounced (no)", "postfix/smtp", "mail", false)
	f.Add("x\xff\x00\"\\\n", "a b", "h:", true)
	f.Add("{\"__CURSOR\":\"\"}", "", "]", false)
	f.Fuzz(func(t *testing.T, message, tag, host string, asBytes bool) {
		var m any = message
		if asBytes || !utf8.ValidString(message) {
			list := []int{}
			for _, c := range []byte(message) {
				list = append(list, int(c))
			}
			m = list
		}
		record, err := json.Marshal(map[string]any{"MESSAGE": m, "__CURSOR": "s=1;i=2", "__REALTIME_TIMESTAMP": "1795000004000000",
			"SYSLOG_IDENTIFIER": tag, "_HOSTNAME": host})
		if err != nil {
			t.Fatal(err)
		}
		j := &journal{Parser: &lineKeeper{}}
		if !j.read(record) {
			if tag != "" && message != "" {
				t.Fatalf("record refused: %s", record)
			}
			return
		}
		var r envelopeReader
		e, ok := r.read(view(j.line))
		want := strings.TrimRight(message, "\r\n")
		if ok && strings.TrimPrefix(e.message, " ") != strings.TrimPrefix(want, " ") {
			t.Errorf("message %q, want %q of %q", e.message, want, j.line)
		}
		for _, cut := range []int{len(record) / 3, len(record) / 2, len(record) - 1} {
			j.read(record[:cut])
		}
		j.read([]byte(message))
		p, _ := New(Auto, Options{})
		if _, err := p.Parse(nil, Line{Text: record, Origin: &event.Origin{}}); err != nil {
			t.Log(err)
		}
	})
}

func BenchmarkJournalLine(b *testing.B) {
	for name, message := range map[string]string{
		"uninteresting": "connect from mx.example.com[192.0.2.1]",
		"bounced":       "40C20532618: to=<a@b.example>, relay=mx.b.example[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (host mx.b.example[192.0.2.1] said: 550 5.1.1 no such user (in reply to RCPT TO command))",
	} {
		b.Run(name, func(b *testing.B) {
			record := []byte(journalRecordOf(b, "2026-11-23T21:29:48.939695+00:00 mta-out postfix/smtp[30823]: "+message, 2, time.Time{}))
			p, _ := New("postfix", Options{})
			line := Line{Text: record, Origin: &event.Origin{}}
			var dst []event.Delivery
			b.ReportAllocs()
			for b.Loop() {
				dst, _ = p.Parse(dst[:0], line)
			}
		})
	}
}
