//go:build unix

package tailers

import (
	"io/fs"
	"syscall"
)

// identOf returns what identifies the file on this host.
func identOf(info fs.FileInfo) ident {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return ident{dev: uint64(st.Dev), inode: uint64(st.Ino)}
	}
	return ident{}
}
