// Package report makes one page of HTML out of delivery events: what became of
// the mail, who refused it, why, and what to do.
//
// Its input are events; its output is a file that loads nothing and runs nothing,
// whatever the replies in it say. Memory is bounded however many events there are.
// The package must never classify, read a file or open a connection.
package report
