package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"mtatap/suppress"
)

// stream is traffic to a few recipients: hard bounces, full mailboxes, blocks and
// deliveries, some of them published twice.
func stream(n int) []record {
	random := rand.New(rand.NewPCG(3, 4))
	var all []record
	for i := range n {
		who, hours := fmt.Sprintf("user%d@b.example", random.IntN(6)), 12*i
		message := fmt.Sprint("m", i-random.IntN(2))
		switch random.IntN(8) {
		case 0:
			all = append(all, happened(hours, who, message, "bounced", "hard"))
		case 1:
			all = append(all, happened(hours, who, message, "delivered", "delivered"))
		case 2:
			all = append(all, happened(hours, who, message, "bounced", "block-general"))
		default:
			all = append(all, happened(hours, who, message, "deferred", "mailbox-full"))
		}
		if random.IntN(10) == 0 {
			all = append(all, all[len(all)-1-random.IntN(len(all))])
		}
	}
	return all
}

// oracle is what one process that never fails publishes of each recipient, in order.
func oracle(t *testing.T, events []record) map[string][]string {
	t.Helper()
	states := map[string]suppress.State{}
	all := map[string][]string{}
	for _, e := range events {
		recipient, o, err := new(suppress.Decoder).Decode(e.value)
		if err != nil {
			t.Fatal(err)
		}
		var decisions []suppress.Decision
		states[recipient], decisions = suppress.Apply(states[recipient], o, policy)
		for _, d := range decisions {
			all[recipient] = append(all[recipient], encoded(recipient, d))
		}
	}
	return all
}

func encoded(recipient string, d suppress.Decision) string {
	if d.Suppression == nil {
		return "released"
	}
	r := suppress.RecordOf(recipient, d)
	return string(r.Encode())
}

// published is what is on the topic of each recipient, without repetitions.
func published(b *logBroker, partition int) (all map[string][]string, records int) {
	all = map[string][]string{}
	for _, r := range b.all(topics.Suppressions, partition) {
		text := "released"
		if r.value != nil {
			text = string(r.value)
		}
		if n := len(all[r.key]); n == 0 || all[r.key][n-1] != text {
			all[r.key] = append(all[r.key], text)
		}
		records++
	}
	return all, records
}

// repeats reports whether got is want, of which a stretch may come twice.
func repeats(got, want []string) bool {
	for i := range len(want) + 1 {
		for j := range i + 1 {
			if slices.Equal(got, slices.Concat(want[:i], want[j:])) {
				return true
			}
		}
	}
	return false
}

var errPower = errors.New("power failure")

// power fails at the n-th write, and stays away until it is back.
type power struct{ left int }

func (p *power) use() error {
	if p.left--; p.left < 0 {
		return errPower
	}
	return nil
}

func TestACrashBetweenAnyTwoWritesRepeatsAtMostTheSameDecision(t *testing.T) {
	events := stream(60)
	want := oracle(t, events)
	decisions := 0
	for _, all := range want {
		decisions += len(all)
	}
	if decisions < 10 {
		t.Fatalf("only %d decisions: nothing is shown", decisions)
	}
	for crash := 0; ; crash++ {
		b := newLogBroker()
		b.put(topics.Events, 0, events...)
		m := newMember(-1)
		supply := &power{left: crash}
		b.write = func(string, bool) error { return supply.use() }
		m.commit = func(int64) error { return supply.use() }
		err := work(t, instance(t, b, ""), b, m, 0)
		crashed := err != nil
		if crashed && !errors.Is(err, errPower) {
			t.Fatalf("crash %d: %v", crash, err)
		}
		supply.left = 1 << 30
		if crashed {
			if err := work(t, instance(t, b, ""), b, m, 0); err != nil {
				t.Fatalf("crash %d: after it: %v", crash, err)
			}
		}
		got, records := published(b, 0)
		for recipient := range maps.Keys(got) {
			if !repeats(got[recipient], want[recipient]) {
				t.Fatalf("crash %d: %s:\n got %v\nwant %v", crash, recipient, got[recipient], want[recipient])
			}
		}
		if len(got) != len(want) {
			t.Fatalf("crash %d: decisions on %d recipients, want %d", crash, len(got), len(want))
		}
		if repeated := records - decisions; repeated > b.batch {
			t.Errorf("crash %d: %d decisions were repeated: more than one batch", crash, repeated)
		}
		if !crashed {
			if crash < 30 {
				t.Errorf("only %d places to crash at", crash)
			}
			return
		}
	}
}

