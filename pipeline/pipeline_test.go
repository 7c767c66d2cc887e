package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mtatap/tailers"
)

func TestReplayGivesEverySinkAllEventsInOrder(t *testing.T) {
	a, b := &sink{}, &sink{}
	p := newBench(t, nil, Sink{Name: "a", Writer: a, Required: true}, Sink{Name: "b", Writer: b, Patient: true})
	in := &input{chunks: []tailers.Chunk{chunk("to a1", "noise", "to a2"), chunk("to a3")}}
	err := p.Replay(t.Context(), []Recording{{Name: "log", Open: func() (Finished, error) { return in, nil }, Parser: openToParser}})
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]*sink{"a": a, "b": b} {
		if got := s.recipients(); got != "a1 a2 a3 flushed" || !s.closed {
			t.Errorf("sink %s got %q, closed %v", name, got, s.closed)
		}
	}
	if got, want := p.Lines(), (Lines{Read: 4}); got != want {
		t.Errorf("counted %+v, want %+v", got, want)
	}
	if got := p.value(t, "mtatap_sink_events_total"); got != 8 {
		t.Errorf("mtatap_sink_events_total is %v, want 8", got)
	}
	if got := p.value(t, "mtatap_sink_queue_events"); got != 0 {
		t.Errorf("mtatap_sink_queue_events is %v at the end", got)
	}
}

func TestTheCheckpointWaitsForEveryRequiredSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quick, slow := &sink{}, &sink{blocked: make(chan struct{})}
		p := newBench(t, nil, Sink{Name: "quick", Writer: quick, Required: true}, Sink{Name: "slow", Writer: slow, Required: true})
		disk := &store{}
		acks := newCheckpoints(disk, p.metrics, p.log, p.now)
		in := &input{chunks: []tailers.Chunk{chunk("to a1"), chunk("noise")}, follow: true}
		r := p.reader(in, acks)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- p.run(ctx, r.run) }()
		synctest.Wait()
		acks.save()
		if quick.recipients() != "a1" || disk.saved != nil {
			t.Errorf("quick sink has %q, saved %v; want nothing saved while the slow one writes", quick.recipients(), disk.saved)
		}
		close(slow.blocked)
		synctest.Wait()
		acks.save()
		if got, want := fmt.Sprint(disk.saved["log"]), fmt.Sprint(positionOf(2)); got != want {
			t.Errorf("saved %v, want %v: the second chunk without events counts too", got, want)
		}
		if disk.memories["log"] != "remembered" {
			t.Errorf("memories %v, want that of the parser", disk.memories)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestAFullQueueOfARequiredSinkStopsReadingAndLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &sink{blocked: make(chan struct{})}
		p := newBench(t, nil, Sink{Name: "slow", Writer: slow, Required: true})
		in := &input{follow: true}
		var want []string
		const most = 2*queuedBatches + 4 // written together, queued, and on the way there
		for i := range 2 * most {
			name := fmt.Sprint("a", i)
			in.chunks, want = append(in.chunks, chunk("to "+name)), append(want, name)
		}
		r := p.reader(in, nil)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- p.run(ctx, r.run) }()
		synctest.Wait()
		if in.given > most {
			t.Errorf("%d chunks read while the sink takes none, want at most %d", in.given, most)
		}
		close(slow.blocked)
		synctest.Wait()
		if got := slow.recipients(); got != strings.Join(want, " ") {
			t.Errorf("got %q, want all in order", got)
		}
		if slow.writes >= len(want) {
			t.Errorf("%d writes for %d batches: what piled up was not written together", slow.writes, len(want))
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestAFullQueueOfAnOptionalSinkDropsAndCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead, good := &sink{blocked: make(chan struct{})}, &sink{}
		p := newBench(t, nil, Sink{Name: "dead", Writer: dead}, Sink{Name: "good", Writer: good, Required: true})
		in := &input{follow: true}
		for i := range 3 * queuedBatches {
			in.chunks = append(in.chunks, chunk(fmt.Sprint("to a", i)))
		}
		r := p.reader(in, nil)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- p.run(ctx, r.run) }()
		synctest.Wait()
		if got := len(strings.Fields(good.recipients())); got != 3*queuedBatches {
			t.Errorf("the required sink has %d events, want %d", got, 3*queuedBatches)
		}
		if got := p.value(t, "mtatap_dead_letters_total"); got < queuedBatches {
			t.Errorf("%v events counted as dropped, want at least %d", got, queuedBatches)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestAStopLetsSinksFinishButNotForEver(t *testing.T) {
	for name, c := range map[string]struct {
		takes time.Duration
		want  string
	}{
		"a sink that needs a second":   {time.Second, "a1"},
		"a sink that never comes back": {time.Hour, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &sink{blocked: make(chan struct{})}
				time.AfterFunc(c.takes, func() { close(s.blocked) })
				p := newBench(t, nil, Sink{Name: "s", Writer: s, Required: true})
				disk := &store{}
				acks := newCheckpoints(disk, p.metrics, p.log, p.now)
				r := p.reader(&input{chunks: []tailers.Chunk{chunk("to a1")}, follow: true}, acks)
				ctx, stop := context.WithCancel(t.Context())
				ended := make(chan error)
				go func() { ended <- p.run(ctx, r.run) }()
				synctest.Wait()
				start := time.Now()
				stop()
				if err := <-ended; err != nil {
					t.Error(err)
				}
				if took := time.Since(start); took > drainTime {
					t.Errorf("the stop took %v, want at most %v", took, drainTime)
				}
				acks.save()
				if got := s.recipients(); got != c.want || (disk.saved != nil) != (c.want != "") {
					t.Errorf("sink has %q, want %q; saved %v", got, c.want, disk.saved)
				}
			})
		})
	}
}

