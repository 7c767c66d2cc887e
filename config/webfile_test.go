package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAWebFileIsRefusedWithoutAWordOfItsContent(t *testing.T) {
	const marker = "pa55w0rd-marker"
	cert, key := keyPair(t)
	for _, c := range []struct {
		name, text string
		mode       os.FileMode
		keyMode    os.FileMode
		want       string // "": it is fine
	}{
		{"a file with TLS and a user is fine", "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\nbasic_auth_users: {ops: $2y$04$" + strings.Repeat("a", 53) + "}\n", 0o640, 0o600, ""},
		{"an empty file asks for nothing", "", 0o600, 0o600, ""},
		{"a file open to every user is refused", "basic_auth_users: {}\n", 0o644, 0o600, "web.yml is open to every user (mode 0644); protect it: chmod o= FILE"},
		{"so is a key beside it", "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n", 0o600, 0o604, "key.pem is open to every user (mode 0604); protect it: chmod o= FILE"},
		{"a key that is missing is named", "tls_server_config: {cert_file: cert.pem, key_file: none.pem}\n", 0o600, 0o600, "none.pem"},
		{"a key without certificate is refused", "tls_server_config: {key_file: key.pem}\n", 0o600, 0o600, "missing one of cert or cert_file"},
		{"an unknown key is refused", "basic_auth_user: {}\n", 0o600, 0o600, "basic_auth_user not found"},
		{"a plain password is refused", "basic_auth_users: {ops: " + marker + "}\n", 0o600, 0o600, "bcrypt"},
		{"a password in the wrong place is not shown", "basic_auth_users: " + marker + "\n", 0o600, 0o600, "line 1: cannot unmarshal"},
		{"a number in its place is not shown either", "basic_auth_users: [" + marker + "]\n", 0o600, 0o600, "line 1: cannot unmarshal"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, file := range map[string]struct {
				content []byte
				mode    os.FileMode
			}{"web.yml": {[]byte(c.text), c.mode}, "cert.pem": {cert, 0o644}, "key.pem": {key, c.keyMode}} {
				if err := os.WriteFile(filepath.Join(dir, name), file.content, 0o600); err != nil {
					t.Fatal(err)
				}
				if err := os.Chmod(filepath.Join(dir, name), file.mode); err != nil {
					t.Fatal(err)
				}
			}
			err := CheckWebFile(filepath.Join(dir, "web.yml"))
			switch {
			case (err == nil) != (c.want == ""):
				t.Fatalf("got %v, want %q", err, c.want)
			case err != nil && !strings.Contains(err.Error(), c.want):
				t.Errorf("got %v, want %q in it", err, c.want)
			case err != nil && strings.Contains(err.Error(), marker[:4]):
				t.Errorf("the content is shown: %v", err)
			}
		})
	}
}

func TestAMissingWebFileIsAnErrorAndNoneIsNot(t *testing.T) {
	if err := CheckWebFile(filepath.Join(t.TempDir(), "web.yml")); err == nil {
		t.Error("a missing file passes")
	}
	if err := CheckWebFile(""); err != nil {
		t.Error(err)
	}
}
