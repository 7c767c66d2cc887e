//go:build e2e

package faults

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
	"gopkg.in/yaml.v3"

	"mtatap/config"
	"mtatap/e2e/lab"
)

// target is where scenarios publish to: a Kafka that all of them share, each
// with a topic of its own, or the sinks of the user's configuration.
type target struct {
	broker *lab.Kafka
	user   *config.Config
	raw    map[string]any // the user's sinks as they are written
	topic  string         // in place of the user's
}

func newTarget(t *testing.T) *target {
	t.Helper()
	if *userConfig == "" {
		return &target{broker: lab.StartKafka(t, lab.KafkaOptions{Secure: true})}
	}
	return userTarget(t, *userConfig, *userTopic)
}

// userTarget returns the sinks of the configuration at path, but for the topic.
func userTarget(t *testing.T, path, topic string) *target {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var raw struct {
		Sinks map[string]any `yaml:"sinks"`
	}
	if err := yaml.Unmarshal([]byte(os.Expand(string(text), keepUnset)), &raw); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path, os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	return &target{user: cfg, raw: raw.Sinks, topic: topic}
}

func keepUnset(name string) string {
	if v, ok := os.LookupEnv(name); ok {
		return v
	}
	return "${" + name + "}"
}

// publishTo lets r publish to t.
func (r *rig) publishTo(t *target) {
	r.t.Helper()
	if t.user == nil {
		r.publishToTopic(r.lab)
		return
	}
	sinks, reads := map[string]any{}, map[string]func() []lab.KafkaRecord{}
	for _, s := range t.user.Sinks {
		own, _ := t.raw[s.Name].(map[string]any)
		own = maps.Clone(own)
		switch {
		case s.Kafka != nil:
			own["topic"] = t.topic
			reads[s.Name] = readUserTopic(r.t, *s.Kafka, t.topic)
		case s.File != nil:
			path := fmt.Sprintf("%s.faults-%d", s.File.Path, time.Now().UnixNano())
			r.t.Cleanup(func() { _ = os.Remove(path) })
			own = map[string]any{"kind": "file", "path": path}
			reads[s.Name] = func() []lab.KafkaRecord { return readFile(r.t, path) }
		default:
			continue // nothing can be read back from it
		}
		own["required"] = true
		sinks[s.Name] = own
	}
	if len(reads) == 0 {
		r.t.Fatal("the configuration has neither a kafka nor a file sink, so nothing could be checked")
	}
	r.settings["sinks"] = sinks
	r.durable = slices.Collect(maps.Keys(reads))
	r.read = func() map[string][]lab.KafkaRecord {
		records := map[string][]lab.KafkaRecord{}
		for sink, read := range reads {
			records[sink] = read()
		}
		return records
	}
}

// publishToTopic lets r publish to a new topic of broker.
func (r *rig) publishToTopic(broker *lab.Kafka) (topic string) {
	r.t.Helper()
	topic = fmt.Sprintf("faults-%d", time.Now().UnixNano())
	broker.CreateTopic(topic, partitions, nil)
	r.useTopic(broker, topic)
	return topic
}

func (r *rig) useTopic(broker *lab.Kafka, topic string) {
	r.settings["sinks"] = map[string]any{"kafka": map[string]any{"brokers": []string{broker.Addr()}, "topic": topic}}
	r.durable = []string{"kafka"}
	r.read = func() map[string][]lab.KafkaRecord {
		return map[string][]lab.KafkaRecord{"kafka": broker.ReadAll(topic)}
	}
}

// sink returns the settings of the sink of that name, to be changed before a
// start.
func (r *rig) sink(name string) map[string]any {
	return r.settings["sinks"].(map[string]any)[name].(map[string]any)
}

// readFile returns the events of a file sink.
func readFile(t *testing.T, path string) []lab.KafkaRecord {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return recordsOf(t, string(text))
}

