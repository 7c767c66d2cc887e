package config

import (
	"errors"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"gopkg.in/yaml.v3"

	"mtatap/parsers"
	"mtatap/schema"
)

// The functions below are the schema of mtatap.yaml: each fills in the defaults
// of its part and gives the reader of it.

func settings(c *Config) reader {
	*c = Config{
		StateDir:     "/var/lib/mtatap",
		Batch:        Batch{Events: 1000, Bytes: 1_000_000, Linger: 50 * time.Millisecond},
		MaxLineBytes: 64 << 10,
		RotateWait:   time.Minute,
		DeadLetters:  DeadLetters{MaxBytes: 100 << 20},
		ReadyMaxLag:  5 * time.Minute,
		Privacy:      Privacy{Addresses: "plain"},
		Web:          Web{ListenAddress: DefaultListenAddress},
		Log:          Log{Level: "info", Format: "logfmt"},
	}
	const aSource, aSink = "[{path: /var/log/mail.log}]", "{stdout: {}}"
	return mapping(
		optional("sources", notEmpty(&c.Sources, aSource, source)).about("The logs to follow: files, globs or journals. They need not exist yet, and rotation is followed."),
		optional("rules", file(&c.Rules)).about("Your own rules; left out, the built-in set is used."),
		optional("state_dir", folder(&c.StateDir)).about("Where the checkpoint lives. Keep it across restarts."),
		optional("batch", batch(&c.Batch)).about("What travels to the sinks together: whichever is reached first."),
		optional("max_line_bytes", size(&c.MaxLineBytes, 1<<10, 16<<20)).about("Longer lines are cut here."),
		optional("rotate_wait", duration(&c.RotateWait, time.Second)).about("How long a rotated file is still watched for late lines after it last grew."),
		optional("dead_letters", deadLetters(&c.DeadLetters)).about("Events that a sink refused for good."),
		optional("ready_max_lag", duration(&c.ReadyMaxLag, time.Second)).about("/-/ready says no while reading lags behind by more than this."),
		optional("privacy", privacy(&c.Privacy)).about("How addresses are published."),
		optional("sinks", sinks(&c.Sinks)).about("Where events go: any number of sinks, by name. The kind of a sink is its name unless its key kind says otherwise."),
		optional("web", web(&c.Web)).about("Metrics, health and reload."),
		optional("log", logging(&c.Log)).about("How mtatap itself logs, on standard error."),
		optional("suppress", pointer(&c.Suppress, suppress)).about("Decide which recipients not to mail any more."),
	).then(func(d *decoder, v value) {
		if c.DeadLetters.Path == "" {
			c.DeadLetters.Path = filepath.Join(c.StateDir, "dead-letters.ndjson")
		}
		needLogs(d, v, "sources", aSource)
		needLogs(d, v, "sinks", aSink)
		c.suppressDefaults()
		if c.Suppress != nil && c.Privacy.Addresses == "drop" {
			d.fail(v.at("suppress"), "needs to tell recipients apart, but privacy.addresses: drop leaves none; write hmac or plain there, or leave suppress out")
		}
	}).shaped(func(n *schema.Node) {
		processor := &schema.Node{Required: []string{"kafka"}}
		n.If = &schema.Node{Required: []string{"suppress"}, Properties: schema.Properties{{Name: "suppress", Node: processor}}}
		n.Else = &schema.Node{Required: []string{"sources", "sinks"}}
	})
}

// needLogs complains where the key is missing, unless the configuration is that of
// the suppression processor, which needs neither logs nor sinks.
func needLogs(d *decoder, v value, key, example string) {
	if v.node.Kind != yaml.MappingNode {
		return
	}
	if own, ok := v.find("suppress"); ok {
		if _, ok := own.find("kafka"); ok {
			return
		}
	}
	if _, ok := v.find(key); !ok {
		d.fail(v, "%s is missing; write it as %s: %s", key, key, example)
	}
}

// suppressDefaults names the files that suppress leaves out.
func (c *Config) suppressDefaults() {
	s := c.Suppress
	if s == nil {
		return
	}
	if s.Store == "" {
		s.Store = filepath.Join(c.StateDir, "suppressions.db")
	}
	if s.File == "" && s.Kafka == nil {
		s.File = filepath.Join(c.StateDir, "suppressions.ndjson")
	}
}

