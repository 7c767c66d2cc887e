//go:build !race

// The race detector allocates for itself.

package cli

import (
	"bufio"
	"bytes"
	"io"
	"testing"
)

func TestAReplyInJSONCostsNoAllocation(t *testing.T) {
	c, set := newTestClassify(t)
	const replies = 500
	lines := distinctQuestions(t, replies)
	w := bufio.NewWriterSize(io.Discard, 64<<10)
	if n := testing.AllocsPerRun(5, func() {
		if err := c.each(bytes.NewReader(lines), w, set); err != nil {
			t.Fatal(err)
		}
	}); n > replies/20 {
		t.Errorf("%v allocations for %d replies, want those of the reader alone", n, replies)
	}
}
