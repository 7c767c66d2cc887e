//go:build !linux

package tailers

import "syscall"

func childAttributes() *syscall.SysProcAttr { return nil }
