package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"mtatap/config"
	"mtatap/host"
	"mtatap/tailers"
)

// What to do next after an error of the system: the error stays, advice follows it.

// loadConfig reads a configuration.
func loadConfig(path string, env Environment) (*config.Config, error) {
	cfg, err := config.Load(path, env.Getenv)
	switch {
	case errors.Is(err, fs.ErrNotExist) && isNoFile(path):
		return nil, fmt.Errorf("%w: name one that is there, or write it: mtatap init --output %s", err, path)
	case errors.Is(err, syscall.EISDIR):
		return nil, fmt.Errorf("%w: name the file in it, such as %s", err, filepath.Join(path, filepath.Base(defaultConfig)))
	case errors.Is(err, fs.ErrPermission):
		if p := checkLog(path); p != nil {
			return nil, fmt.Errorf("open config: %w", p)
		}
	}
	return cfg, err
}

func isNoFile(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// checkLog says what keeps us from reading a file, nil if nothing does.
func checkLog(path string) *host.Problem {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil // no working folder: what opens the file will say so
	}
	sys := host.Machine("/")
	return host.Check(sys, self(sys), absolute, true)
}

// checkSource looks at each file that a source stands for now.
func checkSource(s config.Source) (all []*host.Problem) {
	if s.Path == "" {
		return nil
	}
	files, err := tailers.Expand(s.Path)
	if err != nil {
		return nil // the configuration was checked
	}
	if len(files) == 0 { // a glob that matches nothing, or in a folder that we may not read
		files = []string{filepath.Dir(s.Path)}
		if p := checkLog(files[0]); p == nil || errors.Is(p, fs.ErrInvalid) {
			return nil
		}
	}
	for _, file := range files {
		if p := checkLog(file); p != nil {
			all = append(all, p)
		}
	}
	return all
}

// adviseOnLog adds to err what to do about a finished log that cannot be opened.
func adviseOnLog(err error, path string) error {
	if err == nil || path == "-" {
		return err
	}
	if p := checkLog(path); p != nil && p.Do != "" {
		return fmt.Errorf("%w: %s", err, p.Do)
	}
	return err
}

// adviseOnState adds to err what to do about a state folder that cannot be written.
func adviseOnState(err error, dir string) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		me := self(host.Machine("/")).Name
		return fmt.Errorf("%w: let %s write there: mkdir -p %s && chown -R %s: %s, or name another state_dir", err, me, dir, me, dir)
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w: name another state_dir, or under systemd add ReadWritePaths=%s", err, dir)
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%w: state_dir is a folder; name another one", err)
	}
	return err
}

// adviseOnListen adds to err what to do about an address that cannot be taken.
func adviseOnListen(err error, address string) error {
	_, port, splitErr := net.SplitHostPort(address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE) && splitErr == nil:
		return fmt.Errorf("%w: another mtatap may be running: see who has it (ss -ltnp 'sport = :%s'), or take another (--web.listen-address 127.0.0.1:0 takes any)", err, port)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: ports below 1024 are for root: take another by --web.listen-address", err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%w: this host does not have that address: take another by --web.listen-address", err)
	}
	return err
}
