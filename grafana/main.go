// Command grafana prints the dashboard of mtatap.
//
//	go run ./grafana > grafana/dashboard.json
//
// Its panels stand in panels.go. It must never know more of mtatap than the names
// of its metrics; a test holds both together.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := print(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "grafana:", err)
		os.Exit(1)
	}
}

// print writes the dashboard as Grafana's JSON model.
func print(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	return enc.Encode(dashboard())
}
