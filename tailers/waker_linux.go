package tailers

import (
	"errors"
	"fmt"
	"os"

	"github.com/nxadm/tail/watch"
	"golang.org/x/sys/unix"
)

// fileWaker is woken by inotify. It uses the shared tracker of nxadm/tail but
// not its file watchers: they end the process when a stat fails.
type fileWaker struct {
	pollWaker
}

func newWaker() Waker {
	return &fileWaker{pollWaker{changed: make(chan struct{}, 1)}}
}

// Watch names the file by its descriptor, so that the watch stays with the
// inode when the file is renamed or unlinked.
func (w *fileWaker) Watch(file *os.File) (stop func(), err error) {
	if err := probeInotify(); err != nil {
		return nil, err
	}
	name := fmt.Sprintf("/proc/self/fd/%d", file.Fd())
	if err := watch.Watch(name); err != nil {
		return nil, fmt.Errorf("watch file: %w", err)
	}
	events := watch.Events(name)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range events {
			w.wake()
		}
	}()
	return func() {
		// Closes events. An error says that the kernel ended the watch first.
		_ = watch.RemoveWatch(name)
		<-ended
	}, nil
}

// probeInotify finds out whether an inotify instance is to be had. The tracker
// would end the process without one.
func probeInotify() error {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if err != nil {
		return fmt.Errorf("start inotify: %w", err)
	}
	if err := unix.Close(fd); err != nil {
		return errors.Join(errors.New("close inotify"), err)
	}
	return nil
}
