//go:build e2e

package e2e

import (
	"fmt"
	"hash/fnv"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// binary returns the path of mtatap, built once from this tree.
func binary(t testing.TB) string {
	t.Helper()
	path, err := buildBinary()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// buildBinary builds into the cache of the tests, one place for each checkout,
// so that nothing is linked again where nothing has changed.
var buildBinary = sync.OnceValues(func() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find cache folder: %w", err)
	}
	root, err := filepath.Abs("..")
	if err != nil {
		return "", fmt.Errorf("find module: %w", err)
	}
	checkout := fnv.New64a()
	checkout.Write([]byte(root))
	path := filepath.Join(cache, "mtatap-e2e", "bin", fmt.Sprintf("%x", checkout.Sum64()), "mtatap")
	cmd := exec.Command("go", "build", "-o", path, ".")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build mtatap: %w\n%s", err, out)
	}
	return path, nil
})
