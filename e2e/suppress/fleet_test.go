//go:build e2e

package suppress

import (
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"mtatap/e2e/lab"
)

// TestOnOneBroker has fleets side by side, each with topics of its own: most of the
// time they wait for their groups.
func TestOnOneBroker(t *testing.T) {
	broker := lab.StartKafka(t, lab.KafkaOptions{Config: map[string]string{"group.initial.rebalance.delay.ms": "0"}})
	for _, c := range []struct {
		name, fleet string
		test        func(*testing.T, fleet)
	}{
		{"commands and look-ups of every instance agree with one process", "look", testCommandsAndLookups},
		{"an observing fleet only logs, until it no longer observes", "watch", testObserving},
		{"hashes are published and addresses asked for", "hmac", testHashes},
		{"topics that do not fit are refused at start", "misfit", testMisfits},
		{"replayed logs give the table that following them gave", "backfill", testBackfill},
		{"the examples keep the list and feed listmonk", "mtatap", testExamples},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t, fleet{broker.For(t), c.fleet})
		})
	}
}

// decided publishes n events, runs so many instances with the configurations, waits
// until they have decided on all, and returns them and the oracle's table.
func (f fleet) decided(t *testing.T, n int, configs ...string) ([]*instance, map[string]string) {
	t.Helper()
	f.broker.CreateTopic(f.events(), partitions, nil)
	newPublisher(t, f).write(t.Context(), n, traffic(n, n/10, 5), 0)
	var all []*instance
	for _, config := range configs {
		all = append(all, start(t, config))
	}
	f.await(t, int64(n))
	want := oracle(t, n, traffic(n, n/10, 5))
	if len(want) < n/200 {
		t.Fatalf("only %d recipients to suppress", len(want))
	}
	return all, want
}

// await waits until so many events are decided on.
func (f fleet) await(t *testing.T, events int64) {
	t.Helper()
	until(t, 2*time.Minute, fmt.Sprintf("%d events to be decided on", events), func() bool { return f.done(t) >= events })
}

// The password is "for tests", at the lowest cost.
const users = "basic_auth_users: {asker: $2y$04$9rBCb3e1GPTgiKWHhmAaWOnFsQ8uCtK.8zndphLgC0K/QV9LFvj8e}\n"

func testCommandsAndLookups(t *testing.T, f fleet) {
	guard := save(t, filepath.Join(t.TempDir(), "web.yaml"), users)
	guarded := func() string {
		return f.configure(t, fmt.Sprintf("web: {listen_address: %q, config_file: %q}\n", lab.FreeAddr(t), guard))
	}
	config := guarded()
	instances, want := f.decided(t, 4000, config, guarded())
	got, _ := f.table(t)
	compare(t, got, want)
	for i, p := range instances {
		until(t, time.Minute, "an instance to know the list", func() bool { return p.ask(t, "a@b") == "404" })
		for address, record := range want {
			if answer := p.ask(t, strings.ToUpper(address)); canonicalAnswer(t, answer) != record {
				t.Fatalf("instance %d answers %s for %s, want 200 and %s", i, answer, address, record)
			}
		}
		for i := range 400 {
			address := fmt.Sprintf("user.%d@example%d.org", i, i%100)
			if answer := p.ask(t, address); want[address] == "" && answer != "404" {
				t.Fatalf("instance %d answers %s for %s, who may be mailed", i, answer, address)
			}
		}
		res, err := http.Get(p.web + "/v1/suppressions/a@b")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusUnauthorized {
			t.Errorf("without a password: status %d", res.StatusCode)
		}
	}
	expectExports(t, config, want)

	var anyone string
	for address := range want {
		anyone = max(anyone, address)
	}
	if shown := canonical(t, must(t, "suppress", "show", "--config.file", config, "<"+strings.ToUpper(anyone)+">")); shown != want[anyone] {
		t.Errorf("show gives %s, want %s", shown, want[anyone])
	}
	if said := refused(t, "suppress", "show", "--config.file", config, "nobody@example.org"); !strings.Contains(said, "nobody@example.org is not suppressed") {
		t.Errorf("show of an address that may be mailed says %q", said)
	}
	must(t, "suppress", "release", "--config.file", config, anyone)
	must(t, "suppress", "add", "--config.file", config, "--reason", "asked for it", "Nobody@example.org")
	for i, p := range instances {
		until(t, time.Minute, fmt.Sprintf("instance %d to know what was changed by hand", i), func() bool {
			return p.ask(t, anyone) == "404" && strings.Contains(p.ask(t, "nobody@example.org"), `"cause":"manual","reason":"asked for it"`)
		})
	}
	refused(t, "suppress", "show", "--config.file", config, anyone)
	delete(want, anyone)
	var last string
	for _, r := range f.broker.ReadAll(f.suppressions()) {
		if r.Key == anyone {
			last = r.Value
		}
	}
	if last != "" {
		t.Errorf("the release left %q on the topic, want a tombstone", last)
	}
	got, _ = f.table(t)
	want["nobody@example.org"] = got["nobody@example.org"]
	compare(t, got, want)
	for _, p := range instances {
		p.stop()
	}
}

