//go:build e2e

package lab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// WithMtatap builds the program from the tree and returns what tests gives, which
// gets its path. The program is removed when tests is done. Where it cannot be built
// that is said on standard error, and 1 is returned.
func WithMtatap(tests func(program string) int) int {
	dir, err := os.MkdirTemp("", "mtatap-e2e-build-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "make folder for the program:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "mtatap")
	if out, err := exec.Command("go", "build", "-o", program, "mtatap").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build mtatap: %v\n%s", err, out)
		return 1
	}
	return tests(program)
}
