package event

import (
	"encoding/hex"
	"strconv"
	"time"
	"unicode/utf8"
)

// SchemaVersion is the version of the published form of an event.
const SchemaVersion = 1

// AppendJSON appends e as one JSON object without a newline, its fields in the
// fixed order of the schema. Unknown values are absent. Bytes that are no UTF-8
// become U+FFFD; control characters are escaped, so that the line is safe on a
// terminal.
func AppendJSON(b []byte, e *Event) []byte {
	b = append(b, `{"schema_version":1,"id":"`...)
	b = hex.AppendEncode(b, e.ID[:])
	b = append(b, `","time":"`...)
	if e.Time.IsZero() {
		b = appendTime(b, e.Observed)
		b = append(b, `","observed_time":"`...)
		b = appendTime(b, e.Observed)
		b = append(b, `","time_source":"observed"`...)
	} else {
		b = appendTime(b, e.Time)
		b = append(b, `","observed_time":"`...)
		b = appendTime(b, e.Observed)
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
		b = appendString(b, e.Sender)
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
		b = append(b, `,"source":{"file":`...)
		b = appendString(b, e.Origin.Path)
		b = append(b, `,"offset":`...)
		b = strconv.AppendInt(b, e.Offset, 10)
		b = append(b, '}')
	}
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
	return appendString(b, value)
}

func appendCount(b []byte, key string, value int) []byte {
	if value == 0 {
		return b
	}
	b = append(b, key...)
	return strconv.AppendInt(b, int64(value), 10)
}

func appendTime(b []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(b, time.RFC3339Nano)
}

// plain marks the bytes that stand for themselves in a JSON string.
var plain = func() (t [256]bool) {
	for c := 0x20; c < 0x7f; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return
}()

func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	done := 0
	for i := 0; i < len(s); {
		if plain[s[i]] {
			i++
			continue
		}
		size := 1
		r := rune(s[i])
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(s[i:])
		}
		if escape := needsEscape(r, size); escape {
			b = append(b, s[done:i]...)
			b = appendEscaped(b, r)
			done = i + size
		}
		i += size
	}
	b = append(b, s[done:]...)
	return append(b, '"')
}

// needsEscape covers what JSON demands, what a terminal obeys (C0, DEL and C1
// controls), line separators of JavaScript, and bytes that are no UTF-8.
func needsEscape(r rune, size int) bool {
	return r < 0x20 || r == '"' || r == '\\' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r == utf8.RuneError && size == 1
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
