package local

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"mtatap/event"
)

func TestWhatCouldNotBePublishedIsPublishedInOrderLater(t *testing.T) {
	out := &paper{fail: func() error { return errKilled }}
	where := path(t)
	l := open2(t, where, nil, out)
	if err := l.Write(t.Context(), []*event.Event{bounced(1, "a@b.example")}); !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	l.Close()
	out.fail = nil
	l = open2(t, where, nil, out)
	write(t, l, bounced(2, "c@d.example"))
	write(t, l)
	if err := l.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(out.lines) != 2 || !strings.Contains(out.lines[0], "a@b.example") || !strings.Contains(out.lines[1], "c@d.example") {
		t.Errorf("published %q", out.lines)
	}
	l.Close()
	l = open2(t, where, nil, out)
	if err := l.Open(t.Context()); err != nil || len(out.lines) != 2 {
		t.Errorf("published again after an orderly close: %q, %v", out.lines, err)
	}
}

func TestWhatWasOnlyObservedIsPublishedInTheEnd(t *testing.T) {
	out := &paper{}
	where := path(t)
	step := func(observe bool, events ...*event.Event) []string {
		t.Helper()
		out.lines = nil
		l := open2(t, where, func(o *Options) { o.Observe = observe }, out)
		write(t, l, events...)
		l.Close()
		var said []string
		for _, line := range out.lines {
			for _, word := range []string{"suppressed", "released"} {
				if strings.Contains(line, fmt.Sprintf(`"status":%q`, word)) {
					said = append(said, word+" "+strings.SplitN(strings.SplitN(line, `"recipient":"`, 2)[1], `"`, 2)[0])
				}
			}
		}
		return said
	}
	for i, c := range []struct {
		observe bool
		events  []*event.Event
		want    []string
	}{
		{true, []*event.Event{bounced(1, "a@b"), bounced(1, "c@d")}, nil},
		{false, nil, []string{"suppressed a@b", "suppressed c@d"}},
		{true, []*event.Event{delivered(2, "a@b"), delivered(2, "c@d"), bounced(3, "c@d"), bounced(4, "e@f")}, nil},
		{false, nil, []string{"suppressed c@d", "suppressed e@f", "released a@b"}},
		{false, []*event.Event{delivered(9, "e@f")}, []string{"released e@f"}},
	} {
		if got := step(c.observe, c.events...); !slices.Equal(got, c.want) {
			t.Errorf("step %d: published %v, want %v", i, got, c.want)
		}
	}
}

func TestAStoreThatCannotBeWrittenDelaysAndLosesNothing(t *testing.T) {
	where := path(t)
	synctest.Test(t, func(t *testing.T) {
		out := &paper{}
		attempts := 0
		l := open2(t, where, func(o *Options) { o.Failed = func(error) { attempts++ } }, out)
		full := errors.New("no space left on device")
		broken := 5
		failing := func() error {
			if broken--; broken >= 0 {
				return &unwrittenError{full}
			}
			return l.apply(t.Context(), nil)
		}
		if err := l.persist(t.Context(), failing); err != nil || attempts != 5 {
			t.Errorf("%d failed attempts, %v", attempts, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() { synctest.Wait(); cancel() }()
		broken = 1 << 30
		if err := l.persist(ctx, failing); !errors.Is(err, context.Canceled) {
			t.Errorf("when stopped: %v", err)
		}
		if err := l.persist(t.Context(), func() error { return errKilled }); !errors.Is(err, errKilled) {
			t.Errorf("what does not pass: %v", err)
		}
	})
}
