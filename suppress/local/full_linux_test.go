package local

import (
	"fmt"
	"os/signal"
	"syscall"
	"testing"

	"mtatap/event"
)

// The disk is full as far as this process can tell: no file may grow beyond a limit.
func TestAFullDiskDelaysDecisionsUntilThereIsRoom(t *testing.T) {
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	out := &paper{}
	where := path(t)
	failures := 0
	var before syscall.Rlimit
	l := open2(t, where, func(o *Options) {
		o.MaxRecipients = 1 << 20
		o.Failed = func(error) {
			if failures++; failures == 3 {
				if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
					t.Error(err)
				}
			}
		}
	}, out)
	write(t, l, bounced(0, "first@b.example"))
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	small := before
	small.Cur = uint64(l.o.Store.Size())
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &small); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before) }() // it may be back already
	var events []*event.Event
	for i := range 3000 {
		events = append(events, bounced(1, fmt.Sprintf("%d@b.example", i)))
	}
	write(t, l, events...)
	if failures != 3 {
		t.Errorf("%d attempts failed, want 3", failures)
	}
	if len(out.lines) != 3001 || len(table(t, l)) != 3001 {
		t.Errorf("%d decisions for %d suppressed ones, want 3001", len(out.lines), len(table(t, l)))
	}
	l.Close()
	if l = open2(t, where, nil); len(table(t, l)) != 3001 {
		t.Errorf("%d suppressed ones after a restart", len(table(t, l)))
	}
}
