package suppress

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"mtatap/event"
)

var start = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func at(hours float64) time.Time { return start.Add(time.Duration(hours * float64(time.Hour))) }

var usual = Policy{After: map[event.Category]Threshold{
	event.CategoryHard:        {Messages: 1},
	event.CategoryMailboxFull: {To: event.CategoryHard, Messages: 3, Spread: 72 * time.Hour, Window: 30 * 24 * time.Hour},
}}

func failed(hours float64, category event.Category, message string) Outcome {
	return Outcome{Kind: Failure, Time: at(hours), Category: category, Message: message,
		Evidence: Evidence{ID: message + "@" + fmt.Sprint(hours), SMTPCode: 552, EnhancedCode: "5.2.2", Text: "552 5.2.2 no"}}
}

func full(hours float64, message string) Outcome {
	return failed(hours, event.CategoryMailboxFull, message)
}
func hard(hours float64, message string) Outcome { return failed(hours, event.CategoryHard, message) }
func delivered(hours float64) Outcome            { return Outcome{Kind: Delivery, Time: at(hours)} }
func added(hours float64) Outcome                { return Outcome{Kind: Add, Time: at(hours), Reason: "asked for"} }
func released(hours float64) Outcome             { return Outcome{Kind: Release, Time: at(hours)} }

// told is what happened to a recipient: "+" or "-", cause and hour of each decision.
func told(decisions []Decision) string {
	var all []string
	for _, d := range decisions {
		sign := "-"
		if d.Suppression != nil {
			sign = "+"
		}
		all = append(all, fmt.Sprintf("%s%s@%v", sign, d.Cause, d.At.Sub(start).Hours()))
	}
	return strings.Join(all, " ")
}

func applyAll(p Policy, outcomes ...Outcome) (State, []Decision) {
	var s State
	var all []Decision
	for _, o := range outcomes {
		var more []Decision
		s, more = Apply(s, o, p)
		all = append(all, more...)
	}
	return s, all
}

