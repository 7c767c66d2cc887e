package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	toolkit "github.com/prometheus/exporter-toolkit/web"
	"gopkg.in/yaml.v3"
)

// WebFile is what mtatap itself looks at in a web configuration file of the
// exporter toolkit.
type WebFile struct {
	TLS struct {
		KeyFile    string `yaml:"key_file"`
		ClientAuth string `yaml:"client_auth_type"`
	} `yaml:"tls_server_config"`
	Users map[string]string `yaml:"basic_auth_users"` // to hashes of their passwords
}

// ReadWebFile reads the web configuration file path. Errors hold nothing of its
// content.
func ReadWebFile(path string) (*WebFile, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read web config: %w", err)
	}
	var f WebFile
	if err := yaml.Unmarshal(data, &f); err != nil {
		return nil, fmt.Errorf("read web config %s: %w", path, withoutContent(err))
	}
	return &f, nil
}

// Identifies reports whether f lets nobody in who has not shown a password or a
// client certificate.
func (f *WebFile) Identifies() bool {
	return len(f.Users) > 0 || f.TLS.ClientAuth == "RequireAndVerifyClientCert"
}

// CheckWebFile says what is wrong with the web configuration file path: what the
// exporter toolkit finds, and whether it or the key of TLS is open to every user.
// Errors hold nothing of their content. The path "" is fine.
func CheckWebFile(path string) error {
	if path == "" {
		return nil
	}
	f, err := ReadWebFile(path)
	if err != nil {
		return err
	}
	errs := []error{checkPrivate(path)}
	if key := f.TLS.KeyFile; key != "" {
		if !filepath.IsAbs(key) {
			key = filepath.Join(filepath.Dir(path), key)
		}
		errs = append(errs, checkPrivate(key))
	}
	if err := toolkit.Validate(path); err != nil {
		errs = append(errs, fmt.Errorf("check web config %s: %w", path, withoutContent(err)))
	}
	return errors.Join(errs...)
}

func checkPrivate(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // which the toolkit says
	}
	if err == nil {
		err = private(info)
	}
	if err != nil {
		return fmt.Errorf("check web config: %s %w", path, err)
	}
	return nil
}

var quoted = regexp.MustCompile("`[^`]*`")

// withoutContent is err without what YAML libraries quote of the file: in the wrong
// place a password may stand there.
func withoutContent(err error) error {
	return errors.New(quoted.ReplaceAllString(err.Error(), "what stands there"))
}
