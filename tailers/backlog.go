package tailers

import (
	"os"
)

// Backlog returns how many bytes stand behind p in the file at path and in the
// rotated files that p has open; of compressed ones, whose length is unknown,
// their compressed size. It only looks at sizes, and any goroutine may call
// it. What is not there counts as 0.
func Backlog(path string, p Position) int64 {
	var bytes int64
	open := p.p.Open
	at := func(info os.FileInfo) int64 {
		id := identOf(info)
		for _, r := range open {
			if id != r.ident() {
				continue
			}
			if info.Size() < r.Offset {
				break // cut: all of it is new
			}
			return info.Size() - r.Offset
		}
		return -1
	}
	info, err := os.Stat(path)
	current := int64(-1)
	if err == nil && info.Mode().IsRegular() {
		if current = at(info); current < 0 {
			bytes += info.Size()
		} else {
			bytes += current
		}
	}
	if len(open) == 0 || len(open) == 1 && current >= 0 {
		return bytes
	}
	beside, _, _ := siblings(path) // a folder that is gone holds nothing
	for _, s := range beside {
		if n := at(s.info); n > 0 {
			bytes += n
		}
	}
	return bytes
}
