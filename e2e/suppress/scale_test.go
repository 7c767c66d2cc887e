//go:build e2e

package suppress

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"mtatap/e2e/lab"
)

// size is how many events a test works on: few, unless MTATAP_SUPPRESS_EVENTS asks
// for more (a million, say).
func size(t *testing.T, few int) int {
	t.Helper()
	text, ok := os.LookupEnv("MTATAP_SUPPRESS_EVENTS")
	if !ok {
		return few
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < few {
		t.Fatalf("MTATAP_SUPPRESS_EVENTS: want a number from %d on, not %q", few, text)
	}
	return n
}

const partitions = 6

// done reports how many events of the topic the group has committed.
func (f fleet) done(t *testing.T) (n int64) {
	t.Helper()
	client := &kafka.Client{Addr: kafka.TCP(f.broker.Addr()), Timeout: 10 * time.Second}
	ask := make([]int, partitions)
	for i := range ask {
		ask[i] = i
	}
	res, err := client.OffsetFetch(t.Context(), &kafka.OffsetFetchRequest{GroupID: f.group(), Topics: map[string][]int{f.events(): ask}})
	if err != nil {
		return 0
	}
	for _, p := range res.Topics[f.events()] {
		n += max(p.CommittedOffset, 0)
	}
	return n
}

func TestScalingAndKillingInTheMiddleOfAStreamDecidesAsOneProcessDoes(t *testing.T) {
	n := size(t, 120_000)
	recipients := n / 5
	want := oracle(t, n, traffic(n, recipients, 1))
	f := fleet{lab.StartKafka(t, lab.KafkaOptions{}), "mtatap"}
	f.broker.CreateTopic(f.events(), partitions, nil)
	begun := time.Now()
	events, next := newPublisher(t, f), traffic(n, recipients, 1)
	var writing sync.WaitGroup
	write := func(share float64, over time.Duration) {
		writing.Go(func() { events.write(t.Context(), int(share*float64(n)), next, over) })
	}
	reached := func(share float64) {
		t.Helper()
		until(t, 10*time.Minute, "the stream to be worked on", func() bool { return float64(f.done(t)) >= share*float64(n) })
		t.Logf("%3.0f %% after %s", 100*share, time.Since(begun).Round(100*time.Millisecond))
	}
	write(0.75, 30*time.Second)
	one := start(t, f.configure(t, ""))
	reached(0.1)
	two, three := start(t, f.configure(t, "")), start(t, f.configure(t, ""))
	two.ready()
	three.ready()
	reached(0.4)
	two.kill()
	reached(0.6)
	// Away for longer than the group waits; then it believes that it still owns.
	one.signal(syscall.SIGSTOP)
	time.Sleep(14 * time.Second)
	one.signal(syscall.SIGCONT)
	writing.Wait()
	write(0.25, 6*time.Second) // so that there is a middle to kill in, on any machine
	reached(0.8)
	one.stop()
	three.kill()
	three = start(t, three.config)
	writing.Wait()
	reached(1)
	until(t, time.Minute, "the last instance to have all partitions", func() bool {
		_, series := three.metric("mtatap_suppression_lag_events")
		return series == partitions
	})
	got, records := f.table(t)
	compare(t, got, want)
	t.Logf("%d events over %d recipients: %d suppressed, %d records, %s", n, recipients, len(want), records, time.Since(begun).Round(time.Millisecond))
}

func TestThroughputRestoreAndMemoryOfOneInstance(t *testing.T) {
	n := size(t, 60_000)
	f := fleet{lab.StartKafka(t, lab.KafkaOptions{}), "mtatap"}
	f.broker.CreateTopic(f.events(), partitions, nil)
	events := newPublisher(t, f)
	events.write(t.Context(), n, traffic(n, n/5, 2), 0)
	p := start(t, f.configure(t, ""))
	p.ready()
	measure := func(what string, all int) {
		begun, before := time.Now(), f.done(t)
		until(t, 10*time.Minute, "all events", func() bool { return f.done(t) == int64(all) })
		took := time.Since(begun)
		t.Logf("%s: %d events in %s: %.0f events/s, %d MiB of memory at most", what, int64(all)-before, took.Round(time.Millisecond), float64(int64(all)-before)/took.Seconds(), p.memory())
	}
	measure("mixed traffic", n)
	// The most state there can be: every event is of another recipient, who fails.
	known, _ := p.metric("mtatap_suppression_state_recipients")
	p.stop()
	events.write(t.Context(), n, failing(n), 0)
	p = start(t, p.config)
	p.ready()
	measure("recipients that fail", 2*n)
	until(t, time.Minute, "the state to be counted", func() bool {
		before := known
		known, _ = p.metric("mtatap_suppression_state_recipients")
		if int(known) >= n && known == before {
			return true
		}
		time.Sleep(6 * time.Second) // it is counted every five
		return false
	})
	bytes, _ := p.metric("mtatap_suppression_state_bytes")
	t.Logf("%.0f recipients, %.0f MiB on disk", known, bytes/(1<<20))
	p.stop()
	// On another host, nothing is there yet.
	begun := time.Now()
	p = start(t, f.configure(t, ""))
	until(t, 5*time.Minute, "all partitions to be restored", func() bool {
		_, series := p.metric("mtatap_suppression_lag_events")
		return series == partitions
	})
	took := time.Since(begun)
	until(t, 5*time.Minute, "the list to be read", func() bool { _, err := p.get("/-/ready"); return err == nil })
	longest, _ := p.metric("mtatap_suppression_restore_seconds")
	t.Logf("all partitions restored %s after the start (the last took %.1fs), the whole list read after %s, %d MiB of memory at most",
		took.Round(time.Millisecond), longest, time.Since(begun).Round(time.Millisecond), p.memory())
	until(t, 30*time.Second, fmt.Sprintf("the %.0f recipients to be counted again", known), func() bool {
		again, _ := p.metric("mtatap_suppression_state_recipients")
		return again == known
	})
}