func suppress(s *Suppress) reader {
	*s = Suppress{MaxRecipients: 1_000_000}
	return mapping(
		optional("observe", boolean(&s.Observe)).about("Only log the decisions."),
		optional("store", output(&s.Store)).about("The file of the state; by default suppressions.db in state_dir."),
		optional("max_recipients", integer(&s.MaxRecipients, 1000, 1_000_000_000)).about("At most so many recipients are remembered without being suppressed."),
		optional("file", output(&s.File)).about("File of decisions, on a single host; by default suppressions.ndjson in state_dir."),
		optional("webhook", pointer(&s.Webhook, func(w *Webhook) reader { return mapping(webhook(w)...).then(checkWebhookTLS(w)) })).about("Where to send decisions too, on a single host."),
		optional("kafka", pointer(&s.Kafka, suppressKafka)).about("The topics of mtatap suppress, which decides for a fleet."),
	).then(func(d *decoder, v value) {
		for _, name := range []string{"file", "webhook"} {
			if own, ok := v.find(name); ok && s.Kafka != nil {
				d.fail(own, "is for a single host; with kafka decisions go to a topic: leave one of them out")
			}
		}
	})
}

func checkGroup(s string) error {
	if !topicName.MatchString(s) {
		return errors.New("is no name of a group; write it with letters, digits, dots, dashes and underscores")
	}
	return nil
}

func suppressKafka(k *SuppressKafka) reader {
	fields := kafka(&k.Kafka)
	k.Group, k.Suppressions, k.Commands, k.State = "mtatap-suppress", "mtatap.suppressions", "mtatap.suppressions.commands", "mtatap.suppressions.state"
	return mapping(append(fields,
		optional("group", textThat(&k.Group, checkGroup)).about("The consumer group of all instances."),
		optional("suppressions", topic(&k.Suppressions)).about("The compacted topic of decisions."),
		optional("commands", topic(&k.Commands)).about("The topic of what operators add and release."),
		optional("state", topic(&k.State)).about("The compacted topic of what is known of each recipient."),
	)...).then(func(d *decoder, v value) {
		seen := map[string]string{}
		for _, t := range []struct{ key, name string }{{"topic", k.Topic}, {"suppressions", k.Suppressions}, {"commands", k.Commands}, {"state", k.State}} {
			if other, ok := seen[t.name]; ok {
				d.fail(v.at(t.key), "is the topic of %s too; give each its own", other)
			}
			seen[t.name] = t.key
		}
	})
}

// DefaultSource returns a source that is told nothing but its log.
func DefaultSource() Source {
	return Source{
		Format:     "auto",
		Start:      "end",
		Timezone:   time.Local,
		FilterHops: []string{"127.0.0.1:10024", "127.0.0.1:10025"},
		VERP:       []string{"+{local}={domain}@"},
	}
}

func source(s *Source) reader {
	*s = DefaultSource()
	return mapping(
		optional("path", logPath(&s.Path)).about("A file, or a glob such as /var/log/exim4/*log. Rotated and compressed siblings are left out of a glob."),
		optional("journald", pointer(&s.Journald, journal)).about("Read the journal instead of a file."),
		optional("format", oneOf(&s.Format, parsers.Formats()...)).about("Which mail server writes the log; auto finds out from its first lines."),
		optional("start", oneOf(&s.Start, "end", "beginning")).about("Where to start a log that has no checkpoint."),
		optional("timezone", zone(&s.Timezone)).about("Zone of stamps without one: Local, UTC or a name such as Europe/Berlin."),
		optional("rejects", boolean(&s.Rejects)).about("Also what this host itself refused at SMTP time."),
		optional("non_attempts", boolean(&s.NonAttempts)).about("Also deliveries that were put off without a try."),
		optional("filter_hops", listOf(&s.FilterHops, peer)).about("Content filters: a successful hand-over to one is not the outcome."),
		optional("verp", listOf(&s.VERP, verp)).about("How bounce addresses carry the recipient."),
	).then(exactlyOne("path", "journald", "path: /var/log/mail.log")).shaped(func(n *schema.Node) {
		n.OneOf = []*schema.Node{{Required: []string{"path"}}, {Required: []string{"journald"}}}
	})
}