func TestDecisions(t *testing.T) {
	twice := Policy{After: map[event.Category]Threshold{event.CategoryHard: {Messages: 2}}}
	lapsing := Policy{After: usual.After, Expires: 240 * time.Hour}
	general := Policy{After: map[event.Category]Threshold{event.CategoryGeneral: {Messages: 2}}}
	for _, c := range []struct {
		name     string
		policy   Policy
		outcomes []Outcome
		want     string
	}{
		{"a hard bounce suppresses at once", usual, []Outcome{hard(1, "a")}, "+bounce@1"},
		{"a second hard bounce decides nothing more", usual, []Outcome{hard(1, "a"), hard(2, "b")}, "+bounce@1"},
		{"the same event twice decides once", usual, []Outcome{hard(1, "a"), hard(1, "a")}, "+bounce@1"},
		{"after two hard bounces where the policy says so", twice, []Outcome{hard(1, "a"), hard(2, "b")}, "+bounce@2"},
		{"two attempts of one message are one", twice, []Outcome{hard(1, "a"), hard(2, "a")}, ""},
		{"a full mailbox alone does not suppress", usual, []Outcome{full(1, "a")}, ""},
		{"three full messages over three days convert", usual, []Outcome{full(0, "a"), full(24, "b"), full(72, "c")}, "+conversion@72"},
		{"three within less than three days do not", usual, []Outcome{full(0, "a"), full(24, "b"), full(71, "c")}, ""},
		{"a fourth one later does", usual, []Outcome{full(0, "a"), full(24, "b"), full(71, "c"), full(80, "d")}, "+conversion@80"},
		{"two over three days do not", usual, []Outcome{full(0, "a"), full(72, "b")}, ""},
		{"retries of one message are one", usual, []Outcome{full(0, "a"), full(40, "a"), full(72, "a"), full(80, "a")}, ""},
		{"outside of the window the first no longer counts", usual, []Outcome{full(0, "a"), full(24, "b"), full(30*24+1, "c")}, ""},
		{"a delivery resets", usual, []Outcome{full(0, "a"), full(24, "b"), delivered(50), full(72, "c")}, ""},
		{"after a reset the count begins anew", usual, []Outcome{full(0, "a"), delivered(50), full(60, "b"), full(70, "c"), full(140, "d")}, "+conversion@140"},
		{"a late delivery resets only what was before it", usual, []Outcome{full(20, "a"), full(30, "b"), delivered(10), full(92, "c")}, "+conversion@92"},
		{"a late failure counts at its own time", usual, []Outcome{full(24, "b"), full(72, "c"), full(0, "a")}, "+conversion@0"},
		{"a late failure from before a delivery does not count", usual, []Outcome{full(60, "b"), delivered(80), hard(70, "late")}, ""},
		{"a delivery after it releases", usual, []Outcome{hard(1, "a"), delivered(5)}, "+bounce@1 -delivery@5"},
		{"the failure again after the release decides nothing", usual, []Outcome{hard(1, "a"), delivered(5), hard(1, "a")}, "+bounce@1 -delivery@5"},
		{"a delivery before it does not release", usual, []Outcome{hard(5, "a"), delivered(1)}, "+bounce@5"},
		{"a delivery in the same second does not release", usual, []Outcome{hard(5, "a"), delivered(5)}, "+bounce@5"},
		{"a delivery between conversion's bounces that comes too late changes nothing", usual, []Outcome{full(0, "a"), full(24, "b"), full(72, "c"), delivered(30)}, "+conversion@72"},
		{"a hard bounce after a conversion decides nothing more", usual, []Outcome{full(0, "a"), full(24, "b"), full(72, "c"), hard(73, "d")}, "+conversion@72"},
		{"a hard bounce among full mailboxes suppresses", usual, []Outcome{full(0, "a"), hard(1, "b")}, "+bounce@1"},
		{"a suppression without a limit stays", usual, []Outcome{hard(1, "a"), hard(1e5, "b")}, "+bounce@1"},
		{"a suppression expires", lapsing, []Outcome{hard(1, "a"), hard(300, "b")}, "+bounce@1 -expiry@241 +bounce@300"},
		{"old failures do not renew what has expired", lapsing, []Outcome{hard(1, "a"), delivered(300), hard(1, "a")}, "+bounce@1 -expiry@241"},
		{"by hand", usual, []Outcome{added(1)}, "+manual@1"},
		{"by hand is not undone by a delivery or by time", lapsing, []Outcome{added(1), delivered(5), delivered(500)}, "+manual@1"},
		{"released by hand", usual, []Outcome{hard(1, "a"), released(2)}, "+bounce@1 -manual@2"},
		{"what was released by hand is not renewed by what was before", usual, []Outcome{hard(1, "a"), released(2), hard(1, "a"), full(1, "b")}, "+bounce@1 -manual@2"},
		{"a new bounce after a release suppresses again", usual, []Outcome{hard(1, "a"), released(2), hard(3, "b")}, "+bounce@1 -manual@2 +bounce@3"},
		{"releasing who is not suppressed decides nothing", usual, []Outcome{released(2)}, ""},
		{"adding twice decides once", usual, []Outcome{added(1), added(2)}, "+manual@1"},
		{"adding again after a release", usual, []Outcome{added(1), released(2), added(1), added(3)}, "+manual@1 -manual@2 +manual@3"},
		{"an old release does not undo a newer bounce", usual, []Outcome{hard(5, "a"), released(2)}, "+bounce@5"},
		{"categories without a threshold never suppress", usual, []Outcome{failed(1, event.CategoryGeneral, "a"), failed(99, event.CategoryDNSFailure, "b")}, ""},
		{"a soft category with a threshold of its own", general, []Outcome{failed(1, event.CategoryGeneral, "a"), failed(2, event.CategoryGeneral, "b")}, "+bounce@2"},
		{"a message that began before the window counts from its last failure", Policy{After: map[event.Category]Threshold{event.CategoryHard: {Messages: 2, Window: 200 * time.Hour}}},
			[]Outcome{hard(0, "a"), hard(50, "a"), hard(210, "b"), hard(50, "a")}, "+bounce@210"},
		{"nothing decides nothing", usual, []Outcome{{Time: at(1)}}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, decisions := applyAll(c.policy, c.outcomes...); told(decisions) != c.want {
				t.Errorf("got %q, want %q", told(decisions), c.want)
			}
		})
	}
}