// expectExports fails unless list and every format of export hold the table.
func expectExports(t *testing.T, config string, want map[string]string) {
	t.Helper()
	everybody := make([]string, 0, len(want))
	for address := range want {
		everybody = append(everybody, address)
	}
	slices.Sort(everybody)
	expect := func(what string, recipients []string) {
		t.Helper()
		slices.Sort(recipients)
		if !slices.Equal(recipients, everybody) {
			t.Errorf("%s: %d recipients %.200q, want %d %.200q", what, len(recipients), recipients, len(everybody), everybody)
		}
	}
	fields := func(line, text string) (found []string) {
		for _, m := range regexp.MustCompile(`(?m)^`+line+`$`).FindAllStringSubmatch(text, -1) {
			found = append(found, m[1])
		}
		if n := strings.Count(text, "\n"); n != len(found) {
			t.Errorf("%d of %d lines are like %s", len(found), n, line)
		}
		return found
	}
	export := func(format string) string {
		return must(t, "suppress", "export", "--config.file", config, "--format", format)
	}
	expect("list", fields(`2026-\S+Z  (?:bounce|conversion) +(?:user-unknown|mailbox-full) +(\S+)`, must(t, "suppress", "list", "--config.file", config)))
	expect("postfix-access", fields(`(\S+) REJECT 5\.1\.1 suppressed: (?:user-unknown|mailbox-full) since 2026-\d\d-\d\d`, export("postfix-access")))
	expect("exim-lsearch", fields(`(\S+): suppressed (?:user-unknown|mailbox-full) since 2026-\d\d-\d\d`, export("exim-lsearch")))
	got := map[string]string{}
	for line := range strings.Lines(export("json")) {
		var r struct{ Recipient string }
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		got[r.Recipient] = canonical(t, line)
	}
	compare(t, got, want)
	rows, err := csv.NewReader(strings.NewReader(export("csv"))).ReadAll()
	if err != nil || len(rows) == 0 {
		t.Fatalf("csv: %d rows, %v", len(rows), err)
	}
	if heading := strings.Join(rows[0], " "); heading != "recipient category converted_from reason cause since expires" {
		t.Errorf("csv: heading %q", heading)
	}
	var recipients []string
	for _, row := range rows[1:] {
		recipients = append(recipients, row[0])
		if r := want[row[0]]; !strings.Contains(r, `"cause":"`+row[4]+`"`) || !strings.Contains(r, `"reason":"`+row[3]+`"`) || row[1] != "hard" {
			t.Errorf("csv: %q, want %s", row, r)
		}
	}
	expect("csv", recipients)
}

// ask looks an address up: the record, or the status if that is not 200.
func (p *instance) ask(t *testing.T, address string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.web+"/v1/suppressions/"+url.PathEscape(address), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("asker:for tests")))
	return answer(req)
}

func canonicalAnswer(t *testing.T, answer string) string {
	t.Helper()
	if !strings.HasPrefix(answer, "{") {
		return answer
	}
	return canonical(t, answer)
}

func testObserving(t *testing.T, f fleet) {
	config := f.configureSuppress(t, "  observe: true\n", "")
	instances, want := f.decided(t, 2000, config)
	p := instances[0]
	if records := f.broker.ReadAll(f.suppressions()); len(records) != 0 {
		t.Errorf("%d records are published while only observing", len(records))
	}
	p.ready()
	for address := range want {
		if answer := p.ask(t, address); answer != "404" {
			t.Fatalf("%s is answered for %s while only observing", answer, address)
		}
	}
	said, err := os.ReadFile(p.log)
	if err != nil {
		t.Fatal(err)
	}
	for address := range want {
		if !strings.Contains(string(said), `"recipient\":\"`+address+`\"`) || !strings.Contains(string(said), "would publish") {
			t.Fatalf("what would be published of %s is not logged:\n%.2000s", address, said)
		}
	}
	p.stop()
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	save(t, config, strings.Replace(string(text), "  observe: true\n", "", 1))
	p = start(t, config)
	until(t, time.Minute, "what was observed to be published", func() bool { got, _ := f.table(t); return len(got) >= len(want) })
	got, _ := f.table(t)
	compare(t, got, want)
	p.stop()
}

