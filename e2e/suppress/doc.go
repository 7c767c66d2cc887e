// Package suppress runs the suppression processor against a real broker: it is
// scaled, killed and restored in the middle of a stream, and what it published is
// compared with what one process would have decided. It must never import what it
// tests: it runs the built binary.
package suppress
