package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// maxSize is the largest configuration file that is read, in bytes.
const maxSize = 1 << 20

// Load reads and validates the configuration file path, as Parse does. A file
// that cannot be read gives an error of package os, wrapped.
func Load(path string, env func(string) (string, bool)) (*Config, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open config: %w", err)
	}
	defer file.Close()
	// One byte more than allowed, so that Parse sees that there is more.
	data, err := io.ReadAll(io.LimitReader(file, maxSize+1))
	if err != nil {
		return nil, fmt.Errorf("read config: %w", err)
	}
	return Parse(path, data, env)
}

// Parse reads a configuration, fills in defaults and validates it. A mistake
// gives an *Errors that holds every mistake, in line order; the name goes into
// their texts.
//
// ${NAME} in a value is replaced by env, which is os.LookupEnv or alike and may
// be nil; what it gives is never read as YAML and never shown in errors of the
// value, save for paths of files. $${ stands for ${. Relative paths are
// relative to the folder of name.
//
// The files that the configuration names are looked at, but log files need not
// exist. YAML aliases, explicit tags and further documents are refused.
func Parse(name string, data []byte, env func(string) (string, bool)) (*Config, error) {
	return parse(name, data, env, os.DirFS("/"))
}

// parse is Parse with the file system given, whose root is "/".
func parse(name string, data []byte, env func(string) (string, bool), disk fs.FS) (*Config, error) {
	d := &decoder{
		name:     name,
		env:      env,
		disk:     disk,
		expanded: make(map[*yaml.Node]string),
		broken:   make(map[*yaml.Node]bool),
	}
	var c Config
	if root := d.document(data); root != nil {
		v := value{node: root, pos: root}
		d.walk(v, 0)
		settings(&c).read(d, v)
		d.checkSources(v, &c)
		d.checkOutputs(v, &c)
	}
	if len(d.errs.List) > 0 {
		d.errs.sort()
		return nil, &d.errs
	}
	return &c, nil
}

// document gives the root node of the only YAML document in data, or nil after
// an error.
func (d *decoder) document(data []byte) *yaml.Node {
	if len(data) > maxSize {
		d.failAt(0, "is over 1 MiB")
		return nil
	}
	if line := badCharacter(data); line > 0 {
		d.failAt(line, "is not plain UTF-8 text")
		return nil
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var doc, next yaml.Node
	err := decoder.Decode(&doc)
	if errors.Is(err, io.EOF) || err == nil && isNull(doc.Content[0]) {
		d.failAt(1, "is empty; name at least sources and sinks")
		return nil
	}
	if err != nil {
		d.syntaxError(err)
		return nil
	}
	switch err := decoder.Decode(&next); {
	case err == nil:
		d.failAt(next.Line, "begins a second document; keep one")
	case !errors.Is(err, io.EOF):
		d.syntaxError(err)
	}
	return doc.Content[0]
}

// syntaxError reports an error of the YAML library, whose text is
// "yaml: line 3: problem", or without a line where that is the first. The line
// is that of the mistake or of the block around it.
func (d *decoder) syntaxError(err error) {
	problem := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 1
	if rest, ok := strings.CutPrefix(problem, "line "); ok {
		number, text, _ := strings.Cut(rest, ": ")
		if n, err := strconv.Atoi(number); err == nil {
			line, problem = n, text
		}
	}
	if strings.Contains(problem, "cannot start any token") {
		problem += " (indent with spaces, not tabs)"
	}
	d.failAt(line, "no valid YAML here or below: "+problem)
}

// badCharacter gives the line of the first byte that is not UTF-8 or is a
// control character other than white space, or 0.
func badCharacter(data []byte) int {
	line := 1
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		switch {
		case r == utf8.RuneError && size == 1, r < ' ' && !strings.ContainsRune("\t\n\r", r), r == 0x7f:
			return line
		case r == '\n':
			line++
		}
		data = data[size:]
	}
	return 0
}

// resolve gives path as seen from the configuration file.
func (d *decoder) resolve(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(filepath.Dir(d.name), path)
}

// ForSources returns the configuration of a run without one: the sources are read
// from the beginning and followed, events go to standard output, no state is kept.
func ForSources(sources ...Source) *Config {
	var c Config
	settings(&c)
	c.StateDir = ""
	for _, s := range sources {
		s.Start = "beginning"
		c.Sources = append(c.Sources, s)
	}
	c.Sinks = []Sink{{Name: "stdout", Kind: "stdout"}}
	return &c
}
