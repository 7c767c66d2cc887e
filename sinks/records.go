package sinks

import (
	"net/url"

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
