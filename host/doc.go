// Package host looks at the machine for mail servers and their logs: which are
// there, in which form they are written, whether they may be read and, if not, what
// to do about it. It writes what it found as words for people and as a
// configuration.
//
// Its input is a System, which a test gives as a folder in memory. It must never
// change anything, need root, or run other programs than those by which a mail
// server tells its own settings, and those not for long.
package host
