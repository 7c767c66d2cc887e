package tailers

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

const (
	memoryVersion = 1
	maxMemory     = 1 << 30 // bytes that are read back
)

// memoryHeader is the first line of a memory file; the snapshot follows.
type memoryHeader struct {
	Version  int      `json:"version"`
	File     string   `json:"file"`
	Position Position `json:"position"`
	Length   int      `json:"length"`
	SHA256   string   `json:"sha256"` // of the snapshot
}

// memoryPath names the memory of a file by a hash: paths may be too long for a
// name.
func (s *Store) memoryPath(file string) string {
	sum := sha256.Sum256([]byte(file))
	return filepath.Join(s.dir, "memory-"+hex.EncodeToString(sum[:8]))
}

// SaveMemory makes the snapshot of what the parser of a file remembers
// durable, together with the position it was taken at, in a file of its own.
// The position must not be ahead of the one saved by Save: save that first.
func (s *Store) SaveMemory(file string, at Position, snapshot []byte) error {
	head, err := encodeMemoryHeader(file, at, snapshot)
	if err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		err = writeFile(s.memoryPath(file), head, snapshot)
	}
	if err != nil {
		return fmt.Errorf("save parser memory: %w", err)
	}
	return nil
}

// Memory returns what SaveMemory saved last; zero and nil if there is nothing.
// After an error there is nothing to be had of it either.
func (s *Store) Memory(file string) (Position, []byte, error) {
	b, err := readFile(s.memoryPath(file), maxMemory)
	if errors.Is(err, fs.ErrNotExist) {
		return Position{}, nil, nil
	}
	if err != nil {
		return Position{}, nil, fmt.Errorf("read parser memory: %w", err)
	}
	at, snapshot, err := decodeMemory(file, b)
	if err != nil {
		return Position{}, nil, fmt.Errorf("read parser memory: %w", err)
	}
	return at, snapshot, nil
}

func encodeMemoryHeader(file string, at Position, snapshot []byte) ([]byte, error) {
	sum := sha256.Sum256(snapshot)
	head, err := json.Marshal(memoryHeader{
		Version:  memoryVersion,
		File:     encodeName(file),
		Position: at,
		Length:   len(snapshot),
		SHA256:   hex.EncodeToString(sum[:]),
	})
	if err != nil {
		return nil, err
	}
	return append(head, '\n'), nil
}

func decodeMemory(file string, b []byte) (Position, []byte, error) {
	head, snapshot, ok := bytes.Cut(b, []byte{'\n'})
	if !ok {
		return Position{}, nil, errors.New("no header")
	}
	var version struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(head, &version); err != nil {
		return Position{}, nil, fmt.Errorf("header: %w", err)
	}
	if version.Version != memoryVersion {
		return Position{}, nil, fmt.Errorf("version is %d, this program knows %d", version.Version, memoryVersion)
	}
	var h memoryHeader
	if err := json.Unmarshal(head, &h); err != nil {
		return Position{}, nil, fmt.Errorf("header: %w", err)
	}
	if h.File != encodeName(file) {
		return Position{}, nil, fmt.Errorf("belongs to %q", h.File)
	}
	sum := sha256.Sum256(snapshot)
	if h.Length != len(snapshot) || h.SHA256 != hex.EncodeToString(sum[:]) {
		return Position{}, nil, errors.New("snapshot is damaged")
	}
	return h.Position, snapshot, nil
}