func TestWhoTakesAPartitionOverKnowsWhatItsOwnerKnew(t *testing.T) {
	b := newLogBroker()
	m := newMember(-1)
	path := filepath.Join(t.TempDir(), "s.db")
	first := instance(t, b, path)
	events := stream(60)
	b.put(topics.Events, 0, events[:30]...)
	if err := work(t, first, b, m, 0); err != nil {
		t.Fatal(err)
	}
	second := instance(t, b, "")
	b.put(topics.Events, 0, events[30:]...)
	if err := work(t, second, b, m, 0); err != nil {
		t.Fatal(err)
	}
	// Back to the first one, which has an old copy, and to a third one, which has none.
	for name, p := range map[string]*Processor{"an old copy": first, "no copy": instance(t, b, "")} {
		if err := work(t, p, b, m, 0); err != nil {
			t.Fatal(err)
		}
		if got, want := known(t, p), known(t, second); !maps.Equal(got, want) || len(want) < 4 {
			t.Errorf("with %s:\n got %v\nwant %v", name, got, want)
		}
	}
	got, records := published(b, 0)
	want := oracle(t, events)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	for _, all := range want {
		records -= len(all)
	}
	if records != 0 {
		t.Errorf("%d decisions were repeated although nothing crashed", records)
	}
}

