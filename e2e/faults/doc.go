// Package faults breaks, under a log that never pauses, what can break around
// mtatap: rotations, the process, its state, the lines of the log, Kafka. Each
// scenario is a test of the built binary, seen from outside only. It passes if
// every logged outcome has arrived, repeated ones carry the same id, no two
// share one, and each recipient's events are in order.
//
//	go test -tags e2e -run Faults ./e2e/faults            # against a Kafka of its own
//	go test -tags e2e -run Faults ./e2e/faults -update    # and writes the table of docs/reliability.md
//	go test -tags e2e -run Soak ./e2e/faults -soak 10m    # a busy log and random kills for ten minutes
//
// A scenario is added to the list of its promise in harness_test.go's order; a
// test without the build tag sees to it that the table has a row for each.
package faults
