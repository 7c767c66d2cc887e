package host

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"gopkg.in/yaml.v3"
)

// DefaultStateDir is where checkpoints and events are kept.
const DefaultStateDir = "/var/lib/mtatap"

// Config writes a configuration that follows what was found, with comments, for
// people to go on from. Where nothing was found its one source is an example of a
// log that may come.
func (f Findings) Config(stateDir string) []byte {
	var b strings.Builder
	b.WriteString(configHead)
	const start = "    start: beginning # take in what is there; \"end\" begins with what comes\n"
	for _, log := range f.Logs {
		fmt.Fprintf(&b, "\n  # %s.\n", log.Reason)
		if p := log.Problem; p != nil && errors.Is(p, fs.ErrNotExist) {
			b.WriteString("  # It was not there yet; it is followed when it comes.\n")
		} else if p != nil {
			comment(&b, p.Says())
		}
		fmt.Fprintf(&b, "  - path: %s\n    format: %s\n%s", scalar(log.Path), log.Format, start)
	}
	if j := f.Journal; j != nil {
		for _, mta := range j.MTAs {
			fmt.Fprintf(&b, "\n  # %s logs to the journal of systemd.\n", nameOf(mta))
			if j.Problem != nil {
				comment(&b, j.Problem.Says())
			}
			units := make([]string, len(j.Units[mta]))
			for i, u := range j.Units[mta] {
				units[i] = fmt.Sprintf("%q", u)
			}
			directory := ""
			if j.Directory != "" {
				directory = fmt.Sprintf(", directory: %q", j.Directory)
			}
			fmt.Fprintf(&b, "  - journald: {units: [%s]%s}\n    format: %s\n%s", strings.Join(units, ", "), directory, mta, start)
		}
	}
	if !f.Sources() {
		b.WriteString(configNothing)
	}
	state := "#state_dir: " + DefaultStateDir
	if stateDir != DefaultStateDir {
		state = "state_dir: " + scalar(stateDir)
	}
	fmt.Fprintf(&b, configTail, state, scalar(stateDir+"/events.ndjson"))
	return []byte(b.String())
}

// comment writes text as comment lines of moderate length.
func comment(b *strings.Builder, text string) {
	const width = 88
	line := "  #"
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > width && line != "  #" {
			b.WriteString(line + "\n")
			line = "  #"
		}
		line += " " + word
	}
	b.WriteString(line + "\n")
}

// scalar writes a path so that YAML and the configuration read it as it is.
func scalar(path string) string {
	text, err := yaml.Marshal(strings.ReplaceAll(path, "${", "$${"))
	if err != nil {
		return fmt.Sprintf("%q", path) // never: a string can be written
	}
	return strings.TrimSpace(string(text))
}

const configHead = `# yaml-language-server: $schema=/usr/share/mtatap/schema/config.json
#
# Written by "mtatap init" from what it found on this host. A line that starts with
# "#" and no space is a setting that you may turn on. All settings are explained in
# mtatap.yaml(5); "mtatap check" tells every mistake with its line.

# The logs to follow. They need not exist yet, and rotation is followed.
sources:
`

const configNothing = `
  # No log of a mail server was found. This one is followed when it comes; name
  # yours, or take one of the examples.
  - path: /var/log/mail.log
    format: auto # or the mail server that writes it: postfix, exim, haraka
  #- path: /var/log/exim4/mainlog
    #format: exim
  #- path: /var/log/haraka.log
    #format: haraka
  #- journald: {units: ["postfix.service"]}
    #format: postfix
`

const configTail = `
# Where the positions in the logs are kept. Keep it across restarts.
%s

# Where events go: one JSON object for each recipient. Any number of sinks; nothing is
# lost while a required one is down.
sinks:
  file:
    path: %s
  #kafka:
    #brokers: ["127.0.0.1:9092"]
    #topic: mtatap.events
  #webhook:
    #url: https://hooks.example.org/mail

# Your own rules, before or in place of the built-in ones.
#rules: /etc/mtatap/rules.yaml

# Addresses in events: plain, drop, or hmac, which needs a key.
#privacy: {addresses: hmac, key_file: /etc/mtatap/privacy.key}

# Metrics for Prometheus, health and reload.
#web: {listen_address: "127.0.0.1:10525"}
`
