package event

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strings"
)

// ID identifies an event, published as 32 lower-case hex digits. The same log
// line always gives the same ids, whether read live, after a crash, from a
// renamed, copied or compressed file.
type ID [16]byte

// String returns the 32 hex digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// NewID computes the id of d: SHA-256 over the hash of its file's first line,
// the line's offset (8 bytes, big endian), the raw line, the status and the
// recipient as logged, with a NUL after each of the last three, cut to 16 bytes.
// Of a record of journald the cursor and a NUL stand for hash and offset, and the
// message for the line, so that an exported journal gives the same ids.
// scratch is used as work space and returned, possibly grown.
func NewID(d *Delivery, scratch []byte) (ID, []byte) {
	b := scratch[:0]
	if d.Cursor != "" {
		b = append(b, d.Cursor...)
		b = append(b, 0)
	} else {
		if d.Origin != nil {
			b = append(b, d.Origin.Head[:]...)
		}
		b = binary.BigEndian.AppendUint64(b, uint64(d.Offset))
	}
	b = append(b, d.Raw...)
	b = append(b, 0)
	b = append(b, d.Status.String()...)
	b = append(b, 0)
	b = append(b, d.Recipient...)
	b = append(b, 0)
	sum := sha256.Sum256(b)
	return ID(sum[:16]), b
}

// Domain returns the lower-cased part of addr after the last "@", "" if there
// is none.
func Domain(addr string) string {
	at := strings.LastIndexByte(addr, '@')
	if at < 0 {
		return ""
	}
	return strings.ToLower(addr[at+1:])
}
