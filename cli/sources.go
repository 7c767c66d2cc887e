package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"

	"mtatap/config"
	"mtatap/host"
	"mtatap/parsers"
)

// chosen is the configuration of a run, and where it comes from.
type chosen struct {
	*config.Config
	files bool           // FILEs of the command line
	found *host.Findings // what was looked for, as nothing was named
	path  string         // of the configuration that was taken, as none was named
}

// choose returns the configuration that is named, that of FILEs, the one at its
// usual place, or one made of what this host has.
func (r *run) choose(ctx context.Context, files []string) (chosen, error) {
	switch {
	case r.config != "" && len(files) > 0:
		return chosen{}, usageError{errors.New("give either --config.file or FILEs, not both")}
	case r.config != "":
		cfg, err := r.load(r.config)
		return chosen{Config: cfg}, err
	case len(files) > 0:
		var sources []config.Source
		for _, file := range files {
			s := config.DefaultSource()
			s.Path = file
			sources = append(sources, s)
		}
		return chosen{Config: config.ForSources(sources...), files: true}, nil
	}
	if usual := findConfig(r.env); usual != "" {
		r.config = usual
		cfg, err := r.load(usual)
		return chosen{Config: cfg, path: usual}, err
	}
	found := look(ctx, r.env.Root, true)
	if !found.Sources() {
		return chosen{}, nothingFound(found)
	}
	return chosen{Config: config.ForSources(sourcesOf(found)...), found: &found}, nil
}

func (r *run) load(path string) (*config.Config, error) {
	cfg, err := loadConfig(path, r.env)
	if err == nil && (len(cfg.Sources) == 0 || len(cfg.Sinks) == 0) {
		err = fmt.Errorf("%s names no sources or no sinks: it is for mtatap suppress", path)
	}
	return cfg, err
}

// sourcesOf follows what was found.
func sourcesOf(found host.Findings) (sources []config.Source) {
	for _, log := range found.Logs {
		s := config.DefaultSource()
		s.Path, s.Format = log.Path, log.Format
		sources = append(sources, s)
	}
	if j := found.Journal; j != nil {
		for _, mta := range j.MTAs {
			s := config.DefaultSource()
			s.Journald, s.Format = &config.Journal{Units: j.Units[mta], Directory: j.Directory}, string(mta)
			sources = append(sources, s)
		}
	}
	return sources
}

// announce says where the configuration comes from, and what will not be read until
// somebody does something. What the command line itself names must be readable.
func (c chosen) announce(log *slog.Logger) error {
	switch {
	case c.path != "":
		log.Info("nothing was named: taking the configuration at its usual place", "path", c.path)
	case c.found != nil:
		log.Info("nothing was named: following what this host has, from the beginning, without keeping state; mtatap init writes a configuration", "logs", len(c.Sources))
		for _, l := range c.found.Logs {
			format := l.Format
			if format == parsers.Auto {
				format = "told by its first lines"
			}
			log.Info("found log", "path", l.Path, "format", format, "why", l.Reason)
		}
		if j := c.found.Journal; j != nil {
			for _, mta := range j.MTAs {
				log.Info("found no log file: following the journal", "format", mta, "units", j.Units[mta])
			}
		}
	}
	var refused []error
	for _, s := range c.Sources {
		for _, p := range checkSource(s) {
			switch {
			case errors.Is(p, fs.ErrNotExist):
				if p.Do != "" {
					log.Warn("log is not there, it is waited for", "path", p.Path, "advice", p.Do)
				}
			case c.files:
				refused = append(refused, p)
			default:
				log.Error("log cannot be read, it is tried again", "path", p.Path, "err", p.What, "advice", p.Do)
			}
		}
	}
	return errors.Join(refused...)
}

// findConfig returns the configuration at its usual place, "" if there is none.
func findConfig(env Environment) string {
	usual := filepath.Join(env.Root, defaultConfig)
	if isNoFile(usual) {
		return ""
	}
	return usual // where it is out of our reach, reading it says why
}
