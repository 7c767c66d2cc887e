package local

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"mtatap/event"
	"mtatap/suppress"
)

// states counts what is remembered.
func states(t *testing.T, l *Local) (suppressed int, others []string) {
	t.Helper()
	err := l.each("", func(name string, s suppress.State) (bool, error) {
		if s.Suppression != nil {
			suppressed++
		} else {
			others = append(others, name)
		}
		return true, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return suppressed, others
}

func TestTheQuietestMakeRoomAndSuppressedOnesTakeNone(t *testing.T) {
	now := start
	l := open2(t, path(t), func(o *Options) { o.MaxRecipients, o.Now = 20, func() time.Time { return now } })
	var events []*event.Event
	for i := range 60 {
		events = append(events, full(i, fmt.Sprintf("full%02d@b.example", i)), bounced(i, fmt.Sprintf("gone%02d@b.example", i)))
	}
	write(t, l, events...) // and sweeps, for the first time
	suppressed, others := states(t, l)
	if suppressed != 60 || len(others) != 20 || others[0] != "full40@b.example" {
		t.Errorf("%d suppressed ones and %v remain", suppressed, others)
	}
	// A few more are no crowd, many are.
	now = now.Add(2 * time.Minute)
	write(t, l, full(100, "one@b.example"))
	if _, others := states(t, l); len(others) != 21 {
		t.Errorf("%d remain although there is no crowd", len(others))
	}
	for i := range 5 {
		write(t, l, full(101+i, fmt.Sprintf("more%d@b.example", i)))
	}
	now = now.Add(2 * time.Minute)
	write(t, l, full(110, "last@b.example"))
	if suppressed, others := states(t, l); suppressed != 60 || len(others) != 20 || !strings.HasPrefix(others[len(others)-1], "one") {
		t.Errorf("%d suppressed ones and %v remain", suppressed, others)
	}
}

func TestWhoHasBeenQuietIsForgottenByTheClockOfTheLog(t *testing.T) {
	now := start
	l := open2(t, path(t), func(o *Options) { o.Now = func() time.Time { return now } })
	write(t, l, full(0, "full@b.example"), bounced(0, "gone@b.example"))
	now = start.Add(90 * 24 * time.Hour) // but the log that is being read is old
	write(t, l, delivered(24, "new@b.example"))
	if _, others := states(t, l); len(others) != 1 {
		t.Errorf("%v remain while an old log is read", others)
	}
	now = now.Add(2 * time.Hour)
	write(t, l, delivered(89*24, "new@b.example"))
	if suppressed, others := states(t, l); suppressed != 1 || len(others) != 0 {
		t.Errorf("%d suppressed ones and %v remain", suppressed, others)
	}
}

func TestWhatExpiresIsReleased(t *testing.T) {
	now := start
	out := &paper{}
	l := open2(t, path(t), func(o *Options) { o.Now = func() time.Time { return now } }, out)
	limited := policy
	limited.Expires = 48 * time.Hour
	l.SetPolicy(limited)
	write(t, l, bounced(0, "gone@b.example"))
	now = start.Add(48 * time.Hour)
	if r, err := l.Lookup("gone@b.example"); r != nil || err != nil || len(table(t, l)) != 0 {
		t.Errorf("what has expired is shown: %+v, %v", r, err)
	}
	write(t, l) // an idle log
	if len(out.lines) != 2 || !strings.Contains(out.lines[1], `"status":"released","cause":"expiry"`) {
		t.Errorf("published %q", out.lines)
	}
}
