package parsers

import (
	"strings"
	"time"
)

// stamps turns the time stamps of one log into times. It keeps the last one of
// whole seconds, because neighbouring lines share it.
type stamps struct {
	zone *time.Location // of stamps that carry none

	last    [15]byte // an RFC 3164 stamp
	lastRef int64    // hour of the reference that last was read with
	lastOut time.Time
}

// futureSlack is how far a stamp without a year may lie after the reference
// before it is taken for one of the year before: clocks and zones differ.
const futureSlack = 36 * time.Hour

// time reads a stamp: "Nov 23 18:43:06" (RFC 3164, the latest year that does not
// put it after ref) or "2026-11-23T18:43:06.123456+00:00" (RFC 3339; with a
// space for the T, a space before the zone or without a zone too). ok is false
// where it is neither. The time is in UTC.
func (s *stamps) time(stamp string, ref time.Time) (t time.Time, ok bool) {
	if stamp3339Len(stamp) > 0 {
		return s.time3339(stamp)
	}
	hour := ref.Unix() / 3600
	if stamp == string(s.last[:]) && hour == s.lastRef {
		return s.lastOut, true
	}
	if t, ok = s.time3164(stamp, ref); !ok {
		return s.timeOdd(stamp, ref)
	}
	if len(stamp) == len(s.last) {
		copy(s.last[:], stamp)
		s.lastRef, s.lastOut = hour, t
	}
	return t, ok
}

func (s *stamps) time3339(stamp string) (time.Time, bool) {
	year := num2(stamp)*100 + num2(stamp[2:])
	month, day := num2(stamp[5:]), num2(stamp[8:])
	hour, minute, second := num2(stamp[11:]), num2(stamp[14:]), num2(stamp[17:])
	if month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60 {
		return time.Time{}, false
	}
	i, nano := 19, 0
	if i < len(stamp) && (stamp[i] == '.' || stamp[i] == ',') {
		scale := int(time.Second)
		for i++; i < len(stamp) && isDigit(stamp[i]); i++ {
			scale /= 10
			nano += int(stamp[i]-'0') * scale
		}
	}
	zone := s.zone
	rest := strings.TrimPrefix(stamp[i:], " ")
	if n := zoneLen(rest); n > 0 {
		zone = time.UTC
		offset := num2(rest[1:])*60 + num2(rest[n-2:])
		if rest[0] == '+' {
			offset = -offset
		}
		minute += offset // time.Date takes what is out of range
	} else if strings.HasPrefix(rest, "Z") {
		zone = time.UTC
	}
	return time.Date(year, time.Month(month), day, hour, minute, second, nano, zone).UTC(), true
}

func (s *stamps) time3164(stamp string, ref time.Time) (time.Time, bool) {
	if !isStamp3164Exactly(stamp) {
		return time.Time{}, false
	}
	month := strings.Index("JanFebMarAprMayJunJulAugSepOctNovDec", stamp[:3])
	day, hour, minute, second := num2(stamp[4:]), num2(stamp[7:]), num2(stamp[10:]), num2(stamp[13:])
	if stamp[4] == ' ' {
		day = int(stamp[5] - '0')
	}
	if month < 0 || month%3 != 0 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60 {
		return time.Time{}, false
	}
	latest := ref.Add(futureSlack)
	// Eight years hold a 29 February even across a century.
	for year := latest.In(s.zone).Year(); year > latest.Year()-9; year-- {
		t := time.Date(year, time.Month(month/3+1), day, hour, minute, min(second, 59), 0, s.zone)
		if t.Day() == day && !t.After(latest) {
			return t.UTC().Add(time.Duration(second/60) * time.Second), true // a leap second
		}
	}
	return time.Time{}, false
}

// isStamp3164Exactly reports whether s is "Mmm dd hh:mm:ss" or "Mmm  d hh:mm:ss"
// with any letters and digits.
func isStamp3164Exactly(s string) bool {
	return len(s) == 15 && s[3] == ' ' && s[6] == ' ' && s[9] == ':' && s[12] == ':' &&
		(s[4] == ' ' || isDigit(s[4])) && isDigit(s[5]) && digits2(s[7:]) && digits2(s[10:]) && digits2(s[13:])
}
