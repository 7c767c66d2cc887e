package sinks

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// appender appends whole lines to a regular file, all of them durably or none.
// It opens the file at the first append, and again after it was renamed or
// removed. Not safe for concurrent use.
type appender struct {
	path string
	file *os.File
	undo int64 // length to cut file to before the next append; -1: none

	// write and sync are those of *os.File but for tests of a failing disk.
	write func(*os.File, []byte) (int, error)
	sync  func(*os.File) error
}

func newAppender(path string) appender {
	return appender{path: path, undo: -1, write: (*os.File).Write, sync: (*os.File).Sync}
}

// append writes lines, each with its newline, and flushes them to the disk. When
// it fails, it cuts off what it wrote, at the latest before the next append.
func (a *appender) append(lines []byte) error {
	if err := a.open(); err != nil {
		return err
	}
	info, err := a.file.Stat()
	if err != nil {
		return fmt.Errorf("look at file: %w", err)
	}
	_, err = a.write(a.file, lines)
	if err == nil {
		err = a.sync(a.file)
	}
	if err != nil {
		a.undo = info.Size()
		return errors.Join(fmt.Errorf("append to file: %w", err), a.takeBack())
	}
	return nil
}

// size returns the length of the file at the path, 0 if there is none.
func (a *appender) size() (int64, error) {
	info, err := os.Stat(a.path)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("look at file: %w", err)
	}
	return info.Size(), nil
}

func (a *appender) close() error {
	if a.file == nil {
		return nil
	}
	err := errors.Join(a.takeBack(), a.file.Close())
	a.file, a.undo = nil, -1
	return err
}

// open makes file the one that is at the path now, free of torn lines.
func (a *appender) open() error {
	if a.file != nil {
		if err := a.takeBack(); err != nil {
			return err
		}
		mine, err := a.file.Stat()
		if err != nil {
			return fmt.Errorf("look at file: %w", err)
		}
		if now, err := os.Stat(a.path); err == nil && os.SameFile(mine, now) {
			return nil
		}
		if err := a.close(); err != nil {
			return fmt.Errorf("close moved file: %w", err)
		}
	}
	_, err := os.Lstat(a.path)
	created := errors.Is(err, os.ErrNotExist)
	f, err := os.OpenFile(a.path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return fmt.Errorf("open file: %w", err)
	}
	if err := prepare(f); err != nil {
		f.Close()
		return err
	}
	if created {
		if err := syncFolder(filepath.Dir(a.path)); err != nil {
			f.Close()
			return err
		}
	}
	a.file = f
	return nil
}

// takeBack cuts off what a failed append left.
func (a *appender) takeBack() error {
	if a.undo < 0 {
		return nil
	}
	info, err := a.file.Stat()
	if err == nil && info.Size() > a.undo {
		err = a.file.Truncate(a.undo)
	}
	if err != nil {
		return fmt.Errorf("cut partial line: %w", err)
	}
	a.undo = -1
	return nil
}

// prepare cuts a last line without a newline: a crash tore it, and its event was
// never acknowledged.
func prepare(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("look at file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("open file: %s is not a regular file", f.Name())
	}
	end, err := endOfLines(f, info.Size())
	if err != nil {
		return fmt.Errorf("find last line: %w", err)
	}
	if end == info.Size() {
		return nil
	}
	if err := f.Truncate(end); err != nil {
		return fmt.Errorf("cut torn line: %w", err)
	}
	return nil
}

// endOfLines returns the offset behind the last newline of the first size bytes.
func endOfLines(r io.ReaderAt, size int64) (int64, error) {
	buf := make([]byte, 64<<10)
	for end := size; end > 0; {
		start := max(0, end-int64(len(buf)))
		chunk := buf[:end-start]
		if _, err := r.ReadAt(chunk, start); err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(chunk, '\n'); i >= 0 {
			return start + int64(i) + 1, nil
		}
		end = start
	}
	return 0, nil
}

func syncFolder(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open folder: %w", err)
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("flush folder: %w", err)
	}
	return nil
}
