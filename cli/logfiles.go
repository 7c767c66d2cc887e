package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"mtatap/config"
	"mtatap/parsers"
	"mtatap/pipeline"
	"mtatap/tailers"
)

// logFiles reads finished logs in the form that flags say.
type logFiles struct {
	format   string
	timezone string
	refTime  string

	zone      *time.Location
	reference time.Time // zero: when a file was last changed
}

func (l *logFiles) register(f *pflag.FlagSet) {
	f.StringVar(&l.format, "format", parsers.Auto, "log format: "+strings.Join(parsers.Formats(), ", "))
	f.StringVar(&l.timezone, "timezone", "Local", "time zone of stamps without one, such as Europe/Berlin")
	f.StringVar(&l.refTime, "reference-time", "", "time at or after the last line, RFC 3339: gives stamps their year (default: when the file was last changed)")
}

// check reads the flags. It comes before recordings.
func (l *logFiles) check() (err error) {
	if err := oneOf("format", l.format, parsers.Formats()...); err != nil {
		return err
	}
	if l.zone, err = time.LoadLocation(l.timezone); err != nil {
		return usageError{fmt.Errorf("--timezone: %w", err)}
	}
	if l.refTime != "" {
		if l.reference, err = time.Parse(time.RFC3339, l.refTime); err != nil {
			return usageError{fmt.Errorf("--reference-time: %w, write it as 2026-11-23T18:00:00Z", err)}
		}
	}
	return nil
}

// recordings returns the files to replay; "-" is stdin. Each is shown by progress
// when it is opened.
func (l *logFiles) recordings(files []string, tail tailers.Options, stdin io.Reader, progress *progress) []pipeline.Recording {
	source := config.DefaultSource() // what is read here is what run would publish
	options := parsers.Options{Zone: l.zone, FilterHops: source.FilterHops, VERP: source.VERP}
	open := func() (parsers.Parser, error) { return parsers.New(l.format, options) }
	var all []pipeline.Recording
	for _, file := range files {
		rec := pipeline.Recording{Name: file, Parser: open, Reference: l.reference, Open: func() (pipeline.Finished, error) {
			in, err := tailers.OpenReplay(file, stdin, tail)
			if err != nil {
				return nil, adviseOnLog(err, file)
			}
			progress.show(file, in)
			return in, nil
		}}
		if info, err := os.Stat(file); err == nil && file != "-" && l.reference.IsZero() {
			rec.Reference = info.ModTime()
		}
		all = append(all, rec)
	}
	return all
}
