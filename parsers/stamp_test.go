package parsers

import (
	"testing"
	"time"
	_ "time/tzdata" // zones for tests on any machine
)

func mustTime(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func mustZone(t *testing.T, name string) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

// A log is read while it is written, or as a whole afterwards.
func TestStampsOfALogInOrder(t *testing.T) {
	type line struct{ stamp, want string }
	for name, c := range map[string]struct {
		zone  string
		ref   string // of all lines; "" where each is read a second after its time
		lines []line
	}{
		"across New Year, followed": {"UTC", "", []line{
			{"Dec 31 23:59:58", "2026-12-31T23:59:58Z"}, {"Dec 31 23:59:59", "2026-12-31T23:59:59Z"},
			{"Jan  1 00:00:00", "2027-01-01T00:00:00Z"}, {"Jan  1 00:00:01", "2027-01-01T00:00:01Z"}}},
		"across New Year, replayed in February": {"UTC", "2027-02-01T00:00:00Z", []line{
			{"Feb  2 10:00:00", "2027-02-02T10:00:00Z"}, {"Dec 31 23:59:59", "2026-12-31T23:59:59Z"}, {"Jan  1 00:00:00", "2027-01-01T00:00:00Z"}}},
		"across New Year in a zone that is ahead": {"Pacific/Auckland", "", []line{
			{"Dec 31 23:59:59", "2026-12-31T10:59:59Z"}, {"Jan  1 00:00:00", "2026-12-31T11:00:00Z"}}},
		"across New Year in a zone that is behind": {"America/Los_Angeles", "", []line{
			{"Dec 31 23:59:59", "2027-01-01T07:59:59Z"}, {"Jan  1 00:00:00", "2027-01-01T08:00:00Z"}}},
		"the clock goes back at New Year": {"UTC", "2027-01-01T00:00:30Z", []line{
			{"Jan  1 00:00:10", "2027-01-01T00:00:10Z"}, {"Dec 31 23:59:50", "2026-12-31T23:59:50Z"}, {"Jan  1 00:00:05", "2027-01-01T00:00:05Z"}}},
		"the clock is set back an hour": {"UTC", "2026-11-23T19:00:00Z", []line{
			{"Nov 23 18:59:59", "2026-11-23T18:59:59Z"}, {"Nov 23 18:00:00", "2026-11-23T18:00:00Z"}, {"Nov 23 18:00:01", "2026-11-23T18:00:01Z"}}},
		"the clock runs a day ahead": {"UTC", "2026-11-23T19:00:00Z", []line{{"Nov 24 19:00:00", "2026-11-24T19:00:00Z"}}},
		"a zone that is not the log's": {"Pacific/Kiritimati", "2026-12-31T12:00:00Z", []line{
			{"Jan  1 02:00:00", "2026-12-31T12:00:00Z"}}},
		"summer time begins": {"Europe/Berlin", "2026-04-01T00:00:00Z", []line{
			{"Mar 29 01:59:59", "2026-03-29T00:59:59Z"}, {"Mar 29 03:00:00", "2026-03-29T01:00:00Z"}}},
		"summer time ends, with offsets": {"UTC", "2026-10-26T00:00:00Z", []line{
			{"2026-10-25T02:59:59.5+02:00", "2026-10-25T00:59:59.5Z"}, {"2026-10-25T02:00:00.5+01:00", "2026-10-25T01:00:00.5Z"}}},
		"a leap day": {"UTC", "", []line{
			{"Feb 28 23:59:59", "2028-02-28T23:59:59Z"}, {"Feb 29 00:00:00", "2028-02-29T00:00:00Z"}, {"Mar  1 00:00:00", "2028-03-01T00:00:00Z"}}},
		"a leap day, replayed a year later": {"UTC", "2029-02-20T00:00:00Z", []line{{"Feb 29 12:00:00", "2028-02-29T12:00:00Z"}}},
		"a leap second":                     {"UTC", "2017-01-01T00:00:00Z", []line{{"Dec 31 23:59:60", "2017-01-01T00:00:00Z"}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := stamps{zone: mustZone(t, c.zone)}
			for _, l := range c.lines {
				want := mustTime(t, l.want)
				ref := want.Add(time.Second)
				if c.ref != "" {
					ref = mustTime(t, c.ref)
				}
				if got, ok := s.time(l.stamp, ref); !ok || !got.Equal(want) {
					t.Errorf("time(%q) = %v %v, want %v", l.stamp, got, ok, want)
				}
			}
		})
	}
}

// A stamp of the hour that summer time repeats means one of two times, and the
// year never changes with it.
func TestStampsOfTheRepeatedHourAreOneOfTwoTimes(t *testing.T) {
	s := stamps{zone: mustZone(t, "Europe/Berlin")}
	first, second := mustTime(t, "2026-10-25T00:30:00Z"), mustTime(t, "2026-10-25T01:30:00Z")
	for _, ref := range []time.Time{first, second, second.Add(24 * time.Hour)} {
		if got, ok := s.time("Oct 25 02:30:00", ref); !ok || !got.Equal(first) && !got.Equal(second) {
			t.Errorf("time = %v %v, want %v or %v", got, ok, first, second)
		}
	}
}

func TestStampsTimeOdd(t *testing.T) {
	for stamp, want := range map[string]string{
		"Nov 23 18:43:06.123456":                    "2026-11-23T18:43:06.123456Z",
		"Nov  3 18:43:06 2019":                      "2019-11-03T18:43:06Z",
		"Mon Nov 23 18:43:06 2026":                  "2026-11-23T18:43:06Z",
		"Nov 23 2019 18:43:06.5":                    "2019-11-23T18:43:06.5Z",
		"Dec 31 23:59:59 2025":                      "2025-12-31T23:59:59Z",
		"Jan  1 00:00:00 2027":                      "2027-01-01T00:00:00Z",
		"Feb 29 10:00:00 2024":                      "2024-02-29T10:00:00Z",
		"Mon 2026-11-23 18:43:06 UTC":               "2026-11-23T18:43:06Z",
		"Mon 2026-11-23 18:43:06 CET":               "2026-11-23T18:43:06Z", // the log's zone, UTC here
		"Mon 2026-11-23 18:43:06 +0100":             "2026-11-23T17:43:06Z",
		"2026-11-23 18:43:06 UTC":                   "2026-11-23T18:43:06Z",
		"1795459386":                                "2026-11-23T18:43:06Z",
		"1795459386.5":                              "2026-11-23T18:43:06.5Z",
		"1795459386123":                             "2026-11-23T18:43:06.123Z",
		"1795459386123456":                          "2026-11-23T18:43:06.123456Z",
		"Nov 23 18:43:60":                           "2026-11-23T18:44:00Z", // a leap second
		"Nov 23 18:43:61":                           "",
		"2026-11-23T18:43:61Z":                      "",
		"Feb 29 10:00:00 2025":                      "", // no leap year
		"Nov 23 18:43:06.":                          "",
		"Nov 23 18:43:06 20266":                     "",
		"Nov 23 2019 18:43":                         "",
		"17954593":                                  "",
		"Sun":                                       "",
		"Sun ":                                      "",
		"Nov 23 18:43:06.12345678901234567 ignored": "",
	} {
		s := stamps{zone: time.UTC}
		got, ok := s.time(stamp, time.Date(2026, 11, 23, 20, 0, 0, 0, time.UTC))
		if ok != (want != "") || ok && !got.Equal(mustTime(t, want)) {
			t.Errorf("time(%q) = %v %v, want %q", stamp, got, ok, want)
		}
	}
}

func FuzzStamps(f *testing.F) {
	for _, s := range []string{"Nov 23 18:43:06", "Nov 23 18:43:06.5 2026", "Nov 23 2026 18:43:06", "Mon 2026-11-23 18:43:06 UTC", "1795459386.25", "2026-11-23T18:43:06,5+01:00"} {
		f.Add(s)
	}
	ref := time.Date(2026, 11, 23, 20, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, stamp string) {
		if n := oddStampLen(stamp); n < 0 || n > len(stamp) {
			t.Fatalf("length %d of %q", n, stamp)
		}
		s := stamps{zone: time.UTC}
		at, ok := s.time(stamp, ref)
		if again, okAgain := s.time(stamp, ref); ok != okAgain || !at.Equal(again) {
			t.Errorf("time(%q) = %v %v, then %v %v", stamp, at, ok, again, okAgain)
		}
		if ok && at.Location() != time.UTC {
			t.Errorf("time(%q) is in %v", stamp, at.Location())
		}
		if ok && (at.Year() < 0 || at.Year() > 9999) && stamp3339Len(stamp) == 0 {
			t.Errorf("time(%q) = %v", stamp, at)
		}
	})
}
