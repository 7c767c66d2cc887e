package parsers

import (
	"testing"

	"mtatap/event"
)

func TestALookAtOneLineTellsWhoWroteItAndHow(t *testing.T) {
	for _, tt := range []struct {
		name, line string
		mta        event.MTA
		envelope   Envelope
	}{
		{"Postfix through rsyslog as Debian set it up for long", "Nov 23 18:43:06 mx postfix/qmgr[372]: 3F1: removed", postfixMTA, Envelope3164},
		{"Postfix with RFC 3339 stamps", "2026-11-23T18:43:06.123456+00:00 mx postfix/qmgr[372]: 3F1: removed", postfixMTA, Envelope3339},
		{"Postfix in RFC 5424", "<22>1 2026-11-23T18:43:06.123456+00:00 mx postfix/qmgr 372 - - 3F1: removed", postfixMTA, Envelope5424},
		{"Postfix with a priority in front", "<22>Nov 23 18:43:06 mx postfix/qmgr[372]: 3F1: removed", postfixMTA, Envelope3164},
		{"Exim's own main log", "2026-11-23 18:43:06 1vN5xW-000000001Lm-0abc Completed", eximMTA, EnvelopeNone},
		{"another program's line", "Nov 23 18:43:06 mx dovecot: imap-login: Login", "", Envelope3164},
		{"no log at all", "hello", "", EnvelopeNone},
		{"an empty line", "", "", EnvelopeNone},
		{"nothing but a priority", "<22>", "", EnvelopeNone},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if mta, envelope := Look(tt.line); mta != tt.mta || envelope != tt.envelope {
				t.Errorf("got %q, %q, want %q, %q", mta, envelope, tt.mta, tt.envelope)
			}
		})
	}
}

func FuzzALookNeverPanics(f *testing.F) {
	for _, seed := range []string{"<22>1 x", "<22><23>Nov 23 18:43:06 mx a: b", "{", "<>", "<22>{\"message\":\"x\"}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if _, envelope := Look(line); envelope == "" {
			t.Error("no envelope")
		}
	})
}
