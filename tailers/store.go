package tailers

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"
)

const (
	checkpointName    = "checkpoint.json"
	lockName          = "lock"
	checkpointVersion = 1

	// keepAbsent is how long the position of a file is kept that Save is not
	// given any more: a file may be away just while it is rotated.
	keepAbsent = 7 * 24 * time.Hour

	// maxCheckpoint bounds what is read back, in bytes.
	maxCheckpoint = 256 << 20
)

// Found says what a Store knows of a file.
type Found uint8

const (
	// Known: the position is that of the last Save.
	Known Found = iota
	// NoCheckpoint: nothing was ever saved in this folder.
	NoCheckpoint
	// NewSource: there is a checkpoint that does not know the source.
	NewSource
	// NewFile: the source is known and the file appeared later.
	NewFile
	// Unreadable: there is a checkpoint, but it cannot be used; see Problem.
	Unreadable
)

// Start returns where reading begins: as configured for what is new to us, at
// the beginning for what appeared, or was lost sight of, while we should have
// been reading.
func (f Found) Start(configured Start) Start {
	if f == NoCheckpoint || f == NewSource {
		return configured
	}
	return StartBeginning
}

// Store keeps positions and parser memories in a folder that it alone uses.
// Its methods may be called from any goroutine.
type Store struct {
	dir     string
	lock    *os.File
	fresh   bool // there was no checkpoint
	problem error

	mu      sync.Mutex
	files   map[string]storedFile
	sources []string // known at the last Save, sorted
	asked   []string // known from the next Save on, sorted
	saved   bool
	now     func() time.Time
}

// checkpointFile is the content of checkpoint.json.
type checkpointFile struct {
	Version int                   `json:"version"`
	Sources []string              `json:"sources"`
	Files   map[string]storedFile `json:"files"`
}

type storedFile struct {
	Position Position  `json:"position"`
	Saved    time.Time `json:"saved"`
}

// OpenStore opens the folder dir, made with mode 0700 if it is missing, and
// locks it until Close, so that two processes never share it. A checkpoint
// that cannot be read or was written by a newer version is no error: see
// Problem.
func OpenStore(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open state folder: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open state folder: %w", err)
	}
	if err := lockFile(lock); err != nil {
		return nil, errors.Join(fmt.Errorf("lock state folder %q: %w", dir, err), lock.Close())
	}
	s := &Store{dir: dir, lock: lock, files: make(map[string]storedFile), now: time.Now}
	s.load()
	return s, nil
}

func (s *Store) load() {
	path := filepath.Join(s.dir, checkpointName)
	b, err := readFile(path, maxCheckpoint)
	if errors.Is(err, fs.ErrNotExist) {
		s.fresh = true
		return
	}
	if err == nil {
		var c checkpointFile
		if c, err = decodeCheckpoint(b); err == nil {
			s.files, s.sources = c.Files, c.Sources
			return
		}
	}
	s.problem = fmt.Errorf("read checkpoint %q: %w", path, err)
}

// decodeCheckpoint reads what encodeCheckpoint wrote.
func decodeCheckpoint(b []byte) (checkpointFile, error) {
	var version struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(b, &version); err != nil {
		return checkpointFile{}, err
	}
	if version.Version != checkpointVersion {
		return checkpointFile{}, fmt.Errorf("version is %d, this program knows %d", version.Version, checkpointVersion)
	}
	var c checkpointFile
	if err := json.Unmarshal(b, &c); err != nil {
		return checkpointFile{}, err
	}
	files := make(map[string]storedFile, len(c.Files))
	for name, f := range c.Files {
		path, err := decodeName(name)
		if err != nil {
			return checkpointFile{}, fmt.Errorf("file name %q: %w", name, err)
		}
		files[path] = f
	}
	c.Files = files
	for i, name := range c.Sources {
		path, err := decodeName(name)
		if err != nil {
			return checkpointFile{}, fmt.Errorf("source %q: %w", name, err)
		}
		c.Sources[i] = path
	}
	slices.Sort(c.Sources)
	return c, nil
}

func encodeCheckpoint(c checkpointFile) ([]byte, error) {
	out := checkpointFile{Version: checkpointVersion, Files: make(map[string]storedFile, len(c.Files))}
	for path, f := range c.Files {
		out.Files[encodeName(path)] = f
	}
	for _, path := range c.Sources {
		out.Sources = append(out.Sources, encodeName(path))
	}
	b, err := json.MarshalIndent(out, "", "\t")
	return append(b, '\n'), err
}

// encodeName gives every path a form that JSON keeps: bytes that are not
// UTF-8 would be lost.
func encodeName(path string) string {
	if utf8.ValidString(path) && (path == "" || path[0] != '"') {
		return path
	}
	return strconv.Quote(path)
}

func decodeName(name string) (string, error) {
	if name == "" || name[0] != '"' {
		return name, nil
	}
	return strconv.Unquote(name)
}

// Problem returns why the checkpoint that was there could not be used, nil if
// it could or there was none. All files start at the beginning then.
func (s *Store) Problem() error { return s.problem }

// Position returns the saved position of file, which belongs to source (the
// configured path or glob), and what is known where there is none. Asking
// makes the source known from the next Save on: ask for all files that are
// there at start before the first Save, and for a glob that matches nothing
// with file "". Whatever appears later is a NewFile.
func (s *Store) Position(source, file string) (Position, Found) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i, ok := slices.BinarySearch(s.asked, source); !ok {
		s.asked = slices.Insert(s.asked, i, source)
	}
	if f, ok := s.files[file]; ok && !f.Position.IsZero() {
		return f.Position, Known
	}
	if s.problem != nil {
		return Position{}, Unreadable
	}
	if s.fresh && !s.saved {
		return Position{}, NoCheckpoint
	}
	if _, ok := slices.BinarySearch(s.sources, source); ok {
		return Position{}, NewFile
	}
	return Position{}, NewSource
}

// Save makes positions, by file, durable: when it returns nil they survive a
// crash and a loss of power. After any error the last saved ones still hold.
// Files not named keep their position for a week. Save blocks for the disk. A
// checkpoint that could not be read is kept beside the first new one.
func (s *Store) Save(positions map[string]Position) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now().UTC()
	files := make(map[string]storedFile, len(positions))
	for path, f := range s.files {
		if now.Sub(f.Saved) < keepAbsent {
			files[path] = f
		}
	}
	for path, p := range positions {
		files[path] = storedFile{Position: p, Saved: now}
	}
	b, err := encodeCheckpoint(checkpointFile{Sources: s.asked, Files: files})
	if err == nil {
		path := filepath.Join(s.dir, checkpointName)
		if s.problem != nil && !s.saved {
			// It may still be of use to the version that wrote it.
			_ = os.Rename(path, path+".unreadable")
		}
		err = writeFile(path, b)
	}
	if err != nil {
		return fmt.Errorf("save checkpoint: %w", err)
	}
	s.files, s.sources = files, slices.Clone(s.asked)
	s.saved = true
	return nil
}

// Close unlocks the folder.
func (s *Store) Close() error { return s.lock.Close() }
