package cluster

import (
	"errors"
	"strings"
	"testing"
)

func TestTopicsMustFit(t *testing.T) {
	for _, c := range []struct {
		name    string
		found   map[string]int
		create  bool
		want    string // the error
		missing string
	}{
		{"all with as many partitions", map[string]int{"events": 6, "suppressions": 6, "commands": 6, "state": 6}, false, "", ""},
		{"no events yet", nil, false, "topic events does not exist: let the sidecars write to it first, or set create_topic: true", ""},
		{"no events yet, which may be made", nil, true, "", "events"},
		{"others may be made", map[string]int{"events": 6, "suppressions": 6}, true, "", "commands state"},
		{"others may not be made", map[string]int{"events": 6, "suppressions": 6, "state": 6}, false,
			"topic commands does not exist: create it with 6 partitions and cleanup.policy=compact, or set create_topic: true", ""},
		{"another number of partitions, all at once", map[string]int{"events": 12, "suppressions": 6, "commands": 12, "state": 1}, true,
			"topic suppressions has 6 partitions, but events has 12: they must be as many; make suppressions anew, or choose another name for it\n" +
				"topic state has 1 partitions, but events has 12: they must be as many; make state anew, or choose another name for it", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, missing, err := topics.fit(c.found, c.create)
			if c.want != "" {
				if final := (*finalError)(nil); !errors.As(err, &final) || err.Error() != c.want {
					t.Errorf("got %v\nwant %s", err, c.want)
				}
				return
			}
			var names []string
			for _, topic := range missing {
				names = append(names, topic.Topic)
				if topic.Topic != "events" && (topic.NumPartitions != n || topic.ConfigEntries[0].ConfigValue != "compact") {
					t.Errorf("would make %+v", topic)
				}
			}
			if err != nil || n != c.found["events"] || strings.Join(names, " ") != c.missing {
				t.Errorf("%d partitions, missing %v, %v", n, names, err)
			}
		})
	}
}
