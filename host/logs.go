package host

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"mtatap/event"
	"mtatap/parsers"
)

// Log is a log file to follow.
type Log struct {
	Path     string // with the root in front
	Format   string // a format of package parsers
	Reason   string // why it was looked at
	Problem  *Problem
	Size     int64
	Modified time.Time
	Rotated  []string // names of its rotated siblings
	Sample   Sample
}

// Sample is what the end of a log holds.
type Sample struct {
	Taken      bool // the log could be opened
	Lines      int
	Envelope   parsers.Envelope // of most of the lines of the chosen mail server
	MTAs       map[event.MTA]int
	Deliveries int
	Unparsed   int // looked like a delivery status and could not be read
}

// sampleBytes is how much of the end of a log is looked at.
const sampleBytes = 256 << 10

// Empty reports whether the log was opened and has no lines.
func (l Log) Empty() bool { return l.Sample.Taken && l.Sample.Lines == 0 }

// mayBeOf reports whether the log holds, or will hold, what a mail server logs.
func (l Log) mayBeOf(row server) bool {
	switch l.Format {
	case string(row.mta):
		return true
	case parsers.Auto:
		return row.syslog
	}
	return l.Sample.MTAs[row.mta] > 0
}

// examine looks at what is at a candidate and keeps what is to be followed.
func (l *look) examine(c candidate) {
	l.looked[c.path] = true
	if strings.ContainsAny(c.path, "*?[") {
		l.examineGlob(c)
		return
	}
	info, err := fs.Stat(l.sys, name(c.path))
	switch {
	case err == nil && !info.Mode().IsRegular():
		return
	case err == nil && slices.ContainsFunc(l.seen, func(o fs.FileInfo) bool { return os.SameFile(o, info) }):
		return
	case errors.Is(err, fs.ErrNotExist) && !c.sure, errors.Is(err, fs.ErrPermission) && c.strict:
		return
	}
	log := Log{Path: path.Join("/", l.found.Root, c.path), Reason: c.reason}
	if err == nil {
		l.seen = append(l.seen, info)
		log.Size, log.Modified = info.Size(), info.ModTime()
		log.Rotated = rotated(l.sys, c.path)
		log.Sample = l.sample(c.path, info)
	}
	log.Problem = Check(l.sys, l.request.Account, c.path, l.request.Own)
	if log.Problem != nil {
		log.Problem.Path = log.Path
	}
	log.Format = l.formatOf(&log, c)
	if log.Format == "" || c.mta == "" && l.own[log.Format] {
		return // no log of mail, or one that says the same again
	}
	l.own[log.Format] = l.own[log.Format] || c.mta != "" && err == nil
	if log.Sample.Lines > 0 {
		l.parse(&log, c.path)
	}
	l.found.Logs = append(l.found.Logs, log)
}

// examineGlob keeps a glob as one source, judged by its newest file.
func (l *look) examineGlob(c candidate) {
	matches, err := fs.Glob(l.sys, name(c.path))
	if err != nil {
		return
	}
	newest, at := fs.FileInfo(nil), ""
	for _, m := range matches {
		info, err := fs.Stat(l.sys, m)
		if err == nil && info.Mode().IsRegular() && !compressed(m) && (newest == nil || info.ModTime().After(newest.ModTime())) {
			newest, at = info, "/"+m
		}
	}
	if newest == nil {
		return
	}
	before := len(l.found.Logs)
	glob := path.Join("/", l.found.Root, c.path)
	c.path = at
	if l.examine(c); len(l.found.Logs) > before {
		l.found.Logs[before].Path, l.found.Logs[before].Rotated = glob, nil
	}
}

// formatOf chooses the format of a log: that of most of its lines, else that of whom
// it belongs to; "" if it is no log of a mail server.
func (l *look) formatOf(log *Log, c candidate) string {
	best := event.MTA("")
	for _, mta := range parsers.MTAs() { // a fixed order
		if n := log.Sample.MTAs[mta]; n > 0 && (best == "" || n > log.Sample.MTAs[best]) {
			best = mta
		}
	}
	through := l.throughSyslog()
	switch {
	case best != "":
		return string(best)
	case c.strict:
		return ""
	case c.mta != "":
		return string(c.mta)
	case len(through) == 1:
		return string(through[0])
	case len(through) > 1 || log.Problem != nil && log.Size > 0:
		return parsers.Auto
	}
	return ""
}

// sample reads the end of a log and counts whose lines there are.
func (l *look) sample(path string, info fs.FileInfo) Sample {
	s := Sample{MTAs: map[event.MTA]int{}}
	lines, err := tail(l.sys, path, info.Size())
	if err != nil {
		return s // Check says why
	}
	s.Taken, s.Lines = true, len(lines)
	for _, line := range lines {
		if mta, _ := parsers.Look(string(line)); mta != "" {
			s.MTAs[mta]++
		}
	}
	return s
}

// parse reads the end of a log as what it was taken for.
func (l *look) parse(log *Log, path string) {
	lines, err := tail(l.sys, path, log.Size)
	if err != nil {
		return // counted as no lines
	}
	p, err := parsers.New(log.Format, parsers.Options{})
	if err != nil {
		return
	}
	envelopes := map[parsers.Envelope]int{}
	var deliveries []event.Delivery
	for _, line := range lines {
		if mta, envelope := parsers.Look(string(line)); string(mta) == log.Format {
			if envelopes[envelope]++; envelopes[envelope] > envelopes[log.Sample.Envelope] {
				log.Sample.Envelope = envelope
			}
		}
		if deliveries, err = p.Parse(deliveries[:0], parsers.Line{Text: line, Reference: log.Modified}); err != nil {
			log.Sample.Unparsed++
		}
		log.Sample.Deliveries += len(deliveries)
	}
	log.Sample.Deliveries += len(p.Flush(nil))
}

// tail returns the last whole lines of a file.
func tail(sys System, path string, size int64) ([][]byte, error) {
	f, err := sys.Open(name(path))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	from := max(0, size-sampleBytes)
	if s, ok := f.(io.Seeker); ok && from > 0 {
		if _, err := s.Seek(from, io.SeekStart); err != nil {
			return nil, err
		}
	}
	data, err := io.ReadAll(io.LimitReader(f, sampleBytes))
	if err != nil {
		return nil, err
	}
	if _, rest, found := bytes.Cut(data, []byte("\n")); found && from > 0 {
		data = rest // what is before is half a line
	}
	var lines [][]byte
	for line := range bytes.Lines(data) {
		if line = bytes.TrimRight(line, "\r\n"); len(line) > 0 {
			lines = append(lines, line)
		}
	}
	return lines, nil
}

var rotationSuffix = regexp.MustCompile(`^[.-]\d[\d.\-]*(\.(gz|zst|xz|bz2))?$`)

func compressed(name string) bool {
	return slices.Contains([]string{".gz", ".zst", ".xz", ".bz2"}, path.Ext(name))
}

// looksRotated reports whether a name ends as rotation makes names end.
func looksRotated(name string) bool {
	if compressed(name) {
		return true
	}
	i := strings.LastIndexAny(name, ".-")
	return i > 0 && rotationSuffix.MatchString(name[i:])
}

// rotated returns the names of a log's rotated siblings.
func rotated(sys System, file string) (names []string) {
	entries, err := fs.ReadDir(sys, name(path.Dir(file)))
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if rest, ok := strings.CutPrefix(e.Name(), path.Base(file)); ok && rotationSuffix.MatchString(rest) {
			names = append(names, e.Name())
		}
	}
	return names
}
