// Command mtatap follows mail server logs, classifies each delivery status and
// publishes it to Kafka, Prometheus and files.
//
// It turns signals into a context and a reload channel, brings the default rules
// along, and leaves everything else to package cli. It must never decide, print or
// configure anything itself.
package main

import (
	"context"
	_ "embed"
	"os"
	"os/signal"
	"syscall"

	"mtatap/cli"
)

//go:embed rules.yaml
var defaultRules []byte

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	signal.Ignore(syscall.SIGPIPE) // a closed pipe is an error to handle, not an end
	os.Exit(cli.Main(ctx, os.Args[1:], cli.Environment{Rules: defaultRules, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.LookupEnv, Reload: reload}))
}