// readUserTopic returns what reads the records that are published to topic from
// now on. The topic must be there, and only one scenario may use it at a time.
func readUserTopic(t *testing.T, cfg config.Kafka, topic string) func() []lab.KafkaRecord {
	t.Helper()
	dialer, err := dialerOf(cfg)
	if err != nil {
		t.Fatal(err)
	}
	from, err := ends(dialer, cfg.Brokers[0], topic)
	if err != nil {
		t.Fatalf("look at topic %s: %v", topic, err)
	}
	return func() []lab.KafkaRecord {
		to, err := ends(dialer, cfg.Brokers[0], topic)
		if err != nil {
			t.Fatalf("look at topic %s: %v", topic, err)
		}
		var all []lab.KafkaRecord
		for partition, end := range to {
			records, err := readRange(t.Context(), dialer, cfg.Brokers, topic, partition, from[partition], end)
			if err != nil {
				t.Fatalf("read topic %s: %v", topic, err)
			}
			all = append(all, records...)
		}
		return all
	}
}

func dialerOf(cfg config.Kafka) (*kafka.Dialer, error) {
	d := &kafka.Dialer{Timeout: 10 * time.Second, DualStack: true}
	if cfg.TLS != nil {
		d.TLS = &tls.Config{ServerName: cfg.TLS.ServerName, InsecureSkipVerify: cfg.TLS.InsecureSkipVerify, MinVersion: tls.VersionTLS12}
		if cfg.TLS.CAFile != "" {
			pem, err := os.ReadFile(cfg.TLS.CAFile)
			if err != nil {
				return nil, err
			}
			d.TLS.RootCAs = x509.NewCertPool()
			d.TLS.RootCAs.AppendCertsFromPEM(pem)
		}
		if cfg.TLS.CertFile != "" {
			pair, err := tls.LoadX509KeyPair(cfg.TLS.CertFile, cfg.TLS.KeyFile)
			if err != nil {
				return nil, err
			}
			d.TLS.Certificates = []tls.Certificate{pair}
		}
	}
	if cfg.SASL == nil {
		return d, nil
	}
	secret, err := os.ReadFile(cfg.SASL.PasswordFile)
	if err != nil {
		return nil, err
	}
	password := strings.TrimRight(string(secret), "\r\n")
	switch cfg.SASL.Mechanism {
	case "plain":
		d.SASLMechanism = plain.Mechanism{Username: cfg.SASL.Username, Password: password}
	case "scram-sha-256":
		d.SASLMechanism, err = scram.Mechanism(scram.SHA256, cfg.SASL.Username, password)
	default:
		d.SASLMechanism, err = scram.Mechanism(scram.SHA512, cfg.SASL.Username, password)
	}
	return d, err
}

// ends returns the end of each partition of topic.
func ends(d *kafka.Dialer, broker, topic string) (map[int]int64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	parts, err := d.LookupPartitions(ctx, "tcp", broker, topic)
	if err != nil {
		return nil, err
	}
	if len(parts) == 0 {
		return nil, errors.New("no such topic")
	}
	ends := map[int]int64{}
	for _, p := range parts {
		conn, err := d.DialLeader(ctx, "tcp", broker, topic, p.ID)
		if err != nil {
			return nil, err
		}
		ends[p.ID], err = conn.ReadLastOffset()
		if err := errors.Join(err, conn.Close()); err != nil {
			return nil, err
		}
	}
	return ends, nil
}

func readRange(ctx context.Context, d *kafka.Dialer, brokers []string, topic string, partition int, from, to int64) ([]lab.KafkaRecord, error) {
	if from >= to {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	r := kafka.NewReader(kafka.ReaderConfig{Brokers: brokers, Topic: topic, Partition: partition, Dialer: d, MaxWait: 100 * time.Millisecond})
	defer r.Close()
	if err := r.SetOffset(from); err != nil {
		return nil, err
	}
	var records []lab.KafkaRecord
	for {
		m, err := r.ReadMessage(ctx)
		if err != nil {
			return nil, err
		}
		record := lab.KafkaRecord{Partition: m.Partition, Offset: m.Offset, Key: string(m.Key), Value: string(m.Value), Headers: map[string]string{}}
		for _, h := range m.Headers {
			record.Headers[h.Key] = string(h.Value)
		}
		records = append(records, record)
		if m.Offset >= to-1 {
			return records, nil
		}
	}
}
