package event

import "time"

// MTA names the mail server software whose log a line comes from, in lower case:
// postfix. Each parser knows its own.
type MTA string

// Status is the outcome of one delivery attempt for one recipient.
type Status uint8

// The outcomes. Expired means that the MTA gave up after deferrals; Rejected
// that this host itself refused the recipient at SMTP time.
const (
	StatusUnknown Status = iota
	Delivered
	Deferred
	Bounced
	Expired
	Rejected
)

var statusNames = [...]string{"", "delivered", "deferred", "bounced", "expired", "rejected"}

// String returns the published name, "" for StatusUnknown.
func (s Status) String() string { return statusNames[s] }

// ParseStatus returns the status with that published name.
func ParseStatus(name string) (Status, bool) {
	for i, n := range statusNames {
		if i > 0 && n == name {
			return Status(i), true
		}
	}
	return StatusUnknown, false
}

// Statuses returns all known statuses in their natural order.
func Statuses() []Status { return []Status{Delivered, Deferred, Bounced, Expired, Rejected} }

// Final reports whether the MTA has stopped trying: Bounced or Expired.
func (s Status) Final() bool { return s == Bounced || s == Expired }

// Phase is the point of the delivery at which the outcome was decided.
type Phase uint8

// The phases: Connect to Dot follow the SMTP dialogue (RFC 5321), DNS comes
// before it, Local is delivery on this host, Queue is the MTA's own scheduling.
const (
	PhaseUnknown Phase = iota
	PhaseConnect
	PhaseBanner
	PhaseHelo
	PhaseStartTLS
	PhaseAuth
	PhaseMail
	PhaseRcpt
	PhaseData
	PhaseDot
	PhaseDNS
	PhaseLocal
	PhaseQueue
)

var phaseNames = [...]string{"", "connect", "banner", "helo", "starttls", "auth", "mail", "rcpt", "data", "dot", "dns", "local", "queue"}

// String returns the published name, "" for PhaseUnknown.
func (p Phase) String() string { return phaseNames[p] }

// ParsePhase returns the phase with that published name.
func ParsePhase(name string) (Phase, bool) {
	for i, n := range phaseNames {
		if i > 0 && n == name {
			return Phase(i), true
		}
	}
	return PhaseUnknown, false
}

// RecipientSource says how the failing recipient was found.
type RecipientSource uint8

// The ways: in the line itself, in its original-recipient field, in a VERP
// bounce address, in the text of the diagnostic.
const (
	RecipientUnknown RecipientSource = iota
	RecipientFromLog
	RecipientFromOriginal
	RecipientFromVERP
	RecipientFromDiagnostic
)

var recipientSourceNames = [...]string{"", "log", "original", "verp", "diagnostic"}

// String returns the published name, "" for RecipientUnknown.
func (r RecipientSource) String() string { return recipientSourceNames[r] }

// Relay is the peer that gave the reply. Empty fields are unknown; Port 0 too.
// For a socket, Host is its path.
type Relay struct {
	Host string
	IP   string
	Port int
}

// Known reports whether anything is known of the peer.
func (r Relay) Known() bool { return r.Host != "" || r.IP != "" }

// Origin identifies the file generation that a line was read from. It is made
// by the reader of the file, shared by all its lines and never changed.
type Origin struct {
	// Path as configured or found, for people; for a journal what was selected.
	Path string
	// Head is the SHA-256 of the file's first line, without its newline, of
	// which at most the first 1024 bytes count. A rotated, copied or compressed
	// file keeps it.
	Head [32]byte
}

// Delivery is one outcome for one recipient as the log told it.
//
// Strings are usually parts of Raw, so keeping a Delivery keeps its line. The
// zero value of a field means that the log did not say.
type Delivery struct {
	// Time the MTA logged, in UTC. Zero where the log has no time.
	Time time.Time

	MTA      MTA
	Host     string // host that wrote the log line
	Instance string // syslog name, such as postfix-out
	Program  string // daemon or transport: smtp, lmtp, local, remote_smtp

	QueueID   string
	MessageID string // without angle brackets

	Sender      string // envelope sender; "" with SenderKnown is the null sender
	SenderKnown bool

	Recipient         string // envelope recipient as logged, without angle brackets
	OriginalRecipient string
	RecipientSource   RecipientSource

	Relay  Relay
	Status Status
	// NotAttempted is set where the MTA only says that it did not try.
	NotAttempted bool
	Phase        Phase

	SMTPCode     int    // the remote's reply code, 200 to 599; 0 if it gave none
	EnhancedCode string // the remote's enhanced status code (RFC 3463)
	DSN          string // the MTA's own status code
	Diagnostic   string // reply or reason without the MTA's wrapping, one line

	Delay   Seconds // time in the queue
	Attempt int     // number of this attempt, from 1

	Origin *Origin
	Offset int64  // of the (first) line that completed the delivery, in the decompressed file
	Raw    string // that line as read, without its newline; of a journal the message alone
	// Cursor is where journald has the record that completed the delivery; ""
	// for a line of a file. Origin names the journal then, and Offset says nothing.
	Cursor string
}

// Seconds is a duration as a log gives it. The zero value is unknown; use
// KnownSeconds for a measured 0.
type Seconds struct {
	value float64
	known bool
}

// KnownSeconds returns a known duration of s seconds.
func KnownSeconds(s float64) Seconds { return Seconds{value: s, known: true} }

// Value returns the duration and whether it is known.
func (s Seconds) Value() (float64, bool) { return s.value, s.known }
