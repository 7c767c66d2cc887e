package cli

import (
	"bufio"
	"io"
	"testing"
)

func TestAnAnswerComesBeforeTheNextReplyIsAsked(t *testing.T) {
	in, ask := io.Pipe()
	answers, out := io.Pipe()
	env := testEnvironment(t, "", nil, nil)
	env.Stdin, env.Stdout, env.Stderr = in, out, io.Discard
	code := make(chan int)
	go func() { code <- Main(t.Context(), []string{"classify", "--output", "json"}, env) }()
	lines := bufio.NewReader(answers)
	for range 3 {
		io.WriteString(ask, "550 5.1.1 User unknown\n")
		if line, err := lines.ReadString('\n'); err != nil || line[:12] != `{"category":` {
			t.Fatalf("got %q, %v", line, err)
		}
	}
	ask.Close()
	if got := <-code; got != exitFine {
		t.Errorf("exit code %d", got)
	}
}
