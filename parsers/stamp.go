package parsers

import (
	"strings"
	"time"
)

// stamps turns the time stamps of one log into times. It keeps the last one,
// because neighbouring lines share it.
type stamps struct {
	zone *time.Location // of stamps that carry none

	last    string
	lastRef int64 // hour of the reference that last was read with
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
	hour := ref.Unix() / 3600
	if stamp == s.last && hour == s.lastRef && stamp != "" {
		return s.lastOut, true
	}
	if stamp3339Len(stamp) > 0 {
		t, ok = s.time3339(stamp)
	} else {
		t, ok = s.time3164(stamp, ref)
	}
	if ok {
		s.last, s.lastRef, s.lastOut = strings.Clone(stamp), hour, t
	}
	return t, ok
}

func (s *stamps) time3339(stamp string) (time.Time, bool) {
	num := func(from, to int) int {
		n := 0
		for _, c := range []byte(stamp[from:to]) {
			n = n*10 + int(c-'0')
		}
		return n
	}
	month, day, hour, minute, second := num(5, 7), num(8, 10), num(11, 13), num(14, 16), num(17, 19)
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
	if strings.HasPrefix(rest, "Z") {
		zone = time.UTC
	} else if n := zoneLen(rest); n > 0 {
		at := i + len(stamp[i:]) - len(rest)
		seconds := num(at+1, at+3)*3600 + num(at+n-2, at+n)*60
		if rest[0] == '-' {
			seconds = -seconds
		}
		utc := time.Date(num(0, 4), time.Month(month), day, hour, minute, second, nano, time.UTC)
		return utc.Add(-time.Duration(seconds) * time.Second), true
	}
	return time.Date(num(0, 4), time.Month(month), day, hour, minute, second, nano, zone).UTC(), true
}

func (s *stamps) time3164(stamp string, ref time.Time) (time.Time, bool) {
	parsed, err := time.Parse("Jan _2 15:04:05", stamp)
	if err != nil {
		return time.Time{}, false
	}
	latest := ref.Add(futureSlack)
	// Eight years hold a 29 February even across a century.
	for year := latest.In(s.zone).Year(); year > latest.Year()-9; year-- {
		t := time.Date(year, parsed.Month(), parsed.Day(), parsed.Hour(), parsed.Minute(), parsed.Second(), 0, s.zone)
		if t.Day() == parsed.Day() && !t.After(latest) {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}
