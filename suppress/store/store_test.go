package store

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
)

func open2(t *testing.T, path string, o Options) *Store {
	t.Helper()
	s, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func content(t *testing.T, p *Part) map[string]string {
	t.Helper()
	all := map[string]string{}
	if err := p.Each("", func(k string, v []byte) (bool, error) { all[k] = string(v); return true, nil }); err != nil {
		t.Fatal(err)
	}
	if len(all) != p.Count() {
		t.Errorf("%d keys are counted as %d", len(all), p.Count())
	}
	return all
}

func TestChangesAndMarkStayTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.db")
	s := open2(t, path, Options{})
	p, other := s.Part("1"), s.Part("2")
	apply := func(p *Part, c Changes, mark string) {
		t.Helper()
		if err := p.Apply(c, []byte(mark)); err != nil {
			t.Fatal(err)
		}
	}
	apply(p, Changes{"a": []byte("1"), "b": []byte("2"), "gone": nil}, "m1")
	apply(p, Changes{"a": nil, "b": []byte("3"), "c": []byte("4")}, "m2")
	apply(other, Changes{"a": []byte("x")}, "o1")
	if err := p.Apply(Changes{"z": []byte("1"), "": []byte("no key")}, []byte("m3")); err == nil {
		t.Error("an empty key was taken")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open2(t, path, Options{})
	defer s.Close()
	p = s.Part("1")
	if got := content(t, p); !reflect.DeepEqual(got, map[string]string{"b": "3", "c": "4"}) || string(p.Mark()) != "m2" {
		t.Errorf("%v at %q", got, p.Mark())
	}
	if err := p.Drop(); err != nil {
		t.Fatal(err)
	}
	if got := content(t, p); len(got) != 0 || p.Mark() != nil {
		t.Errorf("after the drop %v at %q", got, p.Mark())
	}
	if got := content(t, s.Part("2")); got["a"] != "x" || !reflect.DeepEqual(s.Names(), []string{"2"}) {
		t.Errorf("the other part has %v, parts %v", got, s.Names())
	}
}

func TestAStoreWithoutAVersionIsOfTheFirst(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.db")
	s := open2(t, path, Options{})
	if err := s.Part("1").Apply(Changes{"a": []byte("1")}, []byte("m")); err != nil {
		t.Fatal(err)
	}
	err := s.db.Update(func(tx *bbolt.Tx) error { return tx.DeleteBucket(format) })
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	s = open2(t, path, Options{})
	defer s.Close()
	if got := content(t, s.Part("1")); got["a"] != "1" {
		t.Errorf("the store holds %v", got)
	}
	if got := storedVersion(t, s); got != "1" {
		t.Errorf("the store has version %q", got)
	}
}

func TestAStoreOfANewerVersionIsRefusedAndACacheOfItEmptied(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.db")
	s := open2(t, path, Options{})
	if err := s.Part("1").Apply(Changes{"a": []byte("1")}, []byte("m")); err != nil {
		t.Fatal(err)
	}
	err := s.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(format).Put([]byte("version"), []byte("2")) })
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, Options{}); err == nil || !strings.Contains(err.Error(), `is of version "2", this program knows 1`) {
		t.Errorf("the newer store gives %v", err)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, before) {
		t.Errorf("the refused store was changed: %v", err)
	}
	s = open2(t, path, Options{Cache: true})
	defer s.Close()
	if got := content(t, s.Part("1")); len(got) != 0 {
		t.Errorf("the cache holds %v", got)
	}
}

func storedVersion(t *testing.T, s *Store) (text string) {
	t.Helper()
	if err := s.db.View(func(tx *bbolt.Tx) error { text = string(tx.Bucket(format).Get([]byte("version"))); return nil }); err != nil {
		t.Fatal(err)
	}
	return text
}

func TestACacheThatWasNotClosedBeginsEmpty(t *testing.T) {
	dir := t.TempDir()
	path, copied := filepath.Join(dir, "s.db"), filepath.Join(dir, "copy.db")
	s := open2(t, path, Options{Cache: true})
	if err := s.Part("1").Apply(Changes{"a": []byte("1")}, []byte("m")); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, Options{Cache: true}); !errors.Is(err, ErrInUse) {
		t.Errorf("opened twice: %v", err)
	}
	crashed, err := os.ReadFile(path) // what a killed process leaves
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open2(t, path, Options{Cache: true})
	if got := content(t, s.Part("1")); got["a"] != "1" {
		t.Errorf("after an orderly close: %v", got)
	}
	s.Close()
	for name, left := range map[string][]byte{"a killed process": crashed, "a disk error": []byte(strings.Repeat("no database", 2000))} {
		if err := os.WriteFile(copied, left, 0o600); err != nil {
			t.Fatal(err)
		}
		s = open2(t, copied, Options{Cache: true})
		if got := content(t, s.Part("1")); len(got) != 0 || s.Part("1").Mark() != nil {
			t.Errorf("after %s: %v", name, got)
		}
		s.Close()
	}
	if err := os.WriteFile(copied, []byte(strings.Repeat("no database", 2000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(copied, Options{}); err == nil {
		t.Error("a store that cannot be read was opened")
	}
}
