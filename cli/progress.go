package cli

import (
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// measured is an input that knows how far it has been read: bytes of the file
// as it lies on the disk, total 0 where that is unknown. Safe from any goroutine.
type measured interface {
	Progress() (read, total int64)
}

// progress draws a bar for the input that is being read. Only on a terminal.
type progress struct {
	out io.Writer // nil: nothing is drawn

	mu   sync.Mutex
	name string
	in   measured
}

func newProgress(out io.Writer, quiet bool) *progress {
	if f, ok := out.(*os.File); !ok || quiet || !term.IsTerminal(int(f.Fd())) {
		out = nil
	}
	return &progress{out: out}
}

// show makes in the input that the bar is about.
func (p *progress) show(name string, in measured) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.name, p.in = name, in
}

// start draws until the returned function is called.
func (p *progress) start() (stop func()) {
	if p.out == nil {
		return func() {}
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		p.draw(done)
	}()
	return func() {
		close(done)
		<-ended
	}
}

func (p *progress) draw(done <-chan struct{}) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var bar *progressbar.ProgressBar
	var drawn measured
	for {
		select {
		case <-tick.C:
		case <-done:
			if bar != nil {
				_ = bar.Clear()
			}
			return
		}
		p.mu.Lock()
		name, in := p.name, p.in
		p.mu.Unlock()
		if in == nil {
			continue
		}
		read, total := in.Progress()
		if in != drawn {
			if total == 0 {
				total = -1 // draws a spinner
			}
			drawn, bar = in, progressbar.NewOptions64(total, progressbar.OptionSetWriter(p.out), progressbar.OptionSetDescription(name),
				progressbar.OptionShowBytes(true), progressbar.OptionClearOnFinish(), progressbar.OptionSetWidth(30))
		}
		_ = bar.Set64(read) // a bar that cannot be drawn is no reason to stop
	}
}
