// Package parsers turns lines of mail server logs into deliveries: a syslog
// envelope around the message, and one parser for each mail server.
//
// A parser is a state machine owned by one goroutine. It lives as long as its
// source, across rotations, and remembers what later lines need (the sender of
// a queue id, half of a split record) in bounded memory. It must never read a
// file, look at the clock, or trust the text of a line.
package parsers
