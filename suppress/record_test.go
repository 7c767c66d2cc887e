package suppress

import (
	"bytes"
	"testing"
)

// What a compacted topic or a file gives back is a record or an error, and a record
// stays what it is when it is written again.
func FuzzDecodeRecord(f *testing.F) {
	f.Add([]byte(`{"schema_version":1,"recipient":"a@b.example","status":"suppressed","cause":"hard","since":"2026-11-24T00:00:00Z"}`))
	f.Add([]byte(`{"schema_version":1,"recipient":"\u0000\ud800","status":"released"}`))
	f.Add([]byte(`null`))
	f.Add([]byte(`{"schema_version":1e0,"recipient":[]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := DecodeRecord(text)
		if err != nil {
			if r.Recipient != "" || r.Status != "" {
				t.Errorf("an error and %+v", r)
			}
			return
		}
		if r.Recipient == "" || r.Status != Suppressed && r.Status != Released {
			t.Errorf("%+v from %q", r, text)
		}
		once := r.Encode()
		again, err := DecodeRecord(once)
		if err != nil || !bytes.Equal(again.Encode(), once) {
			t.Errorf("%s becomes %s, %v", once, again.Encode(), err)
		}
	})
}
