package tailers

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"
)

// sighting is a file that was found at the followed path or beside it.
type sighting struct {
	path    string
	mark    mark
	current bool // at the path
	file    *os.File
	info    fs.FileInfo
	kind    compression
	first   []byte // the decompressed beginning, leadSize+1 bytes or all there is
	known   bool   // belongs to a generation that is remembered
	taken   bool   // a generation owns file
}

// errNotRegular: the path is a folder, a pipe or a device.
var errNotRegular = errors.New("not a regular file")

// sight opens the file at path and looks at its beginning.
func sight(path string, current bool) (*sighting, error) {
	// A pipe would block in open.
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errNotRegular
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	s := &sighting{path: path, mark: mark{number: -1}, current: current, file: file}
	if err := s.look(); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return s, nil
}

func (s *sighting) look() error {
	info, err := s.file.Stat()
	if err != nil {
		return err
	}
	s.info = info
	first := make([]byte, leadSize+1)
	n, err := s.file.ReadAt(first, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	s.first = first[:n]
	if s.current {
		return nil // is being written: never compressed
	}
	if s.kind = compressionOf(s.first); s.kind == plain {
		return nil
	}
	r, _, err := decompressed(io.NewSectionReader(s.file, 0, info.Size()))
	if err != nil {
		return err
	}
	first = make([]byte, leadSize+1)
	n, err = io.ReadFull(r, first)
	s.first = first[:n]
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil // short, or cut: then reading it will say so
	}
	return errors.Join(err, r.Close())
}

// is reports whether s is, under whatever name, the file that r remembers.
// Device and inode alone do not tell: both are used again.
func (s *sighting) is(r record) bool {
	return s.sameInode(r) && r.Lead.Length > 0 && r.Lead.matches(s.first)
}

func (s *sighting) sameInode(r record) bool {
	id := identOf(s.info)
	return id != (ident{}) && id == r.ident()
}

// copies reports whether s has, by its content, the generation that r
// remembers as it was when it had been read to its end.
func (s *sighting) copies(r record) bool {
	if r.Lead.Length == 0 || !r.Lead.matches(s.first) {
		return false
	}
	return r.Lead.Length == leadSize || len(s.first) == r.Lead.Length
}

// within reports whether s has nothing but the beginning of g, as a copy has.
func (s *sighting) within(g *generation) bool {
	if len(s.first) == 0 {
		return false
	}
	if g.file != nil {
		first := g.first
		if g.kind == plain {
			first = firstBytes(g.file) // as far as it has grown
		}
		return bytes.HasPrefix(first, s.first)
	}
	// Of a truncated file there is only what was read of it.
	n := min(len(s.first), leadSize)
	return s.kind == plain && s.info.Size() <= g.offset && bytes.HasPrefix(g.lead, s.first[:n])
}

// packs reports whether s is the compressed form of another of seen, which was
// opened just before it was replaced.
func (s *sighting) packs(seen []*sighting) bool {
	return s.kind != plain && len(s.first) > 0 && slices.ContainsFunc(seen, func(t *sighting) bool {
		return t.kind == plain && bytes.HasPrefix(firstBytes(t.file), s.first)
	})
}

// firstBytes returns the first leadSize+1 bytes of a file, or less. What cannot
// be read is not there.
func firstBytes(file *os.File) []byte {
	b := make([]byte, leadSize+1)
	n, _ := file.ReadAt(b, 0)
	return b[:n]
}

// gather opens what is at path and those siblings that pass the filter, oldest
// first and what is at the path last. Names may change while it looks and hide
// a file, so it looks until it finds twice the same; settled is false if that
// did not come about.
func gather(path string, wanted func(fs.FileInfo) bool) (seen []*sighting, settled bool, problem error) {
	var current *sighting
	var before []sibling
	for range 16 {
		beside, missed, err := siblings(path)
		if err != nil {
			problem = err
		}
		for _, b := range beside {
			if at := slices.IndexFunc(seen, func(s *sighting) bool { return os.SameFile(s.info, b.info) }); at >= 0 {
				seen[at].mark, seen[at].path = b.mark, b.path
				continue
			}
			if !wanted(b.info) {
				continue
			}
			s, err := sight(b.path, false)
			if err != nil {
				if errors.Is(err, fs.ErrNotExist) {
					missed = true
				} else {
					problem = err
				}
				continue
			}
			if slices.ContainsFunc(seen, func(t *sighting) bool { return os.SameFile(s.info, t.info) }) {
				s.release()
				continue
			}
			s.mark = b.mark
			seen = append(seen, s)
		}
		if current == nil {
			if s, err := sight(path, true); err == nil {
				current = s
			}
		}
		if settled = !missed && slices.EqualFunc(beside, before, sibling.same); settled {
			break
		}
		before = beside
	}
	if current != nil {
		seen = slices.DeleteFunc(seen, func(s *sighting) bool {
			same := os.SameFile(s.info, current.info)
			if same {
				s.release()
			}
			return same
		})
	}
	slices.SortStableFunc(seen, (*sighting).compare)
	if current != nil {
		seen = append(seen, current)
	}
	return seen, settled, problem
}

// compare orders siblings as they were rotated, oldest first.
func (s *sighting) compare(t *sighting) int {
	if c := s.info.ModTime().Compare(t.info.ModTime()); c != 0 {
		return c
	}
	// What was compressed while we looked is there twice.
	return cmp.Or(s.mark.compare(t.mark), cmp.Compare(s.kind, t.kind))
}

// release closes the file unless a generation owns it.
func (s *sighting) release() {
	if !s.taken {
		_ = s.file.Close() // was only read
	}
}

// newest returns the latest time that siblings were modified, zero if there
// are none.
func newest(seen []*sighting) time.Time {
	var latest time.Time
	for _, s := range seen {
		if t := s.info.ModTime(); !s.current && t.After(latest) {
			latest = t
		}
	}
	return latest
}
