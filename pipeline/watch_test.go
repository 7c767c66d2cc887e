package pipeline

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mtatap/event"
	"mtatap/parsers"
	"mtatap/tailers"
)

// opener is a sink that answers when it is told to.
type opener struct {
	sink
	answers chan struct{}
	err     error
}

func (o *opener) Open(ctx context.Context) error {
	select {
	case <-o.answers:
		return o.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// followed runs p over a reader of in that a watch can see, and returns what
// stops it.
func followed(t *testing.T, p *bench, in *input, parser parsers.Parser) (stop func() error) {
	t.Helper()
	r := p.reader(in, nil)
	r.parser = parser
	p.lag.follow(&following{Pipeline: p.Pipeline, readers: map[string]*reader{"log": r}})
	r.acked.Store(&tailers.Position{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.run(ctx, r.run) }()
	return func() error { cancel(); return <-ended }
}

func TestReadyWaitsForTheFirstAnswerOfEveryRequiredSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		required := &opener{answers: make(chan struct{})}
		optional := &opener{answers: make(chan struct{})}
		p := newBench(t, nil, Sink{Name: "required", Writer: required, Required: true}, Sink{Name: "optional", Writer: optional})
		stop := followed(t, p, &input{follow: true}, toParser{})
		synctest.Wait()
		if err := p.Ready(time.Hour); err == nil || !strings.Contains(err.Error(), "sink required has not answered") {
			t.Errorf("ready says %v before the sink has answered", err)
		}
		close(required.answers)
		synctest.Wait()
		if err := p.Ready(time.Hour); err != nil {
			t.Errorf("not ready although the required sink has answered: %v", err)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestAStopDoesNotWaitForASinkThatNeverAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead := &opener{answers: make(chan struct{})}
		p := newBench(t, nil, Sink{Name: "dead", Writer: dead, Required: true})
		stop := followed(t, p, &input{follow: true}, toParser{})
		synctest.Wait()
		asked := time.Now()
		if err := stop(); err != nil {
			t.Error(err)
		}
		if took := time.Since(asked); took != 0 {
			t.Errorf("the stop took %s", took)
		}
	})
}

func TestASinkThatCannotBeOpenedEndsThePipeline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := &opener{answers: make(chan struct{}), err: errors.New("no such thing")}
		close(broken.answers)
		p := newBench(t, nil, Sink{Name: "broken", Writer: broken, Required: true})
		r := p.reader(&input{follow: true}, nil)
		if err := p.run(t.Context(), r.run); !errors.Is(err, broken.err) {
			t.Errorf("got %v", err)
		}
	})
}

func TestWaitingForLinesOrForASinkThatRetriesIsNotBeingStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &sink{blocked: make(chan struct{})}
		p := newBench(t, nil, Sink{Name: "slow", Writer: slow, Required: true})
		failed := p.metrics.SinkFailed("slow")
		stop := followed(t, p, &input{chunks: []tailers.Chunk{chunk("to a1"), chunk("to a2"), chunk("to a3"), chunk("to a4"), chunk("to a5"), chunk("to a6")}, follow: true}, toParser{})
		for range 60 { // an outage of an hour
			time.Sleep(time.Minute)
			failed(errors.New("connection refused"))
			if err := p.Stuck(); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(sinkSilence + time.Second)
		if err := p.Stuck(); err == nil || !strings.Contains(err.Error(), "sink slow hangs") {
			t.Errorf("a write without a sign of life is %v, want it named", err)
		}
		close(slow.blocked)
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestALogThatIsNotReadAnyMoreIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newBench(t, nil, Sink{Name: "s", Writer: &sink{}, Required: true})
		// This input never beats, like a follower that hangs.
		stop := followed(t, p, &input{chunks: []tailers.Chunk{chunk("to a1")}, follow: true}, toParser{})
		synctest.Wait()
		if err := p.Stuck(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(readerSilence + time.Second)
		if err := p.Stuck(); err == nil || !strings.Contains(err.Error(), "log: the log is not read") {
			t.Errorf("got %v", err)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// endless is a verdict that never comes: the privacy of a batch that blocks.
type endless struct{ release chan struct{} }

func (e endless) Apply(*event.Event)              { <-e.release }
func (endless) Text(s string, _ ...string) string { return s }

func TestEventsThatAreNeverDecidedAreStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newBench(t, nil, Sink{Name: "s", Writer: &sink{}, Required: true})
		hang := endless{make(chan struct{})}
		p.privacy = hang
		stop := followed(t, p, &input{chunks: []tailers.Chunk{chunk("to a1")}, follow: true}, toParser{})
		time.Sleep(readerSilence + time.Second)
		if err := p.Stuck(); err == nil || !strings.Contains(err.Error(), "not decided") {
			t.Errorf("got %v", err)
		}
		close(hang.release)
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}
