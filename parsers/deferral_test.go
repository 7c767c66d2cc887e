package parsers

import (
	"fmt"
	"strings"
	"testing"

	"mtatap/event"
)

func deferredDelivery(recipient, diagnostic string) *event.Delivery {
	return &event.Delivery{
		Recipient: recipient, RecipientSource: event.RecipientFromLog, OriginalRecipient: "list@x.example", DSN: "4.2.0",
		Relay: event.Relay{Host: "mx.b.example", IP: "2001:db8::1", Port: 25}, Phase: event.PhaseRcpt,
		SMTPCode: 450, EnhancedCode: "4.2.1", Diagnostic: diagnostic,
	}
}

func TestDeferralsTellTheLastOutcome(t *testing.T) {
	var (
		pool deferralPool
		list deferrals
	)
	list.note(&pool, deferredDelivery("a@b.example", "450 4.2.1 first, and longer than the second"))
	list.note(&pool, deferredDelivery("c@b.example", "450 4.2.1 other"))
	want := deferredDelivery("a@b.example", "450 4.2.1 last")
	list.note(&pool, want)

	var got event.Delivery
	list.find("a@b.example").fill(&got)
	if got != *want {
		t.Errorf("fill\n got %+v\nwant %+v", got, *want)
	}
	got = event.Delivery{Recipient: "A@b.example", Relay: event.Relay{Host: "other.example"}, Diagnostic: "gave up"}
	list.find("a@b.example").explain(&got)
	if got.Recipient != "A@b.example" || got.OriginalRecipient != "" || got.Relay != (event.Relay{Host: "other.example"}) || got.Diagnostic != want.Diagnostic || got.SMTPCode != 450 {
		t.Errorf("explain: %+v", got)
	}
	if len(list) != 2 || list.find("d@b.example") != nil {
		t.Errorf("%d deferrals, want 2", len(list))
	}
}

func TestDeferralsKeepTheStartOfLongTexts(t *testing.T) {
	var (
		pool deferralPool
		list deferrals
		got  event.Delivery
	)
	list.note(&pool, deferredDelivery("a@b.example", strings.Repeat("é", maxRememberedField)+"!")).fill(&got)
	if want := strings.Repeat("é", maxRememberedField/2); got.Diagnostic != want {
		t.Errorf("%d bytes of the diagnostic, want %d", len(got.Diagnostic), len(want))
	}
	list.note(&pool, deferredDelivery("a@b.example", "x"+strings.Repeat("é", maxRememberedField))).fill(&got)
	if want := "x" + strings.Repeat("é", maxRememberedField/2-1); got.Diagnostic != want {
		t.Errorf("%d bytes of the diagnostic, want %d: no half character", len(got.Diagnostic), len(want))
	}
	if r := list.note(&pool, deferredDelivery(strings.Repeat("a", maxRememberedField+1), "x")); r != nil || len(list) != 1 {
		t.Errorf("a recipient that would be cut is remembered: %+v", r)
	}
}

func TestDeferralsAreCountedAndBounded(t *testing.T) {
	var (
		pool  deferralPool
		lists [3]deferrals
	)
	for i := range lists {
		for n := range maxDeferrals + 1 {
			if r := lists[i].note(&pool, deferredDelivery(fmt.Sprintf("r%d@b.example", n), "450 later")); (r == nil) != (n == maxDeferrals) {
				t.Fatalf("deferral %d of list %d: %+v", n, i, r)
			}
		}
		if i == 1 && pool.bytes < 2*maxDeferrals*64 {
			t.Errorf("%d bytes counted", pool.bytes)
		}
	}
	for n := range maxDeferrals {
		lists[0].drop(&pool, fmt.Sprintf("r%d@b.example", n))
	}
	lists[1].clear(&pool)
	lists[2].clear(&pool)
	if pool.bytes != 0 || len(lists[0])+len(lists[1])+len(lists[2]) != 0 {
		t.Errorf("%d bytes of lists %v are left", pool.bytes, lists)
	}
	if len(pool.free) > maxFreeDeferrals || cap(lists[1]) > keptDeferrals {
		t.Errorf("%d buffers and room for %d are kept", len(pool.free), cap(lists[1]))
	}
}

func TestDeferralsDoNotAllocateInTheLongRun(t *testing.T) {
	var (
		pool deferralPool
		list deferrals
	)
	a, b := deferredDelivery("a@b.example", "450 4.2.1 later"), deferredDelivery("b@b.example", "450 4.2.1 much later")
	if n := testing.AllocsPerRun(100, func() {
		list.note(&pool, a)
		list.note(&pool, b)
		list.note(&pool, a)
		list.drop(&pool, a.Recipient)
		list.note(&pool, a)
		list.clear(&pool)
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
