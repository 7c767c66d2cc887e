package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"mtatap/suppress"
)

func TestEveryInstanceAnswersForAllAddresses(t *testing.T) {
	b := newLogBroker()
	for partition, who := range []string{"a@b.example", "c@d.example"} { // each owned by another instance
		b.put(topics.Events, partition, happened(1, who, "m", "bounced", "hard"))
		if err := work(t, instance(t, b, ""), b, newMember(-1), partition); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		p := instance(t, b, "")
		if _, err := p.Lookup("a@b.example"); err == nil || !strings.Contains(err.Error(), "still being read") {
			t.Errorf("before the list is known: %v", err)
		}
		table := NewTable(b, topics, 2, p.store, p.failed)
		p.table.Store(table)
		if _, err := p.Lookup("a@b.example"); err == nil {
			t.Error("answered before the list was known")
		}
		if err := table.CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		for who, want := range map[string]bool{"a@b.example": true, "c@d.example": true, "e@f.example": false} {
			if r, err := p.Lookup(who); err != nil || (r != nil) != want || want && r.Reason != "user-unknown" {
				t.Errorf("%s: %+v, %v", who, r, err)
			}
		}
	}
}

func TestATableFollowsWhatIsReleasedAndPassesOverWhatIsLate(t *testing.T) {
	b := newLogBroker()
	value := func(who string) []byte {
		r := suppress.Record{SchemaVersion: 1, Recipient: who, Status: suppress.Suppressed, Cause: suppress.CauseManual, Since: start}
		return r.Encode()
	}
	for i := range 1200 { // more than are listed at once
		who := fmt.Sprintf("%04d@b.example", i)
		b.put(topics.Suppressions, 0, record{key: who, value: value(who), stamp: stamp{2, uint64(i)}})
	}
	p := instance(t, b, "")
	table := NewTable(b, topics, 1, p.store, p.failed)
	list := func() (all []string) {
		t.Helper()
		if err := table.CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := table.Each(func(r suppress.Record) error { all = append(all, r.Recipient); return nil }); err != nil {
			t.Fatal(err)
		}
		return all
	}
	if got := list(); len(got) != 1200 || !slices.IsSorted(got) {
		t.Fatalf("%d are listed", len(got))
	}
	b.put(topics.Suppressions, 0,
		record{key: "0000@b.example", stamp: stamp{2, 2000}},
		record{key: "late@b.example", value: value("late@b.example"), stamp: stamp{1, 9999}},
		record{key: "none@b.example", value: []byte("no record"), stamp: stamp{2, 2001}},
		record{key: strings.Repeat("a", 40<<10), value: value("long"), stamp: stamp{2, 2002}},
	)
	if got := list(); len(got) != 1199 || got[0] != "0001@b.example" || slices.Contains(got, "late@b.example") {
		t.Errorf("%d are listed, from %s on", len(got), got[0])
	}
	stop := errors.New("enough")
	if err := table.Each(func(suppress.Record) error { return stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
}

func TestWhatWasOnlyObservedIsPublishedInTheEnd(t *testing.T) {
	b := newLogBroker()
	m := newMember(-1)
	step := func(observe bool, events ...record) map[string]string {
		t.Helper()
		b.put(topics.Events, 0, events...)
		p := instance(t, b, "")
		p.observe = observe
		if err := work(t, p, b, m, 0); err != nil {
			t.Fatal(err)
		}
		return b.list(0)
	}
	bounced := func(hours int, who string) record { return happened(hours, who, fmt.Sprint(hours), "bounced", "hard") }
	if got := step(true, bounced(1, "a@b.example")); len(got) != 0 {
		t.Errorf("published while observing: %v", got)
	}
	if got := step(false, bounced(2, "c@d.example")); len(got) != 2 {
		t.Errorf("published: %v", got)
	}
	if got := step(true, happened(3, "a@b.example", "3", "delivered", "delivered"), bounced(4, "e@f.example")); len(got) != 2 {
		t.Errorf("published while observing again: %v", got)
	}
	if got := step(false, bounced(5, "c@d.example")); len(got) != 2 || got["a@b.example"] != "" || got["e@f.example"] == "" {
		t.Errorf("in the end: %v", got)
	}
}

func TestQuietRecipientsMakeRoomAndSuppressedOnesStay(t *testing.T) {
	b := newLogBroker()
	m := newMember(-1)
	for i := range 60 {
		kind := "mailbox-full"
		if i%2 == 0 {
			kind = "hard"
		}
		b.put(topics.Events, 0, happened(i, fmt.Sprintf("%02d@b.example", i), "m", "bounced", kind))
	}
	p := instance(t, b, "")
	p.maxRecipients = 10
	if err := work(t, p, b, m, 0); err != nil {
		t.Fatal(err)
	}
	w := p.worker(m, 0)
	if err := w.run(canceled(t), m.offset()); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if err := w.states.restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.swept = start
	if err := w.sweepIfDue(t.Context(), start.Add(100*time.Hour)); err != nil {
		t.Fatal(err)
	}
	got := known(t, p)
	full := 0
	for who, text := range got {
		if !strings.Contains(text, `"suppression"`) {
			full++
			if who < "41@b.example" {
				t.Errorf("%s is known, who has been quiet for longer than others", who)
			}
		}
	}
	if len(got) != 40 || full != 10 {
		t.Errorf("%d are known, %d of them unsuppressed; want 40 and 10", len(got), full)
	}
	next := instance(t, b, "")
	if err := work(t, next, b, m, 0); err != nil {
		t.Fatal(err)
	}
	if again := known(t, next); len(again) != 40 {
		t.Errorf("the next owner knows %d", len(again))
	}
}

func canceled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// A restore on a host where nothing is yet, without the broker's share of the work.
func BenchmarkRestore(b *testing.B) {
	const n = 100_000
	broker := newLogBroker()
	broker.batch = 3000
	recs := make([]record, n)
	for i := range recs {
		who := fmt.Sprintf("user.%d@example%d.org", i*7919%n, i%100)
		_, o, err := new(suppress.Decoder).Decode(happened(1, who, "m", "bounced", "hard").value)
		if err != nil {
			b.Fatal(err)
		}
		e := entry{Offset: int64(i), Command: -1}
		e.State, _ = suppress.Apply(e.State, o, policy)
		text, err := e.encode()
		if err != nil {
			b.Fatal(err)
		}
		recs[i] = record{key: recipient + who, value: text, stamp: stamp{1, uint64(i)}}
	}
	broker.put(topics.State, 0, recs...)
	b.ReportAllocs()
	for b.Loop() {
		w := instance(b, broker, "").worker(newMember(0), 0)
		if err := w.states.restore(b.Context()); err != nil {
			b.Fatal(err)
		}
		if got := w.states.part.Count(); got != n {
			b.Fatalf("%d recipients", got)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "µs/recipient")
}
