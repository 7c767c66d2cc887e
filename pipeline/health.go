package pipeline

import (
	"fmt"
	"time"
)

// Ready returns nil while the pipeline does its work: it follows its logs, every
// required sink has answered once and takes what it is given, and no source is
// further behind than maxLag. Otherwise the error says what is wrong. Safe from any goroutine.
func (p *Pipeline) Ready(maxLag time.Duration) error {
	f := p.lag.current()
	if f == nil {
		return fmt.Errorf("logs are not open yet")
	}
	for _, o := range p.outlets {
		if o.Required && !o.answered.Load() {
			return fmt.Errorf("sink %s has not answered yet", o.Name)
		}
		if since := o.busySince.Load(); o.Required && since != 0 {
			if busy := p.now().Sub(time.Unix(0, since)); busy > maxWrite {
				return fmt.Errorf("sink %s has taken nothing for %s", o.Name, busy.Round(time.Second))
			}
		}
	}
	for source, lag := range f.lags() {
		if lag.since > maxLag {
			return fmt.Errorf("source %s is %s behind%s", source, lag.since.Round(time.Second), lag.size())
		}
	}
	return nil
}

// maxWrite is how long a required sink may be busy with one write before the
// pipeline is not ready.
const maxWrite = 10 * time.Second
