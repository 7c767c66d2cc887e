package pipeline

import (
	"fmt"
	"path/filepath"
	"testing"

	"mtatap/parsers"
	"mtatap/tailers"
)

// More messages under way than a parser remembers cost the joins of the oldest,
// and each of them is counted.
func TestMessagesForgottenBeforeTheirEndAreCounted(t *testing.T) {
	const messages, remembered = 300, 100
	log := filepath.Join(t.TempDir(), "haraka.log")
	for i := range messages {
		id := fmt.Sprintf("%08X-100C-4564-9937-F2D55B65120B.1", i)
		appendLines(t, log,
			"[NOTICE] ["+id+`] [core] recipient <a@remote.example> code=OK msg="" sender=s@sender.example`,
			"[NOTICE] ["+id+`] [core] queue code=CONT msg="Message Queued"`)
	}
	appendLines(t, log, fmt.Sprintf("[INFO] [%08X-100C-4564-9937-F2D55B65120B.1.1] [outbound] bouncing mail: 550 no", messages-1))
	s := &sink{}
	p := newBench(t, nil, Sink{Name: "s", Writer: s, Required: true})
	stop := start(t, p, Log{
		Pattern: log,
		Parser: func(counts parsers.Counts) (parsers.Parser, error) {
			return parsers.New("haraka", parsers.Options{MaxRemembered: remembered, Counts: counts})
		},
		Tail: tailers.Options{Start: tailers.StartBeginning},
	}, nil)
	defer stop()
	eventually(t, "the last message is still joined", func() bool { return s.recipients() == "a@remote.example" })
	if got := p.value(t, "mtatap_join_evictions_total"); got != messages-remembered {
		t.Errorf("%v messages counted as forgotten, want %d", got, messages-remembered)
	}
}
