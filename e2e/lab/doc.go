// Package lab is a mail laboratory on loopback for the end-to-end tests. It has a
// scripted SMTP server that plays the remote side and remembers what it really
// said (the oracle), and real mail servers, each in a folder of its own, that
// deliver to it and write real logs.
//
// The scripted server is plain Go. What starts programs of the machine has the
// build tag e2e and needs what .ci/install installs. The lab never resolves a
// name, never leaves loopback, and ends only what it started.
package lab
