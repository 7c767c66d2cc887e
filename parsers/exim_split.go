package parsers

import (
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"mtatap/event"
)

// Exim cuts a record for syslog into parts of at most 870 bytes, each with
// "[1/2] " in front, or "[1\2] " where the record had a newline at the cut. Only
// the process, its tag and pid, tells which parts belong together.

const (
	eximMaxPending = 64       // unfinished records held at a time
	eximMaxJoined  = 64 << 10 // bytes of a joined record
	eximMaxParts   = 1 << 10
)

// eximSplits holds the unfinished records of interest, oldest first.
type eximSplits struct{ pending []eximSplit }

type eximSplit struct {
	source eximSource // of the first part, its strings its own
	text   []byte     // what has come of the record
	parts  int
	seen   int
}

// readEximPart splits "[n/parts] text"; newline tells "\" from "/".
func readEximPart(s string) (n, parts int, newline bool, text string, ok bool) {
	if !strings.HasPrefix(s, "[") {
		return 0, 0, false, "", false
	}
	n, i := smallNumber(s, 1)
	if i == 1 || i >= len(s) || s[i] != '/' && s[i] != '\\' {
		return 0, 0, false, "", false
	}
	newline = s[i] == '\\'
	from := i + 1
	parts, i = smallNumber(s, from)
	if i == from || i+1 >= len(s) || s[i] != ']' || s[i+1] != ' ' || n < 1 || n > parts || parts > eximMaxParts {
		return 0, 0, false, "", false
	}
	return n, parts, newline, s[i+2:], true
}

// joinSplit takes a line through syslog that is part of a record, or that ends
// one of the same process because it is none. done means that the line is dealt
// with.
func (p *exim) joinSplit(dst []event.Delivery, e envelope, line Line) (_ []event.Delivery, done bool, err error) {
	n, parts, newline, text, isPart := readEximPart(e.message)
	if at := p.splits.find(e); at >= 0 {
		s := &p.splits.pending[at]
		if isPart && n == s.seen+1 && parts == s.parts {
			s.add(text, newline)
			if n == parts {
				dst, err = p.finishSplit(dst, at)
			}
			return dst, true, err
		}
		dst, err = p.finishSplit(dst, at)
	}
	if !isPart {
		return dst, false, err
	}
	if n != 1 || parts == 1 { // the rest of a record of no interest
		return dst, true, err
	}
	rec := readEximRecord(text)
	if p.kindOf(&rec) == eximNoInterest {
		return dst, true, err
	}
	if len(p.splits.pending) >= eximMaxPending {
		dst, _ = p.finishSplit(dst, 0)
	}
	s := eximSplit{parts: parts}
	s.add(text, newline)
	raw, kept := p.envelope.retain(line.Text)
	s.source = newEximSource(line, raw, kept)
	p.splits.pending = append(p.splits.pending, s)
	return dst, true, err
}

func (s *eximSplit) add(text string, newline bool) {
	s.seen++
	if room := eximMaxJoined - len(s.text); len(text) > room {
		text = text[:room]
	}
	if s.text = append(s.text, text...); newline && len(s.text) < eximMaxJoined {
		s.text = append(s.text, '\n')
	}
}

func (s *eximSplits) find(e envelope) int {
	for i := range s.pending {
		held := &s.pending[i].source.envelope
		if held.pid == e.pid && held.tag == e.tag && held.host == e.host {
			return i
		}
	}
	return -1
}

// finishSplit reads what has come of the record at that place and forgets it.
func (p *exim) finishSplit(dst []event.Delivery, at int) ([]event.Delivery, error) {
	s := p.splits.pending[at]
	p.splits.pending = slices.Delete(p.splits.pending, at, at+1)
	rec := readEximRecord(string(s.text))
	kind := p.kindOf(&rec)
	if !kind.tells() {
		p.note(kind, &rec)
		return dst, nil
	}
	return p.deliver(dst, kind, &rec, &s.source)
}

func (s *eximSplits) appendSnapshot(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s.pending)))
	for i := range s.pending {
		dst = s.pending[i].append(dst)
	}
	return dst
}

func (s *eximSplit) append(dst []byte) []byte {
	var path string
	var head []byte
	if o := s.source.origin; o != nil {
		path, head = o.Path, o.Head[:]
	}
	e := &s.source.envelope
	for _, field := range [...]string{e.stamp, e.host, e.tag, e.pid, s.source.raw, path, string(head), string(s.text)} {
		dst = appendBytes(dst, field)
	}
	for _, n := range [...]int64{s.source.offset, s.source.reference.Unix(), int64(s.parts), int64(s.seen)} {
		dst = binary.AppendUvarint(dst, uint64(n))
	}
	return dst
}

func (s *eximSplits) restore(r *snapshotReader) {
	for n := r.number(eximMaxPending); n > 0 && r.err == nil; n-- {
		s.pending = append(s.pending, readEximSplit(r))
	}
}

func readEximSplit(r *snapshotReader) eximSplit {
	var f [8]string
	for i := range f {
		f[i] = string(r.bytes())
	}
	var n [4]uint64
	for i := range n {
		n[i] = r.uvarint()
	}
	s := eximSplit{text: []byte(f[7]), parts: int(n[2]), seen: int(n[3])}
	if len(s.text) > eximMaxJoined || n[2] > eximMaxParts || n[3] >= n[2] {
		r.fail()
		return eximSplit{}
	}
	origin := &event.Origin{Path: f[5]}
	copy(origin.Head[:], f[6])
	s.source = eximSource{
		envelope: envelope{stamp: f[0], host: f[1], tag: f[2], pid: f[3]},
		raw:      f[4], origin: origin, offset: int64(n[0]), reference: time.Unix(int64(n[1]), 0).UTC(),
	}
	return s
}
