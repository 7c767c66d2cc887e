package tailers

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

const (
	leadSize  = 4096 // bytes of a file's beginning that identify it
	headSize  = 1024 // bytes of the first line that go into event ids
	minMarker = 256
	maxMarker = 4096
)

// headOf returns the hash of a file's first line as Chunk.Origin defines it.
// lead is the beginning of the file: its first leadSize bytes, or less where
// that is the whole first line.
func headOf(lead []byte) [32]byte {
	line := lead[countNULs(lead):]
	if i := bytes.IndexByte(line, '\n'); i >= 0 {
		line = line[:i]
	}
	return sha256.Sum256(line[:min(len(line), headSize)])
}

// markerOf returns the end of read, the bytes that were just read, that is
// remembered to recognise the place: the last whole line at least, and not
// less than minMarker bytes where there are as many. Shorter ends of log lines
// repeat. A marker never has more than maxMarker bytes.
func markerOf(read []byte) []byte {
	start := 0
	if len(read) > 0 {
		start = bytes.LastIndexByte(read[:len(read)-1], '\n') + 1
	}
	start = min(start, max(0, len(read)-minMarker))
	start = max(start, len(read)-maxMarker)
	return read[start:]
}

// fingerprint recognises a run of bytes.
type fingerprint struct {
	Length int `json:"length,omitempty"`
	Sum    sum `json:"sum,omitzero"`
}

func fingerprintOf(b []byte) fingerprint {
	if len(b) == 0 {
		return fingerprint{}
	}
	full := sha256.Sum256(b)
	return fingerprint{Length: len(b), Sum: sum(full[:len(sum{})])}
}

// matches reports whether b starts with the bytes that f was made of.
func (f fingerprint) matches(b []byte) bool {
	return len(b) >= f.Length && fingerprintOf(b[:f.Length]) == f
}

func (f fingerprint) validate(limit int) error {
	if f.Length < 0 || f.Length > limit {
		return fmt.Errorf("length %d is not within 0 and %d", f.Length, limit)
	}
	return nil
}

// sum is the first half of a SHA-256.
type sum [16]byte

func (s sum) MarshalText() ([]byte, error) {
	return hex.AppendEncode(nil, s[:]), nil
}

func (s *sum) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(len(s)) {
		return errors.New("sum does not have 32 hex digits")
	}
	_, err := hex.Decode(s[:], text)
	return err
}
