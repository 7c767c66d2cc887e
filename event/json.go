package event

import (
	"encoding/hex"
	"strconv"
	"time"
	"unicode/utf8"
)

// SchemaVersion is the version of the published form of an event.
const SchemaVersion = 1

// Encoder encodes events. The zero value is ready; it remembers the last times
// written, so one goroutine owns it.
type Encoder struct{ logged, observed stampWriter }

// Append appends e as one JSON object without a newline, its fields in the fixed
// order of the schema. Unknown values are absent. Bytes that are no UTF-8 become
// U+FFFD; control characters are escaped, so that the line is safe on a terminal.
func (enc *Encoder) Append(b []byte, e *Event) []byte {
	b = append(b, `{"schema_version":1,"id":"`...)
	b = hex.AppendEncode(b, e.ID[:])
	b = append(b, `","time":"`...)
	if e.Time.IsZero() {
		b = enc.observed.append(b, e.Observed)
		b = append(b, `","observed_time":"`...)
		b = enc.observed.append(b, e.Observed)
		b = append(b, `","time_source":"observed"`...)
	} else {
		b = enc.logged.append(b, e.Time)
		b = append(b, `","observed_time":"`...)
		b = enc.observed.append(b, e.Observed)
		b = append(b, '"')
	}
	b = appendField(b, `,"mta":`, string(e.MTA))
	b = appendField(b, `,"host":`, e.Host)
	b = appendField(b, `,"instance":`, e.Instance)
	b = appendField(b, `,"program":`, e.Program)
	b = appendField(b, `,"queue_id":`, e.QueueID)
	b = appendField(b, `,"message_id":`, e.MessageID)
	if e.SenderKnown {
		b = append(b, `,"sender":`...)
		b = AppendString(b, e.Sender)
	}
	b = appendField(b, `,"recipient":`, e.Recipient)
	b = appendField(b, `,"original_recipient":`, e.OriginalRecipient)
	b = appendField(b, `,"recipient_source":`, e.RecipientSource.String())
	b = appendField(b, `,"recipient_domain":`, e.RecipientDomain)
	b = appendField(b, `,"provider":`, e.Provider)
	if e.Relay.Known() {
		b = appendRelay(b, e.Relay)
	}
	b = appendField(b, `,"status":`, e.Status.String())
	if e.NotAttempted {
		b = append(b, `,"attempted":false`...)
	}
	b = appendField(b, `,"phase":`, e.Phase.String())
	b = appendCount(b, `,"smtp_code":`, e.SMTPCode)
	b = appendField(b, `,"enhanced_code":`, e.EnhancedCode)
	b = appendField(b, `,"dsn":`, e.DSN)
	b = appendField(b, `,"diagnostic":`, e.Diagnostic)
	if d, known := e.Delay.Value(); known {
		b = append(b, `,"delay_seconds":`...)
		b = strconv.AppendFloat(b, d, 'f', -1, 64)
	}
	b = appendCount(b, `,"attempt":`, e.Attempt)
	b = appendField(b, `,"category":`, string(e.Category))
	b = appendField(b, `,"bounce_type":`, string(e.BounceType))
	b = appendField(b, `,"reason":`, e.Reason)
	b = appendField(b, `,"action":`, string(e.Action))
	b = append(b, `,"resend":`...)
	b = strconv.AppendBool(b, e.Resend)
	b = appendField(b, `,"rule":`, e.Rule)
	b = appendField(b, `,"rules_version":`, e.RulesVersion)
	b = appendCount(b, `,"compat":`, e.Compat)
	if e.Origin != nil {
		b = appendSource(b, &e.Delivery)
	}
	return append(b, '}')
}

func appendSource(b []byte, d *Delivery) []byte {
	if d.Cursor != "" {
		b = append(b, `,"source":{"journal":`...)
		b = AppendString(b, d.Origin.Path)
		b = append(b, `,"cursor":`...)
		b = AppendString(b, d.Cursor)
		return append(b, '}')
	}
	b = append(b, `,"source":{"file":`...)
	b = AppendString(b, d.Origin.Path)
	b = append(b, `,"offset":`...)
	b = strconv.AppendInt(b, d.Offset, 10)
	return append(b, '}')
}

