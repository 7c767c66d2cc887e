//go:build e2e

package lab

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
)

// KafkaOptions vary how a broker is set up.
type KafkaOptions struct {
	// Config is added to server.properties.
	Config map[string]string
	// Secure adds the listeners of KafkaSecurity.
	Secure bool
}

// KafkaSecurity is what a client of the secure listeners needs.
type KafkaSecurity struct {
	SASLAddr string // TLS and SASL: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512
	MTLSAddr string // TLS with a client certificate
	CAFile   string
	CertFile string
	KeyFile  string
	Username string
	Password string
}

// KafkaRecord is a record as a consumer reads it.
type KafkaRecord struct {
	Partition  int
	Offset     int64
	Time       time.Time
	Key, Value string
	Headers    map[string]string
}

// Kafka is a real Apache Kafka broker in KRaft mode on loopback, that creates
// no topic by itself. It ends with its test.
type Kafka struct {
	t        testing.TB
	dir      string
	addr     string
	libs     string
	security KafkaSecurity
	broker   *exec.Cmd
}

// StartKafka formats a new store, starts a single broker on it and waits until
// it answers.
func StartKafka(t testing.TB, opts KafkaOptions) *Kafka {
	t.Helper()
	k := newKafka(t, opts, kafkaAddrs(t, 4))
	k.Restart()
	return k
}

// newKafka formats a store for a broker on addrs: of its plain-text listener,
// of its controller, and of its secure listeners.
func newKafka(t testing.TB, opts KafkaOptions, addrs []string) *Kafka {
	t.Helper()
	k := &Kafka{t: t, dir: t.TempDir(), libs: cacheDir(t, "kafka", "libs")}
	if jars, _ := filepath.Glob(filepath.Join(k.libs, "kafka_*.jar")); len(jars) == 0 {
		t.Fatal("Kafka is not installed: run .ci/install (Kafka)")
	}
	k.configure(opts, addrs)
	format := []string{"format", "--cluster-id", "bXRhdGFwLWUyZS10ZXN0cw", "--config", k.path("server.properties")}
	if opts.Secure {
		for _, mechanism := range []string{"SCRAM-SHA-256", "SCRAM-SHA-512"} {
			format = append(format, "--add-scram", fmt.Sprintf("%s=[name=%s,password=%s]", mechanism, k.security.Username, k.security.Password))
		}
	}
	if out, err := k.java("64m", "kafka.tools.StorageTool", format...).CombinedOutput(); err != nil {
		t.Fatalf("format Kafka's store: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		k.Kill()
		if log, err := os.ReadFile(k.path("server.log")); err == nil && t.Failed() {
			t.Logf("end of Kafka's log:\n%s", log[max(0, len(log)-4000):])
		}
	})
	return k
}

// For returns k for use in the test t, which runs beside others. t must not end
// after the test that started k, nor kill or suspend it.
func (k *Kafka) For(t testing.TB) *Kafka {
	mine := *k
	mine.t = t
	return &mine
}

// Addr is the address of the plain-text listener.
func (k *Kafka) Addr() string { return k.addr }

// Security is what to connect with to the secure listeners.
func (k *Kafka) Security() KafkaSecurity { return k.security }

// CreateTopic makes a topic and waits until it can be written to. config holds
// the topic's settings.
func (k *Kafka) CreateTopic(topic string, partitions int, config map[string]string) {
	k.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	req := kafka.TopicConfig{Topic: topic, NumPartitions: partitions, ReplicationFactor: -1}
	for _, name := range sorted(config) {
		req.ConfigEntries = append(req.ConfigEntries, kafka.ConfigEntry{ConfigName: name, ConfigValue: config[name]})
	}
	client, done := k.client()
	defer done()
	err := patiently(ctx, func() error {
		res, err := client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{req}})
		if err == nil {
			err = res.Errors[topic]
		}
		if errors.Is(err, kafka.TopicAlreadyExists) {
			return nil // a try that was said to have failed
		}
		return err
	})
	if err != nil {
		k.t.Fatalf("create topic %s: %v", topic, err)
	}
}

