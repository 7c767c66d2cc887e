package report

import (
	"math"
	"time"
)

// delays counts durations in steps that double, from half a second to over six
// days, which is longer than a mail server tries.
type delays struct {
	steps [21]int
	total int
}

const firstStep = 0.5 // seconds

func (d *delays) add(seconds float64) {
	i := 0
	for limit := firstStep; seconds > limit && i < len(d.steps)-1; limit *= 2 {
		i++
	}
	d.steps[i]++
	d.total++
}

// quantile returns below what time the share q of all lies, in between the steps
// as if they were spread evenly; 0 if there are none.
func (d *delays) quantile(q float64) time.Duration {
	rank := q * float64(d.total)
	below := 0
	for i, n := range d.steps {
		if n > 0 && float64(below+n) >= rank {
			upper := firstStep * math.Pow(2, float64(i))
			lower := upper / 2
			if i == 0 {
				lower = 0
			}
			within := (rank - float64(below)) / float64(n)
			return time.Duration((lower + within*(upper-lower)) * float64(time.Second))
		}
		below += n
	}
	return 0
}
