// Package event is the leaf that every other package shares. It holds what a mail
// server's log said about one recipient (Delivery), the verdict on it (Verdict),
// and the two together as they are published (Event).
//
// It knows the published JSON form and the identity of an event, and nothing
// about where lines come from or where events go. It must never import another
// package of this module.
package event