// patiently does what it is given until it succeeds or ctx ends: on a busy machine
// a broker is away for moments.
func patiently(ctx context.Context, do func() error) error {
	for {
		err := do()
		if err == nil || ctx.Err() != nil {
			return err
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// Kill ends the broker as a power failure would. Killing twice is fine.
func (k *Kafka) Kill() {
	if k.broker == nil {
		return
	}
	_ = k.broker.Process.Kill()
	_ = k.broker.Wait()
	k.broker = nil
}

// Suspend stops the broker in its tracks: connections stay open, nothing answers.
func (k *Kafka) Suspend() { k.signal(syscall.SIGSTOP) }

// Continue lets a suspended broker go on.
func (k *Kafka) Continue() { k.signal(syscall.SIGCONT) }

func (k *Kafka) signal(s syscall.Signal) {
	k.t.Helper()
	if err := k.broker.Process.Signal(s); err != nil {
		k.t.Fatalf("send %v to Kafka: %v", s, err)
	}
}

// Restart starts the broker again on the same store and addresses, having
// killed it if it runs, and waits until it answers.
func (k *Kafka) Restart() {
	k.t.Helper()
	k.start()
	k.await()
}

// start starts the broker and waits for nothing.
func (k *Kafka) start() {
	k.t.Helper()
	k.Kill()
	log, err := os.OpenFile(k.path("server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		k.t.Fatal(err)
	}
	defer log.Close()
	k.broker = k.java("384m", "kafka.Kafka", k.path("server.properties"))
	k.broker.Stdout, k.broker.Stderr = log, log
	if err := k.broker.Start(); err != nil {
		k.broker = nil
		k.t.Fatalf("start Kafka: %v", err)
	}
}

// await waits until the broker answers.
func (k *Kafka) await() {
	k.t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		err := k.answers()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			k.t.Fatalf("Kafka does not answer: %v", err)
		}
	}
}

// answers asks for the cluster's brokers: a broker that is not yet unfenced
// does not name itself.
func (k *Kafka) answers() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	client, done := k.client()
	defer done()
	res, err := client.Metadata(ctx, &kafka.MetadataRequest{})
	if err == nil && len(res.Brokers) == 0 {
		err = errors.New("no broker registered")
	}
	return err
}

// ReadAll returns what the topic holds now, by partition and offset.
func (k *Kafka) ReadAll(topic string) []KafkaRecord {
	k.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	client, done := k.client()
	defer done()
	var meta *kafka.MetadataResponse
	err := patiently(ctx, func() (err error) {
		meta, err = client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})
		return err
	})
	if err != nil {
		k.t.Fatalf("ask for topic %s: %v", topic, err)
	}
	var ask []kafka.OffsetRequest
	for _, p := range meta.Topics[0].Partitions {
		ask = append(ask, kafka.FirstOffsetOf(p.ID), kafka.LastOffsetOf(p.ID))
	}
	offsets, err := client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{topic: ask}})
	if err != nil {
		k.t.Fatalf("ask for offsets of topic %s: %v", topic, err)
	}
	var all []KafkaRecord
	for _, p := range offsets.Topics[topic] {
		recs, err := k.readPartition(ctx, topic, p)
		if err != nil {
			k.t.Fatalf("read partition %d of topic %s: %v", p.Partition, topic, err)
		}
		all = append(all, recs...)
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].Partition < all[j].Partition })
	return all
}

func (k *Kafka) readPartition(ctx context.Context, topic string, p kafka.PartitionOffsets) ([]KafkaRecord, error) {
	if p.Error != nil || p.FirstOffset >= p.LastOffset {
		return nil, p.Error
	}
	r := kafka.NewReader(kafka.ReaderConfig{
		Brokers: []string{k.addr}, Topic: topic, Partition: p.Partition,
		MaxBytes: 10 << 20, MaxWait: 100 * time.Millisecond, QueueCapacity: 1000,
	})
	defer r.Close()
	if err := r.SetOffset(p.FirstOffset); err != nil {
		return nil, err
	}
	var recs []KafkaRecord
	for {
		m, err := r.ReadMessage(ctx)
		if err != nil {
			return nil, err
		}
		rec := KafkaRecord{
			Partition: m.Partition, Offset: m.Offset, Time: m.Time,
			Key: string(m.Key), Value: string(m.Value), Headers: make(map[string]string, len(m.Headers)),
		}
		for _, h := range m.Headers {
			rec.Headers[h.Key] = string(h.Value)
		}
		recs = append(recs, rec)
		if m.Offset >= p.LastOffset-1 {
			return recs, nil
		}
	}
}

// JavaProduce publishes one record for each key with Kafka's own Java client.
// Keys hold no tab and no newline.
func (k *Kafka) JavaProduce(topic string, keys []string) {
	k.t.Helper()
	cmd := k.java("128m", "kafka.tools.ConsoleProducer", "--bootstrap-server", k.addr, "--topic", topic,
		"--property", "parse.key=true", "--property", "key.separator=\t")
	cmd.Stdin = strings.NewReader(strings.Join(keys, "\tjava\n") + "\tjava\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		k.t.Fatalf("produce with the Java client: %v\n%s", err, out)
	}
}

// client returns a client and what lets go of its connections. It knows nothing
// yet, so that it never answers from memory.
func (k *Kafka) client() (*kafka.Client, func()) {
	transport := &kafka.Transport{MetadataTTL: time.Second, DialTimeout: 2 * time.Second}
	return &kafka.Client{Addr: kafka.TCP(k.addr), Transport: transport, Timeout: 20 * time.Second}, transport.CloseIdleConnections
}

func (k *Kafka) path(name string) string { return filepath.Join(k.dir, name) }

