// Package store keeps the states of recipients on disk, in one bbolt file with a
// part for each partition. A part's changes and its mark, the position up to which
// they reach, are written in one transaction, so they can never disagree. What keys
// and values mean is not its business.
package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// Options vary how a store is opened.
type Options struct {
	// Cache is set where everything in the store can be had again from elsewhere.
	// It is then not flushed at each change, and begins empty after it was not
	// closed, or cannot be read.
	Cache bool
}

// Store is an open store. Its methods and those of its parts may be called
// concurrently; one process can have it open at a time.
type Store struct {
	db    *bbolt.DB
	cache bool
}

// version is that of the file's layout and of what is in it. It goes up when an
// older program would misread or spoil a file that a newer one has written.
const version = 1

// ErrInUse means that another process has the store open.
var ErrInUse = errors.New("is in use by another process")

var (
	marks  = []byte("marks")  // of each part
	counts = []byte("counts") // of keys in each part
	parts  = []byte("parts")
	format = []byte("format") // of the file: its version
	opened = []byte("opened") // in marks: a cache that was not closed
)

// Open opens the store at path, or makes it. A store of a newer version is refused;
// as a cache it begins empty.
func Open(path string, o Options) (*Store, error) {
	db, err := open(path, o)
	if o.Cache && err != nil && !errors.Is(err, ErrInUse) {
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("remove broken cache: %w", err)
		}
		db, err = open(path, o)
	}
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	return &Store{db: db, cache: o.Cache}, nil
}

var errNotClosed = errors.New("was not closed")

func open(path string, o Options) (*bbolt.DB, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: 200 * time.Millisecond, NoFreelistSync: o.Cache, NoGrowSync: o.Cache, FreelistType: bbolt.FreelistMapType})
	if errors.Is(err, berrors.ErrTimeout) {
		return nil, ErrInUse
	}
	if err != nil {
		return nil, err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		if err := checkVersion(tx); err != nil {
			return err
		}
		for _, name := range [][]byte{marks, counts, parts} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		if !o.Cache {
			return nil
		}
		if tx.Bucket(marks).Get(opened) != nil {
			return errNotClosed
		}
		return tx.Bucket(marks).Put(opened, []byte{1})
	})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	db.NoSync = o.Cache
	return db, nil
}

// checkVersion refuses what a newer program has written and marks all else as of
// this one. The first stores had no mark: they are of version 1.
func checkVersion(tx *bbolt.Tx) error {
	b, err := tx.CreateBucketIfNotExists(format)
	if err != nil {
		return err
	}
	key := []byte("version")
	if text := b.Get(key); text != nil {
		if n, err := strconv.Atoi(string(text)); err != nil || n > version {
			return fmt.Errorf("is of version %q, this program knows %d: run the newer mtatap again, or move the file away to begin anew", text, version)
		}
	}
	return b.Put(key, strconv.AppendInt(nil, version, 10))
}

// Close flushes and closes the store.
func (s *Store) Close() error {
	if s.cache {
		err := s.db.Sync()
		if err == nil {
			s.db.NoSync = false
			err = s.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(marks).Delete(opened) })
		}
		if err != nil {
			return errors.Join(fmt.Errorf("flush store: %w", err), s.db.Close())
		}
	}
	return s.db.Close()
}

// Size is the length of the file in bytes.
func (s *Store) Size() (n int64) {
	_ = s.db.View(func(tx *bbolt.Tx) error { n = tx.Size(); return nil }) // fails only when closed
	return n
}

// Part returns the part of that name, which is empty until something is applied.
// Part names of one store are its user's own: they hold nothing of a log.
func (s *Store) Part(name string) *Part { return &Part{store: s, name: []byte(name)} }

// Part is a part of a store.
type Part struct {
	store *Store
	name  []byte
}

// Changes are new values by key; nil removes the key. Keys are not empty and at
// most 32 KiB long.
type Changes map[string][]byte

// Apply makes changes and sets the mark, all or nothing. It returns when a store
// that is no cache has them on the disk.
func (p *Part) Apply(changes Changes, mark []byte) error {
	keys := sortedKeys(changes) // neighbours share pages
	err := p.store.db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.Bucket(parts).CreateBucketIfNotExists(p.name)
		if err != nil {
			return err
		}
		more := 0
		for _, key := range keys {
			k, value := []byte(key), changes[key]
			had := b.Get(k) != nil
			switch {
			case value == nil && had:
				more--
				err = b.Delete(k)
			case value != nil:
				if !had {
					more++
				}
				err = b.Put(k, value)
			}
			if err != nil {
				return err
			}
		}
		if err := p.add(tx, more); err != nil {
			return err
		}
		return tx.Bucket(marks).Put(p.name, mark)
	})
	if err != nil {
		return fmt.Errorf("write store: %w", err)
	}
	return nil
}

// add counts more keys.
func (p *Part) add(tx *bbolt.Tx, more int) error {
	if more == 0 {
		return nil
	}
	n := binary.BigEndian.AppendUint64(nil, uint64(p.count(tx)+more))
	return tx.Bucket(counts).Put(p.name, n)
}

// View calls f with what reads single values. They are valid until f returns.
func (p *Part) View(f func(get func(key string) []byte) error) error {
	return p.store.db.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket(parts).Bucket(p.name)
		return f(func(key string) []byte {
			if b == nil {
				return nil
			}
			return b.Get([]byte(key))
		})
	})
}

// Each calls f for each key from the given one on, in the order of bytes, until f
// returns false or an error. Values are valid until f returns.
func (p *Part) Each(from string, f func(key string, value []byte) (bool, error)) error {
	return p.store.db.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket(parts).Bucket(p.name)
		if b == nil {
			return nil
		}
		c := b.Cursor()
		for k, v := c.Seek([]byte(from)); k != nil; k, v = c.Next() {
			if more, err := f(string(k), v); err != nil || !more {
				return err
			}
		}
		return nil
	})
}

// Mark returns the mark that was last set, nil if none was.
func (p *Part) Mark() (mark []byte) {
	_ = p.store.db.View(func(tx *bbolt.Tx) error { // fails only when closed
		mark = slices.Clone(tx.Bucket(marks).Get(p.name))
		return nil
	})
	return mark
}

// Count returns how many keys there are.
func (p *Part) Count() (n int) {
	_ = p.store.db.View(func(tx *bbolt.Tx) error { n = p.count(tx); return nil }) // fails only when closed
	return n
}

func (p *Part) count(tx *bbolt.Tx) int {
	if n := tx.Bucket(counts).Get(p.name); len(n) == 8 {
		return int(binary.BigEndian.Uint64(n))
	}
	return 0
}

// Drop empties the part and forgets its mark.
func (p *Part) Drop() error {
	err := p.store.db.Update(func(tx *bbolt.Tx) error {
		if tx.Bucket(parts).Bucket(p.name) != nil {
			if err := tx.Bucket(parts).DeleteBucket(p.name); err != nil {
				return err
			}
		}
		return errors.Join(tx.Bucket(marks).Delete(p.name), tx.Bucket(counts).Delete(p.name))
	})
	if err != nil {
		return fmt.Errorf("empty store: %w", err)
	}
	return nil
}

// Names returns the parts that hold something or have a mark.
func (s *Store) Names() (all []string) {
	_ = s.db.View(func(tx *bbolt.Tx) error { // fails only when closed
		return tx.Bucket(marks).ForEach(func(k, _ []byte) error {
			if !strings.EqualFold(string(k), string(opened)) {
				all = append(all, string(k))
			}
			return nil
		})
	})
	return all
}
