package cluster

import (
	"errors"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mtatap/suppress"
)

// Metrics are those of decisions, and those of the partitions that an instance owns.
type Metrics struct {
	*suppress.Metrics
	behind  *prometheus.GaugeVec
	restore prometheus.Gauge
	refused prometheus.Counter
}

// NewMetrics registers the metrics with reg. reasons are those of the rules.
func NewMetrics(reg prometheus.Registerer, reasons []string) (*Metrics, error) {
	decisions, err := suppress.NewMetrics(reg, reasons)
	m := &Metrics{
		Metrics: decisions,
		behind: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "mtatap_suppression_lag_events",
			Help: "Events of a partition of this instance that have not been decided on yet."}, []string{"partition"}),
		restore: prometheus.NewGauge(prometheus.GaugeOpts{Name: "mtatap_suppression_restore_seconds",
			Help: "How long the last partition that was taken over took to restore."}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{Name: "mtatap_suppression_refused_records_total",
			Help: "Records of the events and commands topics that could not be read."}),
	}
	return m, errors.Join(err, reg.Register(m.behind), reg.Register(m.restore), reg.Register(m.refused))
}

// Lag sets how many events of a partition of this instance are not decided on yet.
func (m *Metrics) Lag(partition int, events int64) {
	m.behind.WithLabelValues(strconv.Itoa(partition)).Set(float64(events))
}

func (m *Metrics) lost(partition int) { m.behind.DeleteLabelValues(strconv.Itoa(partition)) }

func (m *Metrics) restored(took time.Duration) { m.restore.Set(took.Seconds()) }
