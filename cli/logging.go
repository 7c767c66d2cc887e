package cli

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/pflag"
)

// logFlags are --log.level and --log.format. Empty values leave the choice to
// the configuration.
type logFlags struct{ level, format string }

func (l *logFlags) register(f *pflag.FlagSet) {
	f.StringVar(&l.level, "log.level", "", "least severe messages to log: debug, info, warn, error (default info)")
	f.StringVar(&l.format, "log.format", "", "form of log messages: logfmt, json (default logfmt)")
}

// logger logs to w; flags win over the configured values. The level can be
// changed while running.
func (l logFlags) logger(w io.Writer, configuredLevel, configuredFormat string) (*slog.Logger, *slog.LevelVar, error) {
	name, format := firstOf(l.level, configuredLevel, "info"), firstOf(l.format, configuredFormat, "logfmt")
	level := new(slog.LevelVar)
	if err := setLevel(level, name); err != nil {
		return nil, nil, err
	}
	options := &slog.HandlerOptions{Level: level}
	switch format {
	case "logfmt":
		return slog.New(slog.NewTextHandler(w, options)), level, nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), level, nil
	}
	return nil, nil, usageError{fmt.Errorf("--log.format: unknown value %q, use logfmt or json", format)}
}

func setLevel(level *slog.LevelVar, name string) error {
	if err := level.UnmarshalText([]byte(name)); err != nil {
		return usageError{fmt.Errorf("--log.level: unknown value %q, use debug, info, warn or error", name)}
	}
	return nil
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
