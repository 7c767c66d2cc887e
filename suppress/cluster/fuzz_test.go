package cluster

import (
	"testing"

	"mtatap/suppress"
)

// Whatever stands in a topic is an input or counted as refused, and never both.
func FuzzFeed(f *testing.F) {
	f.Add(true, []byte(`{"recipient":"a@b.example","action":"add","reason":"asked","time":"2026-11-24T00:00:00Z"}`))
	f.Add(true, []byte(`[]`))
	f.Add(false, []byte(`{"schema_version":1,"status":"bounced","recipient":"a@b.example","category":"hard"}`))
	f.Add(false, []byte("{\"schema_version\":1,\"recipient\":\"\\ud800\xff\"}"))
	f.Fuzz(func(t *testing.T, command bool, value []byte) {
		var batch inputs
		source := feed{command: command}
		source.decode(&suppress.Decoder{}, &batch, 7, value)
		if len(batch.all) > 0 && batch.refused > 0 || len(batch.all) > 1 || batch.refused > 1 {
			t.Fatalf("%d inputs and %d refused of %q", len(batch.all), batch.refused, value)
		}
		for _, in := range batch.all {
			if in.offset != 7 || in.command != command || in.Kind == suppress.Nothing {
				t.Errorf("%+v of %q", in, value)
			}
		}
	})
}

// What stands in the state topic is an entry or an error, and the quick look at its
// offsets sees what it holds once we have written it.
func FuzzEntry(f *testing.F) {
	f.Add([]byte(`{"offset":5,"command":-1,"state":{}}`))
	f.Add([]byte(`{"offset":5,"command":`))
	f.Add([]byte(`{"offset":99999999999999999999,"command":1,"state":{}}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, value []byte) {
		_, _, _ = applied(value) // must not panic
		e, err := decodeEntry(value)
		if err != nil {
			return
		}
		text, err := e.encode()
		if err != nil {
			return // a time that JSON cannot hold
		}
		if offset, command, err := applied(text); err != nil || offset != e.Offset || command != e.Command {
			t.Errorf("%d, %d, %v of %s", offset, command, err, text)
		}
	})
}
