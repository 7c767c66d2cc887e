// Package suppress decides which recipients must not be mailed any more: at once
// after a hard bounce, and after a soft one that keeps coming back.
//
// Its heart is Apply, a pure function over what is known of one recipient. It
// counts by message and by the time that the log gives, so an event that comes
// twice, or again after a crash, changes nothing twice. A block of the sender, a
// spam verdict, a refused relay, a message that is too large, a challenge and a
// transient failure say nothing about the recipient and never suppress.
//
// The package must never classify: it takes the verdict of the event as it is.
package suppress
