//go:build unix

package tailers

import (
	"errors"
	"os"
	"syscall"
)

// lockFile takes the lock that ends with the open file.
func lockFile(file *os.File) error {
	err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errors.New("another process uses it")
	}
	return err
}

// syncFolder makes renames within dir durable.
func syncFolder(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
