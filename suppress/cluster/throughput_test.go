package cluster

import (
	"fmt"
	"testing"

	"mtatap/suppress"
)

// What one partition's worker does with events, without the broker's share: in a
// mix of which most say nothing new, and where every event is of another recipient
// who fails.
func BenchmarkEvents(b *testing.B) {
	const batch, recipients = 1000, 100_000
	for _, c := range []struct {
		name    string
		failing int // of ten
	}{{"mixed", 2}, {"failing", 10}} {
		b.Run(c.name, func(b *testing.B) {
			broker := newLogBroker()
			broker.put(topics.Events, 0, make([]record, 1)...)
			w := instance(b, broker, "").worker(newMember(0), 0)
			if err := w.states.restore(b.Context()); err != nil {
				b.Fatal(err)
			}
			if err := w.begin(b.Context()); err != nil {
				b.Fatal(err)
			}
			f := &feed{}
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				in := inputs{next: int64(n + batch), end: int64(n + batch)}
				decoder := new(suppress.Decoder)
				for range batch {
					status, category := "delivered", "delivered"
					if n%10 < c.failing {
						status, category = "bounced", "hard"
					}
					who := fmt.Sprintf("user%d@b.example", n*7919%recipients)
					f.decode(decoder, &in, int64(n), happened(n/1000, who, fmt.Sprint(n), status, category).value)
					n++
				}
				if err := w.apply(b.Context(), in); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(n), "µs/event")
		})
	}
}
