package pipeline

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
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
