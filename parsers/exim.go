package parsers

import (
	"cmp"
	"strings"
	"time"

	"mtatap/event"
)

const eximMTA event.MTA = "exim"

// exim reads Exim's main log, from its file or through syslog. The grammar is
// that of log_write, delivery_log, deferral_log and failure_log in Exim's
// sources, with any log_selector.
//
// Sender and Message-ID are joined by message id from the arrival line. When Exim
// gives up, most lines say only that, so the last outcome of each recipient that
// was deferred is remembered.
type exim struct {
	opts     Options
	envelope envelopeReader
	stamps   stamps
	verp     verp
	messages *memory[eximMessage]
	deferred deferralPool
	splits   eximSplits
	refusals eximRefusals
}

func newExim(opts Options) *exim {
	p := &exim{opts: opts, stamps: stamps{zone: opts.zone()}, verp: newVERP(opts.VERP)}
	p.clear()
	return p
}

// eximUnparsed are the problems a status line can have.
var (
	eximNoAddress = &UnparsedError{MTA: eximMTA, Program: "exim", Problem: "no recipient found"}
	eximNoFields  = &UnparsedError{MTA: eximMTA, Program: "exim", Problem: "neither router, transport nor reason found"}
	eximNoDefer   = &UnparsedError{MTA: eximMTA, Program: "exim", Problem: "deferral without an error number"}
)

// eximRecord is one log record split at its head.
type eximRecord struct {
	stamp string // as in the record, with its zone; "" if syslog has the only one
	id    string // message id; "" if the record has none
	rest  string
}

// eximSource says where a record comes from: the line, or the first of several.
type eximSource struct {
	envelope  envelope // zero for the main log's own file
	raw       string
	origin    *event.Origin
	offset    int64
	reference time.Time // as in Line
}

func newEximSource(line Line, raw string, e envelope) eximSource {
	return eximSource{envelope: e, raw: raw, origin: line.Origin, offset: line.Offset, reference: line.Reference}
}

func (p *exim) Parse(dst []event.Delivery, line Line) ([]event.Delivery, error) {
	text := view(line.Text)
	e, ok := p.envelope.read(text)
	if !ok {
		return p.parseFile(dst, text, line)
	}
	var cut error // of an unfinished record that this line ends
	if len(p.splits.pending) > 0 || strings.HasPrefix(e.message, "[") {
		var done bool
		if dst, done, cut = p.joinSplit(dst, e, line); done {
			return dst, cut
		}
	}
	rec := readEximRecord(e.message)
	kind := p.kindOf(&rec)
	if !kind.tells() {
		p.note(kind, &rec)
		return dst, cut
	}
	raw, kept := p.envelope.retain(line.Text)
	rec = readEximRecord(kept.message)
	src := newEximSource(line, raw, kept)
	dst, err := p.deliver(dst, kind, &rec, &src)
	return dst, cmp.Or(err, cut)
}

// parseFile reads a line of the main log's own file.
func (p *exim) parseFile(dst []event.Delivery, text string, line Line) ([]event.Delivery, error) {
	rec := readEximRecord(text)
	if rec.stamp == "" {
		return dst, nil
	}
	kind := p.kindOf(&rec)
	if !kind.tells() {
		p.note(kind, &rec)
		return dst, nil
	}
	raw := string(line.Text)
	rec = readEximRecord(raw)
	src := newEximSource(line, raw, envelope{})
	return p.deliver(dst, kind, &rec, &src)
}

// Flush appends what the parts seen of unfinished records tell.
func (p *exim) Flush(dst []event.Delivery) []event.Delivery {
	for len(p.splits.pending) > 0 {
		dst, _ = p.finishSplit(dst, 0)
	}
	return dst
}

// readEximRecord splits "[stamp[ zone] ][[pid] ][message-id ]rest".
func readEximRecord(s string) eximRecord {
	var r eximRecord
	if n := stamp3339Len(s); n > 0 && n < len(s) && s[n] == ' ' && s[10] == ' ' {
		if z := zoneLen(s[n+1:]); z > 0 && n+1+z < len(s) && s[n+1+z] == ' ' {
			n += 1 + z
		}
		r.stamp, s = s[:n], s[n+1:]
	}
	if n := eximPIDLen(s); n > 0 {
		s = s[n:]
	}
	if n := eximIDLen(s); n > 0 {
		r.id, s = s[:n], s[n+1:]
	}
	r.rest = s
	return r
}

