// Package suppress runs the suppression processor against a real broker: it is
// scaled, killed and restored in the middle of a stream, and what it published is
// compared with what one process would have decided. It must never work on any other
// broker than one that it has started itself.
package suppress
