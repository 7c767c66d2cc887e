package parsers

import "strings"

// read reads the envelope of line, in one of the usual forms or in one of those
// that only a Postfix daemon behind it makes sure.
func (p *postfix) read(line string) (e envelope, ok bool) {
	if e, ok = p.envelope.readKept(line); ok {
		if isLogLevel(e.host) { // "stamp level tag: message" of containers
			e.host = ""
		}
		e.message = strings.TrimLeft(e.message, " ")
		return e, true
	}
	return readPostfixOdd(line)
}

// readPostfixOdd reads what is left of an envelope by tools between Postfix and
// the file:
//
//	[container | ][<PRI>][stamp ][level ][host ][level ]name/daemon[pid]: message
//	[stamp ][name/daemon] message
//	message
//
// The stamp is in any of the forms of oddStampLen. A message alone has to be a
// delivery status, for nothing else says that it is one of Postfix.
func readPostfixOdd(line string) (e envelope, ok bool) {
	s := strings.TrimLeft(line, " \t")
	if i := strings.IndexByte(s[:min(len(s), 80)], '|'); i > 0 && strings.IndexByte(strings.TrimRight(s[:i], " "), ' ') < 0 {
		s = strings.TrimLeft(s[i+1:], " \t")
	}
	if strings.HasPrefix(s, "<") {
		if i := strings.IndexByte(s[:min(len(s), 5)], '>'); i > 1 && allDigits(s[1:i]) {
			s = s[i+1:]
		}
	}
	n := oddStampLen(s)
	e.stamp, s = s[:n], strings.TrimLeft(s[n:], " \t")
	if id, rest, ok := cutPostfixID(s); ok && n == 0 && id != "" && strings.HasPrefix(rest, "to=<") {
		e.message = s
		return e, true
	}
	for range 3 {
		word, rest, _ := strings.Cut(s, " ")
		rest = strings.TrimLeft(rest, " ")
		if e.readPostfixTag(word) {
			e.message = rest
			return e, true
		}
		switch {
		case isLogLevel(word):
		case e.host == "" && isHostName(word):
			e.host = word
		default:
			return envelope{}, false
		}
		s = rest
	}
	return envelope{}, false
}

// readPostfixTag reads a word that is "name/daemon[pid]:", "name/daemon:" or
// "[name/daemon]".
func (e *envelope) readPostfixTag(word string) bool {
	tag, ok := strings.CutSuffix(word, ":")
	if ok {
		tag, e.pid, ok = strings.Cut(tag, "[")
		if e.pid = strings.TrimSuffix(e.pid, "]"); ok && !allDigits(e.pid) {
			return false
		}
	} else if tag, ok = strings.CutPrefix(word, "["); !ok {
		return false
	} else if tag, ok = strings.CutSuffix(tag, "]"); !ok {
		return false
	}
	e.tag = tag
	_, program := splitPostfixTag(tag)
	return isPostfixDaemon(program)
}

// isHostName reports whether s may be the name or address of a log's host.
func isHostName(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; !isDigit(c) && (c|0x20 < 'a' || c|0x20 > 'z') && strings.IndexByte(".-_:%", c) < 0 {
			return false
		}
	}
	return s != "" && len(s) <= 255
}

func isLogLevel(s string) bool {
	switch s {
	case "DEBUG", "INFO", "NOTICE", "WARN", "WARNING", "ERR", "ERROR", "CRIT",
		"debug", "info", "notice", "warn", "warning", "err", "error", "crit":
		return true
	}
	return false
}
