package parsers

import (
	"strings"

	"mtatap/event"
)

// phaseHead is how a text starts that tells a phase.
type phaseHead struct {
	head  string
	phase event.Phase
}

// cutPhaseHead cuts the first of heads that s starts with off s.
func cutPhaseHead(s string, heads []phaseHead) (phase event.Phase, rest string, ok bool) {
	for i := range heads {
		if rest, ok := strings.CutPrefix(s, heads[i].head); ok {
			return heads[i].phase, rest, true
		}
	}
	return event.PhaseUnknown, s, false
}

// commandPhase returns the phase of an SMTP or LMTP command, in upper case.
func commandPhase(command string) event.Phase {
	switch command {
	case "EHLO", "HELO", "LHLO":
		return event.PhaseHelo
	case "STARTTLS":
		return event.PhaseStartTLS
	case "AUTH":
		return event.PhaseAuth
	case "MAIL":
		return event.PhaseMail
	case "RCPT":
		return event.PhaseRcpt
	case "DATA":
		return event.PhaseData
	}
	return event.PhaseUnknown
}
