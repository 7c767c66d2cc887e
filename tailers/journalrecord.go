package tailers

import (
	"bytes"
	"path"
	"strconv"
	"strings"
)

// cursor is where journald has an entry, in its own form: "s=ID;i=HEX;...", with
// the id of a sequence (s), the number in it (i) and the time in microseconds (t)
// among others. "" is the beginning of the journal.
type cursor string

// maxCursor bounds what is believed to be a cursor; real ones have about 130 bytes.
const maxCursor = 1024

// valid reports whether c can have come from journalctl, and can be given to it.
func (c cursor) valid() bool {
	for i := 0; i < len(c); i++ {
		if c[i] <= ' ' || c[i] >= 0x7f {
			return false
		}
	}
	return len(c) <= maxCursor
}

// field returns a field of one letter, "" if there is none.
func (c cursor) field(letter byte) string {
	for part := range strings.SplitSeq(string(c), ";") {
		if len(part) > 2 && part[0] == letter && part[1] == '=' {
			return part[2:]
		}
	}
	return ""
}

func (c cursor) number(letter byte) uint64 {
	n, err := strconv.ParseUint(c.field(letter), 16, 64)
	if err != nil {
		return 0
	}
	return n
}

// after reports whether c is of a later entry than o: by number within the same
// sequence, else by time.
func (c cursor) after(o cursor) bool {
	if s := c.field('s'); s != "" && s == o.field('s') {
		return c.number('i') > o.number('i')
	}
	return c.number('t') > o.number('t')
}

// field names as they stand in a record. A quote within a value is escaped, so
// that they stand nowhere else but as a whole value.
var (
	cursorKey = []byte(`"__CURSOR"`)
	unitKey   = []byte(`"_SYSTEMD_UNIT"`)
)

// cursorOf returns the cursor of the record that line is, nil if it is none.
func cursorOf(line []byte) []byte {
	value := fieldText(line, cursorKey)
	if len(value) > maxCursor || bytes.IndexByte(value, '\\') >= 0 {
		return nil
	}
	return value
}

// fieldText returns the still escaped text that a record has for key, nil if there
// is none.
func fieldText(record, key []byte) []byte {
	if len(record) == 0 || record[0] != '{' {
		return nil
	}
	for rest := record; ; {
		i := bytes.Index(rest, key)
		if i < 0 {
			return nil
		}
		rest = rest[i+len(key):]
		s, ok := bytes.CutPrefix(bytes.TrimLeft(rest, " "), []byte(":"))
		if !ok {
			continue // a value
		}
		if s, ok = bytes.CutPrefix(bytes.TrimLeft(s, " "), []byte(`"`)); !ok {
			return nil
		}
		for end := 0; end < len(s); end++ {
			switch s[end] {
			case '\\':
				end++
			case '"':
				return s[:end]
			}
		}
		return nil
	}
}

// units selects entries by the names or globs of their units.
type units []string

// exact reports whether there are no globs, so that journalctl can select by its
// index. It takes globs for the units that it knows when it starts, and none that
// log later.
func (u units) exact() bool {
	for _, name := range u {
		if IsGlob(name) {
			return false
		}
	}
	return true
}

// match reports whether the record is of one of the units.
func (u units) match(record []byte) bool {
	unit := string(fieldText(record, unitKey))
	if unit == "" {
		return false
	}
	for _, name := range u {
		if !IsGlob(name) && !strings.Contains(name, ".") {
			name += ".service" // as journalctl completes it
		}
		if ok, err := path.Match(name, unit); ok && err == nil {
			return true
		}
	}
	return false
}

// choose moves the records of the units in lines to its front and returns them.
func (u units) choose(lines []byte) []byte {
	kept := lines[:0]
	for line := range bytes.Lines(lines) {
		if u.match(line) {
			kept = append(kept, line...)
		}
	}
	return kept
}
