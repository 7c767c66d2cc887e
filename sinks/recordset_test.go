package sinks

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go/protocol"
)

func TestTheClientLibraryReadsWhatIsEncoded(t *testing.T) {
	now := time.UnixMilli(1795461000123)
	for _, name := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		for _, n := range []int{1, 2, 100, 1000} {
			codec, err := compression(name)
			if err != nil {
				t.Fatal(err)
			}
			var recs []record
			for i, e := range makeEvents(n, 10) {
				padded(e, 100+i)
				e.Host = strings.Repeat("h", i%3)
				recs = append(recs, record{event: e, key: e.Key()})
			}
			sets := recordSets{codec: codec}
			for range 2 { // the second time with used buffers
				set := sets.get()
				encoded, err := set.encode(recs, now)
				if err != nil {
					t.Fatal(err)
				}
				if sum := crc32.Checksum(encoded[batchAfter:], castagnoli); sum != binary.BigEndian.Uint32(encoded[batchCRC:]) {
					t.Errorf("%s, %d records: wrong checksum", name, n)
				}
				got, _ := readRecords(bytes.NewReader(encoded))
				if len(got) != n {
					t.Fatalf("%s: %d records read, %d encoded", name, len(got), n)
				}
				for i, r := range got {
					e := recs[i].event
					if r.key != recs[i].key || r.value != string(e.JSON) || r.id != e.ID.String() || !r.time.Equal(now) ||
						r.headers["ce_source"] != string(ceSource(e.Host)) || r.headers["ce_type"] != string(ceType(e.Status)) || len(r.headers) != 6 {
						t.Fatalf("%s: record %d of %d is %+v", name, i, n, r)
					}
				}
				sets.put(set)
			}
		}
	}
}

// The header of a batch holds more than the library's reader looks at: it is the
// same as the library writes.
func TestTheHeaderOfABatchIsAsTheLibraryWritesIt(t *testing.T) {
	now := time.UnixMilli(1795461000123)
	recs := []record{{event: makeEvent(1, "a@example.org"), key: "a@example.org"}, {event: makeEvent(2, "b@example.org"), key: "b@example.org"}}
	encoded, err := new(recordSets).get().encode(recs, now)
	if err != nil {
		t.Fatal(err)
	}
	var theirs protocol.RecordSet
	if _, err := theirs.ReadFrom(bytes.NewReader(encoded)); err != nil {
		t.Fatal(err)
	}
	var again bytes.Buffer
	if _, err := theirs.WriteTo(&again); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(encoded, again.Bytes()) {
		t.Errorf("encoded\n%q\nthe library\n%q", encoded, again.Bytes())
	}
}

func TestEncodingARecordSetDoesNotAllocateForRecords(t *testing.T) {
	codec, err := compression("lz4")
	if err != nil {
		t.Fatal(err)
	}
	var recs []record
	for _, e := range makeEvents(1000, 100) {
		padded(e, 570)
		recs = append(recs, record{event: e, key: e.Key()})
	}
	sets := recordSets{codec: codec}
	set := sets.get()
	one := func() {
		if _, err := set.encode(recs, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	one()
	if n := testing.AllocsPerRun(20, one); n > 10 {
		t.Errorf("%v allocations for 1000 records", n)
	}
}
