package report

import (
	"time"

	"mtatap/event"
	"mtatap/rules"
	"mtatap/rules/review"
)

// Collector counts events. Its zero value is not ready, see New.
type Collector struct {
	first, last time.Time
	all         counts
	hours       map[int64]*counts // by Unix hour
	providers   map[string]*provider
	domains     map[string]*domain
	categories  map[event.Category]*category
	reasons     map[reasonKey]*reason
	more        int // events of domains beyond maxDomains
	undecided   *review.Suggestions
}

// counts are delivery attempts by what became of them. Blocked and spam are
// parts of deferred and bounced.
type counts struct{ accepted, deferred, bounced, rejected, blocked, spam int }

// attempts leaves out what this host itself refused.
func (c *counts) attempts() int { return c.accepted + c.deferred + c.bounced }

type provider struct {
	counts
	delays delays
}

type domain struct {
	counts
	worst event.Category // of the last failure
}

type category struct {
	count  int
	action event.Action
}

type reasonKey struct {
	category event.Category
	reason   string
	rule     string
}

type reason struct {
	count  int
	resend bool
	sample string
}

const (
	maxDomains  = 50_000 // a sender may mail any number
	maxHours    = 5_000  // over half a year; a broken clock may name any hour
	sampleBytes = 400
)

// New returns a collector of events that were classified by set.
func New(set *rules.Set) *Collector {
	return &Collector{
		hours: map[int64]*counts{}, providers: map[string]*provider{}, domains: map[string]*domain{},
		categories: map[event.Category]*category{}, reasons: map[reasonKey]*reason{},
		undecided: review.NewSuggestions(set),
	}
}

// Add counts e. shown is its diagnostic as it may be shown to people.
func (c *Collector) Add(e *event.Event, shown string) {
	if !e.Time.IsZero() {
		if c.first.IsZero() || e.Time.Before(c.first) {
			c.first = e.Time
		}
		if e.Time.After(c.last) {
			c.last = e.Time
		}
	}
	c.all.add(e)
	if e.Status == event.Rejected {
		return // what others sent says nothing about our mail
	}
	if hour := e.Time.Unix() / 3600; c.hours[hour] != nil || len(c.hours) < maxHours {
		entry(c.hours, hour).add(e)
	}
	p := entry(c.providers, e.Provider)
	p.add(e)
	if seconds, known := e.Delay.Value(); known && e.Status == event.Delivered {
		p.delays.add(seconds)
	}
	if c.domains[e.RecipientDomain] != nil || len(c.domains) < maxDomains {
		d := entry(c.domains, e.RecipientDomain)
		d.add(e)
		if e.Status != event.Delivered {
			d.worst = e.Category
		}
	} else {
		c.more++
	}
	if e.Status == event.Delivered {
		return
	}
	k := entry(c.categories, e.Category)
	k.count++
	k.action = stronger(k.action, e.Action)
	r := entry(c.reasons, reasonKey{e.Category, e.Reason, e.Rule})
	r.count++
	r.resend = r.resend || e.Resend
	if r.sample == "" {
		r.sample = clip(shown)
	}
	reply := review.ReplyOf(e, shown)
	c.undecided.Add(&reply)
}

func (c *counts) add(e *event.Event) {
	switch e.Status {
	case event.Delivered:
		c.accepted++
		return
	case event.Deferred:
		c.deferred++
	case event.Bounced, event.Expired:
		c.bounced++
	case event.Rejected:
		c.rejected++
		return
	}
	switch e.Category {
	case event.CategoryBlockGeneral, event.CategoryRelayDenied:
		c.blocked++
	case event.CategoryBlockSpam:
		c.blocked++
		c.spam++
	}
}

// stronger returns the action of a category: a hard bounce that is still being
// tried says watch, which does not say what the category is about.
func stronger(a, b event.Action) event.Action {
	if a == "" || a == event.Watch {
		return b
	}
	return a
}

// entry returns the value of key, made if there is none.
func entry[K comparable, V any](m map[K]*V, key K) *V {
	v := m[key]
	if v == nil {
		v = new(V)
		m[key] = v
	}
	return v
}

func clip(s string) string {
	if len(s) <= sampleBytes {
		return s
	}
	cut := sampleBytes
	for cut > 0 && s[cut]&0xC0 == 0x80 { // not inside a character
		cut--
	}
	return s[:cut] + "..."
}
