package tailers

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// replayAll returns all lines of a file.
func replayAll(t testing.TB, path string, stdin io.Reader, opts Options) ([]got, error) {
	t.Helper()
	r, err := OpenReplay(path, stdin, opts)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var lines []got
	for {
		c, err := r.Next(context.Background())
		if err != nil {
			if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				err = nil
			}
			return lines, err
		}
		if c.Observed.IsZero() || c.Silent || len(c.Lines) == 0 {
			t.Errorf("chunk %+v", c)
		}
		lines = append(lines, linesOf(&c)...)
	}
}

func textOf(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "Nov 21 10:00:00 mx postfix/smtp[%d]: line %s\n", i, strings.Repeat("x", i*7%300))
	}
	return b.String()
}

func TestAReplayGivesTheSameLinesHoweverTheyArePacked(t *testing.T) {
	dir := t.TempDir()
	text := textOf(20000)
	half := len(text) / 2
	for name, b := range map[string][]byte{
		"plain":       []byte(text),
		"gzip":        packed(t, []byte(text), ".gz"),
		"zstd":        packed(t, []byte(text), ".zst"),
		"two members": append(packed(t, []byte(text[:half]), ".gz"), packed(t, []byte(text[half:]), ".gz")...),
		"two frames":  append(packed(t, []byte(text[:half]), ".zst"), packed(t, []byte(text[half:]), ".zst")...),
	} {
		for _, stdin := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, stdin %v", name, stdin), func(t *testing.T) {
				path := filepath.Join(dir, "file")
				if err := os.WriteFile(path, b, 0o600); err != nil {
					t.Fatal(err)
				}
				var in io.Reader
				if stdin {
					path, in = "-", bytes.NewReader(b)
				}
				lines, err := replayAll(t, path, in, Options{})
				if err != nil {
					t.Fatal(err)
				}
				checkLines(t, text, lines)
			})
		}
	}
}

// checkLines compares lines with those of text, which has no NULs.
func checkLines(t *testing.T, text string, lines []got) {
	t.Helper()
	want := strings.SplitAfter(text, "\n")
	if want[len(want)-1] == "" {
		want = want[:len(want)-1]
	}
	if len(lines) != len(want) {
		t.Fatalf("%d lines, want %d", len(lines), len(want))
	}
	first := strings.TrimSuffix(want[0], "\n")
	head := sha256.Sum256([]byte(first[:min(len(first), 1024)]))
	offset := int64(0)
	for i, l := range lines {
		if l != (got{text: strings.TrimSuffix(want[i], "\n"), offset: offset, head: head}) {
			t.Fatalf("line %d is %+v, want %q at %d", i, l, want[i], offset)
		}
		offset += int64(len(want[i]))
	}
}

func TestStrangeInputsRunThrough(t *testing.T) {
	for name, c := range map[string]struct {
		text  string
		lines int
	}{
		"empty":                         {"", 0},
		"one byte":                      {"x", 1},
		"one newline":                   {"\n", 1},
		"three bytes":                   {"a\nb", 2},
		"only NULs":                     {strings.Repeat("\x00", 1<<20), 0},
		"a last line without newline":   {"a\nb\nc", 3},
		"binary":                        {"\x7fELF\x01\n\x80\xff\n\x00\x01", 3},
		"one long line":                 {strings.Repeat("x", 3<<20), 1},
		"a long line and a short one":   {strings.Repeat("x", 3<<20) + "\nshort\n", 2},
		"a first line with its newline": {strings.Repeat("x", 64<<10) + "\nshort\n", 2},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log")
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			lines, err := replayAll(t, path, nil, Options{})
			if err != nil || len(lines) != c.lines {
				t.Errorf("%d lines, want %d (%v)", len(lines), c.lines, err)
			}
		})
	}
}

func TestALineOf100MiBNeedsNoMemory(t *testing.T) {
	in := io.MultiReader(io.LimitReader(endless('x'), 100<<20), strings.NewReader("\nnext\n"))
	r, err := OpenReplay("-", in, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var lines []got
	for {
		c, err := r.Next(context.Background())
		if err != nil {
			break
		}
		lines = append(lines, linesOf(&c)...)
	}
	if len(lines) != 2 || len(lines[0].text) != 64<<10 || !lines[0].cut || lines[1].text != "next" || lines[1].offset != 100<<20+1 {
		t.Errorf("%d lines", len(lines))
	}
	if n := len(r.lines.buf); n > 300<<10 {
		t.Errorf("buffer of %d bytes", n)
	}
}

type endless byte

func (e endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(e)
	}
	return len(b), nil
}

func TestAFolderCannotBeReplayed(t *testing.T) {
	if _, err := OpenReplay(t.TempDir(), nil, Options{}); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Error(err)
	}
}

func TestADamagedFileGivesWhatStandsBeforeTheDamage(t *testing.T) {
	text := textOf(5000)
	for _, ext := range []string{".gz", ".zst"} {
		t.Run(ext, func(t *testing.T) {
			b := packed(t, []byte(text), ext)
			lines, err := replayAll(t, "-", bytes.NewReader(b[:len(b)*2/3]), Options{})
			if err == nil {
				t.Error("no error")
			}
			if len(lines) == 0 && ext == ".gz" {
				t.Error("no lines")
			}
			for _, l := range lines {
				if !strings.Contains(text, l.text+"\n") {
					t.Errorf("%q was never written", l.text)
				}
			}
		})
	}
}

func TestProgressCountsCompressedBytes(t *testing.T) {
	b := packed(t, []byte(textOf(5000)), ".gz")
	path := filepath.Join(t.TempDir(), "log.gz")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := OpenReplay(path, nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for err == nil {
		_, err = r.Next(context.Background())
	}
	if read, total := r.Progress(); read != total || total != int64(len(b)) {
		t.Errorf("%d of %d, want %d", read, total, len(b))
	}
}

func TestAPipeHandsOnWhatItHas(t *testing.T) {
	in, out := io.Pipe()
	go func() {
		io.WriteString(out, "first\nhalf")
		io.WriteString(out, " a line\n")
		out.Close()
	}()
	r, err := OpenReplay("-", in, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var texts []string
	var more []bool
	for {
		c, err := r.Next(context.Background())
		if err != nil {
			break
		}
		more = append(more, c.More)
		for _, l := range linesOf(&c) {
			texts = append(texts, l.text)
		}
	}
	if !slices.Equal(texts, []string{"first", "half a line"}) || slices.Contains(more, true) {
		t.Errorf("%q, more %v", texts, more)
	}
}

func TestReplayEndsWithItsContext(t *testing.T) {
	r, err := OpenReplay("-", endless('x'), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithCancel(context.Background())
	if _, err := r.Next(ctx); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := r.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func BenchmarkReplay(b *testing.B) {
	text := []byte(textOf(50000))
	for _, ext := range []string{"", ".gz", ".zst"} {
		b.Run("plain"+ext, func(b *testing.B) {
			packedText := text
			if ext != "" {
				packedText = packed(b, text, ext)
			}
			path := filepath.Join(b.TempDir(), "log")
			if err := os.WriteFile(path, packedText, 0o600); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				r, err := OpenReplay(path, nil, Options{})
				if err != nil {
					b.Fatal(err)
				}
				n := 0
				for {
					c, err := r.Next(context.Background())
					if err != nil {
						break
					}
					for it := c.Each(); ; n++ {
						if _, _, ok := it.Next(); !ok {
							break
						}
					}
				}
				r.Close()
				if n != 50000 {
					b.Fatal(n)
				}
			}
		})
	}
}
