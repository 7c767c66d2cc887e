//go:build e2e

package lab

import "testing"

// Python returns the interpreter that has what examples/requirements.txt asks for.
func Python(t testing.TB) string {
	t.Helper()
	return program(t, "Python", cacheDir(t, "python", "bin", "python"))
}
