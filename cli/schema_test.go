package cli

import (
	"os"
	"path/filepath"
	"testing"
)

// docs/schema is for those who have no binary at hand: editors, consumers.
func TestTheStoredSchemasAreThoseOfTheBinary(t *testing.T) {
	dir := filepath.Join(root(t), "docs", "schema")
	for _, s := range schemas {
		text, err := s.text()
		if err != nil {
			t.Fatal(err)
		}
		compareStored(t, filepath.Join(dir, s.name+".json"), text)
	}
	stored, err := os.ReadDir(dir)
	if err != nil || len(stored) != len(schemas) {
		t.Errorf("%d files for %d schemas, %v", len(stored), len(schemas), err)
	}
}

// compareStored checks a file made from the code, or with -update makes it anew.
func compareStored(t *testing.T, path, want string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	has, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(has) != want {
		t.Errorf("%s is not what the code says; go test ./cli -update writes it anew", path)
	}
}