// java returns the command that runs a class of Kafka with a limited heap.
func (k *Kafka) java(heap, class string, args ...string) *exec.Cmd {
	flags := []string{
		"-Xmx" + heap, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
		"-cp", filepath.Join(k.libs, "*"), class,
	}
	cmd := exec.Command("java", append(flags, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return cmd
}

// configure writes server.properties and, for secure listeners, certificates.
func (k *Kafka) configure(opts KafkaOptions, addrs []string) {
	k.addr = addrs[0]
	settings := map[string]string{
		"process.roles":                            "broker,controller",
		"node.id":                                  "1",
		"controller.quorum.voters":                 "1@" + addrs[1],
		"controller.listener.names":                "CONTROLLER",
		"listeners":                                "PLAINTEXT://" + addrs[0] + ",CONTROLLER://" + addrs[1],
		"advertised.listeners":                     "PLAINTEXT://" + addrs[0],
		"listener.security.protocol.map":           "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_SSL,MTLS:SSL",
		"log.dirs":                                 k.path("store"),
		"auto.create.topics.enable":                "false",
		"default.replication.factor":               "1",
		"offsets.topic.replication.factor":         "1",
		"offsets.topic.num.partitions":             "1",
		"transaction.state.log.replication.factor": "1",
		"transaction.state.log.min.isr":            "1",
		"log.cleaner.dedupe.buffer.size":           "4194304",
		"num.network.threads":                      "2",
		"num.io.threads":                           "2",
		// A killed broker may come back at once.
		"broker.session.timeout.ms":    "2000",
		"broker.heartbeat.interval.ms": "300",
	}
	if opts.Secure {
		k.secure(settings, addrs[2], addrs[3])
	}
	for name, value := range opts.Config {
		settings[name] = value
	}
	var b strings.Builder
	for _, name := range sorted(settings) {
		fmt.Fprintf(&b, "%s=%s\n", name, strings.ReplaceAll(settings[name], "\n", `\n`))
	}
	k.write("server.properties", []byte(b.String()))
}

// secure adds the secure listeners to settings.
func (k *Kafka) secure(settings map[string]string, saslAddr, mtlsAddr string) {
	k.security = KafkaSecurity{
		SASLAddr: saslAddr, MTLSAddr: mtlsAddr, Username: "mt", Password: "p4ss word",
		CAFile: k.path("ca.pem"), CertFile: k.path("client.pem"), KeyFile: k.path("client.key"),
	}
	ca := newAuthority(k.t)
	serverCert, serverKey := ca.issue(k.t, "127.0.0.1")
	clientCert, clientKey := ca.issue(k.t, "mtatap")
	k.write("ca.pem", ca.pem)
	k.write("client.pem", clientCert)
	k.write("client.key", clientKey)

	settings["listeners"] += ",SASL://" + saslAddr + ",MTLS://" + mtlsAddr
	settings["advertised.listeners"] += ",SASL://" + saslAddr + ",MTLS://" + mtlsAddr
	for _, listener := range []string{"sasl", "mtls"} {
		prefix := "listener.name." + listener + ".ssl."
		settings[prefix+"keystore.type"] = "PEM"
		settings[prefix+"keystore.certificate.chain"] = string(serverCert)
		settings[prefix+"keystore.key"] = string(serverKey)
		settings[prefix+"truststore.type"] = "PEM"
		settings[prefix+"truststore.certificates"] = string(ca.pem)
	}
	settings["listener.name.mtls.ssl.client.auth"] = "required"
	settings["sasl.enabled.mechanisms"] = "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512"
	settings["listener.name.sasl.plain.sasl.jaas.config"] = fmt.Sprintf(
		`org.apache.kafka.common.security.plain.PlainLoginModule required user_%s="%s";`, k.security.Username, k.security.Password)
	for _, mechanism := range []string{"scram-sha-256", "scram-sha-512"} {
		settings["listener.name.sasl."+mechanism+".sasl.jaas.config"] = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
	}
}

func (k *Kafka) write(name string, content []byte) {
	k.t.Helper()
	if err := os.WriteFile(k.path(name), content, 0o600); err != nil {
		k.t.Fatalf("write %s: %v", name, err)
	}
}

// kafkaAddrs returns n addresses where nothing listens, all different.
func kafkaAddrs(t testing.TB, n int) []string {
	t.Helper()
	addrs := make([]string, n)
	for i := range addrs {
		addrs[i] = FreeAddr(t)
	}
	return addrs
}

func sorted(m map[string]string) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// authority signs the certificates of one test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{}
	a.cert = template("mtatap e2e authority")
	a.cert.IsCA, a.cert.BasicConstraintsValid = true, true
	a.cert.KeyUsage |= x509.KeyUsageCertSign
	a.key, a.pem = sign(t, a.cert, a.cert, nil)
	return a
}

// OtherAuthority returns the certificate of an authority that no broker knows.
func OtherAuthority(t testing.TB) []byte { return newAuthority(t).pem }

// issue returns a certificate for name, valid on loopback, and its key.
func (a *authority) issue(t testing.TB, name string) (cert, key []byte) {
	t.Helper()
	c := template(name)
	c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	private, cert := sign(t, c, a.cert, a.key)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return cert, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func template(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
}

// sign makes a key for cert and signs it with parent's, or with its own if that
// is nil.
func sign(t testing.TB, cert, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*ecdsa.PrivateKey, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if parentKey == nil {
		parentKey = key
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, parent, &key.PublicKey, parentKey)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
		t.Fatal(err)
	}
	return key, b.Bytes()
}
