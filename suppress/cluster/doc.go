// Package cluster runs the suppression of recipients on Kafka, on any number of
// instances.
//
// A consumer group shares the partitions of the events topic out. Whoever has a
// partition keeps the states of its recipients in the same partition of a compacted
// state topic, and a copy of them on disk. A batch is written in an order in which a
// crash can only repeat what was decided already: first the decisions, to the
// compacted topic of suppressions; when they are acknowledged, the states, each with
// the offset of the last event in it; then the offset is committed. An event up to
// that offset is passed over when it comes again.
//
// A new owner of a partition reads its states, asks the group whether it still is the
// owner, then claims the partition by a record with an epoch higher than all before;
// of two claims of one epoch the first counts. Every record of the state topic and of
// the suppressions carries the epoch of its writer and a sequence number; readers pass
// over what a former owner or a late retry wrote after that. An owner stops when the
// group's generation ends or when it finds another's claim behind its own, and asks
// the group before it writes when it has not been heard for a while, as after a
// suspended machine.
//
// The package must never decide by itself, and never write for a partition that it
// does not own.
package cluster