func appendRelay(b []byte, r Relay) []byte {
	b = append(b, `,"relay":{`...)
	start := len(b)
	b = appendField(b, `,"host":`, r.Host)
	b = appendField(b, `,"ip":`, r.IP)
	b = appendCount(b, `,"port":`, r.Port)
	b = append(b[:start], b[start+1:]...) // the first member has no comma
	return append(b, '}')
}

// appendField appends a string member, key with its comma and colon included,
// unless value is empty.
func appendField(b []byte, key, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, key...)
	return AppendString(b, value)
}

func appendCount(b []byte, key string, value int) []byte {
	if value == 0 {
		return b
	}
	b = append(b, key...)
	return strconv.AppendInt(b, int64(value), 10)
}

// stampWriter writes times in RFC 3339 with nanoseconds as given, in UTC. It keeps
// the last one: neighbouring events share it.
type stampWriter struct {
	sec  int64
	nano int
	text []byte // "" at first
}

func (w *stampWriter) append(b []byte, t time.Time) []byte {
	if sec, nano := t.Unix(), t.Nanosecond(); len(w.text) == 0 || sec != w.sec || nano != w.nano {
		w.sec, w.nano = sec, nano
		w.text = t.UTC().AppendFormat(w.text[:0], time.RFC3339Nano)
	}
	return append(b, w.text...)
}

// plain marks the bytes that stand for themselves in a JSON string.
var plain = func() (t [256]bool) {
	for c := 0x20; c < 0x7f; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return
}()

// plainLen returns how many bytes at the head of s stand for themselves, or a few
// less: eight at a time are looked at.
func plainLen(s string) int {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	// zero has a high bit set if x has a zero byte, and maybe above that byte.
	zero := func(x uint64) uint64 { return (x - ones) &^ x }
	n := 0
	for ; len(s)-n >= 8; n += 8 {
		p := s[n : n+8]
		w := uint64(p[0]) | uint64(p[1])<<8 | uint64(p[2])<<16 | uint64(p[3])<<24 |
			uint64(p[4])<<32 | uint64(p[5])<<40 | uint64(p[6])<<48 | uint64(p[7])<<56
		control := (w - ones*0x20) &^ w
		if (w|control|zero(w^ones*'"')|zero(w^ones*'\\')|zero(w^ones*0x7f))&high != 0 {
			break
		}
	}
	return n
}

// AppendString appends s as a JSON string, escaped as Encoder.Append says.
func AppendString(b []byte, s string) []byte {
	b = append(b, '"')
	done := 0
	for i := plainLen(s); i < len(s); {
		if plain[s[i]] {
			i++
			continue
		}
		size := 1
		r := rune(s[i])
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(s[i:])
		}
		if needsEscape(r, size) {
			b = append(b, s[done:i]...)
			b = appendEscaped(b, r)
			done = i + size
		}
		i += size
		i += plainLen(s[i:])
	}
	b = append(b, s[done:]...)
	return append(b, '"')
}

// needsEscape covers what JSON demands, what a terminal obeys (C0, DEL and C1
// controls), line separators of JavaScript, what turns the
// direction of writing, and bytes that are no UTF-8.
func needsEscape(r rune, size int) bool {
	return r < 0x20 || r == '"' || r == '\\' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || turns(r) || r == utf8.RuneError && size == 1
}

// turns reports whether r changes the direction in which a terminal or a browser
// writes what follows (Unicode's Bidi_Control).
func turns(r rune) bool {
	return r == 0x61c || r == 0x200e || r == 0x200f || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

func appendEscaped(b []byte, r rune) []byte {
	const digits = "0123456789abcdef"
	switch r {
	case '"', '\\':
		return append(b, '\\', byte(r))
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	case utf8.RuneError:
		return append(b, "\ufffd"...)
	}
	return append(b, '\\', 'u', digits[r>>12&15], digits[r>>8&15], digits[r>>4&15], digits[r&15])
}
