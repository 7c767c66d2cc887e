// Command generate writes a mail log of any length for measurements: the same
// flags give the same log.
//
//	go run ./bench/generate --lines 2000000 > mail.log
//	go run ./bench/generate --mta exim --lines 2000000 > mainlog
//
// What lines look like is in package logs, never here.
package main

import (
	"flag"
	"fmt"
	"os"

	"mtatap/bench/logs"
)

func main() {
	var o logs.Options
	flag.StringVar(&o.MTA, "mta", "postfix", "whose log: postfix, exim or haraka")
	flag.IntVar(&o.Lines, "lines", 2_000_000, "how many lines to write, at least: the last message is whole")
	flag.Uint64Var(&o.Seed, "seed", 1, "seed of the random numbers")
	flag.Float64Var(&o.Status, "status", 0, "share of lines that tell an outcome (default: one recipient a message, in Postfix's log one line in seven)")
	flag.Float64Var(&o.Failed, "failed", 0.2, "share of outcomes that are failures")
	flag.BoolVar(&o.Distinct, "distinct", false, "a reply of its own for each failure")
	flag.BoolVar(&o.FailedOnly, "failed-only", false, "nothing but failures, each with a reply of its own")
	flag.Parse()
	if err := logs.Write(os.Stdout, o); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}
