package parsers

import (
	"strings"
	"time"
)

// oddStampLen returns the length of the stamp that s starts with, 0 if there is
// none, in any of the forms that timeOdd reads and those of RFC 3164 and 3339:
//
//	[Mon ]Nov 23 18:43:06[.123456][ 2026]     ctime, short-precise of journalctl
//	Nov 23 2026 18:43:06
//	[Mon ]2026-11-23 18:43:06[.123456][ UTC]  short-full of journalctl; another
//	                                          name after a day of the week is the
//	                                          log's own zone
//	1795459386[.123456]                       seconds since 1970
func oddStampLen(s string) int {
	n := weekdayLen(s)
	if m := stamp3339Len(s[n:]); m > 0 {
		n += m
		if z := zoneLen(strings.TrimPrefix(s[n:], " ")); z > 0 && s[n] == ' ' {
			return n + 1 + z
		}
		if z := zoneNameLen(s[n:]); z > 0 && (weekdayLen(s) > 0 || s[n:n+z] == " UTC") {
			n += z
		}
		return n
	}
	if len(s) >= n+15 && isStamp3164Exactly(s[n:n+15]) {
		n += 15
		n += fractionLen(s[n:])
		if y := yearLen(s[n:]); y > 0 && (n+y == len(s) || s[n+y] == ' ') {
			n += y
		}
		return n
	}
	if len(s) >= n+20 && yearLen(s[n+6:]) == 5 && isStamp3164Exactly(s[n:n+6]+s[n+11:n+20]) {
		return n + 20 + fractionLen(s[n+20:])
	}
	if n == 0 {
		for n < len(s) && isDigit(s[n]) {
			n++
		}
		if n == 10 || n == 13 || n == 16 {
			return n + fractionLen(s[n:])
		}
	}
	return 0
}

// timeOdd reads the stamps of oddStampLen.
func (s *stamps) timeOdd(stamp string, ref time.Time) (time.Time, bool) {
	if stamp == "" || oddStampLen(stamp) != len(stamp) {
		return time.Time{}, false
	}
	stamp = stamp[weekdayLen(stamp):]
	if n := stamp3339Len(stamp); n > 0 {
		if strings.HasSuffix(stamp, " UTC") {
			utc := stamps{zone: time.UTC}
			return utc.time3339(stamp[:n])
		}
		return s.time3339(stamp)
	}
	if isDigit(stamp[0]) {
		return epoch(stamp), true
	}
	base, tail := stamp[:min(len(stamp), 15)], stamp[min(len(stamp), 15):]
	if y := yearLen(stamp[6:]); y > 0 {
		base, tail = stamp[:6]+stamp[11:20], stamp[20:]+stamp[6:11]
	}
	n := fractionLen(tail)
	fraction := fractionOf(tail[:n])
	if tail = tail[n:]; tail != "" {
		year := num2(tail[1:])*100 + num2(tail[3:])
		ref = time.Date(year, 12, 31, 23, 59, 59, 0, s.zone).Add(-futureSlack)
		t, ok := s.time3164(base, ref)
		return t.Add(fraction), ok && t.In(s.zone).Year() == year
	}
	t, ok := s.time3164(base, ref)
	return t.Add(fraction), ok
}

// epoch reads seconds, milliseconds or microseconds since 1970, by their number
// of digits.
func epoch(s string) time.Time {
	whole, fraction := int64(0), s
	for fraction != "" && isDigit(fraction[0]) {
		whole, fraction = whole*10+int64(fraction[0]-'0'), fraction[1:]
	}
	switch len(s) - len(fraction) {
	case 13:
		return time.UnixMilli(whole).UTC()
	case 16:
		return time.UnixMicro(whole).UTC()
	}
	return time.Unix(whole, int64(fractionOf(fraction))).UTC()
}

// weekdayLen returns the length of "Mon " at the head of s, or 0.
func weekdayLen(s string) int {
	if len(s) > 4 && s[3] == ' ' && strings.Contains("Mon Tue Wed Thu Fri Sat Sun ", s[:4]) {
		return 4
	}
	return 0
}

// zoneNameLen returns the length of " CEST" at the head of s, or 0.
func zoneNameLen(s string) int {
	if s == "" || s[0] != ' ' {
		return 0
	}
	n := 1
	for n < len(s) && s[n] >= 'A' && s[n] <= 'Z' {
		n++
	}
	if n < 3 || n > 6 || n < len(s) && s[n] != ' ' {
		return 0
	}
	return n
}

// yearLen returns the length of " 2026" at the head of s, or 0.
func yearLen(s string) int {
	if len(s) >= 5 && s[0] == ' ' && (s[1] == '1' || s[1] == '2') && isDigit(s[2]) && digits2(s[3:]) {
		return 5
	}
	return 0
}

// fractionLen returns the length of ".123456" at the head of s, or 0.
func fractionLen(s string) int {
	if len(s) < 2 || s[0] != '.' || !isDigit(s[1]) {
		return 0
	}
	n := 1
	for n < len(s) && n <= 9 && isDigit(s[n]) {
		n++
	}
	return n
}

// fractionOf reads ".123456", which may be empty.
func fractionOf(s string) time.Duration {
	d, scale := time.Duration(0), time.Second
	for i := 1; i < len(s); i++ {
		scale /= 10
		d += time.Duration(s[i]-'0') * scale
	}
	return d
}
