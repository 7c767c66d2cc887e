package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestTheSettingsOfTheContractLoad(t *testing.T) {
	data, err := os.ReadFile("testdata/contract.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got, err := parse("mtatap.yaml", data, testEnv, testDisk(t))
	if err != nil {
		t.Fatal(err)
	}
	want := defaults()
	journal := defaultSource("")
	journal.Journald = &Journal{Units: []string{"postfix*"}}
	want.Sources = []Source{defaultSource("/var/log/mail.log"), journal}
	want.Sources[0].Format, want.Sources[1].Format = "postfix", "postfix"
	want.Rules = "/etc/mtatap/rules.yaml"
	want.Sinks = []Sink{
		{Name: "kafka", Kind: "kafka", Required: true, Kafka: &Kafka{
			Brokers: []string{"127.0.0.1:9092"}, Topic: "mtatap.events", Compression: "lz4",
			TLS:  &TLS{CAFile: "/etc/mtatap/ca.pem"},
			SASL: &SASL{Mechanism: "scram-sha-512", Username: "mt", PasswordFile: "/etc/mtatap/kafka.password"},
		}},
		{Name: "file", Kind: "file", Required: true, File: &File{Path: "/var/lib/mtatap/events.ndjson"}},
		{Name: "stdout", Kind: "stdout"},
		{Name: "webhook", Kind: "webhook", Webhook: &Webhook{URL: "https://hooks.example.org/mail", Timeout: 10 * time.Second}},
	}
	want.Suppress = &Suppress{Store: "/var/lib/mtatap/suppressions.db", File: "/var/lib/mtatap/suppressions.ndjson", MaxRecipients: 1_000_000}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

func TestAJournalMayBeInAFolder(t *testing.T) {
	got := mustParse(t, `
sources: [{journald: {units: [exim4.service, "postfix*"], directory: journal}}]
sinks: {stdout: {}}
`)
	want := &Journal{Units: []string{"exim4.service", "postfix*"}, Directory: "journal"}
	if !reflect.DeepEqual(got.Sources[0].Journald, want) {
		t.Errorf("got %+v, want %+v", got.Sources[0].Journald, want)
	}
}

func TestTheSuppressionProcessorNeedsNeitherLogsNorSinks(t *testing.T) {
	got := mustParse(t, `suppress: {kafka: {brokers: ["kafka:9092"]}}`)
	want := &Suppress{Store: "/var/lib/mtatap/suppressions.db", MaxRecipients: 1_000_000, Kafka: &SuppressKafka{
		Kafka: Kafka{Brokers: []string{"kafka:9092"}, Topic: "mtatap.events", Compression: "lz4"}, Group: "mtatap-suppress",
		Suppressions: "mtatap.suppressions", Commands: "mtatap.suppressions.commands", State: "mtatap.suppressions.state"}}
	if !reflect.DeepEqual(got.Suppress, want) || got.Sources != nil || got.Sinks != nil {
		t.Errorf("%+v", got)
	}
}

func TestWhatIsLeftOutHasItsDefault(t *testing.T) {
	const text = `
sources: [{path: /var/log/mail.log}]
sinks:
  stdout: {}
  kafka: {brokers: ["kafka:9092"]}
`
	got := mustParse(t, text)
	want := defaults()
	want.Sources = []Source{defaultSource("/var/log/mail.log")}
	want.Sinks = []Sink{
		{Name: "stdout", Kind: "stdout"},
		{Name: "kafka", Kind: "kafka", Required: true, Kafka: &Kafka{
			Brokers: []string{"kafka:9092"}, Topic: "mtatap.events", Compression: "lz4",
		}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

func TestEverySettingReachesItsField(t *testing.T) {
	const text = `
sources:
  - {path: "logs/*.log", format: exim, start: beginning, timezone: Europe/Berlin, rejects: true,
     non_attempts: true, filter_hops: [], verp: ["-{local}#{domain}@"]}
state_dir: state
batch: {events: 10, bytes: 64KiB, linger: 0}
max_line_bytes: 1MiB
rotate_wait: 1m30s
dead_letters: {max_bytes: 2GB}
ready_max_lag: 1h
privacy: {addresses: hmac, key_file: /etc/mtatap/privacy.key}
sinks:
  main: {kind: kafka, required: false, brokers: ["[::1]:9092"], topic: t, compression: none, create_topic: true,
    tls: {cert_file: /etc/mtatap/cert.pem, key_file: /etc/mtatap/key.pem, server_name: k, insecure_skip_verify: true}}
  archive: {kind: file, path: out/events.ndjson, required: false}
  hook: {kind: webhook, url: "http://[::1]:8080/", timeout: 2s, secret_file: /etc/mtatap/group, required: true}
web: {listen_address: ":0", config_file: /etc/mtatap/web.yml}
log: {level: debug, format: json}
`
	got := mustParse(t, text)
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		Sources: []Source{{Path: "logs/*.log", Format: "exim", Start: "beginning", Timezone: berlin, Rejects: true,
			NonAttempts: true, FilterHops: []string{}, VERP: []string{"-{local}#{domain}@"}}},
		StateDir: "state", Batch: Batch{Events: 10, Bytes: 65536}, MaxLineBytes: 1 << 20, RotateWait: 90 * time.Second,
		DeadLetters: DeadLetters{Path: "state/dead-letters.ndjson", MaxBytes: 2_000_000_000},
		ReadyMaxLag: time.Hour, Privacy: Privacy{Addresses: "hmac", KeyFile: "/etc/mtatap/privacy.key"},
		Sinks: []Sink{
			{Name: "main", Kind: "kafka", Kafka: &Kafka{Brokers: []string{"[::1]:9092"}, Topic: "t", Compression: "none", CreateTopic: true,
				TLS: &TLS{CertFile: "/etc/mtatap/cert.pem", KeyFile: "/etc/mtatap/key.pem", ServerName: "k", InsecureSkipVerify: true}}},
			{Name: "archive", Kind: "file", File: &File{Path: "out/events.ndjson"}},
			{Name: "hook", Kind: "webhook", Required: true, Webhook: &Webhook{URL: "http://[::1]:8080/", Timeout: 2 * time.Second, SecretFile: "/etc/mtatap/group"}},
		},
		Web: Web{ListenAddress: ":0", ConfigFile: "/etc/mtatap/web.yml"},
		Log: Log{Level: "debug", Format: "json"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

func TestVariablesAreReplacedAfterYAMLIsRead(t *testing.T) {
	const head = "sources: [{path: /var/log/mail.log}]\nsinks: {kafka: {brokers: [%s]}}\n"
	for name, tc := range map[string]struct{ written, want string }{
		"a whole value":      {`"${BROKER}"`, "kafka.example.org:9093"},
		"a part of a value":  {`"x.${BROKER}"`, "x.kafka.example.org:9093"},
		"no variable at all": {`"k:9092"`, "k:9092"},
	} {
		t.Run(name, func(t *testing.T) {
			c := mustParse(t, strings.Replace(head, "%s", tc.written, 1))
			if got := c.Sinks[0].Kafka.Brokers[0]; got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
	c := mustParse(t, "sources: [{path: /var/log/mail.log, rejects: \"${SWITCH}\"}]\nsinks: {stdout: {}}\nbatch:\n  events: ${EVENTS}\n")
	if !c.Sources[0].Rejects || c.Batch.Events != 250 {
		t.Errorf("got rejects %v and %d events, want true and 250", c.Sources[0].Rejects, c.Batch.Events)
	}
}

func TestExpandReplacesEachVariableOnce(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"", ""},
		{"plain $ and $NAME and $$", "plain $ and $NAME and $$"},
		{"$${BROKER}", "${BROKER}"},
		{"$$${BROKER}", "$${BROKER}"},
		{"a${EVENTS}b${EVENTS}c", "a250b250c"},
		{"${NESTED}", "${BROKER}"},
	} {
		got, err := expand(tc.in, testEnv)
		if err != nil || got != tc.want {
			t.Errorf("expand(%q) = %q, %v; want %q", tc.in, got, err, tc.want)
		}
	}
}

func TestSecretsFromTheEnvironmentAreNotShown(t *testing.T) {
	const text = "sources: [{path: /var/log/mail.log}]\nsinks: {kafka: {brokers: [\"${BAD_BROKER}\"]}, webhook: {url: \"${TOKEN_URL}\"}}\n"
	_, err := parse("mtatap.yaml", []byte(text), testEnv, testDisk(t))
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v, want errors without the values", err)
	}
}

func TestTheExampleFileLoads(t *testing.T) {
	data, err := os.ReadFile("../mtatap.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c, err := parse("/etc/mtatap/mtatap.yaml", data, testEnv, testDisk(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Sources) != 1 || len(c.Sinks) != 1 {
		t.Errorf("got %d sources and %d sinks, want 1 and 1", len(c.Sources), len(c.Sinks))
	}
}

func TestTheExampleFileLoadsWithEverySettingTurnedOn(t *testing.T) {
	data, err := os.ReadFile("../mtatap.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	all := regexp.MustCompile(`(?m)^( *)#(\S)`).ReplaceAll(data, []byte("$1$2"))
	c, err := parse("/etc/mtatap/mtatap.yaml", all, testEnv, testDisk(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Sources) != 2 || len(c.Sinks) != 4 {
		t.Errorf("got %d sources and %d sinks, want 2 and 4", len(c.Sources), len(c.Sinks))
	}
	if c.Sinks[1].Kafka.SASL.PasswordFile != "/etc/mtatap/kafka.password" {
		t.Errorf("got the password file %q", c.Sinks[1].Kafka.SASL.PasswordFile)
	}
	// Apart from what has no default, the file shows the defaults.
	want := defaults()
	want.Sources, want.Sinks, want.Rules, want.Privacy = c.Sources, c.Sinks, c.Rules, c.Privacy
	want.Suppress = mustParse(t, `suppress: {kafka: {brokers: ["127.0.0.1:9092"]}}`).Suppress
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got\n%+v\nwant the defaults\n%+v", c, want)
	}
	source := defaultSource("/var/log/mail.log")
	source.Format = "postfix"
	if !reflect.DeepEqual(c.Sources[0], source) {
		t.Errorf("got\n%+v\nwant the defaults\n%+v", c.Sources[0], source)
	}
}

func TestLoadReadsFilesRelativeToTheConfiguration(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "mtatap.yaml")
	write(t, path, 0o644, "sources: [{path: mail.log}]\nprivacy: {addresses: hmac, key_file: key}\nsinks: {stdout: {}}\n")
	write(t, filepath.Join(dir, "key"), 0o600, "not echoed")
	c, err := Load(path, os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	if c.Sources[0].Path != filepath.Join(dir, "mail.log") || c.Privacy.KeyFile != filepath.Join(dir, "key") {
		t.Errorf("got %q and %q, want both in %s", c.Sources[0].Path, c.Privacy.KeyFile, dir)
	}
}

func TestLoadRefusesASecretThatOthersCanRead(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "mtatap.yaml")
	write(t, path, 0o644, "sources: [{path: mail.log}]\nprivacy: {addresses: hmac, key_file: key}\nsinks: {stdout: {}}\n")
	write(t, filepath.Join(dir, "key"), 0o644, "not echoed")
	_, err := Load(path, nil)
	want := path + `:2: privacy.key_file: "` + dir + `/key" is open to every user (mode 0644); protect it: chmod o= FILE`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestLoadSeesOneLogBehindTwoNames(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "mtatap.yaml")
	write(t, path, 0o644, "sources:\n  - path: mail.log\n  - path: other.*\nsinks: {stdout: {}}\n")
	write(t, filepath.Join(dir, "mail.log"), 0o644, "")
	if err := os.Symlink("mail.log", filepath.Join(dir, "other.log")); err != nil {
		t.Fatal(err)
	}
	_, err := Load(path, nil)
	want := path + `:3: sources[1].path: reads "` + dir + `/other.log", as sources[0] of line 2 does; keep one`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestLoadRefusesAFileOverOneMebibyte(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mtatap.yaml")
	write(t, path, 0o644, strings.Repeat("#", maxSize)+"\n")
	_, err := Load(path, nil)
	if want := path + ": is over 1 MiB"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestLongListsAreRefusedBeforeTheyAreCompared(t *testing.T) {
	text := "sources:\n" + strings.Repeat("  - path: /var/log/mail.log\n", 1001) + "sinks:\n"
	for i := range 101 {
		text += fmt.Sprintf("  sink%d: {kind: stdout}\n", i)
	}
	_, err := parse("mtatap.yaml", []byte(text), nil, testDisk(t))
	const want = "mtatap.yaml:1: sources: has 1001 items; at most 1000 are allowed\n" +
		"mtatap.yaml:1003: sinks: has 101 sinks; at most 100 are allowed"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want\n%s", err, want)
	}
}

func TestLoadSaysThatThereIsNoFile(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "mtatap.yaml"), nil)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want fs.ErrNotExist", err)
	}
}

func TestAnErrorCanBeTakenOutOfErrors(t *testing.T) {
	_, err := Parse("mtatap.yaml", []byte("{}"), nil)
	var one *Error
	if !errors.As(err, &one) || one.Line != 1 || one.File != "mtatap.yaml" {
		t.Errorf("got %+v of %v", one, err)
	}
}

// FuzzParse checks that no input panics, and that whatever loads is usable.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, path := range append(files, "../mtatap.example.yaml") {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parse("mtatap.yaml", data, testEnv, testFiles(nil, nil))
		var errs *Errors
		switch {
		case err == nil && (len(c.Sources) == 0 || len(c.Sinks) == 0 || c.DeadLetters.Path == ""):
			t.Errorf("%q loads as %+v", data, c)
		case err != nil && (!errors.As(err, &errs) || len(errs.List) == 0 || c != nil):
			t.Errorf("got %v and %v", c, err)
		case err != nil && strings.Count(err.Error(), "\n") != len(errs.List)-1:
			t.Errorf("%d errors in other than %d lines:\n%v", len(errs.List), len(errs.List), err)
		}
	})
}

func defaults() *Config {
	return &Config{
		StateDir:     "/var/lib/mtatap",
		Batch:        Batch{Events: 1000, Bytes: 1_000_000, Linger: 50 * time.Millisecond},
		MaxLineBytes: 65536,
		RotateWait:   60 * time.Second,
		DeadLetters:  DeadLetters{Path: "/var/lib/mtatap/dead-letters.ndjson", MaxBytes: 104_857_600},
		ReadyMaxLag:  5 * time.Minute,
		Privacy:      Privacy{Addresses: "plain"},
		Web:          Web{ListenAddress: "127.0.0.1:10525"},
		Log:          Log{Level: "info", Format: "logfmt"},
	}
}

func defaultSource(path string) Source {
	return Source{
		Path: path, Format: "auto", Start: "end", Timezone: time.Local,
		FilterHops: []string{"127.0.0.1:10024", "127.0.0.1:10025"}, VERP: []string{"+{local}={domain}@"},
	}
}

func mustParse(t *testing.T, text string) *Config {
	t.Helper()
	c, err := parse("mtatap.yaml", []byte(text), testEnv, testDisk(t))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func write(t *testing.T, path string, mode fs.FileMode, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func TestAFileOfMistakesIsNotToldWhole(t *testing.T) {
	var b strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&b, "key%d: x\n", i)
	}
	_, err := parse("mtatap.yaml", []byte(b.String()), testEnv, testDisk(t))
	var errs *Errors
	if !errors.As(err, &errs) || len(errs.List) != maxErrors+1 {
		t.Fatalf("%d mistakes, want %d", len(errs.List), maxErrors+1)
	}
	if last := errs.List[maxErrors]; last.Problem != "too many mistakes: mend these first" || last.Line != maxErrors+1 {
		t.Errorf("the last one is %v", last)
	}
}