// eximPIDLen returns the length of "[pid] " at the head of s, or 0.
func eximPIDLen(s string) int {
	if len(s) < 4 || s[0] != '[' {
		return 0
	}
	i := 1
	for i < len(s) && isDigit(s[i]) {
		i++
	}
	if i == 1 || i+1 >= len(s) || s[i] != ']' || s[i+1] != ' ' {
		return 0
	}
	return i + 2
}

// eximIDLen returns the length of the message id at the head of s, 0 if there
// is none with a space after it: 6-6-2 characters, or 6-11-4 from Exim 4.97 on.
func eximIDLen(s string) int {
	if len(s) < 17 || s[6] != '-' {
		return 0
	}
	n, dash := 16, 13
	if s[13] != '-' || s[16] != ' ' {
		if n, dash = 23, 18; len(s) < 24 || s[18] != '-' || s[23] != ' ' {
			return 0
		}
	}
	for i := 0; i < n; i++ {
		if !isAlnum(s[i]) && i != 6 && i != dash {
			return 0
		}
	}
	return n
}

func isAlnum(c byte) bool {
	return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'z'
}

type eximKind uint8

const (
	eximNoInterest eximKind = iota
	eximArrival
	eximUntried
	eximCompleted
	eximOutput
	eximStatus
	eximRefusal
)

// tells reports whether a record gives a delivery.
func (k eximKind) tells() bool { return k == eximStatus || k == eximRefusal }

// kindOf tells what a record is by its first bytes.
func (p *exim) kindOf(r *eximRecord) eximKind {
	s := r.rest
	if r.id != "" && len(s) > 3 && s[2] == ' ' {
		switch s[:2] {
		case "==":
			if !p.opts.NonAttempts && isEximTooEarly(s[3:]) {
				return eximUntried
			}
			return eximStatus
		case "=>", "->", ">>", "**", "*>":
			return eximStatus
		case "<=", "(=":
			return eximArrival
		}
	}
	if r.id != "" && strings.HasPrefix(s, "Completed") && (len(s) == 9 || s[9] == ' ') {
		return eximCompleted
	}
	if r.id != "" && len(p.verp) > 0 && strings.HasPrefix(s, "<") {
		return eximOutput
	}
	if p.opts.Rejects && isEximRefusal(s) {
		return eximRefusal
	}
	return eximNoInterest
}

// start returns a delivery with what every record gives.
func (p *exim) start(r *eximRecord, src *eximSource) event.Delivery {
	d := event.Delivery{
		MTA:     eximMTA,
		Host:    src.envelope.host,
		QueueID: r.id,
		Origin:  src.origin,
		Offset:  src.offset,
		Raw:     src.raw,
	}
	if tag := src.envelope.tag; tag != "exim" && tag != "exim4" {
		d.Instance = tag
	}
	d.Time, _ = p.stamps.time(bestStamp(r.stamp, src.envelope.stamp), src.reference)
	return d
}

// bestStamp chooses between the stamp of the record and that of syslog: one
// with a zone, or else one with a year.
func bestStamp(inner, outer string) string {
	if inner == "" {
		return outer
	}
	hasZone := strings.IndexByte(inner[10:], '+') >= 0 || strings.IndexByte(inner[10:], '-') >= 0
	if !hasZone && stamp3339Len(outer) > 0 {
		return outer
	}
	return inner
}

// startsOrEnds reports whether a record is of a message's arrival, of a delivery
// or of its completion.
func (r *eximRecord) startsOrEnds() bool {
	head, _, _ := strings.Cut(r.rest, " ")
	switch head {
	case "<=", "(=", "=>", "->", ">>", "**", "==", "*>", "Completed":
		return true
	}
	return false
}

// recognizeExim reports whether line surely is of an Exim main log.
func recognizeExim(line string) bool {
	var r envelopeReader
	e, ok := r.read(line)
	if ok {
		rec := readEximRecord(e.message)
		return strings.HasPrefix(e.tag, "exim") || rec.id != "" && (rec.stamp != "" || rec.startsOrEnds())
	}
	rec := readEximRecord(line)
	if rec.stamp == "" {
		return false
	}
	return rec.id != "" || strings.HasPrefix(rec.rest, "exim 4.") ||
		strings.HasPrefix(rec.rest, "Start queue run: pid=") || strings.HasPrefix(rec.rest, "End queue run: pid=")
}
