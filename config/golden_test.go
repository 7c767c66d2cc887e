package config

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"mtatap/parsers"
)

var update = flag.Bool("update", false, "rewrite the goldens in testdata")

func TestEachInvalidFileGivesItsExactErrors(t *testing.T) {
	files, err := filepath.Glob("testdata/invalid-*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no bad files: %v", err)
	}
	disk := testDisk(t)
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			c, err := parse("mtatap.yaml", data, testEnv, disk)
			var errs *Errors
			if !errors.As(err, &errs) || c != nil {
				t.Fatalf("config %v, error %v; want no config and *Errors", c, err)
			}
			for i, e := range errs.List[1:] {
				if e.Line < errs.List[i].Line {
					t.Errorf("line %d comes after line %d", e.Line, errs.List[i].Line)
				}
			}
			// A new format changes no golden.
			said := strings.ReplaceAll(err.Error(), orList(parsers.Formats()), "{formats}")
			compare(t, strings.TrimSuffix(path, ".yaml")+".txt", said+"\n")
		})
	}
}

func TestAFileWithTenMistakesGivesTenErrors(t *testing.T) {
	data, err := os.ReadFile("testdata/invalid-ten-mistakes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, err = parse("mtatap.yaml", data, testEnv, testDisk(t))
	var errs *Errors
	if !errors.As(err, &errs) {
		t.Fatalf("got %v, want *Errors", err)
	}
	var lines []int
	for _, e := range errs.List {
		lines = append(lines, e.Line)
	}
	want := []int{3, 4, 5, 6, 7, 8, 11, 12, 15, 16}
	if len(lines) != len(want) {
		t.Fatalf("lines %v, want %v\n%v", lines, want, err)
	}
	for i := range want {
		if lines[i] != want[i] {
			t.Fatalf("lines %v, want %v", lines, want)
		}
	}
}

// compare checks got against a golden file, or rewrites that.
func compare(t *testing.T, golden, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func testEnv(name string) (string, bool) {
	value, ok := map[string]string{
		"CREDENTIALS_DIRECTORY": "/etc/mtatap",
		"BAD_BROKER":            "secret value",
		"BROKER":                "kafka.example.org:9093",
		"TOKEN_URL":             "gopher://secret",
		"YAML":                  "info, format: json",
		"EVENTS":                "250",
		"SWITCH":                "true",
		"NESTED":                "${BROKER}",
	}[name]
	return value, ok
}

// testDisk is a file system with the files that the tests name.
func testDisk(t *testing.T) fs.FS {
	t.Helper()
	return testFiles(keyPair(t))
}

func testFiles(cert, key []byte) fs.FS {
	private := func(content []byte) *fstest.MapFile {
		return &fstest.MapFile{Data: content, Mode: 0o600}
	}
	public := func(content []byte) *fstest.MapFile {
		return &fstest.MapFile{Data: content, Mode: 0o644}
	}
	return lockedDisk{fstest.MapFS{
		"etc/mtatap/rules.yaml":     public([]byte("rules: []\n")),
		"etc/mtatap/web.yml":        public(nil),
		"etc/mtatap/ca.pem":         public(cert),
		"etc/mtatap/cert.pem":       public(cert),
		"etc/mtatap/key.pem":        private(key),
		"etc/mtatap/kafka.password": private([]byte("not echoed\n")),
		"etc/mtatap/webhook.secret": private([]byte("not echoed\n")),
		"etc/mtatap/privacy.key":    private([]byte("not echoed either\n")),
		"etc/mtatap/group":          {Data: []byte("not echoed\n"), Mode: 0o640},
		"etc/mtatap/empty":          private([]byte("\n")),
		"etc/mtatap/open":           {Data: []byte("not echoed\n"), Mode: 0o604},
		"etc/mtatap/locked":         private([]byte("not echoed\n")),
		"etc/mtatap/pipe":           {Mode: fs.ModeNamedPipe | 0o600},
		"var/log/mail.log":          public(nil),
		"var/log/mail.log.1":        public(nil),
		"var/log/exim4/mainlog":     public(nil),
		"var/log/exim4/rejectlog":   public(nil),
		"var/log/haraka/haraka.log": public(nil),
	}}
}

// lockedDisk refuses to open the file named "locked".
type lockedDisk struct{ fstest.MapFS }

func (d lockedDisk) Open(name string) (fs.File, error) {
	if strings.HasSuffix(name, "/locked") {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return d.MapFS.Open(name)
}

func keyPair(t *testing.T) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)}
	certDER, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	var certPEM, keyPEM bytes.Buffer
	for _, err := range []error{
		pem.Encode(&certPEM, &pem.Block{Type: "CERTIFICATE", Bytes: certDER}),
		pem.Encode(&keyPEM, &pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return certPEM.Bytes(), keyPEM.Bytes()
}
