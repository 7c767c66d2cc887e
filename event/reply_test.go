package event

import "testing"

func TestParseReply(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want Reply
	}{
		"one line with both codes":              {"550 5.1.1 User unknown", Reply{550, "5.1.1", "550 5.1.1 User unknown"}},
		"code alone":                            {"550", Reply{550, "", "550"}},
		"no code at all":                        {" Connection timed out ", Reply{0, "", "Connection timed out"}},
		"joined by Postfix":                     {"550-5.1.1 No such 550-5.1.1 user 550 5.1.1  here", Reply{550, "5.1.1", "550 5.1.1 No such user here"}},
		"separated by newlines":                 {"550-No such\n550 user", Reply{550, "", "550 No such user"}},
		"codes of the last line win":            {"450-4.2.0 wait\n550 5.1.1 gone", Reply{550, "5.1.1", "550 5.1.1 wait gone"}},
		"a joined reply that changes its mind":  {"450-4.2.0 wait 550 5.1.1 gone", Reply{550, "5.1.1", "550 5.1.1 wait gone"}},
		"a number of class 3 changes no mind":   {"450-wait for 354 please", Reply{450, "", "450 wait for 354 please"}},
		"numbers in the text are not codes":     {"550 blocked 550 times", Reply{550, "", "550 blocked 550 times"}},
		"three digits in a part":                {"550 5.7.606 Access denied", Reply{550, "5.7.606", "550 5.7.606 Access denied"}},
		"four digits in a part are no code":     {"550 5.7.1234 x", Reply{550, "", "550 5.7.1234 x"}},
		"an address is no enhanced code":        {"550 5.1.1.9 x", Reply{550, "", "550 5.1.1.9 x"}},
		"a hash before the enhanced code":       {"550 #5.1.0 Address rejected.", Reply{550, "5.1.0", "550 #5.1.0 Address rejected."}},
		"a last line without text":              {"550-a 550", Reply{550, "", "550 a"}},
		"a cut reply keeps what there is":       {"550-5.7.1 first line and", Reply{550, "5.7.1", "550 5.7.1 first line and"}},
		"digits that run on into text are none": {"5501 strange", Reply{0, "", "5501 strange"}},
		"text of several lines without a code":  {"user\nunknown", Reply{0, "", "user unknown"}},
		"empty":                                 {"", Reply{}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := ParseReply(c.in); got != c.want {
				t.Errorf("ParseReply(%q)\n got %+v\nwant %+v", c.in, got, c.want)
			}
		})
	}
}

func TestParseReplyOfOneLineDoesNotAllocate(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { ParseReply("550 5.1.1 <a@b.example>: User unknown") }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func FuzzParseReply(f *testing.F) {
	f.Add("550-5.1.1 No such 550 5.1.1 user")
	f.Add("450-a\n550 b")
	f.Fuzz(func(t *testing.T, s string) {
		r := ParseReply(s)
		if r.Code != 0 && (r.Code < 200 || r.Code > 599) {
			t.Errorf("code %d", r.Code)
		}
		if r.Enhanced != "" && EnhancedLen(r.Enhanced) != len(r.Enhanced) {
			t.Errorf("enhanced %q", r.Enhanced)
		}
	})
}