// known is what the copy of partition 0 holds.
func known(t *testing.T, p *Processor) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := p.store.Part("state/0").Each("", func(key string, value []byte) (bool, error) {
		all[key] = string(value)
		return true, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestACopyThatIsTooOldIsMadeAnew(t *testing.T) {
	b := newLogBroker()
	m := newMember(-1)
	p := instance(t, b, "")
	b.put(topics.Events, 0, happened(1, "a@b.example", "m", "bounced", "hard"))
	if err := work(t, p, b, m, 0); err != nil {
		t.Fatal(err)
	}
	// Its tombstone came and went: compaction removes both in the end.
	part := p.store.Part("state/0")
	var old mark
	if err := json.Unmarshal(part.Mark(), &old); err != nil {
		t.Fatal(err)
	}
	b.mu.Lock()
	b.logs[logName(topics.State, 0)] = slices.DeleteFunc(b.logs[logName(topics.State, 0)], func(r record) bool { return r.key != claimKey })
	b.put2(topics.State, record{key: "", stamp: old.Last}, record{key: "", stamp: old.Last}) // the offsets stay as they were
	b.mu.Unlock()
	old.At = time.Now().Add(-staleAfter - time.Minute)
	text, err := json.Marshal(old)
	if err != nil {
		t.Fatal(err)
	}
	if err := part.Apply(nil, text); err != nil {
		t.Fatal(err)
	}
	if err := work(t, p, b, m, 0); err != nil {
		t.Fatal(err)
	}
	if got := known(t, p); len(got) != 0 {
		t.Errorf("still known: %v", got)
	}
}

// put2 writes while b is locked.
func (b *logBroker) put2(topic string, recs ...record) {
	name := logName(topic, 0)
	b.logs[name] = append(b.logs[name], recs...)
}

func TestWhoLostThePartitionWritesNothing(t *testing.T) {
	gone := errors.New("not a member of this generation")
	for _, c := range []struct {
		name string
		lose func(w *worker, m *member)
	}{
		{"after it was away for long", func(w *worker, m *member) { w.confirmed = time.Now().Add(-time.Minute) }},
		{"after its machine was suspended, whose clock then jumps", func(w *worker, m *member) { w.confirmed = time.Now().Round(0).Add(-time.Minute) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newLogBroker()
			m := newMember(0)
			w := instance(t, b, "").worker(m, 0)
			if err := w.states.restore(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := w.begin(t.Context()); err != nil {
				t.Fatal(err)
			}
			m.commit = func(int64) error { return gone }
			c.lose(w, m)
			before := len(b.all(topics.State, 0))
			err := w.apply(t.Context(), oneBounce(t))
			if !errors.Is(err, errNotOwner) || !errors.Is(err, gone) {
				t.Errorf("%v", err)
			}
			if got := len(b.all(topics.Suppressions, 0)) + len(b.all(topics.State, 0)) - before; got != 0 {
				t.Errorf("%d records were written", got)
			}
		})
	}
}

func oneBounce(t *testing.T) inputs {
	t.Helper()
	recipient, o, err := new(suppress.Decoder).Decode(happened(1, "a@b.example", "m", "bounced", "hard").value)
	if err != nil {
		t.Fatal(err)
	}
	return inputs{all: []input{{recipient: recipient, Outcome: o}}, next: 1, end: 1}
}

func TestAnOwnerThatIsNoLongerInTheGroupStopsAtTheNextCommit(t *testing.T) {
	b := newLogBroker()
	b.put(topics.Events, 0, happened(1, "a@b.example", "m", "bounced", "hard"))
	m := newMember(0)
	gone := errors.New("not a member of this generation")
	m.commit = func(offset int64) error {
		if offset > 0 {
			return gone
		}
		return nil
	}
	if err := instance(t, b, "").worker(m, 0).run(t.Context(), 0); !errors.Is(err, errNotOwner) {
		t.Errorf("%v", err)
	}
}

// Whoever claims while another one works wins, and the other one sees it before long.
func TestOnlyTheLastClaimCounts(t *testing.T) {
	b := newLogBroker()
	b.put(topics.Events, 0, stream(5)...)
	begin := func(p *Processor) *worker {
		t.Helper()
		w := p.worker(newMember(0), 0)
		if err := w.states.restore(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := w.begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		return w
	}
	old := begin(instance(t, b, ""))
	now := begin(instance(t, b, ""))
	late := oneBounce(t)
	late.all[0].recipient = "late@b.example"
	if err := old.apply(t.Context(), late); !errors.Is(err, errClaimed) {
		t.Errorf("the former owner: %v", err)
	}
	if err := now.apply(t.Context(), oneBounce(t)); err != nil {
		t.Errorf("the owner: %v", err) // a retry or a former owner wrote, and it looks
	}
	if err := now.apply(t.Context(), inputs{}); err != nil {
		t.Errorf("the owner: %v", err)
	}
	third := instance(t, b, "")
	begin(third)
	if got := slices.Sorted(maps.Keys(known(t, third))); !slices.Equal(got, []string{"a@b.example"}) {
		t.Errorf("the next owner knows %v", got)
	}
	// Two that claim the same epoch: the first one has it.
	a, c := instance(t, b, "").worker(newMember(0), 0), instance(t, b, "").worker(newMember(0), 0)
	for _, w := range []*worker{a, c} {
		if err := w.states.restore(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.begin(t.Context()); err != nil {
		t.Error(err)
	}
	if err := c.begin(t.Context()); !errors.Is(err, errClaimed) {
		t.Errorf("the second one: %v", err)
	}
}

func TestARetryThatWroteTwiceHarmsNothing(t *testing.T) {
	b := newLogBroker()
	p := instance(t, b, "")
	w := p.worker(newMember(0), 0)
	if err := w.states.restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	twice := true
	b.write = func(topic string, done bool) error {
		if topic == topics.State && !done && twice {
			twice = false
			e, err := json.Marshal(entry{Offset: 0, Command: -1, State: suppress.State{Reset: start}})
			if err != nil {
				return err
			}
			b.put(topic, 0, record{key: recipient + "a@b.example", value: e, stamp: w.states.stamp()})
		}
		return nil
	}
	if err := w.apply(t.Context(), oneBounce(t)); err != nil {
		t.Fatal(err)
	}
	if got := known(t, p)["a@b.example"]; !strings.Contains(got, `"suppression"`) {
		t.Errorf("known is %s", got)
	}
}

func TestAReleaseMendsWhatACrashLeft(t *testing.T) {
	b := newLogBroker()
	m := newMember(-1)
	b.put(topics.Events, 0, happened(1, "a@b.example", "m", "bounced", "hard"))
	b.write = func(topic string, done bool) error { // the decision is out, its state is not
		if topic == topics.State && len(b.all(topics.Suppressions, 0)) > 0 {
			return errPower
		}
		return nil
	}
	if err := work(t, instance(t, b, ""), b, m, 0); !errors.Is(err, errPower) {
		t.Fatal(err)
	}
	b.write = func(string, bool) error { return nil }
	text, err := json.Marshal(Command{SchemaVersion: 1, Recipient: "a@b.example", Do: CommandRelease, Time: start.Add(48 * time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	b.put(topics.Commands, 0, record{key: "a@b.example", value: text})
	if err := work(t, instance(t, b, ""), b, m, 0); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- instance(t, b, "").worker(m, 0).run(ctx, m.offset()) }()
	for ctx.Err() == nil && len(b.list(0)) > 0 { // the command may come after the event
		b.mu.Lock()
		changed := b.changed
		b.mu.Unlock()
		if len(b.list(0)) == 0 {
			break
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
	cancel()
	<-ended
	if got := b.list(0); len(got) != 0 {
		t.Errorf("still on the list: %v", got)
	}
}

func TestCommandsThatMakeNoSenseArePassedOver(t *testing.T) {
	for _, c := range []struct {
		name    string
		command Command
		want    suppress.Kind
	}{
		{"add", Command{1, "a@b.example", CommandAdd, "", start}, suppress.Add},
		{"release", Command{1, "a@b.example", CommandRelease, "", start}, suppress.Release},
		{"something else", Command{1, "a@b.example", "burn", "", start}, suppress.Nothing},
		{"of another schema", Command{2, "a@b.example", CommandAdd, "", start}, suppress.Nothing},
		{"without a recipient", Command{1, "", CommandAdd, "", start}, suppress.Nothing},
		{"a recipient that no store can hold", Command{1, strings.Repeat("a", 40<<10), CommandAdd, "", start}, suppress.Nothing},
		{"at no time", Command{1, "a@b.example", CommandAdd, "", time.Time{}}, suppress.Nothing},
		{"at a time that JSON cannot hold", Command{1, "a@b.example", CommandAdd, "", time.Date(9999, 12, 31, 23, 0, 0, 0, time.FixedZone("", -7200))}, suppress.Nothing},
	} {
		if got := c.command.outcome(); got.Kind != c.want {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
	long := Command{1, "a@b.example", CommandAdd, strings.Repeat("x", 2<<20), start}
	if got := len(long.outcome().Reason); got > 1000 {
		t.Errorf("a reason of %d bytes is kept", got)
	}
}
