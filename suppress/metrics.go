package suppress

import (
	"errors"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"mtatap/event"
)

// Metrics counts decisions. Its labels are bounded: a reason is one of those given
// to NewMetrics, or other.
type Metrics struct {
	reasons     []string
	suppressed  *prometheus.CounterVec
	conversions prometheus.Counter
	releases    *prometheus.CounterVec
	recipients  prometheus.Gauge
	bytes       prometheus.Gauge
	forgotten   prometheus.Counter
}

const (
	otherReason  = "other"
	manualReason = "manual"
)

// NewMetrics registers the metrics with reg. reasons are those of the rules.
func NewMetrics(reg prometheus.Registerer, reasons []string) (*Metrics, error) {
	m := &Metrics{
		reasons: reasons,
		suppressed: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "mtatap_suppressed_total",
			Help: "Recipients suppressed, by the reason of the deciding failure, or manual."}, []string{"reason"}),
		conversions: prometheus.NewCounter(prometheus.CounterOpts{Name: "mtatap_suppression_conversions_total",
			Help: "Recipients suppressed because a soft category kept coming back."}),
		releases: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "mtatap_suppression_releases_total",
			Help: "Recipients released, by cause: delivery, expiry, manual."}, []string{"cause"}),
		recipients: prometheus.NewGauge(prometheus.GaugeOpts{Name: "mtatap_suppression_state_recipients",
			Help: "Recipients of whom something is known."}),
		bytes: prometheus.NewGauge(prometheus.GaugeOpts{Name: "mtatap_suppression_state_bytes",
			Help: "Size of the file that holds the state."}),
		forgotten: prometheus.NewCounter(prometheus.CounterOpts{Name: "mtatap_suppression_forgotten_total",
			Help: "Unsuppressed recipients forgotten before their time because there were more than max_recipients."}),
	}
	for _, reason := range []string{manualReason, otherReason} {
		m.suppressed.WithLabelValues(reason)
	}
	for _, cause := range []Cause{CauseDelivery, CauseExpiry, CauseManual} {
		m.releases.WithLabelValues(string(cause))
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.suppressed, m.conversions, m.releases, m.recipients, m.bytes, m.forgotten} {
		errs = append(errs, reg.Register(c))
	}
	return m, errors.Join(errs...)
}

// Decided counts a decision that has been published.
func (m *Metrics) Decided(d Decision) {
	s := d.Suppression
	if s == nil {
		m.releases.WithLabelValues(string(d.Cause)).Inc()
		return
	}
	reason := s.Reason
	switch {
	case s.Manual:
		reason = manualReason
	case !slices.Contains(m.reasons, reason):
		reason = otherReason
	}
	m.suppressed.WithLabelValues(reason).Inc()
	if s.ConvertedFrom != event.Category("") {
		m.conversions.Inc()
	}
}

// Size sets how much is known.
func (m *Metrics) Size(recipients int, bytes int64) {
	m.recipients.Set(float64(recipients))
	m.bytes.Set(float64(bytes))
}

// Forgot counts recipients that had to make room.
func (m *Metrics) Forgot(n int) { m.forgotten.Add(float64(n)) }
