package host

import (
	"bufio"
	"bytes"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// sharedLogs are where syslog daemons write mail unless told otherwise: Debian;
// Red Hat and FreeBSD; SUSE.
var sharedLogs = []string{"/var/log/mail.log", "/var/log/maillog", "/var/log/mail"}

// syslogDaemons write log files, by the files in which they are told which.
var syslogDaemons = []struct {
	programs []string
	settings []string // files and globs
}{
	{[]string{"/usr/sbin/rsyslogd", "/sbin/rsyslogd"}, []string{"/etc/rsyslog.conf", "/etc/rsyslog.d/*.conf"}},
	{[]string{"/usr/sbin/syslog-ng", "/sbin/syslog-ng"}, []string{"/etc/syslog-ng/syslog-ng.conf", "/etc/syslog-ng/conf.d/*.conf"}},
	{[]string{"/usr/sbin/syslogd", "/sbin/syslogd"}, []string{"/etc/syslog.conf", "/etc/syslog.d/*.conf"}},
}

// syslogFiles adds the files to which a syslog daemon writes mail.
func (l *look) syslogFiles() {
	expected, running := len(l.throughSyslog()) > 0, false
	for _, d := range syslogDaemons {
		program := l.firstThere(d.programs)
		if program == "" {
			continue
		}
		running = true
		for _, pattern := range d.settings {
			files, err := fs.Glob(l.sys, name(pattern))
			if err != nil {
				continue
			}
			for _, file := range files {
				for _, p := range mailFiles(l.read("/" + file)) {
					l.add(candidate{path: p, reason: "/" + file + " sends mail there", sure: expected})
				}
			}
		}
	}
	if expected && !running && l.firstThere(journalFolders) != "" {
		return // what files there are nobody writes any more
	}
	for _, p := range sharedLogs {
		l.add(candidate{path: p, reason: "where syslog daemons write mail"})
	}
}

// syslogNG matches a file that syslog-ng writes; which messages get there it says
// elsewhere, so the name has to tell.
var syslogNG = regexp.MustCompile(`\bfile\(\s*"(/[^"$]*mail[^"$]*)"`)

// mailFiles reads which files the settings of a syslog daemon send all mail to:
// "mail.*  -/var/log/mail.log", or file("/var/log/mail.log") of syslog-ng. Those of
// errors alone are left out.
func mailFiles(settings []byte) (files []string) {
	for _, line := range settingLines(settings) {
		for _, m := range syslogNG.FindAllStringSubmatch(line, -1) {
			if !strings.Contains(m[1], ".err") && !strings.Contains(m[1], ".warn") {
				files = append(files, m[1])
			}
		}
		fields := strings.FieldsFunc(line, unicode.IsSpace)
		if len(fields) < 2 || !takesMail(fields[0]) {
			continue
		}
		file, _, _ := strings.Cut(strings.TrimPrefix(fields[1], "-"), ";")
		if strings.HasPrefix(file, "/") && !strings.HasPrefix(file, "/dev/") {
			files = append(files, file)
		}
	}
	return files
}

// takesMail reports whether a selector such as "mail.*" or "mail,news.info" names
// mail, down to what is delivered.
func takesMail(selector string) bool {
	for part := range strings.SplitSeq(selector, ";") {
		facilities, severity, _ := strings.Cut(part, ".")
		if slices.Contains(strings.Split(facilities, ","), "mail") && slices.Contains([]string{"*", "info", "debug", "=info"}, severity) {
			return true
		}
	}
	return false
}

// setting returns the last value of a key in a file of lines "key = value".
func (l *look) setting(file, key string) (value string) {
	for _, line := range settingLines(l.read(file)) {
		if k, v := cutKey(line); k == key {
			value = v
		}
	}
	return value
}

const maxSettings = 1 << 20

func (l *look) read(file string) []byte {
	l.looked[file] = true
	f, err := l.sys.Open(name(file))
	if err != nil {
		return nil
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSettings))
	if err != nil {
		return nil // then the usual places are looked at
	}
	return text
}

// settingLines returns lines without comments and blank ones.
func settingLines(settings []byte) (lines []string) {
	s := bufio.NewScanner(bytes.NewReader(settings))
	for s.Scan() {
		if line := strings.TrimSpace(s.Text()); line != "" && line[0] != '#' && line[0] != ';' {
			lines = append(lines, line)
		}
	}
	return lines
}

// cutInstance splits "postfix@-.service" before the "@".
func cutInstance(unit string) (stem string, ok bool) {
	stem, _, ok = strings.Cut(unit, "@")
	return stem, ok
}

// alike returns up to three logs that somebody who wrote path may have meant: those
// that begin alike in its folder, and those that mail servers have here.
func alike(sys System, file string) (found []string) {
	letters := func(s string) string {
		s = strings.Map(func(r rune) rune {
			if unicode.IsLetter(r) {
				return unicode.ToLower(r)
			}
			return -1
		}, s)
		return s[:min(len(s), 4)]
	}
	entries, err := fs.ReadDir(sys, name(path.Dir(file)))
	if err == nil {
		for _, e := range entries {
			if mayBeLog(e) && letters(e.Name()) == letters(path.Base(file)) {
				found = append(found, path.Join(path.Dir(file), e.Name()))
			}
		}
	}
	places := slices.Clone(sharedLogs)
	for _, row := range servers() {
		places = append(places, row.logs...)
	}
	for _, p := range places {
		if info, err := fs.Stat(sys, name(p)); err == nil && info.Mode().IsRegular() && !slices.Contains(found, p) {
			found = append(found, p)
		}
	}
	return found[:min(len(found), 3)]
}
