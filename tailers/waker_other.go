//go:build !linux

package tailers

import (
	"errors"
	"os"
)

type fileWaker struct {
	pollWaker
}

func newWaker() Waker { return &fileWaker{} }

// Watch has no way to watch a file here: the Follower polls.
func (*fileWaker) Watch(*os.File) (stop func(), err error) {
	return nil, errors.ErrUnsupported
}
