package host

import (
	"context"
	"io/fs"
	"path"
	"path/filepath"
	"slices"

	"mtatap/event"
)

// Findings are what a look at a machine has found.
type Findings struct {
	Servers []Server
	Logs    []Log
	Journal *Journal // nil: there is none, or the logs are files
	Looked  []string // files and folders that were looked for, sorted
	Root    string   // stands in front of every path; "" is this machine
	Account Account  // who is to read the logs
}

// Server is a mail server that is there.
type Server struct {
	MTA  event.MTA
	Name string // for people
	Sign string // what shows that it is there
}

// Journal is what to take from the journal of systemd.
type Journal struct {
	Directory string // "" is the machine's own journal
	MTAs      []event.MTA
	Units     map[event.MTA][]string
	Problem   *Problem // nil: it may be read
}

// Request says how to look.
type Request struct {
	// Root is where the machine's files are; it is put in front of the paths that
	// are found. "" is "/".
	Root string
	// Account is who is to read the logs.
	Account Account
	// Own says that Account is who we are, so that trying to open a log tells.
	Own bool
}

// Look looks at sys. Nothing there is no error: the findings are then empty and tell
// what was looked for. It blocks for as long as mail servers take to tell their
// settings, some seconds at most.
func Look(ctx context.Context, sys System, r Request) Findings {
	l := &look{sys: sys, request: r, looked: map[string]bool{}, own: map[string]bool{}}
	if r.Root = filepath.Clean("/" + r.Root); r.Root != "/" {
		l.found.Root = r.Root
	}
	l.found.Account = r.Account
	l.servers(ctx)
	l.syslogFiles()
	for _, c := range l.candidates {
		l.examine(c)
	}
	l.lastResort()
	l.journal()
	for p := range l.looked {
		l.found.Looked = append(l.found.Looked, p)
	}
	slices.Sort(l.found.Looked)
	return l.found
}

type look struct {
	sys        System
	request    Request
	rows       []server // of what is there
	candidates []candidate
	found      Findings
	seen       []fs.FileInfo
	own        map[string]bool // formats of logs that a mail server writes itself
	looked     map[string]bool
}

// candidate is a path at which there may be a log.
type candidate struct {
	path   string // may be a glob
	mta    event.MTA
	reason string // why it is looked at
	sure   bool   // is to be followed even if it is not there yet
	strict bool   // only if lines of a mail server are in it
}

// servers finds the mail servers and the logs of their own.
func (l *look) servers(ctx context.Context) {
	for _, row := range servers() {
		sign := l.firstThere(row.signs)
		if sign != "" {
			row.syslog = l.ownLogs(ctx, row) || row.syslog && !l.hasOwn(row.mta)
			l.rows = append(l.rows, row)
			l.found.Servers = append(l.found.Servers, Server{row.mta, row.name, sign})
		}
		if l.hasOwn(row.mta) {
			continue // it told where
		}
		for _, path := range row.logs {
			l.add(candidate{path: path, mta: row.mta, reason: "where " + row.name + " logs"})
		}
	}
}

// ownLogs asks a mail server where it logs and reports whether it said syslog.
func (l *look) ownLogs(ctx context.Context, row server) (toSyslog bool) {
	value, reason := "", ""
	configured := slices.ContainsFunc(row.settings, func(s settings) bool { return l.there(s.file) })
	for _, q := range row.queries {
		// Without its configuration Exim would not answer but log an alarm.
		if !configured || !l.there(q.program) {
			continue
		}
		if answer, err := l.sys.Query(ctx, q.program, q.args...); err == nil {
			value, reason = answer, path.Base(q.program)+" says so"
			break
		}
	}
	for _, s := range row.settings {
		if value != "" {
			break
		}
		value, reason = l.setting(s.file, s.key), s.key+" in "+s.file
	}
	paths, toSyslog := logNames(value)
	for _, p := range paths {
		l.add(candidate{path: p, mta: row.mta, reason: reason, sure: true})
	}
	return toSyslog
}

func (l *look) hasOwn(mta event.MTA) bool {
	return slices.ContainsFunc(l.candidates, func(c candidate) bool { return c.mta == mta && c.sure })
}

// add puts a candidate on the list unless its path is there already.
func (l *look) add(c candidate) {
	c.path = path.Clean(c.path)
	if !slices.ContainsFunc(l.candidates, func(o candidate) bool { return o.path == c.path }) {
		l.candidates = append(l.candidates, c)
	}
}

// throughSyslog returns the mail servers that log through syslog.
func (l *look) throughSyslog() (all []event.MTA) {
	for _, row := range l.rows {
		if row.syslog {
			all = append(all, row.mta)
		}
	}
	return all
}

func (l *look) firstThere(paths []string) string {
	for _, p := range paths {
		if l.there(p) {
			return p
		}
	}
	return ""
}

func (l *look) there(path string) bool {
	l.looked[path] = true
	_, err := fs.Stat(l.sys, name(path))
	return err == nil
}

// lastResort looks into the logs of everything where mail has none of its own.
func (l *look) lastResort() {
	if len(l.found.Logs) > 0 {
		return
	}
	for _, p := range []string{"/var/log/syslog", "/var/log/messages"} {
		l.examine(candidate{path: p, reason: "a log of everything", strict: true})
	}
}

// journalFolders hold the journal: kept across boots, or not.
var journalFolders = []string{"/var/log/journal", "/run/log/journal"}

// journal looks for the journal where a mail server has no file.
func (l *look) journal() {
	var without []event.MTA
	units := map[event.MTA][]string{}
	for _, row := range l.rows {
		if !slices.ContainsFunc(l.found.Logs, func(log Log) bool { return log.mayBeOf(row) }) {
			without = append(without, row.mta)
			units[row.mta] = l.unitsOf(row)
		}
	}
	directory := l.firstThere(journalFolders)
	if len(without) == 0 || directory == "" {
		return
	}
	j := &Journal{MTAs: without, Units: units}
	if l.found.Root != "" {
		j.Directory = path.Join(l.found.Root, directory)
	}
	j.Problem = l.journalProblem()
	l.found.Journal = j
}

// unitsOf returns the units of a mail server that are installed, else all it may
// have.
func (l *look) unitsOf(row server) []string {
	var installed []string
	for _, unit := range row.units {
		file := unit
		if stem, isInstance := cutInstance(unit); isInstance {
			file = stem + "@.service"
		}
		for _, dir := range []string{"/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"} {
			if l.there(path.Join(dir, file)) {
				installed = append(installed, unit)
				break
			}
		}
	}
	if len(installed) > 0 {
		return installed
	}
	return row.units
}

// journalProblem says what keeps the account from the journal. Its files have
// access lists, so that groups tell more than modes.
func (l *look) journalProblem() *Problem {
	if l.there("/usr/bin/journalctl") || l.there("/bin/journalctl") {
		a := l.request.Account
		journal, adm := groupNumber(l.sys, "systemd-journal"), groupNumber(l.sys, serviceGroup)
		if a.UID == 0 || journal >= 0 && a.in(journal) || adm >= 0 && a.in(adm) {
			return nil
		}
		return &Problem{Path: "the journal", Cause: fs.ErrPermission, What: "permission denied", Do: joinGroup(a, "systemd-journal")}
	}
	return &Problem{Path: "the journal", Cause: fs.ErrNotExist, What: "there is no journalctl to read it", Do: "install systemd's, or rsyslog to have a log file"}
}
