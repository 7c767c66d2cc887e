package tailers

import "mtatap/event"

// place is how far a generation has been consumed and what that showed of it.
type place struct {
	path   string // for Origin
	offset int64
	lead   []byte // the first bytes of the file, up to offset or leadSize
	marker []byte // the bytes before offset, see markerOf
	origin *event.Origin
}

// consume moves behind b, which stands at offset.
func (p *place) consume(b []byte) {
	if room := leadSize - len(p.lead); room > 0 {
		p.lead = append(p.lead, b[:min(len(b), room)]...)
	}
	p.offset += int64(len(b))
	p.marker = append(p.marker, b[max(0, len(b)-maxMarker):]...)
	p.marker = p.marker[:copy(p.marker, markerOf(p.marker))]
}

// makeOrigin is called once the first line has been consumed, or as much of it
// as counts.
func (p *place) makeOrigin() {
	if p.origin == nil {
		p.origin = &event.Origin{Path: p.path, Head: headOf(p.lead)}
	}
}

// restore goes to offset in a file that begins with first and has marker
// before offset.
func (p *place) restore(offset int64, first, marker []byte) {
	*p = place{path: p.path, offset: offset}
	if offset > 0 {
		p.lead = append(p.lead, first[:min(int64(len(first)), offset, leadSize)]...)
		p.marker = append(p.marker, marker...)
		p.makeOrigin()
	}
}

// fillIn completes r by what is known of the place.
func (p *place) fillIn(r *record) {
	r.Offset = p.offset
	r.Lead = fingerprintOf(p.lead)
	r.Marker = fingerprintOf(p.marker)
}