func journal(j *Journal) reader {
	const example = `["postfix*"]`
	return mapping(
		required("units", example, notEmpty(&j.Units, example, unit)).about("Names or globs of systemd units."),
		optional("directory", folder(&j.Directory)).about("Folder of the journal's files; left out, the host's own journal."),
	)
}

func batch(b *Batch) reader {
	return mapping(
		optional("events", integer(&b.Events, 1, 100_000)).about("At most so many events."),
		optional("bytes", size(&b.Bytes, 1<<10, 64<<20)).about("At most so many bytes of events."),
		optional("linger", duration(&b.Linger, 0)).about("At most so long after the first event."),
	)
}

func deadLetters(l *DeadLetters) reader {
	return mapping(
		optional("path", output(&l.Path)).about("The file; by default dead-letters.ndjson in state_dir."),
		optional("max_bytes", size(&l.MaxBytes, 1<<20, math.MaxInt64)).about("It is rotated once beyond this size."),
	)
}

func privacy(p *Privacy) reader {
	return mapping(
		optional("addresses", oneOf(&p.Addresses, "plain", "hmac", "drop")).about("plain, drop (no addresses), or hmac (addresses hidden by a key, the same one always in the same way)."),
		optional("key_file", secret(&p.KeyFile)).about("The key of hmac, in a file that other users cannot read."),
	).then(func(d *decoder, v value) {
		if _, ok := v.find("key_file"); p.Addresses == "hmac" && !ok {
			d.fail(v, "key_file is missing; hmac needs one: write it as key_file: /etc/mtatap/privacy.key")
		}
	}).shaped(func(n *schema.Node) {
		n.If = &schema.Node{Required: []string{"addresses"}, Properties: schema.Properties{{Name: "addresses", Node: &schema.Node{Const: "hmac"}}}}
		n.Then = &schema.Node{Required: []string{"key_file"}}
	})
}

func web(w *Web) reader {
	return mapping(
		optional("listen_address", listener(&w.ListenAddress)).about("Where to listen."),
		optional("config_file", maybe(file(&w.ConfigFile))).about("TLS and passwords, in the form of the Prometheus exporter toolkit."),
	)
}

func logging(l *Log) reader {
	return mapping(
		optional("level", oneOf(&l.Level, "debug", "info", "warn", "error")).about("The least that is logged."),
		optional("format", oneOf(&l.Format, "logfmt", "json")).about("The form of the lines."),
	)
}

// maxSinks bounds the sinks, each of which is compared with each source.
const maxSinks = 100

