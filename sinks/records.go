package sinks

import (
	"bytes"
	"encoding/hex"
	"io"
	"net/url"
	"time"

	"github.com/segmentio/kafka-go"

	"mtatap/event"
)

// What one produce request holds at most. Sizes are taken before compression,
// so a request is under the broker's default message.max.bytes of 1,048,588.
const (
	maxRequestEvents = 1000
	maxRequestBytes  = 1_000_000

	// recordOverhead bounds what a record adds to its key, value and host:
	// 14 bytes of framing and 178 of headers.
	recordOverhead = 200
	maxSourceHost  = 255
)

// record is an event on its way to a partition.
type record struct {
	event *event.Event
	key   string
}

func (r record) size() int {
	return recordOverhead + len(r.key) + len(r.event.JSON) + 3*min(len(r.event.Host), maxSourceHost)
}

// fit returns how many of recs, at least one, go into one request of at most
// limit events.
func fit(recs []record, limit int) int {
	limit = min(limit, len(recs), maxRequestEvents)
	size := 0
	for n := range limit {
		if size += recs[n].size(); size > maxRequestBytes && n > 0 {
			return n
		}
	}
	return limit
}

// recordReader gives the records of one attempt to the encoder. It reuses one
// record, as the interface allows; being made anew for each attempt, it shares
// nothing with an attempt that timed out and may still be read from.
type recordReader struct {
	recs    []record
	now     time.Time // publish time, the time of every record
	record  kafka.Record
	headers [6]kafka.Header
	key     payload
	value   payload
	keyBuf  []byte
	idBuf   [2 * len(event.ID{})]byte
	timeBuf []byte
	source  []byte
	host    string // that source was made of
}

func newRecordReader(recs []record, now time.Time) *recordReader {
	r := &recordReader{recs: recs, now: now, source: ceSource("")}
	// CloudEvents 1.0, Kafka protocol binding, binary content mode.
	r.headers = [6]kafka.Header{
		{Key: "ce_specversion", Value: []byte("1.0")},
		{Key: "ce_id"},
		{Key: "ce_source"},
		{Key: "ce_type"},
		{Key: "ce_time"},
		{Key: "content-type", Value: []byte("application/json")},
	}
	return r
}

// ReadRecord returns the next record, valid until the next call, or io.EOF.
func (r *recordReader) ReadRecord() (*kafka.Record, error) {
	if len(r.recs) == 0 {
		return nil, io.EOF
	}
	rec := r.recs[0]
	r.recs = r.recs[1:]
	e := rec.event

	if e.Host != r.host {
		r.host, r.source = e.Host, ceSource(e.Host)
	}
	occurred := e.Time
	if occurred.IsZero() {
		occurred = e.Observed
	}
	r.timeBuf = occurred.UTC().AppendFormat(r.timeBuf[:0], time.RFC3339Nano)
	r.headers[1].Value = hex.AppendEncode(r.idBuf[:0], e.ID[:])
	r.headers[2].Value = r.source
	r.headers[3].Value = ceType(e.Status)
	r.headers[4].Value = r.timeBuf

	r.keyBuf = append(r.keyBuf[:0], rec.key...)
	r.key.Reset(r.keyBuf)
	r.value.Reset(e.JSON)
	r.record = kafka.Record{Time: r.now, Key: &r.key, Value: &r.value, Headers: r.headers[:]}
	return &r.record, nil
}

// payload is a key or value for the encoder.
type payload struct{ bytes.Reader }

func (*payload) Close() error { return nil }

// ceSource returns the ce_source of events logged by host: the URI reference
// /mtatap/HOST, or /mtatap where the log names no host. With ce_id it is unique.
func ceSource(host string) []byte {
	if host == "" {
		return []byte("/mtatap")
	}
	return []byte("/mtatap/" + url.PathEscape(host[:min(len(host), maxSourceHost)]))
}

const ceTypePrefix = "mtatap.delivery."

// ceTypes holds the ce_type of every status.
var ceTypes = func() (types [event.Rejected + 1][]byte) {
	for s := range types {
		types[s] = []byte(ceTypePrefix + event.Status(s).String())
	}
	return types
}()

func ceType(s event.Status) []byte { return ceTypes[s] }