func TestASinkThatCannotGoOnEndsThePipeline(t *testing.T) {
	broken := errors.New("output closed")
	p := newBench(t, nil, Sink{Name: "stdout", Writer: &sink{fail: broken}, Required: true})
	r := p.reader(&input{chunks: []tailers.Chunk{chunk("to a1")}, follow: true}, nil)
	if err := p.run(t.Context(), r.run); !errors.Is(err, broken) {
		t.Errorf("run returned %v, want %v", err, broken)
	}
}

func TestAFullDiskOfTheCheckpointOnlyCounts(t *testing.T) {
	p := newBench(t, nil)
	disk := &store{full: true}
	acks := newCheckpoints(disk, p.metrics, p.log, p.now)
	acks.advance("log", positionOf(7), []byte("m"))
	acks.save()
	if got := p.value(t, "mtatap_checkpoint_errors_total"); got != 1 {
		t.Errorf("%v errors counted, want 1", got)
	}
	if !strings.Contains(p.logged.String(), errFull.Error()) {
		t.Errorf("the log does not say why: %s", p.logged)
	}
	disk.full = false
	acks.save()
	if fmt.Sprint(disk.saved["log"]) != fmt.Sprint(positionOf(7)) || disk.memories["log"] != "m" {
		t.Errorf("saved %v and %v after the disk had room again", disk.saved, disk.memories)
	}
}

// keeper fails the first time.
type keeper struct {
	lines []UnparsedLine
	tries int
}

func (k *keeper) KeepLines(lines []UnparsedLine) error {
	if k.tries++; k.tries == 1 {
		return errFull
	}
	k.lines = append(k.lines, lines...)
	return nil
}

func TestALineThatCannotBeReadIsCountedAndKeptBeforeTheCheckpointMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, s := &keeper{}, &sink{}
		p := newBench(t, k, Sink{Name: "s", Writer: s, Required: true})
		in := &input{chunks: []tailers.Chunk{chunk("to a1", "bad", "to a2")}}
		r := p.reader(in, nil)
		if err := p.run(t.Context(), r.run); err != nil {
			t.Fatal(err)
		}
		if len(k.lines) != 1 || k.lines[0].Text != "bad" || k.lines[0].Offset != 6 || k.tries != 2 {
			t.Errorf("kept %+v after %d tries", k.lines, k.tries)
		}
		if got := s.recipients(); got != "a1 a2 flushed" {
			t.Errorf("events %q, want those around the bad line", got)
		}
		if got := p.value(t, "mtatap_lines_unparsed_total"); got != 1 {
			t.Errorf("mtatap_lines_unparsed_total is %v", got)
		}
	})
}

func TestSilentLinesArePublishedByNobody(t *testing.T) {
	s := &sink{}
	p := newBench(t, nil, Sink{Name: "s", Writer: s, Required: true})
	silent := chunk("to a1", "bad")
	silent.Silent = true
	r := p.reader(&input{chunks: []tailers.Chunk{silent, chunk("to a2")}}, nil)
	if err := p.run(t.Context(), r.run); err != nil {
		t.Fatal(err)
	}
	if got := s.recipients(); got != "a2 flushed" {
		t.Errorf("published %q, want a2 and what Flush gives", got)
	}
	if got := p.value(t, "mtatap_lines_total"); got != 1 {
		t.Errorf("%v lines counted, want 1", got)
	}
}
