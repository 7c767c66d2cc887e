package sinks

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"mtatap/event"
)

const otherLabel = "other"

// Labels are the values that labels may have; any other becomes "other".
type Labels struct {
	MTAs       []event.MTA // their series begin at 0
	Possible   []event.MTA // these get their series with their first event
	Rejects    bool        // whether the status rejected can occur
	Categories []event.Category
	Providers  []string
	Rules      []string
}

// Metrics counts events:
//
//	mtatap_events_total{mta,status,category,provider}
//	mtatap_delivery_delay_seconds{mta,provider}
//	mtatap_unclassified_total{mta,provider}
//	mtatap_rule_hits_total{rule}
//
// It never fails and never blocks. Adopt may be called while it is written to.
type Metrics struct {
	events       *prometheus.CounterVec
	delay        *prometheus.HistogramVec
	unclassified *prometheus.CounterVec
	ruleHits     *prometheus.CounterVec

	mu         sync.Mutex
	labels     Labels
	mtas       map[event.MTA]string
	categories map[event.Category]string
	providers  map[string]string
	rules      map[string]string
	seen       map[string]bool // labels of MTAs that have their series
	cache      map[eventLabels]*eventSeries
	hits       map[string]prometheus.Counter
}

// eventLabels are the label values of an event after the unknown ones became
// "other".
type eventLabels struct {
	mta, category, provider string
	status                  event.Status
}

// eventSeries are the series that an event with certain labels belongs to.
type eventSeries struct {
	events       prometheus.Counter
	delay        prometheus.Observer
	unclassified prometheus.Counter
}

// NewMetrics registers the metrics with reg, all of them at 0 for what can occur
// with labels.
func NewMetrics(reg prometheus.Registerer, labels Labels) (*Metrics, error) {
	m := &Metrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mtatap_events_total",
			Help: "Outcomes of delivery attempts, one for each recipient.",
		}, []string{"mta", "status", "category", "provider"}),
		delay: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "mtatap_delivery_delay_seconds",
			Help: "Time from arrival in the queue to delivery, of delivered recipients.",
			// From a second to the five days after which MTAs give up.
			Buckets: []float64{.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600, 4 * 3600, 12 * 3600, 86400, 2 * 86400, 5 * 86400},
		}, []string{"mta", "provider"}),
		unclassified: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mtatap_unclassified_total",
			Help: "Failures that no text rule matched, decided by their codes or by default.",
		}, []string{"mta", "provider"}),
		ruleHits: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mtatap_rule_hits_total",
			Help: "Events decided by a rule. Decisions by code tables count as enhanced and reply.",
		}, []string{"rule"}),
	}
	for _, c := range []prometheus.Collector{m.events, m.delay, m.unclassified, m.ruleHits} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register event metrics: %w", err)
		}
	}
	m.seen = make(map[string]bool)
	m.Adopt(labels)
	return m, nil
}

// Adopt replaces the label values, as after a reload of the rules: series of
// what is gone are deleted, new ones begin at 0. Events of the old rules that
// are still under way count as "other" where their labels are gone.
func (m *Metrics) Adopt(labels Labels) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.labels
	m.labels = Labels{
		MTAs:       slices.Clone(labels.MTAs),
		Possible:   slices.Clone(labels.Possible),
		Rejects:    labels.Rejects,
		Categories: slices.Clone(labels.Categories),
		Providers:  slices.Clone(labels.Providers),
		Rules:      slices.Clone(labels.Rules),
	}
	m.mtas = allowed(labels.MTAs, labels.Possible...)
	m.categories = allowed(labels.Categories)
	m.providers = allowed(labels.Providers, otherLabel)
	m.rules = allowed(labels.Rules, ruleDefault, ruleEnhanced, ruleReply)
	m.cache = make(map[eventLabels]*eventSeries)
	m.hits = make(map[string]prometheus.Counter)
	m.forget(before)
	for _, rule := range m.rules {
		m.hit(rule)
	}
	for mta, label := range m.mtas {
		if slices.Contains(labels.MTAs, mta) || m.seen[label] {
			m.initialise(label)
		}
	}
}

// Write counts events.
func (m *Metrics) Write(_ context.Context, events []*event.Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range events {
		m.count(e)
	}
	return nil
}

// Close does nothing.
func (m *Metrics) Close() error { return nil }

