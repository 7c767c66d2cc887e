package pipeline

import (
	"fmt"
	"time"
)

// How long a part of the pipeline may show no sign of life: far longer than a
// search through rotated logs takes, and than the pause that a webhook may ask for.
const (
	readerSilence = 2 * time.Minute
	sinkSilence   = 15 * time.Minute
)

// Stuck returns nil while every part of the pipeline shows signs of life, else
// an error that names the part that does not. Waiting is not being stuck: a log
// without new lines, a sink that tries again and again, and a reader that such a
// sink holds back are alive. Only a restart can mend what it reports. Safe from
// any goroutine.
func (p *Pipeline) Stuck() error {
	f := p.lag.current()
	if f == nil {
		return nil // still opening
	}
	now := p.now()
	silent := func(at int64, limit time.Duration) bool { return now.Sub(time.Unix(0, at)) > limit }
	waiting := false // for a sink that is alive
	for _, o := range p.outlets {
		since := o.busySince.Load()
		if since == 0 {
			continue
		}
		if silent(max(since, o.failedAt.Load()), sinkSilence) {
			return fmt.Errorf("sink %s hangs in a write since %s", o.Name, time.Unix(0, since).UTC().Format(time.RFC3339))
		}
		waiting = waiting || o.Required || o.Patient
	}
	if waiting {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for file, r := range f.readers {
		if r.underWay.Load() > 0 && silent(r.decideAt.Load(), readerSilence) {
			return fmt.Errorf("%s: events are not decided or not acknowledged", file)
		}
		if r.readAt.Load() != 0 && silent(r.readAt.Load(), readerSilence) {
			return fmt.Errorf("%s: the log is not read", file)
		}
	}
	return nil
}