func TestAConversionShowsWhatItRestsOn(t *testing.T) {
	s, _ := applyAll(usual, full(0, "a"), full(24, "b"), full(72, "c"))
	got := s.Suppression
	if got.Category != event.CategoryHard || got.ConvertedFrom != event.CategoryMailboxFull || !got.Since.Equal(at(72)) || !got.Expires.IsZero() {
		t.Errorf("%+v", got)
	}
	var ids []string
	for _, e := range got.Evidence {
		ids = append(ids, e.ID)
		if e.SMTPCode != 552 || e.EnhancedCode != "5.2.2" || e.Text == "" || e.Time.IsZero() {
			t.Errorf("evidence %+v", e)
		}
	}
	if strings.Join(ids, " ") != "a@0 b@24 c@72" {
		t.Errorf("evidence %v", ids)
	}
}

// history is a random run of outcomes in the order of their times.
func history(random *rand.Rand, n int) []Outcome {
	var all []Outcome
	hours := 0.0
	for i := range n {
		hours += float64(random.IntN(60)) // often in the same hour
		message := fmt.Sprint("m", i-random.IntN(2))
		switch random.IntN(10) {
		case 0:
			all = append(all, hard(hours, message))
		case 1, 2:
			all = append(all, delivered(hours))
		case 3:
			all = append(all, failed(hours, event.CategoryBlockGeneral, message))
		case 4:
			switch random.IntN(6) {
			case 0:
				all = append(all, released(hours+0.001*float64(i)))
			case 1:
				all = append(all, added(hours+0.001*float64(i)))
			}
		case 5:
			all = append(all, failed(hours, event.CategoryGeneral, message))
		default:
			all = append(all, full(hours, message))
		}
	}
	return all
}

func TestRepeatsDecideWhatOneRunDecides(t *testing.T) {
	lapsing := Policy{After: usual.After, Expires: 400 * time.Hour}
	strict := Policy{After: map[event.Category]Threshold{
		event.CategoryHard:        {Messages: 2, Window: 200 * time.Hour},
		event.CategoryMailboxFull: {To: event.CategoryHard, Messages: 5, Spread: 100 * time.Hour, Window: 300 * time.Hour},
		event.CategoryGeneral:     {Messages: 3, Spread: 50 * time.Hour, Window: 400 * time.Hour},
	}}
	decided := 0
	for seed := range uint64(1000) {
		random := rand.New(rand.NewPCG(seed, 1))
		for _, p := range []Policy{usual, lapsing, strict} {
			once := history(random, 40)
			// A crash repeats a stretch; a retry repeats a single event later.
			var repeated []Outcome
			for i, o := range once {
				repeated = append(repeated, o)
				switch random.IntN(8) {
				case 0:
					repeated = append(repeated, once[random.IntN(i+1):i+1]...)
				case 1:
					repeated = append(repeated, once[random.IntN(i+1)])
				}
			}
			wantState, want := applyAll(p, once...)
			gotState, got := applyAll(p, repeated...)
			decided += len(want)
			if told(got) != told(want) || !reflect.DeepEqual(gotState.Suppression, wantState.Suppression) {
				t.Fatalf("seed %d:\n once %s\n with repeats %s", seed, told(want), told(got))
			}
		}
	}
	if decided < 3000 { // of three policies
		t.Errorf("only %d decisions: the histories show nothing", decided)
	}
}

func TestAMessageThatFailedBeforeAndAfterADeliveryShowsItsLastFailure(t *testing.T) {
	_, decisions := applyAll(usual, full(0, "a"), full(30, "a"), delivered(20), full(60, "b"), full(110, "c"))
	if told(decisions) != "+conversion@110" {
		t.Fatalf("decided %q", told(decisions))
	}
	first := decisions[0].Suppression.Evidence[0]
	if first.ID != "a@30" || !first.Time.Equal(at(30)) {
		t.Errorf("evidence %+v", first)
	}
}