var sinkName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,39}$`)

// sinks reads a mapping whose keys are the users' own names.
func sinks(out *[]Sink) reader {
	return reader{func(d *decoder, v value) {
		if !d.isMapping(v) {
			return
		}
		entries := v.entries()
		switch {
		case len(entries) == 0:
			d.fail(v, "is empty; write it as {stdout: {}}")
		case len(entries) > maxSinks:
			d.fail(v, "has %d sinks; at most %d are allowed", len(entries), maxSinks)
			return
		}
		for _, entry := range entries {
			if d.broken[entry.node] {
				continue
			}
			name := entry.pos.Value
			if !sinkName.MatchString(name) {
				d.fail(entry, "%s is no name of a sink; write it with a-z, 0-9, _ and -, a letter first", quote(name))
			}
			s := Sink{Name: name}
			sink(&s)(d, entry)
			*out = append(*out, s)
		}
	}, shapeOfSinks()}
}

var sinkKinds = []string{"kafka", "file", "stdout", "webhook"}

// sink reads the settings of the kind that the name or the key kind says.
func sink(s *Sink) check {
	return func(d *decoder, v value) {
		if !d.isMapping(v) {
			return
		}
		s.Kind = s.Name
		kind, named := v.find("kind")
		if named {
			s.Kind = ""
			oneOf(&s.Kind, sinkKinds...).read(d, kind)
		}
		if !slices.Contains(sinkKinds, s.Kind) {
			if !named {
				if kind := closest(s.Name, sinkKinds); kind != "" {
					d.fail(v, "the name is no kind of sink; name it %s or add kind: %s", kind, kind)
				} else {
					d.fail(v, "the name is no kind of sink; add kind: %s", orList(sinkKinds))
				}
			}
			return
		}
		mapping(sinkFields(s)...).read(d, v)
		if s.Kind == "stdout" && s.Required {
			d.fail(v.at("required"), "stdout is never required; leave it out")
		}
		if s.Kind == "webhook" {
			checkWebhookTLS(s.Webhook)(d, v)
		}
	}
}

// sinkFields are the keys of a sink whose kind is known.
func sinkFields(s *Sink) []field {
	s.Required = s.Kind == "kafka" || s.Kind == "file"
	var kind string // read before, to know the fields
	fields := []field{
		optional("kind", oneOf(&kind, s.Kind)).about("What the sink is, where its name does not say it."),
		optional("required", boolean(&s.Required)).about("A required sink holds the checkpoint: while it is down reading waits and nothing is lost. Another one drops events, and counts them, once its queue is full."),
	}
	switch s.Kind {
	case "kafka":
		s.Kafka = new(Kafka)
		fields = append(fields, kafka(s.Kafka)...)
	case "file":
		s.File = new(File)
		fields = append(fields, required("path", "/var/lib/mtatap/events.ndjson", output(&s.File.Path)).about("The file."))
	case "webhook":
		s.Webhook = new(Webhook)
		fields = append(fields, webhook(s.Webhook)...)
	}
	return fields
}

func kafka(k *Kafka) []field {
	*k = Kafka{Topic: "mtatap.events", Compression: "lz4"}
	const brokers = `["127.0.0.1:9092"]`
	return []field{
		required("brokers", brokers, notEmpty(&k.Brokers, brokers, peer)).about("Brokers to ask first, as host:port."),
		optional("topic", topic(&k.Topic)).about("The topic."),
		optional("compression", oneOf(&k.Compression, "none", "gzip", "snappy", "lz4", "zstd")).about("Of what is sent."),
		optional("create_topic", boolean(&k.CreateTopic)).about("Create the topic where it is missing."),
		optional("tls", pointer(&k.TLS, clientTLS)).about("Encrypt the connection; {} trusts the authorities of the system."),
		optional("sasl", pointer(&k.SASL, sasl)).about("Authenticate."),
	}
}

func webhook(w *Webhook) []field {
	*w = Webhook{Timeout: 10 * time.Second}
	return []field{
		required("url", "https://host/path", httpURL(&w.URL)).about("Where to send batches by POST."),
		optional("timeout", duration(&w.Timeout, 100*time.Millisecond)).about("Of one try."),
		optional("secret_file", secret(&w.SecretFile)).about("Key of the signature, in a file that other users cannot read."),
		optional("tls", pointer(&w.TLS, clientTLS)).about("Settings of https; left out, the authorities of the system are trusted."),
	}
}

func clientTLS(t *TLS) reader {
	return mapping(
		optional("ca_file", certificates(&t.CAFile)).about("Authorities to trust, in PEM form, instead of those of the system."),
		optional("cert_file", certificates(&t.CertFile)).about("Our own certificate, in PEM form."),
		optional("key_file", secret(&t.KeyFile)).about("Its key, in a file that other users cannot read."),
		optional("server_name", textThat(&t.ServerName, checkHost)).about("The name that the certificate of the server must have, if not that of the address."),
		optional("insecure_skip_verify", boolean(&t.InsecureSkipVerify)).about("Accept any certificate: for tests only."),
	).then(func(d *decoder, v value) {
		_, cert := v.find("cert_file")
		_, key := v.find("key_file")
		switch {
		case cert && !key:
			d.fail(v.at("cert_file"), "needs key_file; write both or neither")
		case key && !cert:
			d.fail(v.at("key_file"), "needs cert_file; write both or neither")
		}
		d.checkKeyPair(v.at("key_file"), t.CertFile, t.KeyFile)
	}).shaped(func(n *schema.Node) {
		n.DependentRequired = map[string][]string{"cert_file": {"key_file"}, "key_file": {"cert_file"}}
	})
}

func checkHost(s string) error {
	if !isHost(s) {
		return errors.New("is no host name; write it without a port")
	}
	return nil
}

func sasl(s *SASL) reader {
	return mapping(
		required("mechanism", "scram-sha-512", oneOf(&s.Mechanism, "plain", "scram-sha-256", "scram-sha-512")).about("How to authenticate."),
		required("username", "mtatap", text(&s.Username)).about("The user."),
		required("password_file", "/etc/mtatap/kafka.password", secret(&s.PasswordFile)).about("The password, in a file that other users cannot read."),
	)
}
