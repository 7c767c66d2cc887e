package pipeline

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics is the health of the pipeline itself. Events are counted by a sink,
// so that a retry does not count twice.
type Metrics struct {
	lines     *prometheus.CounterVec
	unparsed  *prometheus.CounterVec
	evictions *prometheus.CounterVec
	notTried  *prometheus.CounterVec

	rotations *prometheus.CounterVec
	gaps      *prometheus.CounterVec
	truncated *prometheus.CounterVec

	sinkEvents  *prometheus.CounterVec
	sinkErrors  *prometheus.CounterVec
	sinkQueue   *prometheus.GaugeVec
	sinkSeconds *prometheus.HistogramVec
	sinkSuccess *prometheus.GaugeVec
	deadLetters *prometheus.CounterVec

	checkpointTime   prometheus.Gauge
	checkpointErrors prometheus.Counter

	reloadOK   prometheus.Gauge
	reloadTime prometheus.Gauge
	rulesInfo  *prometheus.GaugeVec

	lag *lagReporter

	mu     sync.Mutex
	failed map[string]*atomic.Int64 // when an attempt of a sink last failed, in Unix nanoseconds
}

// NewMetrics registers the metrics with reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	f := promauto.With(reg)
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return f.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	gauge := func(name, help string) prometheus.Gauge {
		return f.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	lag := newLagReporter()
	reg.MustRegister(lag)
	return &Metrics{
		lag:       lag,
		failed:    map[string]*atomic.Int64{},
		lines:     counter("mtatap_lines_total", "Log lines read.", "source"),
		unparsed:  counter("mtatap_lines_unparsed_total", "Lines that look like a delivery status but could not be read.", "mta", "program"),
		notTried:  counter("mtatap_lines_not_tried_total", "Lines which say that a delivery was not tried because its retry time was not reached; no events unless non_attempts asks for them.", "source"),
		evictions: counter("mtatap_join_evictions_total", "Messages forgotten before their end because too many were under way.", "source"),

		rotations: counter("mtatap_rotations_total", "Rotations of a log that were followed.", "source"),
		gaps:      counter("mtatap_tail_gaps_total", "Places where lines of a log may have been missed.", "source", "kind"),
		truncated: counter("mtatap_lines_truncated_total", "Lines cut at max_line_bytes.", "source"),

		sinkEvents:  counter("mtatap_sink_events_total", "Events that the sink has taken.", "sink"),
		sinkErrors:  counter("mtatap_sink_errors_total", "Failed attempts to write to the sink.", "sink"),
		sinkQueue:   f.NewGaugeVec(prometheus.GaugeOpts{Name: "mtatap_sink_queue_events", Help: "Events that wait for the sink."}, []string{"sink"}),
		sinkSeconds: f.NewHistogramVec(prometheus.HistogramOpts{Name: "mtatap_sink_write_seconds", Help: "Time that a successful write to the sink took, retries included.", Buckets: prometheus.ExponentialBuckets(0.0005, 4, 10)}, []string{"sink"}),
		sinkSuccess: f.NewGaugeVec(prometheus.GaugeOpts{Name: "mtatap_sink_last_success_timestamp_seconds", Help: "When the sink last took events."}, []string{"sink"}),
		deadLetters: counter("mtatap_dead_letters_total", "Events and lines that could not be delivered and were set aside or dropped.", "sink", "cause"),

		checkpointTime:   gauge("mtatap_checkpoint_timestamp_seconds", "When the checkpoint was last saved."),
		checkpointErrors: f.NewCounter(prometheus.CounterOpts{Name: "mtatap_checkpoint_errors_total", Help: "Failed attempts to save the checkpoint."}),

		reloadOK:   gauge("mtatap_rules_last_reload_successful", "Whether the last load of the rules succeeded."),
		reloadTime: gauge("mtatap_rules_last_reload_success_timestamp_seconds", "When rules were last loaded successfully."),
		rulesInfo:  f.NewGaugeVec(prometheus.GaugeOpts{Name: "mtatap_rules_info", Help: "The rule set in use; always 1."}, []string{"version", "sha256"}),
	}
}

// fileMetrics are the counters of one source, told by its followers.
type fileMetrics struct {
	lines, evictions, notTried, rotations, truncated prometheus.Counter
	gaps                                             *prometheus.CounterVec
}

func (m *Metrics) of(source string, gapKinds ...string) *fileMetrics {
	gaps := m.gaps.MustCurryWith(prometheus.Labels{"source": source})
	for _, kind := range gapKinds {
		gaps.WithLabelValues(kind) // at 0, so that the first gap shows as a rise
	}
	return &fileMetrics{
		lines: m.lines.WithLabelValues(source), evictions: m.evictions.WithLabelValues(source), notTried: m.notTried.WithLabelValues(source),
		rotations: m.rotations.WithLabelValues(source), truncated: m.truncated.WithLabelValues(source),
		gaps: gaps,
	}
}

// Rotated counts a rotation; see tailers.Events.
func (f *fileMetrics) Rotated() { f.rotations.Inc() }

// Gap counts a place where lines may have been missed.
func (f *fileMetrics) Gap(kind string) { f.gaps.WithLabelValues(kind).Inc() }

// Cut counts a line that was too long.
func (f *fileMetrics) Cut() { f.truncated.Inc() }

// SinkFailed returns the hook by which the sink of that name counts a failed
// attempt.
func (m *Metrics) SinkFailed(name string) func(error) {
	c, at := m.sinkErrors.WithLabelValues(name), m.failedAt(name)
	return func(error) {
		c.Inc()
		at.Store(time.Now().UnixNano())
	}
}

// failedAt is when an attempt of the sink of that name last failed.
func (m *Metrics) failedAt(sink string) *atomic.Int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failed[sink] == nil {
		m.failed[sink] = new(atomic.Int64)
	}
	return m.failed[sink]
}

// ExpectDeadLetters begins to count those of the sink at 0, so that the first one
// shows as a rise.
func (m *Metrics) ExpectDeadLetters(sink string, causes ...string) {
	for _, c := range causes {
		m.deadLetters.WithLabelValues(sink, c)
	}
}

// DeadLetter counts an event or line that was set aside.
func (m *Metrics) DeadLetter(sink, cause string) { m.deadLetters.WithLabelValues(sink, cause).Inc() }
