//go:build e2e

package security

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// write makes a file that only its owner can read.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// follow starts "mtatap run" with a configuration in dir and waits for nothing.
func follow(t *testing.T, dir, web, config string, env []string, more ...string) *process {
	t.Helper()
	args := append([]string{"run", "--config.file", write(t, dir, "mtatap.yaml", config)}, more...)
	cmd := exec.Command(binary, args...)
	cmd.Env = append(os.Environ(), env...)
	return launch(t, web, cmd, (*exec.Cmd).Start)
}

// certificate is one of 127.0.0.1, signed by itself, in PEM form.
type certificate struct{ cert, key string }

func newCertificate(t *testing.T) certificate {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	var c, k bytes.Buffer
	if err := pem.Encode(&c, &pem.Block{Type: "CERTIFICATE", Bytes: cert}); err != nil {
		t.Fatal(err)
	}
	if err := pem.Encode(&k, &pem.Block{Type: "PRIVATE KEY", Bytes: key}); err != nil {
		t.Fatal(err)
	}
	return certificate{c.String(), k.String()}
}

// serverTLS shows c.
func serverTLS(t *testing.T, c certificate) *tls.Config {
	t.Helper()
	pair, err := tls.X509KeyPair([]byte(c.cert), []byte(c.key))
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequestClientCert}
}

// client trusts c alone.
func (c certificate) client() *http.Client {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(c.cert))
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
}

// webConfig asks for TLS by c and the password of a user named ops.
func webConfig(t *testing.T, dir string, c certificate, password string) (path, hash string) {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "web.crt", c.cert)
	write(t, dir, "web.key", c.key)
	return write(t, dir, "web.yml", fmt.Sprintf("tls_server_config: {cert_file: web.crt, key_file: web.key}\nbasic_auth_users: {ops: %q}\n", h)), string(h)
}

func withPassword(password string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth("ops", password) }
}
