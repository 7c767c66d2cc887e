package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"mtatap/event"
)

// Made says where a report comes from.
type Made struct {
	Files    []string
	At       time.Time
	Lines    int64
	Unparsed int64
	Rules    string // version of the rule set
}

// view is the page as the template needs it.
type view struct {
	Made
	From, To    string
	Events      int
	Numbers     []number
	Outcomes    chart
	BlockShare  chart
	Categories  []categoryRow
	Providers   []providerRow
	Slowest     []providerRow
	Reasons     []reasonRow
	Domains     []domainRow
	MoreDomains int
	Undecided   int
	Clusters    []cluster
}

type number struct{ Title, Value, Note string }

type categoryRow struct {
	Name   event.Category
	Count  int
	Share  string
	Bar    int // of 100
	Advice string
}

type providerRow struct {
	Name                                 string
	Attempts                             int
	Accepted, Deferred, Bounced, Blocked string
	Median, Slow                         string
}

type reasonRow struct {
	Category     event.Category
	Reason, Rule string
	Count        int
	Sample       string
	Advice       string
}

type domainRow struct {
	Name             string
	Attempts         int
	Bounced, Blocked string
	Mostly           event.Category
}

type cluster struct {
	Template string
	Count    int
	Rule     string
	Category event.Category
	Sample   string
	Stub     string
}

const (
	shownReasons   = 15
	shownDomains   = 15
	shownProviders = 25
	shownSlowest   = 8
	shownClusters  = 10
	leastDomain    = 5 // attempts that say something about a domain
)

func (c *Collector) view(made Made) view {
	v := view{
		Made: made, Events: c.all.attempts() + c.all.rejected,
		From: stamp(c.first), To: stamp(c.last),
		Numbers: c.numbers(), Outcomes: c.outcomes(), BlockShare: c.blockShare(),
		Categories: c.categoryRows(), Reasons: c.reasonRows(), Domains: c.domainRows(), MoreDomains: c.more,
		Undecided: c.undecided.Undecided,
	}
	v.Providers, v.Slowest = c.providerRows()
	for _, s := range c.undecided.Top(shownClusters) {
		sample := ""
		if len(s.Samples) > 0 {
			sample = clip(s.Samples[0])
		}
		v.Clusters = append(v.Clusters, cluster{s.Template, s.Count, s.Rule, s.Category, sample, s.Stub})
	}
	return v
}

func (c *Collector) numbers() []number {
	n := c.all.attempts()
	numbers := []number{
		{"Delivery attempts", thousands(n), ""},
		{"Accepted", thousands(c.all.accepted), share(c.all.accepted, n)},
		{"Deferred", thousands(c.all.deferred), share(c.all.deferred, n)},
		{"Bounced", thousands(c.all.bounced), share(c.all.bounced, n)},
		{"Blocked", thousands(c.all.blocked), share(c.all.blocked, n) + ", as spam " + thousands(c.all.spam)},
	}
	if c.all.rejected > 0 {
		numbers = append(numbers, number{"Rejected by this host", thousands(c.all.rejected), "mail of others"})
	}
	return numbers
}

func (c *Collector) categoryRows() []categoryRow {
	failures := c.all.deferred + c.all.bounced
	var rows []categoryRow
	most := 0
	for _, k := range c.categories {
		most = max(most, k.count)
	}
	for name, k := range c.categories {
		rows = append(rows, categoryRow{name, k.count, share(k.count, failures), percentOf(k.count, most), advice(name, k.action)})
	}
	slices.SortFunc(rows, func(a, b categoryRow) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Name, b.Name))
	})
	return rows
}

func (c *Collector) providerRows() (rows, slowest []providerRow) {
	row := func(name string) providerRow {
		p := c.providers[name]
		n := p.attempts()
		r := providerRow{Name: name, Attempts: n, Accepted: share(p.accepted, n), Deferred: share(p.deferred, n), Bounced: share(p.bounced, n), Blocked: share(p.blocked, n)}
		if p.delays.total > 0 {
			r.Median, r.Slow = duration(p.delays.quantile(.5)), duration(p.delays.quantile(.95))
		}
		return r
	}
	names := slices.SortedFunc(maps.Keys(c.providers), func(a, b string) int {
		return cmp.Or(cmp.Compare(c.providers[b].attempts(), c.providers[a].attempts()), cmp.Compare(a, b))
	})
	for _, name := range names[:min(len(names), shownProviders)] {
		rows = append(rows, row(name))
	}
	names = slices.DeleteFunc(names, func(name string) bool { return c.providers[name].delays.total == 0 })
	slices.SortStableFunc(names, func(a, b string) int {
		return cmp.Compare(c.providers[b].delays.quantile(.95), c.providers[a].delays.quantile(.95))
	})
	for _, name := range names[:min(len(names), shownSlowest)] {
		slowest = append(slowest, row(name))
	}
	return rows, slowest
}

func (c *Collector) reasonRows() []reasonRow {
	keys := slices.SortedFunc(maps.Keys(c.reasons), func(a, b reasonKey) int {
		return cmp.Or(cmp.Compare(c.reasons[b].count, c.reasons[a].count), cmp.Compare(a.rule, b.rule), cmp.Compare(a.category, b.category), cmp.Compare(a.reason, b.reason))
	})
	var rows []reasonRow
	for _, k := range keys[:min(len(keys), shownReasons)] {
		r := c.reasons[k]
		row := reasonRow{k.category, k.reason, k.rule, r.count, r.sample, ""}
		if r.resend {
			row.Advice = "Send again once the cause is mended."
		}
		rows = append(rows, row)
	}
	return rows
}

// domainRows are the domains that refuse most of what they are sent.
func (c *Collector) domainRows() []domainRow {
	names := slices.DeleteFunc(slices.Collect(maps.Keys(c.domains)), func(name string) bool {
		d := c.domains[name]
		return name == "" || d.attempts() < leastDomain || d.bounced+d.blocked == 0
	})
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(c.domains[b].bounced, c.domains[a].bounced), cmp.Compare(c.domains[b].blocked, c.domains[a].blocked), cmp.Compare(a, b))
	})
	var rows []domainRow
	for _, name := range names[:min(len(names), shownDomains)] {
		d := c.domains[name]
		rows = append(rows, domainRow{name, d.attempts(), share(d.bounced, d.attempts()), share(d.blocked, d.attempts()), d.worst})
	}
	return rows
}

// advice says what a sender should do about a category.
func advice(c event.Category, a event.Action) string {
	switch c {
	case event.CategoryDNSFailure:
		return "Look up some of these domains by hand: if none answers, it is your resolver."
	case event.CategoryMailboxFull:
		return "Nothing now. Addresses that stay full should be suppressed."
	case event.CategoryTransient:
		return "Nothing: your mail server goes on trying."
	}
	switch a {
	case event.Suppress:
		return "Stop mailing these addresses, and ask where they came from."
	case event.FixSending:
		return "Mend how you send: reputation, listing, authentication, rate or relay. The replies name what."
	case event.FixMessage:
		return "Change the message: its content, links, attachments or size."
	case event.Retry:
		return "Nothing: your mail server goes on trying."
	case event.Ignore:
		return "Nothing, or answer the challenge."
	}
	return "Keep an eye on it."
}

func share(n, of int) string {
	if of == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(n)/float64(of))
}

func percentOf(n, of int) int {
	if of == 0 {
		return 0
	}
	return 100 * n / of
}

// thousands groups digits: 1234567 is 1,234,567.
func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04")
}

func duration(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f h", d.Hours()), ".0 h")
}
