package config

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
)

// file reads the path of a file that must be there and readable.
func file(out *string) reader { return fileThat(out, nil) }

// secret reads the path of a file whose content nobody else may read.
func secret(out *string) reader {
	return fileThat(out, func(info fs.FileInfo, content []byte) error {
		if err := private(info); err != nil {
			return err
		}
		if len(bytes.TrimSpace(content)) == 0 {
			return errors.New("is empty; write the secret into it")
		}
		return nil
	})
}

// private says whether a file is closed to other users.
func private(info fs.FileInfo) error {
	if mode := info.Mode().Perm(); mode&0o007 != 0 {
		return fmt.Errorf("is open to every user (mode %04o); protect it: chmod o= FILE", mode)
	}
	return nil
}

// certificates reads the path of a file of PEM certificates.
func certificates(out *string) reader {
	return fileThat(out, func(_ fs.FileInfo, content []byte) error {
		if !x509.NewCertPool().AppendCertsFromPEM(content) {
			return errors.New("holds no certificate; write it in PEM form")
		}
		return nil
	})
}

// fileThat reads the path of a file that must be there, readable and meet
// check. Errors show the path that was looked for, never the content.
func fileThat(out *string, check func(info fs.FileInfo, content []byte) error) reader {
	return reader{func(d *decoder, v value) {
		var s string
		text(&s).read(d, v)
		if s == "" {
			return
		}
		path := d.resolve(s)
		info, content, err := d.readFile(path)
		if err == nil && check != nil {
			err = check(info, content)
		}
		if err != nil {
			d.fail(v, "%s %v", quote(path), err)
			return
		}
		*out = path
	}, shapeOfText("")}
}

// readFile gives a file that must be regular: opening a pipe could block.
func (d *decoder) readFile(path string) (fs.FileInfo, []byte, error) {
	info, err := d.stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, errors.New("does not exist; create it or write another path")
	case err != nil:
		return nil, nil, fmt.Errorf("cannot be read: %w", cause(err))
	case info.IsDir():
		return nil, nil, errors.New("is a folder; write the path of a file")
	case !info.Mode().IsRegular():
		return nil, nil, errors.New("is no regular file; write the path of one")
	}
	open, err := d.disk.Open(rooted(path))
	if err != nil {
		return nil, nil, fmt.Errorf("cannot be read: %w; let the user of mtatap read it", cause(err))
	}
	defer open.Close()
	content, err := io.ReadAll(io.LimitReader(open, maxSize))
	if err != nil {
		return nil, nil, fmt.Errorf("cannot be read: %w", cause(err))
	}
	return info, content, nil
}

// checkKeyPair says whether a certificate and a key belong together.
func (d *decoder) checkKeyPair(v value, certFile, keyFile string) {
	if certFile == "" || keyFile == "" {
		return
	}
	_, cert, err := d.readFile(certFile)
	if err != nil {
		return
	}
	_, key, err := d.readFile(keyFile)
	if err != nil {
		return
	}
	if _, err := tls.X509KeyPair(cert, key); err != nil {
		d.fail(v, "is no key of the certificate in cert_file: %s", strings.TrimPrefix(err.Error(), "tls: "))
	}
}

func (d *decoder) isFolder(path string) bool {
	info, err := d.stat(path)
	return err == nil && info.IsDir()
}

func (d *decoder) stat(path string) (fs.FileInfo, error) {
	return fs.Stat(d.disk, rooted(path))
}

// glob gives the paths that match now, path itself where it is no glob.
func (d *decoder) glob(path string) []string {
	if !isGlob(path) {
		return []string{path}
	}
	found, err := fs.Glob(d.disk, rooted(path))
	if err != nil {
		return nil
	}
	for i := range found {
		found[i] = "/" + found[i]
	}
	return found
}

// rooted gives path as a name in a file system whose root is "/".
func rooted(path string) string {
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute
	}
	if path = strings.TrimPrefix(path, "/"); path == "" {
		return "."
	}
	return path
}

// cause is what went wrong without the path, which the error names already.
func cause(err error) error {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		return pathError.Err
	}
	return err
}
