// Package pipeline owns the goroutines between logs and sinks.
//
// Each file has two: one reads and parses, the other, behind a channel of one
// batch, decides and encodes. Each sink has one, behind a bounded queue. When the
// last required sink has taken a batch, an acknowledgement moves the checkpoint of
// its file to the end of that batch.
//
// A full queue of a required sink stops the readers: the log itself is the
// spool. The package must never drop an event on its way to a required sink,
// and never move a checkpoint over a hole.
package pipeline
