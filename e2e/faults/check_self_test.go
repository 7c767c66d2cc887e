//go:build e2e

package faults

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"testing"
	"time"

	"mtatap/e2e/lab"
)

// TestTheFaultCheckFindsPlantedFaults plants each fault in a faultless stream,
// so that a check which passes means something.
func TestTheFaultCheckFindsPlantedFaults(t *testing.T) {
	traffic := newTraffic(7)
	for range 4000 {
		traffic.line(time.Now())
	}
	want := traffic.outcomes
	var clean []lab.KafkaRecord
	var replayed []string
	for i, o := range want {
		r := recordOf(o, i)
		clean, replayed = append(clean, r), append(replayed, r.Value)
	}
	hot := slices.IndexFunc(want, func(o outcome) bool { return strings.HasPrefix(o.recipient, "Hot") })
	next := hot + 1 + slices.IndexFunc(want[hot+1:], func(o outcome) bool { return o.recipient == want[hot].recipient })
	only := slices.IndexFunc(want, func(o outcome) bool { return o.status == "delivered" && o.attempt == 1 && o.recipient[0] == 'u' })

	change := func(r lab.KafkaRecord, name string, value any) lab.KafkaRecord {
		var fields map[string]any
		if err := json.Unmarshal([]byte(r.Value), &fields); err != nil {
			t.Fatal(err)
		}
		if fields[name] = value; value == nil {
			delete(fields, name)
		}
		r.Value = encode(fields)
		if name == "id" {
			r.Headers = map[string]string{"ce_id": value.(string)}
		}
		return r
	}
	type stream struct {
		records  []lab.KafkaRecord
		replayed []string
	}
	for _, c := range []struct {
		name    string
		plant   func(s *stream)
		want    []fault
		mayMiss map[string]bool
	}{
		{"a faultless stream has none", func(*stream) {}, nil, nil},
		{"a part that comes twice with other reading times is none", func(s *stream) {
			var again []lab.KafkaRecord
			for _, r := range s.records[hot : next+50] {
				again = append(again, change(r, "observed_time", "2026-01-01T00:00:00Z"))
			}
			s.records = slices.Insert(s.records, next+50, again...)
		}, nil, nil},
		{"the only record of a key is missing", func(s *stream) { s.records = slices.Delete(s.records, only, only+1) }, []fault{lost}, nil},
		{"a record in the middle of its key is missing", func(s *stream) { s.records = slices.Delete(s.records, hot, hot+1) }, []fault{lost, disordered}, nil},
		{"everything is missing", func(s *stream) { s.records = nil }, []fault{lost}, nil},
		{"a double has another id", func(s *stream) {
			s.records = slices.Insert(s.records, hot, change(s.records[hot], "id", strings.Repeat("0", 32)))
		}, []fault{otherID, replayDiffers}, nil},
		{"a double has another value", func(s *stream) {
			s.records = slices.Insert(s.records, hot+1, change(s.records[hot], "rule", "other"))
		}, []fault{otherValue}, nil},
		{"two lines share an id", func(s *stream) {
			s.records[only] = change(s.records[only], "id", s.records[hot].Headers["ce_id"])
		}, []fault{sharedID, replayDiffers}, nil},
		{"two records of a key are swapped", func(s *stream) {
			s.records[hot], s.records[next] = s.records[next], s.records[hot]
		}, []fault{disordered}, nil},
		{"a double skips a record of its key", func(s *stream) {
			last := len(s.records) - 1
			for ; want[last].recipient != want[hot].recipient; last-- {
			}
			s.records = append(s.records, s.records[hot], s.records[last])
		}, []fault{disordered}, nil},
		{"a key changes its partition", func(s *stream) { s.records[next].Partition++ }, []fault{moved}, nil},
		{"a record has the key of another", func(s *stream) { s.records[only].Key = "a@b.example" }, []fault{misaddressed}, nil},
		{"an event comes from nowhere", func(s *stream) {
			s.records = append(s.records, change(s.records[hot], "diagnostic", "250 S0999999"))
		}, []fault{invented}, nil},
		{"a record is cut", func(s *stream) { s.records[only].Value = s.records[only].Value[:20] }, []fault{lost, unreadable}, nil},
		{"the sender is missing", func(s *stream) { s.records[hot] = change(s.records[hot], "sender", nil) }, []fault{notJoined}, nil},
		{"attempts are counted from the restart on", func(s *stream) { s.records[hot] = change(s.records[hot], "attempt", 9) }, []fault{notJoined}, nil},
		{"a replay gives another id", func(s *stream) {
			s.replayed[hot] = change(lab.KafkaRecord{Value: s.replayed[hot]}, "id", strings.Repeat("0", 32)).Value
		}, []fault{replayDiffers}, nil},
		{"a replay gives another verdict", func(s *stream) {
			s.replayed[hot] = change(lab.KafkaRecord{Value: s.replayed[hot]}, "category", "hard").Value
		}, []fault{replayDiffers}, nil},
		{"a replay knows no sender", func(s *stream) {
			s.replayed[hot] = change(lab.KafkaRecord{Value: s.replayed[hot]}, "sender", nil).Value
		}, nil, nil},
		{"a replay lacks a line", func(s *stream) { s.replayed = slices.Delete(s.replayed, only, only+1) }, []fault{replayDiffers}, nil},
		{"a record in the middle of its key may be missing", func(s *stream) { s.records = slices.Delete(s.records, hot, hot+1) }, nil, map[string]bool{want[hot].name(): true}},
		{"a record is missing and another one may be", func(s *stream) { s.records = slices.Delete(s.records, only, only+1) }, []fault{lost}, map[string]bool{want[hot].name(): true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &stream{slices.Clone(clean), slices.Clone(replayed)}
			c.plant(s)
			f := check(s.records, want, c.mayMiss, s.replayed)
			var kinds []fault
			for kind := range f.found {
				kinds = append(kinds, kind)
			}
			slices.Sort(kinds)
			slices.Sort(c.want)
			if !slices.Equal(kinds, c.want) {
				t.Errorf("found %q, want %q: %v", kinds, c.want, f.found)
			}
		})
	}
}

// recordOf is the faultless record of o.
func recordOf(o outcome, offset int) lab.KafkaRecord {
	sum := fnv.New128a()
	sum.Write([]byte(o.name()))
	id := fmt.Sprintf("%x", sum.Sum(nil))
	return lab.KafkaRecord{
		Key: strings.ToLower(o.recipient), Partition: len(o.recipient) % 2, Headers: map[string]string{"ce_id": id},
		Value: encode(map[string]any{
			"id": id, "observed_time": "2026-01-01T00:00:01Z", "recipient": o.recipient, "status": o.status, "sender": o.sender,
			"message_id": o.messageID, "attempt": o.attempt, "diagnostic": "250 " + o.serial + " said", "rule": "default",
			"category": "general", "source": map[string]any{"file": "/var/log/mail.log", "offset": offset},
		}),
	}
}

func encode(fields map[string]any) string {
	b, err := json.Marshal(fields)
	if err != nil {
		panic(err)
	}
	return string(b)
}
