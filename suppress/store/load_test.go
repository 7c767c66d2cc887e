package store

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestALoadedPartHoldsTheLastOfEachKey(t *testing.T) {
	for _, c := range []struct {
		name string
		size int // of each value
	}{
		{"in memory", 10},
		{"sorted on the disk", 2000},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			s := open2(t, filepath.Join(dir, "s.db"), Options{Cache: true})
			defer s.Close()
			p := s.Part("1")
			l := p.Load()
			defer l.Close()
			random := rand.New(rand.NewPCG(1, 2))
			want := map[string]string{}
			for i := range 8000 {
				key := fmt.Sprint("key ", random.IntN(3000))
				if random.IntN(5) == 0 {
					l.Put(key, nil)
					delete(want, key)
				} else {
					value := fmt.Sprintf("%d %s", i, strings.Repeat("x", c.size))
					l.Put(key, []byte(value))
					want[key] = value
				}
				if err := l.Spill(); err != nil {
					t.Fatal(err)
				}
			}
			if got := len(l.ends); (got > 1) != (c.size == 2000) {
				t.Fatalf("%d runs", got)
			}
			if p.Mark() != nil || p.Count() != 0 {
				t.Error("something is there before it is committed")
			}
			if err := l.Commit([]byte("m")); err != nil {
				t.Fatal(err)
			}
			if got := content(t, p); !reflect.DeepEqual(got, want) || string(p.Mark()) != "m" {
				t.Errorf("%d keys, want %d; mark %q", len(got), len(want), p.Mark())
			}
			left, err := os.ReadDir(dir)
			if err != nil || len(left) != 1 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

func TestALoadThatFailsLeavesNoMark(t *testing.T) {
	s := open2(t, filepath.Join(t.TempDir(), "s.db"), Options{Cache: true})
	defer s.Close()
	p := s.Part("1")
	l := p.Load()
	for i := range 3000 {
		l.Put(fmt.Sprint(i), make([]byte, 1000))
		if err := l.Spill(); err != nil {
			t.Fatal(err)
		}
	}
	l.Put("", []byte("no key can be empty"))
	if err := l.Commit([]byte("m")); err == nil {
		t.Error("an empty key was taken")
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if p.Mark() != nil {
		t.Errorf("mark %q", p.Mark())
	}
}

// What a restore writes: keys in the order of their last change, which is any.
func BenchmarkFilling(b *testing.B) {
	const n = 100_000
	value := make([]byte, 450)
	fill := func(b *testing.B, fill func(*Part, []string) error) {
		random := rand.New(rand.NewPCG(1, 2))
		keys := make([]string, n)
		for i, at := range random.Perm(n) {
			keys[i] = fmt.Sprintf("user.%d@example%d.org", at, at%100)
		}
		b.ReportAllocs()
		for b.Loop() {
			s, err := Open(filepath.Join(b.TempDir(), "s.db"), Options{Cache: true})
			if err != nil {
				b.Fatal(err)
			}
			if err := fill(s.Part("1"), keys); err != nil {
				b.Fatal(err)
			}
			s.Close()
		}
		b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "µs/key")
	}
	b.Run("apply", func(b *testing.B) {
		fill(b, func(p *Part, keys []string) error {
			for len(keys) > 0 {
				changes := Changes{}
				for _, key := range keys[:5000] {
					changes[key] = value
				}
				keys = keys[5000:]
				if err := p.Apply(changes, []byte("m")); err != nil {
					return err
				}
			}
			return nil
		})
	})
	b.Run("load", func(b *testing.B) {
		fill(b, func(p *Part, keys []string) error {
			l := p.Load()
			defer l.Close()
			for _, key := range keys {
				l.Put(key, value)
				if err := l.Spill(); err != nil {
					return err
				}
			}
			return l.Commit([]byte("m"))
		})
	})
}
