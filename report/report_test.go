package report

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"mtatap/event"
	"mtatap/rules"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func newCollector(t *testing.T) *Collector {
	t.Helper()
	data, err := os.ReadFile("../rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	set, err := rules.Parse("rules.yaml", data, nil)
	if err != nil {
		t.Fatal(err)
	}
	return New(set)
}

// happened returns an event of that many hours after noon.
func happened(hours int, status event.Status, category event.Category, provider, domain, text string) *event.Event {
	e := &event.Event{Provider: provider, RecipientDomain: domain}
	e.Time, e.MTA, e.Status, e.Recipient, e.Diagnostic = noon.Add(time.Duration(hours)*time.Hour), "postfix", status, "ann@"+domain, text
	e.Category, e.Rule, e.Reason, e.Action = category, "rule-of-"+string(category), "why-"+string(category), event.Watch
	if category == event.CategoryHard {
		e.Action = event.Suppress
	}
	if category == event.CategoryBlockGeneral {
		e.Action, e.Resend = event.FixSending, true
	}
	if status == event.Delivered {
		e.Delay = event.KnownSeconds(3)
	}
	return e
}

func fill(c *Collector) {
	for i := range 80 {
		c.add(happened(i%5, event.Delivered, event.CategoryDelivered, "google", "gmail.com", "250 ok"))
	}
	for range 12 {
		c.add(happened(2, event.Bounced, event.CategoryHard, "google", "gmail.com", "550 5.1.1 no such user"))
		c.add(happened(3, event.Deferred, event.CategoryBlockGeneral, "microsoft", "outlook.com", "451 4.7.650 blocked <script>alert(1)</script>"))
	}
	for range 4 {
		e := happened(3, event.Bounced, event.CategoryGeneral, "other", "tiny.example", "550 zorp the quux")
		e.Rule, e.Reason = "reply:550", ""
		c.add(e)
	}
	c.add(happened(3, event.Rejected, event.CategoryRelayDenied, "other", "x.example", "554 relay access denied"))
}

func (c *Collector) add(e *event.Event) { c.Add(e, e.Diagnostic) }

func render(t *testing.T, c *Collector) string {
	t.Helper()
	var b strings.Builder
	if err := c.Render(&b, Made{Files: []string{"<mail>.log"}, At: noon, Lines: 1234567, Unparsed: 2, Rules: "1.0.0"}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTheReportSaysWhatBecameOfTheMail(t *testing.T) {
	c := newCollector(t)
	fill(c)
	page := render(t, c)
	for _, want := range []string{
		"2026-11-20 12:00 to 2026-11-20 16:00",
		"Delivery attempts<b>108</b>", "Accepted<b>80</b><span>74.1 %</span>", "Deferred<b>12</b>", "Bounced<b>16</b>", "Blocked<b>12</b><span>11.1 %",
		"Rejected by this host<b>1</b>",
		"Stop mailing these addresses", "Mend how you send", "Send again once the cause is mended.",
		"why-block-general", "rule-of-hard", "550 5.1.1 no such user",
		`<td>gmail.com</td><td class="n">92</td><td class="n">13.0 %</td>`,
		"4 failures were decided by their codes alone", "550 zorp the quux",
		"1,234,567 lines, 2 of which look like a delivery", "&lt;mail&gt;.log",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(page, "tiny.example") {
		t.Error("a domain with four attempts is among the worst")
	}
	if bars := strings.Count(page, `<rect class="accepted" x=`); bars != 5 {
		t.Errorf("%d bars of accepted mail, want one an hour", bars)
	}
	if dots := strings.Count(page, `<circle class="dot"`); dots != 5 {
		t.Errorf("%d points of the block share", dots)
	}
	if !strings.Contains(page, "2026-11-20 15:00: 37.5 % blocked") {
		t.Error("the block share of three o'clock is not 12 of 32")
	}
}

func TestHostileTextStaysText(t *testing.T) {
	c := newCollector(t)
	for i, text := range []string{`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `</style><script>1</script>`, `</title><svg onload=1>`, "\xff\xfe\x1b[31m", `{{.}}`, "javascript:alert(1)"} {
		e := happened(i, event.Bounced, event.CategoryGeneral, text, text, "550 "+text)
		e.Rule, e.Reason, e.Category = "reply:550", text, event.Category(text)
		for range 6 {
			c.add(e)
		}
	}
	page := render(t, c)
	tree, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	allowed := map[string]bool{}
	for _, name := range strings.Fields("html head meta title style body header h1 h2 p ul li b span small code pre details summary table tbody tr th td div figure figcaption footer br svg g rect line text polyline circle") {
		allowed[name] = true
	}
	for n := range tree.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if !allowed[n.Data] {
			t.Errorf("element <%s>", n.Data)
		}
		for _, a := range n.Attr {
			if strings.HasPrefix(a.Key, "on") || a.Key == "src" || a.Key == "href" || a.Key == "style" {
				t.Errorf("attribute %s=%q of <%s>", a.Key, a.Val, n.Data)
			}
		}
	}
}

func TestThePolicyNamesTheStyleSheetThatIsThere(t *testing.T) {
	page := render(t, newCollector(t))
	_, rest, _ := strings.Cut(page, "<style>")
	style, _, _ := strings.Cut(rest, "</style>")
	if style != styleSheet {
		t.Error("the style sheet was changed on its way into the page: its hash would not match")
	}
	if !strings.Contains(page, `content="default-src &#39;none&#39;; base-uri &#39;none&#39;; form-action &#39;none&#39;; style-src &#39;sha256-`) {
		t.Error("no strict policy")
	}
}

func TestAnEmptyReportIsAPage(t *testing.T) {
	if page := render(t, newCollector(t)); !strings.Contains(page, "No delivery results") || !strings.HasSuffix(strings.TrimSpace(page), "</html>") && !strings.Contains(page, "</html>") {
		t.Error(page)
	}
}

func TestMemoryIsBoundedHoweverManyDomainsAndHoursThereAre(t *testing.T) {
	c := newCollector(t)
	for i := range maxDomains + 1000 {
		c.add(happened(i, event.Delivered, event.CategoryDelivered, "other", fmt.Sprintf("d%d.example", i), ""))
	}
	if len(c.domains) != maxDomains || c.more != 1000 || len(c.hours) != maxHours {
		t.Errorf("%d domains, %d more, %d hours", len(c.domains), c.more, len(c.hours))
	}
	if ch := c.outcomes(); len(ch.Bars) > 3*chartSlots {
		t.Errorf("%d bars", len(ch.Bars))
	}
}

func TestQuantilesLieBetweenTheStepsOfDelays(t *testing.T) {
	var d delays
	for range 100 {
		d.add(3) // between 2 and 4 seconds
	}
	for range 10 {
		d.add(5000) // between 4096 and 8192
	}
	if q := d.quantile(.5); q < 2*time.Second || q > 4*time.Second {
		t.Errorf("median %v", q)
	}
	if q := d.quantile(.95); q < 4096*time.Second || q > 8192*time.Second {
		t.Errorf("95%% below %v", q)
	}
	if q := new(delays).quantile(.5); q != 0 {
		t.Errorf("nothing gives %v", q)
	}
	d.add(1e12)
	if q := d.quantile(1); q < 24*time.Hour {
		t.Errorf("the longest is %v", q)
	}
}