func (m *Metrics) count(e *event.Event) {
	mta := orOther(m.mtas, e.MTA)
	if !m.seen[mta] {
		m.initialise(mta)
	}
	s := m.series(eventLabels{
		mta:      mta,
		category: orOther(m.categories, e.Category),
		provider: orOther(m.providers, e.Provider),
		status:   e.Status,
	})
	s.events.Inc()
	rule, byText := ruleLabel(m.rules, e.Rule)
	if rule != "" {
		m.hit(rule).Inc()
	}
	if e.Status == event.Delivered {
		if seconds, known := e.Delay.Value(); known && seconds >= 0 {
			s.delay.Observe(seconds)
		}
	} else if !byText {
		s.unclassified.Inc()
	}
}

func (m *Metrics) series(l eventLabels) *eventSeries {
	s := m.cache[l]
	if s == nil {
		status := l.status.String()
		if status == "" {
			status = otherLabel
		}
		s = &eventSeries{
			events:       m.events.WithLabelValues(l.mta, status, l.category, l.provider),
			delay:        m.delay.WithLabelValues(l.mta, l.provider),
			unclassified: m.unclassified.WithLabelValues(l.mta, l.provider),
		}
		m.cache[l] = s
	}
	return s
}

func (m *Metrics) hit(rule string) prometheus.Counter {
	c := m.hits[rule]
	if c == nil {
		c = m.ruleHits.WithLabelValues(rule)
		m.hits[rule] = c
	}
	return c
}

// initialise makes the series of mta for every pair of status and category that
// can occur: "delivered" is the category of what is delivered, and of nothing else.
func (m *Metrics) initialise(mta string) {
	m.seen[mta] = true
	for _, provider := range m.providers {
		for category, label := range m.categories {
			for _, status := range event.Statuses() {
				if status == event.Rejected && !m.labels.Rejects {
					continue
				}
				if (status == event.Delivered) == (category == event.CategoryDelivered) {
					m.series(eventLabels{mta: mta, category: label, provider: provider, status: status})
				}
			}
		}
	}
}

// forget deletes the series of label values that are no longer allowed.
func (m *Metrics) forget(before Labels) {
	for _, v := range slices.Concat(before.MTAs, before.Possible) {
		if _, ok := m.mtas[v]; !ok {
			deleteSeries("mta", string(v), m.events, m.delay, m.unclassified)
		}
	}
	for _, v := range before.Categories {
		if _, ok := m.categories[v]; !ok {
			deleteSeries("category", string(v), m.events)
		}
	}
	for _, v := range before.Providers {
		if _, ok := m.providers[v]; !ok {
			deleteSeries("provider", v, m.events, m.delay, m.unclassified)
		}
	}
	for _, v := range before.Rules {
		if _, ok := m.rules[v]; !ok {
			deleteSeries("rule", v, m.ruleHits)
		}
	}
}

func deleteSeries(label, value string, vecs ...interface {
	DeletePartialMatch(prometheus.Labels) int
}) {
	for _, vec := range vecs {
		vec.DeletePartialMatch(prometheus.Labels{label: validLabel(value)})
	}
}

// The labels of decisions that no text rule made.
const (
	ruleDefault  = "default"
	ruleEnhanced = "enhanced"
	ruleReply    = "reply"
)

// ruleLabel returns the label of a verdict's rule, "" if there is none, and
// whether it is a text rule. The code tables are one label each, as their rows
// are many and a remote server chooses among them.
func ruleLabel(rules map[string]string, rule string) (label string, text bool) {
	switch {
	case rule == "":
		return "", false
	case rule == ruleDefault:
		return ruleDefault, false
	case strings.HasPrefix(rule, ruleEnhanced+":"):
		return ruleEnhanced, false
	case strings.HasPrefix(rule, ruleReply+":"):
		return ruleReply, false
	}
	return orOther(rules, rule), true
}

// allowed maps values to their labels.
func allowed[T ~string](values []T, more ...T) map[T]string {
	m := make(map[T]string, len(values)+len(more))
	for _, v := range append(more, values...) {
		m[v] = validLabel(string(v))
	}
	return m
}

// validLabel makes s fit to be a label value: the client library panics on
// invalid UTF-8.
func validLabel(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func orOther[T ~string](labels map[T]string, value T) string {
	if label, ok := labels[value]; ok {
		return label
	}
	return otherLabel
}
