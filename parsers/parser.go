package parsers

import (
	"fmt"
	"time"

	"mtatap/event"
)

// Line is one line of a log.
type Line struct {
	Text   []byte // without its newline; valid during the call only
	Offset int64  // of its first byte in the decompressed file
	Origin *event.Origin
	// Reference gives stamps without a year theirs: the latest that does not put
	// them after it, but for 36 hours that clocks and zones may differ. The time
	// when the line is read will do, unless the log is older than a year.
	Reference time.Time
}

// Parser reads the log of one mail server, line by line and in order.
type Parser interface {
	// Parse reads line and appends the deliveries that it completes to dst.
	// A line that looks like a delivery status but cannot be read gives an
	// *UnparsedError, in a *RecordError where the line is a record of journald,
	// and whatever was appended before; the parser goes on.
	// Lines of no interest cost no allocation.
	Parse(dst []event.Delivery, line Line) ([]event.Delivery, error)
	// Flush appends what is still held back for a following line, such as the
	// first half of a split record, at the end of the source.
	Flush(dst []event.Delivery) []event.Delivery
	// Snapshot appends what the parser remembers to dst, in a form of its own.
	Snapshot(dst []byte) []byte
	// Restore replaces what the parser remembers by a snapshot of the same
	// format. After an error the parser remembers nothing.
	Restore(snapshot []byte) error
}

// Options are the settings of a source that parsers need. The zero value is
// usable: times in UTC, no rejects, no non-attempts, default bounds.
type Options struct {
	Zone        *time.Location // of stamps without a zone; nil is UTC
	Rejects     bool           // also what this host refused at SMTP time
	NonAttempts bool           // also deliveries that were not tried
	FilterHops  []string       // relays ("127.0.0.1:10025") that are content filters
	VERP        []string       // how bounce addresses carry the recipient: "+{local}={domain}@"
	// MaxRemembered bounds the messages remembered; 0 means 100,000.
	MaxRemembered int
	Counts        Counts
}

// Counts are told of what gives no event. Each may be nil.
type Counts struct {
	Evicted  func() // a message was forgotten before its end
	NotTried func() // a line says that nothing was tried, as the retry time was not reached
}

const defaultMaxRemembered = 100_000

func (o Options) maxRemembered() int {
	if o.MaxRemembered > 0 {
		return o.MaxRemembered
	}
	return defaultMaxRemembered
}

func (o Options) zone() *time.Location {
	if o.Zone == nil {
		return time.UTC
	}
	return o.Zone
}

// UnparsedError says that a line looks like a delivery status of that program
// but does not follow its grammar.
type UnparsedError struct {
	MTA     event.MTA
	Program string // a known daemon, or "other": safe as a metric label
	Problem string
}

func (e *UnparsedError) Error() string {
	return fmt.Sprintf("read %s %s line: %s", e.MTA, e.Program, e.Problem)
}
