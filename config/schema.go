package config

import (
	"errors"
	"math"
	"path/filepath"
	"regexp"
	"time"
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
	const aSource = "[{path: /var/log/mail.log}]"
	return mapping(
		required("sources", aSource, notEmpty(&c.Sources, aSource, source)),
		optional("rules", file(&c.Rules)),
		optional("state_dir", folder(&c.StateDir)),
		optional("batch", batch(&c.Batch)),
		optional("max_line_bytes", size(&c.MaxLineBytes, 1<<10, 16<<20)),
		optional("rotate_wait", duration(&c.RotateWait, time.Second)),
		optional("dead_letters", deadLetters(&c.DeadLetters)),
		optional("ready_max_lag", duration(&c.ReadyMaxLag, time.Second)),
		optional("privacy", privacy(&c.Privacy)),
		required("sinks", "{stdout: {}}", sinks(&c.Sinks)),
		optional("web", web(&c.Web)),
		optional("log", logging(&c.Log)),
		optional("suppress", anything()),
	).then(func(*decoder, value) {
		if c.DeadLetters.Path == "" {
			c.DeadLetters.Path = filepath.Join(c.StateDir, "dead-letters.ndjson")
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
		optional("path", logPath(&s.Path)),
		optional("journald", pointer(&s.Journald, journal)),
		optional("format", oneOf(&s.Format, "postfix", "exim", "haraka", "auto")),
		optional("start", oneOf(&s.Start, "end", "beginning")),
		optional("timezone", zone(&s.Timezone)),
		optional("rejects", boolean(&s.Rejects)),
		optional("non_attempts", boolean(&s.NonAttempts)),
		optional("filter_hops", listOf(&s.FilterHops, peer)),
		optional("verp", listOf(&s.VERP, verp)),
	).then(exactlyOne("path", "journald", "path: /var/log/mail.log"))
}

func journal(j *Journal) reader {
	const example = `["postfix*"]`
	return mapping(
		required("units", example, notEmpty(&j.Units, example, unit)),
		optional("directory", folder(&j.Directory)),
	)
}

func batch(b *Batch) reader {
	return mapping(
		optional("events", integer(&b.Events, 1, 100_000)),
		optional("bytes", size(&b.Bytes, 1<<10, 64<<20)),
		optional("linger", duration(&b.Linger, 0)),
	)
}

func deadLetters(l *DeadLetters) reader {
	return mapping(
		optional("path", output(&l.Path)),
		optional("max_bytes", size(&l.MaxBytes, 1<<20, math.MaxInt64)),
	)
}

func privacy(p *Privacy) reader {
	return mapping(
		optional("addresses", oneOf(&p.Addresses, "plain", "hmac", "drop")),
		optional("key_file", secret(&p.KeyFile)),
	).then(func(d *decoder, v value) {
		if _, ok := v.find("key_file"); p.Addresses == "hmac" && !ok {
			d.fail(v, "key_file is missing; hmac needs one: write it as key_file: /etc/mtatap/privacy.key")
		}
	})
}

func web(w *Web) reader {
	return mapping(
		optional("listen_address", listener(&w.ListenAddress)),
		optional("config_file", maybe(file(&w.ConfigFile))),
	)
}

func logging(l *Log) reader {
	return mapping(
		optional("level", oneOf(&l.Level, "debug", "info", "warn", "error")),
		optional("format", oneOf(&l.Format, "logfmt", "json")),
	)
}

// maxSinks bounds the sinks, each of which is compared with each source.
const maxSinks = 100

var sinkName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,39}$`)

// sinks reads a mapping whose keys are the users' own names.
func sinks(out *[]Sink) reader {
	return func(d *decoder, v value) {
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
	}
}

var sinkKinds = []string{"kafka", "file", "stdout", "webhook"}

// sink reads the settings of the kind that the name or the key kind says.
func sink(s *Sink) reader {
	return func(d *decoder, v value) {
		if !d.isMapping(v) {
			return
		}
		s.Kind = s.Name
		kind, named := v.find("kind")
		if named {
			s.Kind = ""
			oneOf(&s.Kind, sinkKinds...)(d, kind)
		}
		s.Required = s.Kind == "kafka" || s.Kind == "file"
		fields := []field{
			optional("kind", func(*decoder, value) {}), // read above
			optional("required", boolean(&s.Required)),
		}
		switch s.Kind {
		case "kafka":
			s.Kafka = new(Kafka)
			fields = append(fields, kafka(s.Kafka)...)
		case "file":
			s.File = new(File)
			fields = append(fields, required("path", "/var/lib/mtatap/events.ndjson", output(&s.File.Path)))
		case "webhook":
			s.Webhook = new(Webhook)
			fields = append(fields, webhook(s.Webhook)...)
		case "stdout":
		default:
			if !named {
				if kind := closest(s.Name, sinkKinds); kind != "" {
					d.fail(v, "the name is no kind of sink; name it %s or add kind: %s", kind, kind)
				} else {
					d.fail(v, "the name is no kind of sink; add kind: %s", orList(sinkKinds))
				}
			}
			return
		}
		mapping(fields...)(d, v)
		if s.Kind == "stdout" && s.Required {
			d.fail(v.at("required"), "stdout is never required; leave it out")
		}
		if s.Kind == "webhook" {
			checkWebhookTLS(s.Webhook)(d, v)
		}
	}
}

func kafka(k *Kafka) []field {
	*k = Kafka{Topic: "mtatap.events", Compression: "lz4"}
	const brokers = `["127.0.0.1:9092"]`
	return []field{
		required("brokers", brokers, notEmpty(&k.Brokers, brokers, peer)),
		optional("topic", topic(&k.Topic)),
		optional("compression", oneOf(&k.Compression, "none", "gzip", "snappy", "lz4", "zstd")),
		optional("create_topic", boolean(&k.CreateTopic)),
		optional("tls", pointer(&k.TLS, clientTLS)),
		optional("sasl", pointer(&k.SASL, sasl)),
	}
}

func webhook(w *Webhook) []field {
	*w = Webhook{Timeout: 10 * time.Second}
	return []field{
		required("url", "https://host/path", httpURL(&w.URL)),
		optional("timeout", duration(&w.Timeout, 100*time.Millisecond)),
		optional("secret_file", secret(&w.SecretFile)),
		optional("tls", pointer(&w.TLS, clientTLS)),
	}
}

func clientTLS(t *TLS) reader {
	return mapping(
		optional("ca_file", certificates(&t.CAFile)),
		optional("cert_file", certificates(&t.CertFile)),
		optional("key_file", secret(&t.KeyFile)),
		optional("server_name", textThat(&t.ServerName, checkHost)),
		optional("insecure_skip_verify", boolean(&t.InsecureSkipVerify)),
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
		required("mechanism", "scram-sha-512", oneOf(&s.Mechanism, "plain", "scram-sha-256", "scram-sha-512")),
		required("username", "mtatap", text(&s.Username)),
		required("password_file", "/etc/mtatap/kafka.password", secret(&s.PasswordFile)),
	)
}