func TestWhatIsDoneByHandCountsAlthoughALogIsAhead(t *testing.T) {
	minute := 1.0 / 60
	for _, c := range []struct {
		name   string
		before []Outcome
		do     Outcome
		want   string
	}{
		{"a release of what is a minute ahead", []Outcome{hard(1+minute, "a")}, released(1), "-manual@"},
		{"an addition after a delivery that is a minute ahead", []Outcome{full(1, "a"), delivered(1 + minute)}, added(1), "+manual@"},
		{"a release of long ago, as after lost state", []Outcome{hard(9, "a")}, released(1), ""},
	} {
		s, _ := applyAll(usual, c.before...)
		if _, decisions := Apply(s, ByHand(s, c.do), usual); !strings.HasPrefix(told(decisions), c.want) || (c.want == "") != (len(decisions) == 0) {
			t.Errorf("%s: %q", c.name, told(decisions))
		}
	}
}

func TestWhatIsRememberedOfARecipientIsBounded(t *testing.T) {
	var s State
	patient := Policy{After: map[event.Category]Threshold{event.CategoryMailboxFull: {Messages: 3, Spread: 72 * time.Hour, Window: 720 * time.Hour}}}
	for i := range 10_000 {
		s, _ = Apply(s, full(float64(i)/200, fmt.Sprint("m", i)), patient) // within 50 hours
	}
	if len(s.Failures) != maxFailures {
		t.Errorf("%d failures are remembered, want %d", len(s.Failures), maxFailures)
	}
	if first, last := s.Failures[0].Time, s.Failures[maxFailures-1].Time; !first.Equal(at(0)) || !last.Equal(at(9999.0/200)) {
		t.Errorf("from %v to %v: the first and the last must stay", first, last)
	}
	if _, decisions := Apply(s, full(73, "late"), patient); told(decisions) != "+bounce@73" {
		t.Errorf("decided %q", told(decisions))
	}
}

func TestWhoIsQuietIsForgotten(t *testing.T) {
	after := func(outcomes ...Outcome) State { s, _ := applyAll(usual, outcomes...); return s }
	for _, c := range []struct {
		name  string
		state State
		hours float64
		want  bool
	}{
		{"within the window of a failure", after(full(0, "a")), 30 * 24, false},
		{"after the window of a failure", after(full(0, "a")), 30*24 + 1, true},
		{"after a reset that duplicates may still run into", after(full(0, "a"), delivered(10)), 30 * 24, false},
		{"long after a reset", after(full(0, "a"), delivered(10)), 30*24 + 11, true},
		{"a suppressed one never", after(hard(0, "a")), 1e5, false},
	} {
		if got := c.state.Forgettable(at(c.hours), usual); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestDeliveriesToWhoNeverFailedLeaveNothingToRemember(t *testing.T) {
	s, decisions := applyAll(usual, delivered(1), delivered(2), failed(3, event.CategoryTransient, "a"), delivered(4))
	if !s.IsZero() || decisions != nil {
		t.Errorf("%+v, %v", s, decisions)
	}
}

func TestStateSurvivesItsEncoding(t *testing.T) {
	for _, outcomes := range [][]Outcome{{hard(1, "a")}, {full(0, "a"), full(5, "b")}, {full(0, "a"), delivered(3)}, {added(1)}, {full(0, "a"), full(24, "b"), full(72, "c")}} {
		want, _ := applyAll(usual, outcomes...)
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got State
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s became %+v", text, got)
		}
	}
}

func TestPoliciesThatWouldHarmAreRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		p    Policy
		want string
	}{
		{"a block", Policy{After: map[event.Category]Threshold{event.CategoryBlockGeneral: {Messages: 9}}}, "must never suppress"},
		{"no message", Policy{After: map[event.Category]Threshold{event.CategoryHard: {}}}, "messages: want 1 to 32"},
		{"too many messages", Policy{After: map[event.Category]Threshold{event.CategoryHard: {Messages: 33}}}, "messages: want 1 to 32"},
		{"a spread that the window does not hold", Policy{After: map[event.Category]Threshold{event.CategoryMailboxFull: {Messages: 2, Spread: 2, Window: 1}}}, "does not fit"},
		{"time that runs backwards", Policy{Expires: -1}, "expires"},
	} {
		if err := c.p.Check(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if err := usual.Check(); err != nil {
		t.Error(err)
	}
}
