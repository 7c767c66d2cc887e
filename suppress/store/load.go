package store

import (
	"bufio"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"go.etcd.io/bbolt"
)

const (
	runBytes    = 2 << 20  // of keys and values that are sorted in memory
	readerBytes = 32 << 10 // of each run when runs are merged
	loadBytes   = 4 << 20  // written in one transaction
	loadFill    = 0.9      // of a page: it is written in order and hardly changes
)

// Loader fills an empty part with more than fits into memory, much faster than Apply
// does: keys are sorted in a file beside the store, without a name, and written in
// their order. One goroutine owns it.
type Loader struct {
	part    *Part
	pending Changes
	size    int
	file    *os.File // of the sorted runs; nil: none yet
	ends    []int64  // of runs in it
}

// Load returns a loader of p, which is empty and nobody else changes. Close must be
// called.
func (p *Part) Load() *Loader { return &Loader{part: p, pending: Changes{}} }

// Put sets key to value, or removes it where value is nil; of several the last one
// counts. It keeps value.
func (l *Loader) Put(key string, value []byte) {
	l.pending[key] = value
	l.size += len(key) + len(value)
}

// Spill moves what was put to the disk, if it is much.
func (l *Loader) Spill() error {
	if l.size < runBytes {
		return nil
	}
	return l.spill()
}

func (l *Loader) spill() error {
	if l.file == nil {
		file, err := os.CreateTemp(filepath.Dir(l.part.store.db.Path()), ".load-")
		if err != nil {
			return fmt.Errorf("make file to sort in: %w", err)
		}
		l.file = file
		if err := os.Remove(file.Name()); err != nil {
			return fmt.Errorf("take the name of the file to sort in: %w", err)
		}
	}
	w := bufio.NewWriter(l.file)
	written := 0
	for _, key := range sortedKeys(l.pending) {
		value := l.pending[key]
		head := binary.AppendUvarint(nil, uint64(len(key)))
		if value == nil {
			head = binary.AppendUvarint(head, 0)
		} else {
			head = binary.AppendUvarint(head, uint64(len(value))+1)
		}
		written += len(head) + len(key) + len(value)
		_, _ = w.Write(head) // told by Flush
		_, _ = w.WriteString(key)
		_, _ = w.Write(value)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write file to sort in: %w", err)
	}
	l.ends = append(l.ends, l.end()+int64(written))
	l.pending, l.size = Changes{}, 0
	return nil
}

func (l *Loader) end() int64 {
	if len(l.ends) == 0 {
		return 0
	}
	return l.ends[len(l.ends)-1]
}

// Commit writes all to the part, and then the mark. After an error the part may hold
// some of it, without a mark.
func (l *Loader) Commit(mark []byte) error {
	if len(l.ends) == 0 {
		return l.part.Apply(l.pending, mark)
	}
	if err := l.spill(); err != nil {
		return err
	}
	var all runs
	from := int64(0)
	for i, end := range l.ends {
		r := &run{reader: bufio.NewReaderSize(io.NewSectionReader(l.file, from, end-from), readerBytes), age: -i}
		from = end
		switch err := r.next(); {
		case err == nil:
			all = append(all, r)
		case !errors.Is(err, io.EOF):
			return err
		}
	}
	heap.Init(&all)
	for len(all) > 0 {
		if err := l.part.append(&all); err != nil {
			return err
		}
	}
	return l.part.Apply(nil, mark)
}

// Close lets go of what was not committed. Closing twice is fine.
func (l *Loader) Close() error {
	if l.file == nil {
		return nil
	}
	file := l.file
	l.file = nil
	return file.Close()
}

// append writes the next few keys of all, which lie behind those of p.
func (p *Part) append(all *runs) error {
	err := p.store.db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.Bucket(parts).CreateBucketIfNotExists(p.name)
		if err != nil {
			return err
		}
		b.FillPercent = loadFill
		n, size := 0, 0
		for len(*all) > 0 && size < loadBytes {
			key, value := (*all)[0].key, (*all)[0].value
			if value != nil {
				if err := b.Put(key, value); err != nil {
					return err
				}
				n, size = n+1, size+len(key)+len(value)
			}
			if err := all.pass(key); err != nil { // and the older values of it
				return err
			}
		}
		return p.add(tx, n)
	})
	if err != nil {
		return fmt.Errorf("write store: %w", err)
	}
	return nil
}

// run is a sorted part of the file.
type run struct {
	reader     *bufio.Reader
	age        int // the newest is the least
	key, value []byte
}

// next reads the next key; what was read before stays valid.
func (r *run) next() error {
	keyLen, err := binary.ReadUvarint(r.reader)
	if err != nil {
		return err // io.EOF too
	}
	valueLen, err := binary.ReadUvarint(r.reader)
	if err != nil {
		return fmt.Errorf("read file to sort in: %w", err)
	}
	text := make([]byte, keyLen+max(valueLen, 1)-1)
	if _, err := io.ReadFull(r.reader, text); err != nil {
		return fmt.Errorf("read file to sort in: %w", err)
	}
	r.key, r.value = text[:keyLen:keyLen], nil
	if valueLen > 0 {
		r.value = text[keyLen:]
	}
	return nil
}

// runs is a heap: the first has the least key, and of that the newest value.
type runs []*run

func (r runs) Len() int      { return len(r) }
func (r runs) Swap(i, j int) { r[i], r[j] = r[j], r[i] }
func (r runs) Less(i, j int) bool {
	if a, b := string(r[i].key), string(r[j].key); a != b {
		return a < b
	}
	return r[i].age < r[j].age
}

// Push implements heap.Interface.
func (r *runs) Push(x any) { *r = append(*r, x.(*run)) }

// Pop implements heap.Interface.
func (r *runs) Pop() any {
	last := (*r)[len(*r)-1]
	*r = (*r)[:len(*r)-1]
	return last
}

// step passes over the first key.
func (r *runs) step() error {
	err := (*r)[0].next()
	switch {
	case err == nil:
		heap.Fix(r, 0)
	case errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		heap.Pop(r)
	default:
		return err
	}
	return nil
}

// pass passes over all that is there of key.
func (r *runs) pass(key []byte) error {
	for len(*r) > 0 && string((*r)[0].key) == string(key) {
		if err := r.step(); err != nil {
			return err
		}
	}
	return nil
}

func sortedKeys(c Changes) []string {
	keys := make([]string, 0, len(c))
	for key := range c {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
