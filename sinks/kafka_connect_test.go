package sinks

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go/sasl/plain"

	"mtatap/config"
)

func TestKafkaSaysWhatIsWrongWithAConnection(t *testing.T) {
	closing, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer closing.Close()
	go func() {
		for {
			c, err := closing.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	secure := httptest.NewUnstartedServer(nil)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()

	for name, c := range map[string]struct {
		cfg  config.Kafka
		hint string
	}{
		"the broker hangs up on plain text": {config.Kafka{Brokers: []string{closing.Addr().String()}}, "this port may expect TLS or sasl"},
		"the broker hangs up on TLS":        {config.Kafka{Brokers: []string{closing.Addr().String()}, TLS: &config.TLS{}}, "this port may not speak TLS"},
		"the authority is unknown":          {config.Kafka{Brokers: []string{secure.Listener.Addr().String()}, TLS: &config.TLS{}}, "set tls.ca_file"},
		"nothing listens":                   {config.Kafka{Brokers: []string{"127.0.0.1:1"}}, "nothing listens at this address"},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOutside(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			o.Failed = func(error) { cancel() }
			c.cfg.Topic = "t"
			k, err := NewKafka(c.cfg, o.Deps)
			if err != nil {
				t.Fatal(err)
			}
			defer k.Close()
			if err := k.Write(ctx, makeEvents(1, 1)); !errors.Is(err, context.Canceled) {
				t.Fatalf("Write: %v", err)
			}
			if !strings.Contains(o.log.String(), c.hint) {
				t.Errorf("log lacks %q:\n%s", c.hint, &o.log)
			}
		})
	}
}

func TestSASLReadsThePasswordAtEachConnection(t *testing.T) {
	path := filepath.Join(t.TempDir(), "password")
	transport, err := newTransport(config.Kafka{SASL: &config.SASL{Mechanism: "plain", Username: "mt", PasswordFile: path}})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := transport.SASL.Start(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without the file: %v", err)
	}
	for _, password := range []string{"first", "second"} {
		if err := os.WriteFile(path, []byte(password+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, got, err := transport.SASL.Start(t.Context())
		_, want, _ := plain.Mechanism{Username: "mt", Password: password}.Start(t.Context())
		if err != nil || string(got) != string(want) {
			t.Errorf("answer %q, %v", got, err)
		}
	}
	for _, mechanism := range []string{"scram-sha-256", "scram-sha-512"} {
		transport, err := newTransport(config.Kafka{SASL: &config.SASL{Mechanism: mechanism, Username: "mt", PasswordFile: path}})
		if err != nil {
			t.Fatal(err)
		}
		if name := transport.SASL.Name(); name != strings.ToUpper(mechanism) {
			t.Errorf("%s is called %s", mechanism, name)
		}
		if _, first, err := transport.SASL.Start(t.Context()); err != nil || !strings.HasPrefix(string(first), "n,,n=mt,r=") {
			t.Errorf("%s begins with %q, %v", mechanism, first, err)
		}
	}
}

func TestNewKafkaRefusesUnusableSettings(t *testing.T) {
	junk := filepath.Join(t.TempDir(), "junk.pem")
	if err := os.WriteFile(junk, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	base := config.Kafka{Brokers: []string{"b:9092"}, Topic: "t"}
	for want, change := range map[string]func(*config.Kafka){
		"needs brokers and a topic":   func(c *config.Kafka) { c.Brokers = nil },
		"unknown compression":         func(c *config.Kafka) { c.Compression = "brotli" },
		"unknown sasl mechanism":      func(c *config.Kafka) { c.SASL = &config.SASL{Mechanism: "gssapi"} },
		"read ca_file":                func(c *config.Kafka) { c.TLS = &config.TLS{CAFile: junk + ".no"} },
		"no certificate in it":        func(c *config.Kafka) { c.TLS = &config.TLS{CAFile: junk} },
		"load client certificate: tl": func(c *config.Kafka) { c.TLS = &config.TLS{CertFile: junk, KeyFile: junk} },
	} {
		cfg := base
		change(&cfg)
		if _, err := NewKafka(cfg, newOutside(t).Deps); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if _, err := NewKafka(base, Deps{}); err == nil {
		t.Error("no dead letters were accepted")
	}
}

func TestKafkaReadsItsAuthoritiesAtEachConnection(t *testing.T) {
	secure := httptest.NewUnstartedServer(nil)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	right := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	cfg := config.TLS{CAFile: filepath.Join(t.TempDir(), "ca.pem"), ServerName: "example.com"}
	write := func(text []byte) {
		t.Helper()
		if err := os.WriteFile(cfg.CAFile, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d := freshTLS{&net.Dialer{Timeout: dialTimeout}, cfg}
	dial := func() error {
		conn, err := d.dial(t.Context(), "tcp", secure.Listener.Addr().String())
		if err == nil {
			conn.Close()
		}
		return err
	}
	write(otherAuthority(t))
	var unknown x509.UnknownAuthorityError
	if err := dial(); !errors.As(err, &unknown) {
		t.Errorf("with another authority: %v", err)
	}
	write(right)
	if err := dial(); err != nil {
		t.Errorf("with the right authority: %v", err)
	}
	write(nil)
	if err := dial(); err == nil || !strings.Contains(err.Error(), "no certificate in it") {
		t.Errorf("with an empty file: %v", err)
	}
}

func otherAuthority(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "another"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
