package sinks

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"

	"mtatap/config"
)

// KafkaConnection is what programs that read and write topics need beside a sink.
type KafkaConnection struct {
	Client      *kafka.Client
	Dialer      *kafka.Dialer // of consumer groups
	Compression kafka.Compression
	cfg         config.Kafka
}

// ConnectKafka returns the connection of cfg, for the given topics. It does not
// connect yet; it fails only where the settings or the TLS files are unusable.
func ConnectKafka(cfg config.Kafka, topics ...string) (*KafkaConnection, error) {
	codec, err := compression(cfg.Compression)
	if err != nil {
		return nil, err
	}
	t, err := newTransport(cfg)
	if err != nil {
		return nil, err
	}
	t.MetadataTopics = topics
	return &KafkaConnection{
		Client:      &kafka.Client{Addr: kafka.TCP(cfg.Brokers...), Timeout: attemptTimeout, Transport: t},
		Dialer:      &kafka.Dialer{ClientID: t.ClientID, Timeout: dialTimeout, DualStack: true, TLS: t.TLS, SASLMechanism: t.SASL},
		Compression: codec,
		cfg:         cfg,
	}, nil
}

// Hint says what to look at when err persists; "" if it speaks for itself.
func (c *KafkaConnection) Hint(err error) string { return kafkaHint(err, c.cfg) }

// Close closes idle connections.
func (c *KafkaConnection) Close() { c.Client.Transport.(*kafka.Transport).CloseIdleConnections() }

// KafkaPartition returns the partition of key among n, as the sink and the Java
// client choose it.
func KafkaPartition(key string, n int) int { return partitionOf(key, n) }

func newTransport(cfg config.Kafka) (*kafka.Transport, error) {
	dialer := &net.Dialer{Timeout: dialTimeout}
	t := &kafka.Transport{
		Dial:           dialer.DialContext,
		DialTimeout:    dialTimeout,
		MetadataTTL:    metadataTTL,
		MetadataTopics: []string{cfg.Topic},
		ClientID:       "mtatap",
	}
	if cfg.TLS != nil {
		if _, err := newTLS(*cfg.TLS); err != nil {
			return nil, err
		}
		t.Dial = freshTLS{dialer, *cfg.TLS}.dial
	}
	if cfg.SASL != nil {
		name, ok := saslNames[cfg.SASL.Mechanism]
		if !ok {
			return nil, fmt.Errorf("unknown sasl mechanism %q", cfg.SASL.Mechanism)
		}
		t.SASL = freshSASL{name: name, cfg: *cfg.SASL}
	}
	return t, nil
}

// freshTLS connects with the authorities and the certificate that their files
// hold at that time, so that renewed or corrected ones need no restart.
type freshTLS struct {
	dialer *net.Dialer
	cfg    config.TLS
}

func (d freshTLS) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	settings, err := newTLS(d.cfg)
	if err != nil {
		return nil, err
	}
	return (&tls.Dialer{NetDialer: d.dialer, Config: settings}).DialContext(ctx, network, addr)
}

func compression(name string) (kafka.Compression, error) {
	switch name {
	case "none":
		return 0, nil
	case "gzip":
		return kafka.Gzip, nil
	case "snappy":
		return kafka.Snappy, nil
	case "lz4", "":
		return kafka.Lz4, nil
	case "zstd":
		return kafka.Zstd, nil
	}
	return 0, fmt.Errorf("unknown compression %q", name)
}

// saslNames maps the names of the configuration to those of the protocol.
var saslNames = map[string]string{
	"plain":         "PLAIN",
	"scram-sha-256": scram.SHA256.Name(),
	"scram-sha-512": scram.SHA512.Name(),
}

// freshSASL authenticates with the password that its file holds at the time of
// the connection, so a changed secret needs no restart.
type freshSASL struct {
	name string
	cfg  config.SASL
}

func (s freshSASL) Name() string { return s.name }

func (s freshSASL) Start(ctx context.Context) (sasl.StateMachine, []byte, error) {
	password, err := readSecret(s.cfg.PasswordFile)
	if err != nil {
		return nil, nil, err
	}
	var m sasl.Mechanism
	switch s.name {
	case scram.SHA256.Name():
		m, err = scram.Mechanism(scram.SHA256, s.cfg.Username, password)
	case scram.SHA512.Name():
		m, err = scram.Mechanism(scram.SHA512, s.cfg.Username, password)
	default:
		m = plain.Mechanism{Username: s.cfg.Username, Password: password}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("use sasl password: %w", err)
	}
	return m.Start(ctx)
}

// readSecret returns the content of the file without a newline at its end.
func readSecret(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}
