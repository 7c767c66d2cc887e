package parsers

import (
	"errors"
	"fmt"
	"strings"

	"mtatap/event"
)

// format is a kind of log: how it is called, recognised and read.
type format struct {
	mta       event.MTA
	recognize func(line string) bool
	open      func(Options) Parser
}

var formats = []format{
	{postfixMTA, recognizePostfix, func(o Options) Parser { return newPostfix(o) }},
	{eximMTA, recognizeExim, func(o Options) Parser { return newExim(o) }},
	{harakaMTA, recognizeHaraka, func(o Options) Parser { return newHaraka(o) }},
	{openSMTPDMTA, recognizeOpenSMTPD, func(o Options) Parser { return newOpenSMTPD(o) }},
}

// Auto is the format that is found out from the first lines.
const Auto = "auto"

// Formats returns the names that New takes, Auto last.
func Formats() []string {
	names := make([]string, 0, len(formats)+1)
	for _, f := range formats {
		names = append(names, string(f.mta))
	}
	return append(names, Auto)
}

// MTAs returns the mail servers whose logs can be read.
func MTAs() []event.MTA {
	var all []event.MTA
	for _, f := range formats {
		all = append(all, f.mta)
	}
	return all
}

// New returns a parser for the log format of that name. It reads the log as it
// was written to a file, and as records of journald in JSON.
func New(name string, o Options) (Parser, error) {
	if name == Auto {
		return newJournal(&auto{options: o}), nil
	}
	for _, f := range formats {
		if string(f.mta) == name {
			return newJournal(f.open(o)), nil
		}
	}
	return nil, fmt.Errorf("open parser: unknown format %q, use one of %s", name, strings.Join(Formats(), ", "))
}

// auto becomes the parser of the first line that one of the formats recognises.
// Lines before that are of none and hold no delivery.
type auto struct {
	options Options
	found   string
	parser  Parser // nil until found
}

func (a *auto) become(f format) { a.found, a.parser = string(f.mta), f.open(a.options) }

func (a *auto) Parse(dst []event.Delivery, line Line) ([]event.Delivery, error) {
	if a.parser == nil {
		text := view(line.Text)
		for _, f := range formats {
			if f.recognize(text) {
				a.become(f)
				break
			}
		}
		if a.parser == nil {
			return dst, nil
		}
	}
	return a.parser.Parse(dst, line)
}

func (a *auto) Flush(dst []event.Delivery) []event.Delivery {
	if a.parser == nil {
		return dst
	}
	return a.parser.Flush(dst)
}

func (a *auto) Snapshot(dst []byte) []byte {
	dst = appendBytes(dst, a.found)
	if a.parser == nil {
		return dst
	}
	return a.parser.Snapshot(dst)
}

func (a *auto) Restore(snapshot []byte) error {
	a.found, a.parser = "", nil
	r := snapshotReader{rest: snapshot}
	found := string(r.bytes())
	if r.err != nil {
		return r.err
	}
	if found == "" {
		return nil
	}
	for _, f := range formats {
		if string(f.mta) == found {
			a.become(f)
			return a.parser.Restore(r.rest)
		}
	}
	return errors.New("read parser snapshot: unknown format")
}
