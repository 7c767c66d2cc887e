package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mtatap/event"
	"mtatap/suppress"
	"mtatap/suppress/store"
)

var policy = suppress.Policy{After: map[event.Category]suppress.Threshold{
	event.CategoryHard:        {Messages: 1},
	event.CategoryMailboxFull: {To: event.CategoryHard, Messages: 3, Spread: 72 * time.Hour, Window: 30 * 24 * time.Hour},
}}

var start = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// paper is a publisher that keeps what it is given.
type paper struct {
	lines []string
	fail  func() error // of each call; nil: never
}

// Publish implements Publisher.
func (p *paper) Publish(_ context.Context, records [][]byte) error {
	if p.fail != nil {
		if err := p.fail(); err != nil {
			return err
		}
	}
	for _, r := range records {
		p.lines = append(p.lines, string(r))
	}
	return nil
}

// open2 opens what path holds, and closes it with the test.
func open2(t *testing.T, path string, change func(*Options), to ...Publisher) *Local {
	t.Helper()
	s, err := store.Open(path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	metrics, err := suppress.NewMetrics(prometheus.NewRegistry(), nil)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Store: s, Publishers: to, MaxRecipients: 1000, Metrics: metrics, Logger: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return start }}
	if change != nil {
		change(&o)
	}
	l, err := New(policy, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func path(t *testing.T) string { return filepath.Join(t.TempDir(), "s.db") }

func happened(hours int, recipient, message string, status event.Status, category event.Category) *event.Event {
	e := &event.Event{}
	e.Time = start.Add(time.Duration(hours) * time.Hour)
	e.Recipient, e.MessageID, e.Status, e.Category = recipient, message, status, category
	e.ID[0], e.ID[1] = byte(hours), byte(hours>>8)
	e.Diagnostic, e.SMTPCode = "550 no", 550
	if category == event.CategoryHard {
		e.BounceType, e.Action, e.Reason = event.Hard, event.Suppress, "user-unknown"
	} else if status != event.Delivered {
		e.BounceType, e.Action, e.Reason = event.Soft, event.Watch, string(category)
	}
	return e
}

func bounced(hours int, recipient string) *event.Event {
	return happened(hours, recipient, fmt.Sprint("m", hours), event.Bounced, event.CategoryHard)
}

func full(hours int, recipient string) *event.Event {
	return happened(hours, recipient, fmt.Sprint("m", hours), event.Deferred, event.CategoryMailboxFull)
}

func delivered(hours int, recipient string) *event.Event {
	return happened(hours, recipient, fmt.Sprint("m", hours), event.Delivered, event.CategoryDelivered)
}

func write(t *testing.T, l *Local, events ...*event.Event) {
	t.Helper()
	if err := l.Write(t.Context(), events); err != nil {
		t.Fatal(err)
	}
}

// table is who is suppressed, as encoded records.
func table(t *testing.T, l *Local) map[string]string {
	t.Helper()
	all := map[string]string{}
	if err := l.Each(func(r suppress.Record) error { all[r.Recipient] = string(r.Encode()); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestDecisionsGoToEveryPublisherWithTheirOrigin(t *testing.T) {
	file, webhook := &paper{}, &paper{}
	l := open2(t, path(t), nil, file, webhook)
	write(t, l, full(0, "A@b.example"), full(24, "a@B.example"), bounced(25, "c@d.example"), full(72, "a@b.example"), delivered(80, "c@d.example"))
	var got []string
	for _, line := range file.lines {
		r, err := suppress.DecodeRecord([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s %s %s %s %s %d", r.Recipient, r.Status, r.Cause, r.Category, r.ConvertedFrom, len(r.Evidence)))
	}
	want := []string{"c@d.example suppressed bounce hard  1", "a@b.example suppressed conversion hard mailbox-full 3", "c@d.example released delivery   0"}
	if !slices.Equal(got, want) || !slices.Equal(file.lines, webhook.lines) {
		t.Errorf("file %q\nwant %q\nwebhook %q", got, want, webhook.lines)
	}
	r, err := l.Lookup("a@b.example")
	if err != nil || r == nil || r.ConvertedFrom != event.CategoryMailboxFull {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := l.Lookup("c@d.example"); r != nil || err != nil {
		t.Errorf("%+v, %v", r, err)
	}
}

// history is traffic to a few recipients over months, in the order of its times.
func history(seed uint64, n int) []*event.Event {
	random := rand.New(rand.NewPCG(seed, 2))
	var all []*event.Event
	for i := range n {
		who, hours := fmt.Sprintf("user%d@b.example", random.IntN(8)), 8*i
		switch random.IntN(8) {
		case 0:
			all = append(all, bounced(hours, who))
		case 1:
			all = append(all, delivered(hours, who))
		case 2:
			all = append(all, happened(hours, who, fmt.Sprint(i), event.Bounced, event.CategoryBlockSpam))
		default:
			all = append(all, full(hours, who))
		}
	}
	return all
}

// Killed after any of its writes, of the store or to a publisher, a run goes on from a
// checkpoint that may be older than what it has written, and decides the same.
func TestAKillAtAnyPointLeavesTheTableOfARunThatWasNotKilled(t *testing.T) {
	const batch = 7
	events := history(1, 70)
	whole := &paper{}
	uninterrupted := open2(t, path(t), nil, whole)
	write(t, uninterrupted, events...)
	want := table(t, uninterrupted)
	if len(want) < 3 || len(whole.lines) < 10 {
		t.Fatalf("%d suppressed by %d decisions: nothing is shown", len(want), len(whole.lines))
	}
	for _, behind := range []int{0, 3} { // batches that the checkpoint is behind
		for killed := range len(events) / batch {
			for _, before := range []bool{true, false} { // the publisher took the decisions
				dir := t.TempDir()
				live, copied := filepath.Join(dir, "live.db"), filepath.Join(dir, "copy.db")
				out := &paper{}
				l := open2(t, live, nil, out)
				for n := range killed {
					write(t, l, events[n*batch:(n+1)*batch]...)
				}
				// The store is copied while the publisher has the decisions in hand: it is
				// what a killed process leaves, and nothing more is written to it.
				leave := func() error {
					text, err := os.ReadFile(live)
					if err == nil {
						err = os.WriteFile(copied, text, 0o600)
					}
					return errors.Join(err, errKilled)
				}
				published := len(out.lines)
				if before {
					out.fail = leave
					err := l.Write(t.Context(), events[killed*batch:(killed+1)*batch])
					if err == nil { // nothing to publish
						if err := leave(); !errors.Is(err, errKilled) {
							t.Fatal(err)
						}
					} else if !errors.Is(err, errKilled) {
						t.Fatal(err)
					}
				} else {
					write(t, l, events[killed*batch:(killed+1)*batch]...)
					published = len(out.lines)
					if err := leave(); err != nil && err.Error() != errKilled.Error() {
						t.Fatal(err)
					}
				}
				l.Close()
				after := &paper{lines: slices.Clone(out.lines[:published])}
				l = open2(t, copied, nil, after)
				if err := l.Open(t.Context()); err != nil {
					t.Fatal(err)
				}
				write(t, l, events[max(0, killed-behind)*batch:]...)
				if got := table(t, l); !maps.Equal(got, want) {
					t.Fatalf("killed in batch %d:\n got %v\nwant %v", killed, got, want)
				}
				if !reflect.DeepEqual(last(after.lines), last(whole.lines)) {
					t.Fatalf("killed in batch %d: published\n%s\nwant\n%s", killed, strings.Join(after.lines, "\n"), strings.Join(whole.lines, "\n"))
				}
				if got, want := slices.Compact(slices.Sorted(slices.Values(after.lines))), slices.Compact(slices.Sorted(slices.Values(whole.lines))); !slices.Equal(got, want) {
					t.Fatalf("killed in batch %d: other decisions than without: %v", killed, got)
				}
				l.Close()
			}
		}
	}
}

var errKilled = errors.New("killed")

// last is the last line about each recipient.
func last(lines []string) map[string]string {
	all := map[string]string{}
	for _, line := range lines {
		var r suppress.Record
		if json.Unmarshal([]byte(line), &r) == nil {
			all[r.Recipient] = line
		}
	}
	return all
}

func TestAnyDuplicationDecidesTheSame(t *testing.T) {
	for seed := range uint64(20) {
		events := history(seed, 60)
		random := rand.New(rand.NewPCG(seed, 3))
		once, again := &paper{}, &paper{}
		a, b := open2(t, path(t), nil, once), open2(t, path(t), nil, again)
		write(t, a, events...)
		for i := 0; i < len(events); {
			n := min(len(events)-i, 1+random.IntN(9))
			write(t, b, events[i:i+n]...)
			i += n
			if i < len(events) && random.IntN(3) == 0 { // from a checkpoint that is behind
				i = max(0, i-random.IntN(10))
			}
		}
		if !slices.Equal(once.lines, again.lines) {
			t.Fatalf("seed %d:\nonce  %v\nagain %v", seed, once.lines, again.lines)
		}
		a.Close()
		b.Close()
	}
}

func TestChangesByHandCount(t *testing.T) {
	out := &paper{}
	l := open2(t, path(t), nil, out)
	ahead := happened(0, "a@b.example", "m", event.Bounced, event.CategoryHard)
	ahead.Time = start.Add(3 * time.Minute) // by the clock of the log's host
	write(t, l, ahead)
	change := func(kind suppress.Kind, who, reason string) {
		t.Helper()
		if err := l.Change(t.Context(), who, suppress.Outcome{Kind: kind, Time: start, Reason: reason}); err != nil {
			t.Fatal(err)
		}
	}
	change(suppress.Release, "a@b.example", "")
	if got := table(t, l); len(got) != 0 {
		t.Errorf("after the release: %v", got)
	}
	change(suppress.Add, "a@b.example", "asked for it")
	if got := table(t, l)["a@b.example"]; !strings.Contains(got, `"cause":"manual"`) || !strings.Contains(got, "asked for it") {
		t.Errorf("after the addition: %v", got)
	}
	write(t, l, delivered(99, "a@b.example"))
	if len(table(t, l)) != 1 || len(out.lines) != 3 {
		t.Errorf("a delivery undid it: %q", out.lines)
	}
	for _, who := range []string{"", strings.Repeat("a", 40<<10)} {
		if err := l.Change(t.Context(), who, suppress.Outcome{Kind: suppress.Add, Time: start}); !errors.Is(err, errNoRecipient) {
			t.Errorf("%d bytes: %v", len(who), err)
		}
	}
}

func TestAListThatIsReadSlowlyHoldsNobodyUp(t *testing.T) {
	l := open2(t, path(t), nil)
	var events []*event.Event
	for i := range 3 * listed {
		events = append(events, bounced(i, fmt.Sprintf("%05d@b.example", i)))
	}
	write(t, l, events...)
	seen := 0
	err := l.Each(func(r suppress.Record) error {
		if seen++; seen%listed == 1 { // the store grows, which waits for whoever looks into it
			var more []*event.Event
			for i := range 2000 {
				more = append(more, bounced(i, fmt.Sprintf("%s.%d", r.Recipient, i)))
			}
			return l.Write(t.Context(), more)
		}
		return nil
	})
	if err != nil || seen < 3*listed {
		t.Errorf("%d seen, %v", seen, err)
	}
}
