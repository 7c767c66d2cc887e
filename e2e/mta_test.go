//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mtatap/e2e/lab"
)

// mtas are the mail servers, each with its usual way to rotate a log. What is
// written to standard output can only be copied and truncated, which loses what
// comes meanwhile, so it is not rotated under load.
var mtas = []struct {
	start  func(t testing.TB, opts lab.Options) lab.MTA
	name   string
	rotate lab.Rotation
}{
	{lab.StartPostfix, "postfix", lab.RotateRename},
	{lab.StartExim, "exim", lab.RotateRename},
	{lab.StartHaraka, "haraka", ""},
	{lab.StartOpenSMTPD, "opensmtpd", ""},
}

// Whatever the remote side says, hostile or not, every recipient of every
// attempt gives the event that is right for it, in the topic and in the file,
// and nobody else gets one.
func TestEventsAreWhatTheRemoteSideSaid(t *testing.T) {
	broker := lab.StartKafka(t, lab.KafkaOptions{})
	for _, mta := range mtas {
		t.Run(mta.name, func(t *testing.T) {
			t.Parallel() // nearly all the time goes by between retries
			server, err := lab.StartServer(lab.Scripts())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(server.Close)
			running := mta.start(t, lab.Options{Routes: server.Routes()})
			topic, file := "events."+mta.name, filepath.Join(t.TempDir(), "events.ndjson")
			broker.CreateTopic(topic, 3, nil)
			tap := startMtatap(t, source(running)+fmt.Sprintf("sinks:\n  kafka: {brokers: [%q], topic: %s}\n  file: {path: %s}\n", broker.Addr(), topic, file))

			runMail(t, server, running, lab.EachScript(lab.Scripts()))
			if mta.rotate != "" {
				if err := running.Rotate(mta.rotate); err != nil {
					t.Fatal(err)
				}
			}
			runMail(t, server, running, lab.Mixed(mta.name))

			wrong := []string{"not compared yet"}
			var records []lab.KafkaRecord
			for deadline := time.Now().Add(10 * time.Second); len(wrong) > 0 && time.Now().Before(deadline); time.Sleep(500 * time.Millisecond) {
				records = broker.ReadAll(topic)
				wrong = compare(mta.name, server.Oracle(), events(t, records))
			}
			for _, w := range wrong {
				t.Error(w)
			}
			if err := tap.stop(); err != nil {
				t.Errorf("mtatap ended with %v", err)
			}
			checkEnvelopes(t, records)
			checkSame(t, records, file)
		})
	}
}

// events are the values of records.
func events(t *testing.T, records []lab.KafkaRecord) []published {
	t.Helper()
	all := make([]published, len(records))
	for i, r := range records {
		if err := json.Unmarshal([]byte(r.Value), &all[i]); err != nil {
			t.Fatalf("record %d of partition %d is no event: %v", r.Offset, r.Partition, err)
		}
	}
	return all
}

// checkEnvelopes checks what consumers rely on beside the value: key, headers,
// one partition for each key, no event twice.
func checkEnvelopes(t *testing.T, records []lab.KafkaRecord) {
	t.Helper()
	partitions, seen := map[string]int{}, map[string]bool{}
	for i, e := range events(t, records) {
		r := records[i]
		key := strings.ToLower(e.Recipient)
		if key == "" {
			key = e.QueueID
		}
		if r.Key != key {
			t.Errorf("key %q of %s, want %q", r.Key, e, key)
		}
		if p, known := partitions[key]; known && p != r.Partition {
			t.Errorf("key %q is in partitions %d and %d", key, p, r.Partition)
		}
		partitions[key] = r.Partition
		for name, want := range map[string]string{
			"ce_specversion": "1.0", "ce_id": e.ID, "ce_type": "mtatap.delivery." + e.Status, "content-type": "application/json",
		} {
			if r.Headers[name] != want {
				t.Errorf("header %s is %q, want %q", name, r.Headers[name], want)
			}
		}
		if r.Headers["ce_source"] == "" || r.Headers["ce_time"] == "" {
			t.Errorf("headers %v lack ce_source or ce_time", r.Headers)
		}
		if seen[e.ID] {
			t.Errorf("event %s is there twice", e.ID)
		}
		seen[e.ID] = true
	}
}

// checkSame checks that the file sink has exactly the topic's values.
func checkSame(t *testing.T, records []lab.KafkaRecord, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	inFile := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	inTopic := make([]string, len(records))
	for i, r := range records {
		inTopic[i] = r.Value
	}
	slices.Sort(inFile)
	slices.Sort(inTopic)
	if !slices.Equal(inFile, inTopic) {
		t.Errorf("the file has %d events and the topic %d, or they differ", len(inFile), len(inTopic))
	}
}
