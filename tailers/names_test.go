package tailers

import (
	"path/filepath"
	"slices"
	"testing"
)

func TestExpand(t *testing.T) {
	files := []string{
		"mail.log", "mail.log.1", "mail.log.2.gz", "mail.log-20261120", "mail.log-20261120.gz", "mail.log-20261119.zst",
		"mail.log-20261118.xz", "mail.log-20261117.bz2", "mail.log.2026-11-16", "mail.log-1795200000", "mail.log-20261120-1700",
		"mail.err", "mail-20261120.log", "mail.3.log.gz", "mail.1.log", "mx.1.log", "mx.2.log",
		"mainlog", "mainlog.1", "haraka-10025", "postfix-2.log", "mainlog-20261120", "mainlog-20261121",
		"dated-20261120", "dated-20261121", "dated-20261119.gz", "backup.gz",
	}
	dir := t.TempDir()
	for _, name := range files {
		appendTo(t, filepath.Join(dir, name), "x\n")
	}
	mkdir(t, filepath.Join(dir, "mail.log.d"))
	for pattern, want := range map[string][]string{
		"mail.log":     {"mail.log"},
		"mail.log*":    {"mail.log"},
		"mail*":        {"mail.err", "mail.log"},
		"mx.*.log":     {"mx.1.log", "mx.2.log"},
		"mx*.log":      {"mx.1.log", "mx.2.log"},
		"mainlog*":     {"mainlog"},
		"dated-*":      {"dated-20261120", "dated-20261121"},
		"haraka*":      {"haraka-10025"},
		"postfix-*":    {"postfix-2.log"},
		"back*":        nil,
		"nothing*":     nil,
		"mail.log.[1]": {"mail.log.1"},
		"not there":    {"not there"},
	} {
		t.Run(pattern, func(t *testing.T) {
			got, err := Expand(filepath.Join(dir, pattern))
			if err != nil {
				t.Fatal(err)
			}
			for i := range got {
				got[i] = filepath.Base(got[i])
			}
			if !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestExpandRefusesABadPattern(t *testing.T) {
	if _, err := Expand("/var/log/[a"); err == nil {
		t.Error("no error")
	}
}

func TestSiblingsOfALog(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{
		"mail.log", "mail.log.1", "mail.log.2", "mail.log.2.gz", "mail.log.3.gz", "mail.log.4.xz", "mail.log-20261120",
		"mail.log.old", "mail.log1", "mail.logs.1", "mail.1.log", "mail-20261120.log.gz", "other.1", "mail.log.gz", "mail.log.1.tmp",
	} {
		appendTo(t, filepath.Join(dir, name), "x\n")
	}
	found, _, err := siblings(filepath.Join(dir, "mail.log"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range found {
		got = append(got, filepath.Base(s.path))
	}
	slices.Sort(got)
	want := []string{"mail-20261120.log.gz", "mail.1.log", "mail.log-20261120", "mail.log.1", "mail.log.2", "mail.log.3.gz", "mail.log.gz"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestOlderRotationsComeFirst(t *testing.T) {
	names := []string{"m.10", "m.9.gz", "m.2", "m.1"}
	for i := 1; i < len(names); i++ {
		_, older, _ := rotatedName(names[i-1])
		_, newer, _ := rotatedName(names[i])
		if older.compare(newer) >= 0 || newer.compare(older) <= 0 {
			t.Errorf("%s is not older than %s", names[i-1], names[i])
		}
	}
	_, older, _ := rotatedName("m-20261119.gz")
	_, newer, _ := rotatedName("m-20261120")
	if older.compare(newer) >= 0 {
		t.Error("dates are in the wrong order")
	}
}
