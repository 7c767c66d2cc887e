package config

import (
	"errors"
	"math"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // so that zone names are known where the system has no zone files

	"mtatap/schema"
)

// duration reads a time of at least least, as in "1h30m".
func duration(out *time.Duration, least time.Duration) reader {
	return reader{func(d *decoder, v value) {
		s, ok := d.scalar(v, "a duration")
		if !ok {
			return
		}
		t, err := time.ParseDuration(s)
		switch {
		case err != nil:
			d.fail(v, "%s is no duration; write it with a unit: 50ms, 60s, 5m or 1h30m", quote(v.node.Value))
		case t < least:
			d.fail(v, "%s is too short; write at least %s", quote(v.node.Value), least)
		default:
			*out = t
		}
	}, shapeOfDuration(*out)}
}

var sizeUnits = []struct {
	suffix string
	bytes  int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1},
}

// size reads a number of bytes from least to most, plain or as in "100MiB".
func size[T int | int64](out *T, least, most int64) reader {
	return reader{func(d *decoder, v value) {
		s, ok := d.scalar(v, "a size")
		if !ok {
			return
		}
		n, ok := parseSize(s)
		switch {
		case !ok:
			d.fail(v, "%s is no size; write it as 100MiB or in bytes", quote(v.node.Value))
		case n < least || n > most:
			d.fail(v, "%s is out of range; write %s to %s", quote(v.node.Value), formatSize(least), formatSize(most))
		default:
			*out = T(n)
		}
	}, shapeOfSize(int64(*out), least, most)}
}

func parseSize(s string) (int64, bool) {
	factor := int64(1)
	for _, unit := range sizeUnits {
		if number, ok := strings.CutSuffix(s, unit.suffix); ok {
			s, factor = number, unit.bytes
			break
		}
	}
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || int64(n) > math.MaxInt64/factor {
		return 0, false
	}
	return int64(n) * factor, true
}

func formatSize(n int64) string {
	for i := 3; i >= 0; i-- { // TiB to KiB
		if unit := sizeUnits[i]; n >= unit.bytes && n%unit.bytes == 0 {
			return strconv.FormatInt(n/unit.bytes, 10) + unit.suffix
		}
	}
	return strconv.FormatInt(n, 10)
}

// zone reads "Local", "UTC" or a name of the zone database.
func zone(out **time.Location) reader {
	var name string
	return textThat(&name, func(s string) error {
		location, err := time.LoadLocation(s)
		if err != nil {
			return errors.New("is no known time zone; write it as Local, UTC or a name such as Europe/Berlin")
		}
		*out = location
		return nil
	}).shaped(func(n *schema.Node) {
		n.Default = "Local" // whatever that is where the schema is printed
		if *out != time.Local {
			n.Default = (*out).String()
		}
	})
}

// peer reads the host:port of another server.
func peer(out *string) reader {
	return textThat(out, func(s string) error {
		host, port, ok := splitAddress(s)
		if !ok || host == "" || port == 0 {
			return errors.New("is no address; write it as host:port, IPv6 as [::1]:port")
		}
		return nil
	}).like(`^.+:[0-9]{1,5}$`)
}

// listener reads a host:port to listen on: without a host it is all of ours,
// and port 0 is any free one.
func listener(out *string) reader {
	return textThat(out, func(s string) error {
		if _, _, ok := splitAddress(s); !ok {
			return errors.New("is no address to listen on; write it as 127.0.0.1:10525 or :10525")
		}
		return nil
	}).like(`:[0-9]{1,5}$`)
}

