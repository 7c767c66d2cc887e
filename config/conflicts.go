package config

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"
)

// exactlyOne checks that a mapping has one of two keys.
func exactlyOne(a, b, example string) check {
	return func(d *decoder, v value) {
		_, hasA := v.find(a)
		second, hasB := v.find(b)
		switch {
		case d.broken[v.node] || v.node.Kind != yaml.MappingNode: // said already
		case hasA && hasB:
			d.fail(second, "excludes %s; make them two items", a)
		case !hasA && !hasB:
			d.fail(v, "%s or %s is missing; write it as %s", a, b, example)
		}
	}
}

// checkWebhookTLS refuses TLS settings that would silently not be used.
func checkWebhookTLS(w *Webhook) check {
	return func(d *decoder, v value) {
		if w.TLS != nil && strings.HasPrefix(strings.ToLower(w.URL), "http:") {
			d.fail(v.at("tls"), "needs a URL that starts with https; change the url or leave tls out")
		}
	}
}

// checkSources reports sources that would read the same log twice.
func (d *decoder) checkSources(root value, c *Config) {
	list := root.at("sources")
	read := make([]logs, len(c.Sources))
	for i, s := range c.Sources {
		read[i] = d.logs(s.Path)
	}
	for i := range c.Sources {
		v := list.item(i)
		for j := range i {
			other := list.item(j)
			if path, ok := sameLog(read[j], read[i]); ok {
				d.fail(v.at("path"), "reads %s, as %s of line %d does; keep one",
					quote(path), other.path, other.at("path").pos.Line)
				break
			}
			if name, ok := sameUnit(c.Sources[j].Journald, c.Sources[i].Journald); ok {
				d.fail(v.at("journald"), "reads the unit %s, as %s of line %d does; keep one",
					quote(name), other.path, other.at("journald").pos.Line)
				break
			}
		}
	}
}

// logs is what a path or glob names: its files now, if they exist or not.
type logs struct {
	path  string
	files []logFile
}

type logFile struct {
	path string
	info fs.FileInfo // nil where it does not exist
}

func (d *decoder) logs(path string) logs {
	l := logs{path: path}
	if path == "" {
		return l
	}
	for _, found := range d.glob(path) {
		info, err := d.stat(found)
		if err != nil {
			info = nil
		}
		l.files = append(l.files, logFile{found, info})
	}
	return l
}

// sameLog gives a file that is in both, by name or by what is there.
func sameLog(a, b logs) (string, bool) {
	switch {
	case a.path == "" || b.path == "":
		return "", false
	case a.path == b.path || matches(a.path, b.path):
		return b.path, true
	case matches(b.path, a.path):
		return a.path, true
	}
	for _, fileA := range a.files {
		for _, fileB := range b.files {
			if sameFile(fileA, fileB) {
				return fileB.path, true
			}
		}
	}
	return "", false
}

func sameFile(a, b logFile) bool {
	return a.path == b.path || a.info != nil && b.info != nil && os.SameFile(a.info, b.info)
}

// matches says whether glob takes in path, which may not exist yet.
func matches(glob, path string) bool {
	if !isGlob(glob) || isGlob(path) {
		return false
	}
	ok, err := filepath.Match(glob, path)
	return ok && err == nil
}

// sameUnit gives a unit that is in both, of the same journal.
func sameUnit(a, b *Journal) (string, bool) {
	if a == nil || b == nil || a.Directory != b.Directory {
		return "", false
	}
	for _, unitA := range a.Units {
		for _, unitB := range b.Units {
			if unitA == "" || unitB == "" {
				continue
			}
			if unitA == unitB || matches(unitA, unitB) {
				return unitB, true
			}
			if matches(unitB, unitA) {
				return unitA, true
			}
		}
	}
	return "", false
}

// checkOutputs reports two writers of one file, and sources that would read
// what is written.
func (d *decoder) checkOutputs(root value, c *Config) {
	type writer struct {
		name string
		logs logs
	}
	writers := []writer{{"dead_letters", d.logs(c.DeadLetters.Path)}}
	stdout := ""
	for _, s := range c.Sinks {
		v := root.at("sinks").at(s.Name)
		switch {
		case s.Kind == "stdout" && stdout != "":
			d.fail(v, "writes to the standard output, as %s does; keep one", stdout)
		case s.Kind == "stdout":
			stdout = v.path
		case s.File != nil:
			own := d.logs(s.File.Path)
			for _, w := range writers {
				if _, ok := sameLog(w.logs, own); ok {
					d.fail(v.at("path"), "is the file of %s too; give each its own", w.name)
					break
				}
			}
			writers = append(writers, writer{v.path, own})
		}
	}
	if s := c.Suppress; s != nil {
		v := root.at("suppress")
		for _, own := range []struct{ key, path string }{{"store", s.Store}, {"file", s.File}} {
			if own.path == "" {
				continue
			}
			files := d.logs(own.path)
			for _, w := range writers {
				if _, ok := sameLog(w.logs, files); ok {
					d.fail(v.at(own.key), "is the file of %s too; give each its own", w.name)
					break
				}
			}
			writers = append(writers, writer{v.path + "." + own.key, files})
		}
	}
	for i, s := range c.Sources {
		read := d.logs(s.Path)
		for _, w := range writers {
			if _, ok := sameLog(read, w.logs); ok {
				d.fail(root.at("sources").item(i).at("path"), "reads what %s writes; keep them apart", w.name)
			}
		}
	}
}
