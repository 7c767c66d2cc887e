package parsers

import "mtatap/event"

// Envelope is how the head of a log line was written.
type Envelope string

// The envelopes that Look tells apart.
const (
	Envelope3164 Envelope = "traditional syslog stamps (no year, no zone)"
	Envelope3339 Envelope = "syslog with RFC 3339 stamps"
	Envelope5424 Envelope = "syslog RFC 5424"
	EnvelopeJSON Envelope = "syslog in JSON"
	EnvelopeNone Envelope = "the mail server's own form"
)

// Look says which mail server surely wrote a line, "" if none, and in which form
// its head is. It remembers nothing, and allocates: it is for a look at some lines,
// not for following a log.
func Look(line string) (event.MTA, Envelope) {
	for _, f := range formats {
		if f.recognize(line) {
			return f.mta, lookAtEnvelope(line)
		}
	}
	return "", lookAtEnvelope(line)
}

func lookAtEnvelope(line string) Envelope {
	var r envelopeReader
	if _, ok := r.read(line); !ok {
		return EnvelopeNone
	}
	for line[0] == '<' { // a priority, which read has understood
		for line[0] != '>' {
			line = line[1:]
		}
		if line = line[1:]; len(line) > 1 && line[:2] == "1 " {
			return Envelope5424
		}
	}
	switch {
	case line[0] == '{':
		return EnvelopeJSON
	case isStamp3164(line):
		return Envelope3164
	}
	return Envelope3339
}
