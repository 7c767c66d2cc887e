package parsers

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"
)

// maxRememberedField bounds what is kept of one field that a stranger chose.
const maxRememberedField = 1024

func clip[T ~string | ~[]byte](s T) T {
	if len(s) > maxRememberedField {
		return s[:maxRememberedField]
	}
	return s
}

// trimCutRune removes the beginning of a UTF-8 character that a cut left at the
// end of s.
func trimCutRune(s string) string {
	for n := 1; n < utf8.UTFMax && n <= len(s); n++ {
		if c := s[len(s)-n]; utf8.RuneStart(c) {
			if c >= utf8.RuneSelf && !utf8.FullRuneInString(s[len(s)-n:]) {
				return s[:len(s)-n]
			}
			break
		}
	}
	return s
}

// Snapshots are sequences of single bytes, of uvarints and of byte strings, each
// with its length in front. The first byte is the version of the form.

func appendBytes[T ~string | ~[]byte](dst []byte, s T) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// appendFlags appends one byte of at most eight flags.
func appendFlags(dst []byte, set ...bool) []byte {
	var b byte
	for i, on := range set {
		if on {
			b |= 1 << i
		}
	}
	return append(dst, b)
}

// appendSnapshot appends all messages, the longest untouched first: their
// number, then of each its id and what value appends for it.
func (m *memory[V]) appendSnapshot(dst []byte, value func(dst []byte, v *V) []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(m.len()))
	m.each(func(id []byte, v *V) { dst = value(appendBytes(dst, id), v) })
	return dst
}

var errSnapshot = errors.New("read parser snapshot: cut or damaged")

// snapshotReader reads a snapshot. After the first failure err is set and
// everything reads as zero.
type snapshotReader struct {
	rest []byte
	err  error
}

// restoreSnapshot gives the reader of a snapshot of that version to read. Before, and
// if the snapshot turns out to be damaged, it forgets what is remembered.
func restoreSnapshot(snapshot []byte, version byte, forget func(), read func(*snapshotReader)) error {
	forget()
	r := readSnapshot(snapshot, version)
	read(r)
	err := r.finish()
	if err != nil {
		forget()
	}
	return err
}

// readSnapshot starts to read a snapshot, which must be of that version.
func readSnapshot(snapshot []byte, version byte) *snapshotReader {
	r := &snapshotReader{rest: snapshot}
	if v := r.byte(); r.err == nil && v != version {
		r.err, r.rest = fmt.Errorf("read parser snapshot: version is %d, this program knows %d", v, version), nil
	}
	return r
}

// messages calls f with the id of each message that appendSnapshot wrote, until
// a failure. f must read what was appended for the message.
func (r *snapshotReader) messages(f func(id string)) {
	for n := r.uvarint(); n > 0 && r.err == nil; n-- {
		id := r.bytes()
		if len(id) == 0 {
			r.fail()
			return
		}
		f(string(id))
	}
}

// finish returns the error of the whole snapshot, of which nothing may be left.
func (r *snapshotReader) finish() error {
	if len(r.rest) > 0 {
		r.fail()
	}
	return r.err
}

func (r *snapshotReader) byte() byte {
	if len(r.rest) == 0 {
		r.fail()
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

func (r *snapshotReader) flags(to ...*bool) {
	b := r.byte()
	for i, flag := range to {
		*flag = b&(1<<i) != 0
	}
}

func (r *snapshotReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// number reads a uvarint that must not be greater than limit.
func (r *snapshotReader) number(limit uint64) uint64 {
	v := r.uvarint()
	if v > limit {
		r.fail()
		return 0
	}
	return v
}

// bytes returns a part of the snapshot itself.
func (r *snapshotReader) bytes() []byte {
	n := r.uvarint()
	if n > uint64(len(r.rest)) {
		r.fail()
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *snapshotReader) fail() { r.err, r.rest = cmp.Or(r.err, errSnapshot), nil }
