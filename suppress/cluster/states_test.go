package cluster

import (
	"strings"
	"testing"
)

func TestStatesOfANewerVersionAreRefused(t *testing.T) {
	s := &states{topic: "states", partition: 3}
	for _, c := range []struct{ claim, refused string }{
		{`{"observed":true}`, ""},
		{`{"observed":true,"version":1}`, ""},
		{`{"observed":true,"version":2}`, "topic states, partition 3: states are of version 2, this program knows 1"},
	} {
		m := noMark
		err := s.take(&m, func(string, []byte) {}, []byte(claimKey), []byte(c.claim), stamp{Epoch: 1})
		switch {
		case c.refused == "" && (err != nil || !m.Observed):
			t.Errorf("%s gives %v and %+v", c.claim, err, m)
		case c.refused != "" && (err == nil || !strings.Contains(err.Error(), c.refused)):
			t.Errorf("%s gives %v", c.claim, err)
		}
	}
}
