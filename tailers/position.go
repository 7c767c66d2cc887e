package tailers

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Position says how far a path has been read: which generations of its file
// are open, up to which offset, and what needs no reading any more. The zero
// Position is none. A Position is a value: nothing changes it once it is
// made, and it may be kept, copied and encoded as JSON.
type Position struct {
	p positionData
}

type positionData struct {
	// Open generations in reading order.
	Open []record `json:"open,omitempty"`
	// Done are the generations finished last, oldest first.
	Done []record `json:"done,omitempty"`
	// Horizon: a file of which nothing is known and which was last modified
	// before holds nothing unread.
	Horizon time.Time `json:"horizon"`
	// Next is the number of the next generation that appears.
	Next uint64 `json:"next"`
	// Cursor is of a journal, which has no generations and 1 as Next: that of
	// the entry read last, "" before the first.
	Cursor cursor `json:"cursor,omitempty"`
}

// record is what is remembered of a generation.
type record struct {
	Seq    uint64 `json:"seq"` // unique within a path, in reading order
	Dev    uint64 `json:"dev,omitempty"`
	Inode  uint64 `json:"inode,omitempty"`
	Offset int64  `json:"offset"` // of the first byte not read
	Skip   bool   `json:"skip,omitempty"`
	// Lead is of the file's beginning, up to Offset; at Offset 0 of what was
	// there when it was opened.
	Lead   fingerprint `json:"lead,omitzero"`
	Marker fingerprint `json:"marker,omitzero"` // of what stands before Offset
}

// neverRead is the number of generations that were there before the first
// start, or are copies.
const neverRead = 0

// maxDone bounds the finished generations that are remembered. Only those
// that may still be renamed or compressed need be.
const maxDone = 16

// maxOpen bounds what is believed of a checkpoint.
const maxOpen = 4096

// IsZero reports whether p is no position at all.
func (p Position) IsZero() bool { return p.p.Next == 0 }

// Beginning returns the place before the first line of every generation that p has
// open: where a memory begins that can only be gathered anew. It is zero where there
// is none, and for a journal.
func (p Position) Beginning() Position {
	if len(p.p.Open) == 0 {
		return Position{}
	}
	d := positionData{Horizon: p.p.Horizon, Next: p.p.Next}
	for _, r := range p.p.Open {
		d.Open = append(d.Open, record{Seq: r.Seq, Dev: r.Dev, Inode: r.Inode})
	}
	return Position{d}
}

// MarshalJSON encodes p.
func (p Position) MarshalJSON() ([]byte, error) { return json.Marshal(p.p) }

// UnmarshalJSON decodes what MarshalJSON made and refuses what it cannot have
// made.
func (p *Position) UnmarshalJSON(b []byte) error {
	var d positionData
	if err := json.Unmarshal(b, &d); err != nil {
		return err
	}
	if err := d.validate(); err != nil {
		return fmt.Errorf("read position: %w", err)
	}
	p.p = d
	return nil
}

func (d *positionData) validate() error {
	if len(d.Open) > maxOpen || len(d.Done) > maxDone {
		return fmt.Errorf("%d open and %d finished generations are too many", len(d.Open), len(d.Done))
	}
	for _, r := range slices.Concat(d.Open, d.Done) {
		if err := r.validate(d.Next); err != nil {
			return fmt.Errorf("generation %d: %w", r.Seq, err)
		}
	}
	if !d.Cursor.valid() || d.Cursor != "" && d.Next == 0 {
		return fmt.Errorf("%.40q is no cursor of a journal", d.Cursor)
	}
	if d.Next == 0 && len(d.Open)+len(d.Done) > 0 {
		return fmt.Errorf("generations without a next number")
	}
	return nil
}

func (r record) validate(next uint64) error {
	if r.Seq >= next {
		return fmt.Errorf("number is not below the next one, %d", next)
	}
	if r.Offset < 0 {
		return fmt.Errorf("negative offset %d", r.Offset)
	}
	if err := r.Lead.validate(leadSize); err != nil {
		return fmt.Errorf("lead: %w", err)
	}
	if err := r.Marker.validate(int(min(r.Offset, maxMarker))); err != nil {
		return fmt.Errorf("marker: %w", err)
	}
	return nil
}

func (r record) ident() ident { return ident{r.Dev, r.Inode} }
