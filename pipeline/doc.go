// Package pipeline owns the goroutines between logs and sinks: one reader for
// each file, which parses, classifies and encodes inline and hands on batches;
// one goroutine for each sink, behind a bounded queue; and the acknowledgement
// that moves a file's checkpoint only past what every required sink has taken.
//
// A full queue of a required sink stops the readers: the log itself is the
// spool. The package must never drop an event on its way to a required sink,
// and never move a checkpoint over a hole.
package pipeline
