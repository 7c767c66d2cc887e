package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestRowsReplaceThoseForTheSameThing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.md")
	page := func(rows string) string {
		return "before\n<!-- measured: targets -->\n" + rows + "<!-- end -->\nafter <!-- end -->\n"
	}
	if err := os.WriteFile(path, []byte(page("")), 0o600); err != nil {
		t.Fatal(err)
	}
	first, second, again := row{what: "a", measured: "1"}, row{what: "b", measured: "2"}, row{what: "a", measured: "3"}
	for _, rows := range [][]row{{first, second}, {again}} {
		if err := replaceRows(path, "targets", rows); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := page(targetsHead + again.String() + second.String()); string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if err := replaceText(path, "peers", "x"); err == nil {
		t.Error("a place that is not there was found")
	}
}

func TestMedianAndPercentile(t *testing.T) {
	if m := median([]int64{9, 1, 5}); m != 5 {
		t.Errorf("median of three is %d", m)
	}
	if m := median([]float64{4, 1, 2, 3}); m != 2.5 {
		t.Errorf("median of four is %g", m)
	}
	var all []time.Duration
	for i := range 100 {
		all = append(all, time.Duration(100-i))
	}
	if p := percentile(all, 99); p != 100 {
		t.Errorf("99th percentile of 1 to 100 is %d", p)
	}
	if p := percentile(all, 50); p != 51 {
		t.Errorf("50th percentile of 1 to 100 is %d", p)
	}
	if p := percentile(nil, 50); p != 0 {
		t.Errorf("percentile of nothing is %d", p)
	}
}
