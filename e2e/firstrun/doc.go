// Package firstrun is a new user's first five minutes as a script, with the time
// that each step takes: on a machine of its own, a copy of this one that nothing
// outlives, with Debian's Postfix, rsyslog and logrotate. It must never import what
// it tests: it runs the built binary.
package firstrun
