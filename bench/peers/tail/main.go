// Command tail reads a log to its end with the nxadm/tail library and counts the
// lines that tell an outcome: what the library alone costs.
// It must never do more than a first program with that library would.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/nxadm/tail"
)

func main() {
	t, err := tail.TailFile(os.Args[1], tail.Config{Logger: tail.DiscardingLogger})
	if err != nil {
		fmt.Fprintln(os.Stderr, "tail:", err)
		os.Exit(1)
	}
	n := 0
	for line := range t.Lines {
		if strings.Contains(line.Text, ", status=") {
			n++
		}
	}
	fmt.Println(n)
}
