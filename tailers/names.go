package tailers

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// compressedSuffixes are the endings that compressed siblings carry. The first
// readableSuffixes of them can be read.
var compressedSuffixes = []string{".gz", ".zst", ".xz", ".bz2", ".lz4", ".Z"}

const readableSuffixes = 2

// rotationMark matches what rotation adds to a name: a number (".1"), or a
// date with an optional time or counter ("-20261120", ".2026-11-20",
// "-20261120-1700") or seconds since 1970.
var rotationMark = regexp.MustCompile(`^(?:\.(\d{1,4})|[-.]((?:19|20)\d\d-?\d\d-?\d\d(?:[-_.T]?\d+)*|\d{10}))$`)

// mark is what rotation made of a name.
type mark struct {
	number     int    // N of ".N", else -1
	date       string // the date part, else ""
	compressed bool
	unreadable bool // compressed in a way that is not read here
}

// cutCompressed removes the ending of a compressed file from name.
func (m *mark) cutCompressed(name string) string {
	for i, suffix := range compressedSuffixes {
		if rest, cut := strings.CutSuffix(name, suffix); cut && rest != "" {
			m.compressed, m.unreadable = true, i >= readableSuffixes
			return rest
		}
	}
	return name
}

// rotatedName splits the name of a rotated or compressed file into that of the
// file it once was and what was added.
func rotatedName(name string) (base string, m mark, ok bool) {
	m.number = -1
	name = m.cutCompressed(name)
	for i := len(name) - 1; i > 0; i-- {
		if c := name[i]; c != '.' && c != '-' {
			continue
		}
		if m.parse(name[i:]) {
			// A date may itself contain what looks like a mark: the longest
			// mark counts.
			base, ok = name[:i], true
		}
	}
	if ok {
		m.parse(name[len(base):])
		return base, m, true
	}
	return name, m, m.compressed
}

func (m *mark) parse(s string) bool {
	found := rotationMark.FindStringSubmatch(s)
	if found == nil {
		return false
	}
	m.number, m.date = -1, found[2]
	if found[1] != "" {
		m.number, _ = strconv.Atoi(found[1])
	}
	return true
}

// infixName undoes rotation that keeps the extension: "mail-20261120.log" or
// "mail.1.log.gz" for "mail.log".
func infixName(name string) (base string, m mark, ok bool) {
	name = m.cutCompressed(name)
	ext := filepath.Ext(name)
	stem, inner, ok := rotatedName(strings.TrimSuffix(name, ext))
	if !ok || ext == "" || inner.compressed {
		return "", mark{}, false
	}
	inner.compressed, inner.unreadable = m.compressed, m.unreadable
	return stem + ext, inner, true
}

// sibling is a rotated or compressed file beside the one that is followed.
type sibling struct {
	path string
	info fs.FileInfo
	mark mark
}

// same reports whether both are the same file under the same name.
func (s sibling) same(t sibling) bool { return s.path == t.path && os.SameFile(s.info, t.info) }

// siblings lists what stands beside path, and beside what path links to. A
// compressed file whose original is still there is being written and left out.
// missed is true if a name went away while it looked.
func siblings(path string) (found []sibling, missed bool, err error) {
	found, missed, err = siblingsIn(path)
	if real, e := filepath.EvalSymlinks(path); e == nil && real != filepath.Clean(path) {
		linked, m, e := siblingsIn(real)
		missed, err = missed || m, errors.Join(err, e)
		for _, s := range linked {
			if !slices.ContainsFunc(found, func(t sibling) bool { return os.SameFile(s.info, t.info) }) {
				found = append(found, s)
			}
		}
	}
	return found, missed, err
}

// compare orders the older first: higher numbers, earlier dates.
func (m mark) compare(n mark) int {
	return cmp.Or(cmp.Compare(n.number, m.number), strings.Compare(m.date, n.date))
}

func siblingsIn(path string) (found []sibling, missed bool, err error) {
	dir, base := filepath.Split(filepath.Clean(path))
	if dir == "" {
		dir = "."
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, false, nil
		}
		return nil, false, fmt.Errorf("list siblings: %w", err)
	}
	stem := strings.TrimSuffix(base, filepath.Ext(base))
	names := make(map[string]bool)
	for _, e := range entries {
		name := e.Name()
		names[name] = true
		if name == base || !strings.HasPrefix(name, stem) || e.IsDir() {
			continue
		}
		of, m, ok := rotatedName(name)
		if !ok || of != base {
			if of, m, ok = infixName(name); !ok || of != base {
				continue
			}
		}
		full := filepath.Join(dir, name)
		info, err := os.Stat(full)
		if err != nil || !info.Mode().IsRegular() {
			missed = missed || errors.Is(err, fs.ErrNotExist)
			continue
		}
		found = append(found, sibling{path: full, info: info, mark: m})
	}
	return slices.DeleteFunc(found, func(s sibling) bool {
		original := filepath.Base(strings.TrimSuffix(s.path, filepath.Ext(s.path)))
		return s.mark.unreadable || s.mark.compressed && original != base && names[original]
	}), missed, nil
}

// stamp tells whether names changed in the folders of a log and of what it
// links to.
type stamp struct{ folder, linked int64 }

func stampOf(path string) stamp {
	s := stamp{folder: folderTime(path)}
	if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSymlink == 0 {
		s.linked = s.folder // whatever links lead to the folder
		return s
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		s.linked = folderTime(real)
	}
	return s
}

func folderTime(path string) int64 {
	info, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return 0
	}
	return info.ModTime().UnixNano()
}

// clockTick is more than file times lag behind the clock.
const clockTick = 100 * time.Millisecond

// settled returns s as it may be relied on at now: not at all if a folder
// changed so lately that the next change may leave its time the same.
func (s stamp) settled(now time.Time) stamp {
	if now.UnixNano()-max(s.folder, s.linked) < int64(clockTick) {
		return stamp{}
	}
	return s
}

// Expand returns the files that pattern, a path or a glob as filepath.Match
// has it, stands for at this moment, sorted. A path without wildcards is
// returned even if there is no such file.
//
// Of a glob's matches, folders are left out, and so are compressed files and
// rotated ones: those whose name without the rotation's mark matches the glob
// too. So "mail.log*" gives mail.log and not mail.log.1, and "mainlog-*" still
// finds the dated logs of a server that names them so itself.
func Expand(pattern string) ([]string, error) {
	if !IsGlob(pattern) {
		return []string{pattern}, nil
	}
	matches, err := filepath.Glob(pattern)
	if err != nil {
		return nil, fmt.Errorf("expand %q: %w", pattern, err)
	}
	there := make(map[string]bool, len(matches))
	for _, m := range matches {
		there[m] = true
	}
	matches = slices.DeleteFunc(matches, func(path string) bool {
		if rotatedMatch(pattern, path, there) {
			return true
		}
		info, err := os.Stat(path)
		return err != nil || info.IsDir()
	})
	slices.Sort(matches)
	return matches, nil
}

// IsGlob reports whether pattern has wildcards, so that Expand may give another
// answer later.
func IsGlob(pattern string) bool { return strings.ContainsAny(pattern, `*?[\`) }

func rotatedMatch(pattern, path string, there map[string]bool) bool {
	dir, name := filepath.Split(path)
	base, m, ok := rotatedName(name)
	if ok && m.compressed {
		return true
	}
	if ok {
		if like, err := filepath.Match(pattern, dir+base); err == nil && like {
			return true
		}
	}
	base, _, ok = infixName(name)
	return ok && there[dir+base]
}