func splitAddress(s string) (host string, port uint16, ok bool) {
	host, digits, err := net.SplitHostPort(s)
	if err != nil {
		return "", 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	return host, uint16(n), err == nil && (host == "" || isHost(host))
}

var hostName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_.])?$`)

func isHost(s string) bool {
	if strings.Contains(s, ":") {
		_, err := netip.ParseAddr(s)
		return err == nil
	}
	return hostName.MatchString(s) && !strings.Contains(s, "..")
}

// httpURL reads the address of an HTTP endpoint. Errors do not show it: people
// put tokens in there.
func httpURL(out *string) reader {
	return reader{func(d *decoder, v value) {
		var s string
		text(&s).read(d, v)
		if s == "" {
			return
		}
		u, err := url.Parse(s)
		switch {
		case err != nil || u.Scheme != "http" && u.Scheme != "https" || !isHost(u.Hostname()) || !isPort(u):
			d.fail(v, "is no HTTP address; write it as https://host/path")
		case u.User != nil:
			d.fail(v, "holds a user name or password; leave it out and sign with secret_file")
		case u.Fragment != "":
			d.fail(v, "has a #fragment, which is never sent; leave it out")
		default:
			*out = s
		}
	}, like(shapeOfText(""), `^[hH][tT][tT][pP][sS]?://[^#]+$`)}
}

func isPort(u *url.URL) bool {
	if strings.HasSuffix(u.Host, ":") {
		return false
	}
	n, err := strconv.ParseUint(u.Port(), 10, 16)
	return u.Port() == "" || err == nil && n > 0
}

var topicName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,249}$`)

func topic(out *string) reader {
	return textThat(out, func(s string) error {
		if !topicName.MatchString(s) || s == "." || s == ".." {
			return errors.New("is no topic name; write it with letters, digits, dots, dashes and underscores")
		}
		return nil
	}).like(topicName.String())
}

// verp reads a pattern of bounce addresses.
func verp(out *string) reader {
	return textThat(out, func(s string) error {
		if strings.Count(s, "{local}") != 1 || strings.Count(s, "{domain}") != 1 {
			return errors.New(`needs {local} and {domain} once each; write it as "+{local}={domain}@"`)
		}
		return nil
	}).like(`\{local\}.*\{domain\}|\{domain\}.*\{local\}`)
}

// unit reads the name or glob of a systemd unit.
func unit(out *string) reader {
	return textThat(out, checkGlob)
}

// output reads the path of a file that we write. It need not exist.
func output(out *string) reader {
	return path(out, nil, func(d *decoder, _ value, s, path string) string {
		if strings.HasSuffix(s, "/") || d.isFolder(path) {
			return "is a folder; write the path of a file in it"
		}
		return ""
	})
}

// logPath reads the path or glob of a log. It need not exist.
func logPath(out *string) reader {
	return path(out, checkGlob, func(d *decoder, v value, s, path string) string {
		if strings.HasSuffix(s, "/") || !isGlob(s) && d.isFolder(path) {
			return "is a folder; write it as " + clip(filepath.Join(v.node.Value, "*.log"))
		}
		return ""
	})
}

// path reads a path, of which mistake says what is wrong with it, "" if
// nothing: s as it was written with variables replaced, and path made absolute.
// Relative ones start at the folder of the configuration.
func path(out *string, check func(string) error, mistake func(d *decoder, v value, s, path string) string) reader {
	return reader{func(d *decoder, v value) {
		var s string
		if check == nil {
			text(&s).read(d, v)
		} else {
			textThat(&s, check).read(d, v)
		}
		if s == "" {
			return
		}
		path := d.resolve(s)
		if m := mistake(d, v, s, path); m != "" {
			d.fail(v, "%s %s", quote(v.node.Value), m)
			return
		}
		*out = path
	}, shapeOfText(*out)}
}

func checkGlob(s string) error {
	if _, err := filepath.Match(s, ""); err != nil {
		return errors.New(`is no glob; write [ and ] in pairs, a literal [ as \[`)
	}
	if strings.Contains(s, "**") {
		return errors.New("has **, which is not supported; write one * for each folder")
	}
	return nil
}

func isGlob(s string) bool { return strings.ContainsAny(s, `*?[\`) }

// folder reads the path of a folder, which need not exist.
func folder(out *string) reader {
	return path(out, nil, func(d *decoder, _ value, _, path string) string {
		if info, err := d.stat(path); err == nil && !info.IsDir() {
			return "is no folder; write the path of one"
		}
		return ""
	})
}