func testHashes(t *testing.T, f fleet) {
	dir := t.TempDir()
	key := save(t, filepath.Join(dir, "key"), "0123456789abcdef0123456789abcdef\n")
	other := save(t, filepath.Join(dir, "other"), "another-key-another-key-another-key\n")
	hashed := func(key string) string {
		return f.configure(t, fmt.Sprintf("privacy: {addresses: hmac, key_file: %s}\n%s", key, f.sidecar(dir)))
	}
	config := hashed(key)
	f.broker.CreateTopic(f.events(), partitions, nil)
	log := save(t, filepath.Join(dir, "mail.log"), bounce(1, "Gone@text.example")+bounce(2, "gone.too@text.example")+delivery(3, "fine@text.example"))
	must(t, "replay", "--quiet", "--config.file", config, "--to-sinks", log)
	p := start(t, config)
	f.await(t, 3)
	p.ready()
	published, _ := f.table(t)
	for key, record := range published {
		if !regexp.MustCompile(`^[0-9a-f]{32,64}$`).MatchString(key) || strings.Contains(record, "@") || strings.Contains(strings.ToLower(record), "gone") {
			t.Errorf("published under %s: %s", key, record)
		}
	}
	if len(published) != 2 {
		t.Errorf("%d recipients are published, want 2", len(published))
	}
	until(t, time.Minute, "the list to be read", func() bool { return strings.HasPrefix(p.ask(t, "GONE@text.example"), "{") })
	if answer := p.ask(t, "fine@text.example"); answer != "404" {
		t.Errorf("%s for one who may be mailed", answer)
	}
	must(t, "suppress", "show", "--config.file", config, "gone.too@TEXT.example")
	refused(t, "suppress", "show", "--config.file", hashed(other), "gone.too@text.example")
	got := map[string]string{}
	for line := range strings.Lines(must(t, "suppress", "export", "--config.file", config, "--format", "json")) {
		var r struct{ Recipient string }
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		got[r.Recipient] = canonical(t, line)
	}
	compare(t, got, published)
	if said := refused(t, "suppress", "export", "--config.file", config, "--format", "postfix-access"); !strings.Contains(said, "holds hashes") {
		t.Errorf("a map of hashes is refused with %q", said)
	}
	must(t, "suppress", "release", "--config.file", config, "gone@text.example")
	until(t, time.Minute, "the release by address", func() bool { return p.ask(t, "gone@text.example") == "404" })
	p.stop()
}

func testMisfits(t *testing.T, f fleet) {
	f.broker.CreateTopic(f.events(), 3, nil)
	compacted := map[string]string{"cleanup.policy": "compact"}
	f.broker.CreateTopic(f.suppressions(), 2, compacted)
	want := fmt.Sprintf("topic %s has 2 partitions, but %s has 3: they must be as many", f.suppressions(), f.events())
	config := f.configure(t, "")
	for _, command := range [][]string{{"suppress"}, {"suppress", "list"}} {
		if said := refused(t, append(command, "--config.file", config)...); !strings.Contains(said, want) {
			t.Errorf("%v says %q, want %q", command, said, want)
		}
	}
	forgetful := fleet{f.broker, f.name + "-forgetful"}
	forgetful.broker.CreateTopic(forgetful.events(), 1, nil)
	forgetful.broker.CreateTopic(forgetful.suppressions(), 1, nil)
	if said := refused(t, "suppress", "--config.file", forgetful.configure(t, "")); !strings.Contains(said, "cleanup.policy=delete, which would forget recipients") {
		t.Errorf("a topic that forgets is refused with %q", said)
	}
	if said := refused(t, "suppress", "--config.file", f.configure(t, "privacy: {addresses: drop}\n")); !strings.Contains(said, "needs to tell recipients apart, but privacy.addresses: drop leaves none") {
		t.Errorf("dropped addresses are refused with %q", said)
	}
	if said := refused(t, "run", "--config.file", f.configure(t, "privacy: {addresses: drop}\n"+f.sidecar(t.TempDir()))); !strings.Contains(said, "needs to tell recipients apart") {
		t.Errorf("dropped addresses are refused by run with %q", said)
	}
	client := &kafka.Client{Addr: kafka.TCP(f.broker.Addr()), Timeout: 10 * time.Second}
	res, err := client.Metadata(t.Context(), &kafka.MetadataRequest{Topics: []string{f.name + ".state"}})
	if err != nil || len(res.Topics) != 1 || res.Topics[0].Error == nil {
		t.Errorf("a refused start made topics: %+v, %v", res, err)
	}
}
