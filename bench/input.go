package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"mtatap/bench/logs"
)

// input is a log that was made for a measurement.
type input struct {
	path  string
	bytes int64
	lines int
}

// log returns a log, made now or kept from an earlier run.
func (b *bench) log(o logs.Options) (input, error) {
	if b.quick {
		o.Lines /= 10
	}
	o.Seed = 1
	// The name tells what the generator makes of these options today.
	begin := o
	begin.Lines = 1000
	hash := sha256.New()
	if err := logs.Write(hash, begin); err != nil {
		return input{}, err
	}
	path := filepath.Join(b.cache, fmt.Sprintf("%x-%d.log", hash.Sum(nil)[:8], o.Lines))
	if _, err := os.Stat(path); err != nil {
		if err := makeLog(path, o); err != nil {
			return input{}, err
		}
	}
	return measureLog(path)
}

func makeLog(path string, o logs.Options) error {
	fmt.Fprintf(os.Stderr, "making a log of %d lines\n", o.Lines)
	file, err := os.Create(path + ".new")
	if err != nil {
		return fmt.Errorf("make log: %w", err)
	}
	defer file.Close()
	if err := logs.Write(file, o); err != nil {
		return fmt.Errorf("make log: %w", err)
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("make log: %w", err)
	}
	return os.Rename(path+".new", path)
}

// measureLog counts the lines of a log, which brings it into memory too: what is
// measured is not the disk.
func measureLog(path string) (input, error) {
	n, lines, err := count(path, nil)
	return input{path: path, bytes: n, lines: lines}, err
}

// count returns the length of a file and how many of its lines hold word; nil
// counts all.
func count(path string, word []byte) (size int64, lines int, err error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, 0, fmt.Errorf("count lines: %w", err)
	}
	defer file.Close()
	if word == nil {
		word = []byte{'\n'}
	}
	buf := make([]byte, 1<<20)
	kept := 0
	for {
		n, err := file.Read(buf[kept:])
		size += int64(n)
		data := buf[:kept+n]
		end := bytes.LastIndexByte(data, '\n') + 1
		lines += bytes.Count(data[:end], word)
		kept = copy(buf, data[end:])
		if err == io.EOF {
			return size, lines, nil
		}
		if err != nil {
			return 0, 0, fmt.Errorf("count lines: %w", err)
		}
	}
}
