package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"mtatap/event"
)

func TestRotationsAreLookedForWhileASinkHoldsReadingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newBench(t, nil, Sink{Name: "s", Writer: &sink{}, Required: true}).reader(&input{}, nil)
		glances := 0
		r.glance = func(context.Context) error { glances++; return nil }
		parsed := make(chan *batch)
		go func() {
			time.Sleep(3*glanceEvery + glanceEvery/2)
			<-parsed
		}()
		r.begin(time.Now())
		if err := r.handOn(t.Context(), parsed, true); err != nil {
			t.Fatal(err)
		}
		if glances != 3 {
			t.Errorf("%d looks in three and a half intervals", glances)
		}
		r.glance = func(context.Context) error { return errors.New("no more") }
		r.begin(time.Now())
		if err := r.handOn(t.Context(), parsed, true); err == nil || err.Error() != "no more" {
			t.Errorf("an error of the look is not returned: %v", err)
		}
	})
}

func TestTheFirstEventsAreHandedOnAtOnceAndLaterOnesInQuartersOfTheLimits(t *testing.T) {
	p := newBench(t, nil)
	p.limits.Events = 2 * queuedBatches
	in := &input{}
	for i := range 8 {
		c := chunk(fmt.Sprint("to a", i))
		if i == 1 {
			c = chunk("nothing")
		}
		c.More = true
		in.chunks = append(in.chunks, c)
	}
	parsed := make(chan *batch, 10)
	if err := p.reader(in, nil).read(t.Context(), parsed); err != nil {
		t.Fatal(err)
	}
	close(parsed)
	var sizes []int
	for b := range parsed {
		sizes = append(sizes, len(b.events))
	}
	if want := []int{1, 2, 2, 2, 1}; !slices.Equal(sizes, want) { // what is flushed is the last
		t.Errorf("batches of %v events, want %v", sizes, want)
	}
}

func TestIDsAreTheSameWhetherTheReaderWaitedOrNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newBench(t, nil).reader(&input{}, nil)
		for _, room := range []int{0, 1} {
			parsed := make(chan *batch, room)
			r.readLines(chunk("to a", "to b"))
			go func() {
				if err := r.handOn(t.Context(), parsed, true); err != nil {
					t.Error(err)
				}
			}()
			synctest.Wait()
			b := <-parsed
			synctest.Wait()
			if waited := room == 0; b.identified != waited {
				t.Errorf("room for %d: ids made early: %v", room, b.identified)
			}
			r.decide(b)
			for i := range b.events {
				if want, _ := event.NewID(&b.events[i].Delivery, nil); b.events[i].ID != want {
					t.Errorf("room for %d: id %s, want %s", room, b.events[i].ID, want)
				}
			}
		}
	})
}
