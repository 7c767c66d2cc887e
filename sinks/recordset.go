package sinks

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"sync"
	"time"

	"github.com/pierrec/lz4/v4"
	"github.com/segmentio/kafka-go"

	"mtatap/event"
)

// recordSets makes the record sets of produce requests: one record batch each, of
// magic 2 (https://kafka.apache.org/documentation/#recordbatch). The client
// library's own encoder takes twice the time and, for LZ4, blocks of 4 MiB a
// partition. Any number of goroutines may use it.
type recordSets struct {
	codec kafka.Compression
	idle  sync.Pool // of *recordSet
}

// get returns a recordSet for one attempt. Give it back with put when no reader
// can be left: not after an attempt that failed, which may still be read from.
func (s *recordSets) get() *recordSet {
	if set, ok := s.idle.Get().(*recordSet); ok {
		return set
	}
	set := &recordSet{codec: s.codec}
	if s.codec == kafka.Lz4 {
		// The checksum of the batch covers the content. Matches reach back
		// 64 KiB at most, so larger blocks gain little.
		set.lz4 = lz4.NewWriter(nil)
		_ = set.lz4.Apply(lz4.BlockSizeOption(lz4.Block64Kb), lz4.ChecksumOption(false)) // both are known options
	}
	return set
}

func (s *recordSets) put(set *recordSet) { s.idle.Put(set) }

// recordSet is the encoded form of some records, and what encoding needs.
type recordSet struct {
	codec kafka.Compression
	lz4   *lz4.Writer // nil for other codecs

	encoded bytes.Buffer // the set as it is sent
	record  []byte       // the one that is being written
	length  []byte       // of it
	time    []byte       // ce_time of the last record
	timed   time.Time
	source  []byte // ce_source of the last record
	host    string
}

// Where fields of a record set are: its size, then one batch.
const (
	batchStart  = 4
	batchLength = batchStart + 8
	batchCRC    = batchStart + 17
	batchAfter  = batchStart + 21 // what the checksum covers
	batchHeader = batchStart + 61
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encode returns the record set of recs, at least one, all published at now. It is
// valid until encode is called again.
func (s *recordSet) encode(recs []record, now time.Time) ([]byte, error) {
	s.encoded.Reset()
	s.encoded.Write(make([]byte, batchHeader))
	if err := s.compress(recs); err != nil {
		return nil, fmt.Errorf("compress records: %w", err)
	}
	b, ms := s.encoded.Bytes(), uint64(now.UnixMilli())
	big := binary.BigEndian
	big.PutUint32(b, uint32(len(b)-batchStart))
	big.PutUint32(b[batchLength:], uint32(len(b)-batchLength-4))
	h := b[batchStart:]
	big.PutUint32(h[12:], 1<<32-1) // leader epoch: unknown
	h[16] = 2                      // magic
	big.PutUint16(h[21:], uint16(s.codec))
	big.PutUint32(h[23:], uint32(len(recs)-1)) // last offset delta
	big.PutUint64(h[27:], ms)                  // first and
	big.PutUint64(h[35:], ms)                  // last time
	big.PutUint64(h[43:], 1<<64-1)             // no producer id,
	big.PutUint16(h[51:], 1<<16-1)             // epoch
	big.PutUint32(h[53:], 1<<32-1)             // and sequence
	big.PutUint32(h[57:], uint32(len(recs)))
	big.PutUint32(b[batchCRC:], crc32.Checksum(b[batchAfter:], castagnoli))
	return b, nil
}

// compress appends records to the encoded set.
func (s *recordSet) compress(recs []record) error {
	codec := s.codec.Codec()
	switch {
	case s.lz4 != nil:
		s.lz4.Reset(&s.encoded)
		return s.write(s.lz4, recs)
	case codec != nil:
		return s.write(codec.NewWriter(&s.encoded), recs)
	default:
		return s.write(uncompressed{&s.encoded}, recs)
	}
}

// write writes records to w, one after the other and never all in one buffer, and
// closes it.
func (s *recordSet) write(w io.WriteCloser, recs []record) error {
	for i, r := range recs {
		s.record = s.appendRecord(s.record[:0], r, i)
		s.length = binary.AppendVarint(s.length[:0], int64(len(s.record)))
		if _, err := w.Write(s.length); err != nil {
			return err
		}
		if _, err := w.Write(s.record); err != nil {
			return err
		}
	}
	return w.Close()
}

type uncompressed struct{ io.Writer }

func (uncompressed) Close() error { return nil }

// appendRecord appends record number n of a batch, without its length. Its headers
// are those of CloudEvents 1.0, Kafka protocol binding, binary content mode.
func (s *recordSet) appendRecord(b []byte, r record, n int) []byte {
	e := r.event
	if e.Host != s.host || s.source == nil {
		s.host, s.source = e.Host, ceSource(e.Host)
	}
	occurred := e.Time
	if occurred.IsZero() {
		occurred = e.Observed
	}
	if !occurred.Equal(s.timed) || s.time == nil { // neighbours share it
		s.timed, s.time = occurred, occurred.UTC().AppendFormat(s.time[:0], time.RFC3339Nano)
	}
	b = append(b, 0, 0) // no attributes, time is that of the batch
	b = binary.AppendVarint(b, int64(n))
	b = appendSized(b, r.key)
	b = appendSized(b, e.JSON)
	b = binary.AppendVarint(b, 6)
	b = appendSized(appendSized(b, "ce_specversion"), "1.0")
	b = binary.AppendVarint(appendSized(b, "ce_id"), 2*int64(len(event.ID{})))
	b = hex.AppendEncode(b, e.ID[:])
	b = appendSized(appendSized(b, "ce_source"), s.source)
	b = appendSized(appendSized(b, "ce_type"), ceType(e.Status))
	b = appendSized(appendSized(b, "ce_time"), s.time)
	return appendSized(appendSized(b, "content-type"), "application/json")
}

// appendSized appends data behind its length.
func appendSized[T string | []byte](b []byte, data T) []byte {
	return append(binary.AppendVarint(b, int64(len(data))), data...)
}
