package report

import (
	"maps"
	"slices"
	"time"
)

// chart is a drawing in a box of chartWidth by chartHeight.
type chart struct {
	Bars   []bar   // of a stacked chart, or
	Line   string  // points of a line, and
	Dots   []dot   // its points
	Marks  []mark  // under the axis
	Levels []level // beside it
}

type bar struct {
	X, Y, Width, Height float64
	Kind                string // accepted, deferred, bounced: a class of the style sheet
	Title               string
}

type dot struct {
	X, Y  float64
	Title string
}

type mark struct {
	X    float64
	Text string
}

type level struct {
	Y    float64
	Text string
}

const (
	chartWidth  = 720.0
	chartHeight = 180.0
	chartSlots  = 72 // bars at most
)

// slot is a stretch of time with what happened in it.
type slot struct {
	from time.Time
	counts
}

// slots divides the time of all events into at most chartSlots even stretches of
// whole hours. Hours without events are part of it.
func (c *Collector) slots() []slot {
	hours := slices.Sorted(maps.Keys(c.hours))
	if len(hours) == 0 {
		return nil
	}
	first, span := hours[0], hours[len(hours)-1]-hours[0]+1
	step := (span + chartSlots - 1) / chartSlots
	slots := make([]slot, (span+step-1)/step)
	for i := range slots {
		slots[i].from = time.Unix((first+int64(i)*step)*3600, 0).UTC()
	}
	for _, h := range hours {
		s, n := &slots[(h-first)/step].counts, c.hours[h]
		s.accepted += n.accepted
		s.deferred += n.deferred
		s.bounced += n.bounced
		s.blocked += n.blocked
	}
	return slots
}

// outcomes draws what became of the attempts of each stretch, as stacked bars.
func (c *Collector) outcomes() chart {
	slots := c.slots()
	most := 1
	for _, s := range slots {
		most = max(most, s.attempts())
	}
	ch := chart{Marks: marks(slots), Levels: []level{{0, thousands(most)}, {chartHeight, "0"}}}
	width := chartWidth / float64(max(len(slots), 1))
	for i, s := range slots {
		y := chartHeight
		for _, part := range []struct {
			kind string
			n    int
		}{{"accepted", s.accepted}, {"deferred", s.deferred}, {"bounced", s.bounced}} {
			if part.n == 0 {
				continue
			}
			height := chartHeight * float64(part.n) / float64(most)
			y -= height
			ch.Bars = append(ch.Bars, bar{float64(i) * width, y, max(width-1, 1), height, part.kind, stamp(s.from) + ": " + thousands(part.n) + " " + part.kind})
		}
	}
	return ch
}

// blockShare draws the share of attempts that were blocked.
func (c *Collector) blockShare() chart {
	slots := c.slots()
	top := 0.01 // a line of hundredths of a percent says nothing
	shareOf := func(s slot) float64 {
		if s.attempts() == 0 {
			return 0
		}
		return float64(s.blocked) / float64(s.attempts())
	}
	for _, s := range slots {
		top = max(top, shareOf(s))
	}
	ch := chart{Marks: marks(slots), Levels: []level{{0, share(int(top*1000), 1000)}, {chartHeight, "0 %"}}}
	width := chartWidth / float64(max(len(slots), 1))
	for i, s := range slots {
		d := dot{(float64(i) + .5) * width, chartHeight * (1 - shareOf(s)/top), stamp(s.from) + ": " + share(s.blocked, s.attempts()) + " blocked"}
		ch.Dots = append(ch.Dots, d)
		ch.Line += point(d.X, d.Y)
	}
	return ch
}

// marks names some of the stretches.
func marks(slots []slot) []mark {
	const shown = 5 // that fit beside each other on a phone
	var all []mark
	step := max(1, (len(slots)+shown-1)/shown)
	for i := 0; i < len(slots); i += step {
		all = append(all, mark{(float64(i) + .5) * chartWidth / float64(len(slots)), slots[i].from.Format("01-02 15:04")})
	}
	return all
}
