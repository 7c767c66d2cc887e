package pipeline

import (
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// lagReporter reports, at each scrape, what has not been acknowledged yet.
type lagReporter struct {
	bytes, seconds *prometheus.Desc

	mu        sync.Mutex
	following *following // nil until there is one
}

func newLagReporter() *lagReporter {
	return &lagReporter{
		bytes:   prometheus.NewDesc("mtatap_tail_lag_bytes", "Bytes of the log that no required sink has acknowledged yet; not known of a journal.", []string{"source"}, nil),
		seconds: prometheus.NewDesc("mtatap_tail_lag_seconds", "How long ago everything in the log was acknowledged; 0 if it is now.", []string{"source"}, nil),
	}
}

// current returns the files under way, nil before there are any.
func (l *lagReporter) current() *following {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.following
}

func (l *lagReporter) follow(f *following) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.following = f
}

// Describe implements prometheus.Collector.
func (l *lagReporter) Describe(ch chan<- *prometheus.Desc) {
	ch <- l.bytes
	ch <- l.seconds
}

// Collect implements prometheus.Collector.
func (l *lagReporter) Collect(ch chan<- prometheus.Metric) {
	f := l.current()
	if f == nil {
		return
	}
	for source, lag := range f.lags() {
		if lag.sized {
			ch <- prometheus.MustNewConstMetric(l.bytes, prometheus.GaugeValue, float64(lag.bytes), source)
		}
		ch <- prometheus.MustNewConstMetric(l.seconds, prometheus.GaugeValue, lag.since.Seconds(), source)
	}
}

type lag struct {
	bytes int64
	sized bool // false for journals, of which nobody knows the bytes
	since time.Duration
}

// size returns the bytes for people, "" where they are not known.
func (l lag) size() string {
	if !l.sized {
		return ""
	}
	return fmt.Sprintf(" (%d bytes)", l.bytes)
}

// fileCounts returns how many files each source has; journals have none.
func (f *following) fileCounts() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	counts := map[string]int{}
	for _, r := range f.readers {
		if r.sized {
			counts[r.source]++
		}
	}
	return counts
}

// lags returns the lag by source: bytes are summed over its files, the time is
// that of the file most behind.
func (f *following) lags() map[string]lag {
	f.mu.Lock()
	defer f.mu.Unlock()
	lags := map[string]lag{}
	for _, r := range f.readers {
		total := lags[r.source]
		total.sized = r.sized
		// The length of compressed files is unknown, so the bytes may be too few;
		// what is under way shows that something is behind all the same.
		bytes, behind := r.backlog(*r.acked.Load())
		total.bytes += bytes
		if behind || r.underWay.Load() > 0 {
			total.since = max(total.since, f.now().Sub(time.Unix(0, r.caughtUp.Load())))
		} else {
			r.caughtUp.Store(f.now().UnixNano())
		}
		lags[r.source] = total
	}
	return lags
}
