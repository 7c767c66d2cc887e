package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mtatap/e2e/lab"
	"mtatap/event"
	"mtatap/parsers"
	"mtatap/rules"
)

// The sample logs need no mail server: what the parsers and the built-in rules
// make of them must be what the remote side said.
func TestEventsOfSampleLogsAreWhatTheRemoteSideSaid(t *testing.T) {
	logs, err := filepath.Glob(filepath.Join(samples, "*", "*.oracle.jsonl"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("no sample logs: %v", err)
	}
	set := builtInRules(t)
	for _, oracle := range logs {
		log := strings.TrimSuffix(oracle, ".oracle.jsonl") + ".log"
		mta := filepath.Base(filepath.Dir(log))
		t.Run(mta+"/"+filepath.Base(log), func(t *testing.T) {
			for _, wrong := range compare(mta, readLines[lab.Exchange](t, oracle), eventsOf(t, set, mta, log)) {
				t.Error(wrong)
			}
		})
	}
}

const samples = "../testdata"

func builtInRules(t *testing.T) *rules.Set {
	t.Helper()
	rulesFile, err := os.ReadFile("../rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	set, err := rules.Parse("rules.yaml", rulesFile, nil)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// eventsOf parses and classifies a log in process.
func eventsOf(t *testing.T, set *rules.Set, mta, log string) []published {
	t.Helper()
	parser, err := parsers.New(mta, parsers.Options{})
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	stat, err := os.Stat(log)
	if err != nil {
		t.Fatal(err)
	}
	var deliveries []event.Delivery
	offset := int64(0)
	for line := range bytes.Lines(content) {
		l := parsers.Line{Text: bytes.TrimSuffix(line, []byte("\n")), Offset: offset, Origin: &event.Origin{}, Reference: stat.ModTime().UTC()}
		if deliveries, err = parser.Parse(deliveries, l); err != nil {
			t.Errorf("%v: %s", err, line)
		}
		offset += int64(len(line))
	}
	deliveries = parser.Flush(deliveries)

	events := make([]published, 0, len(deliveries))
	for i := range deliveries {
		e := event.Event{Delivery: deliveries[i], Observed: time.Now()}
		in := rules.InputOf(&e.Delivery, set.Provider(e.Relay.Host, event.Domain(e.Recipient)))
		e.Verdict = set.Classify(&in)
		var p published
		if err := json.Unmarshal(new(event.Encoder).Append(nil, &e), &p); err != nil {
			t.Fatal(err)
		}
		events = append(events, p)
	}
	return events
}

// readLines decodes a file of one JSON value a line.
func readLines[T any](t *testing.T, path string) []T {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []T
	for dec := json.NewDecoder(f); ; {
		var v T
		if err := dec.Decode(&v); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatalf("read %s: %v", path, err)
		}
		all = append(all, v)
	}
}
