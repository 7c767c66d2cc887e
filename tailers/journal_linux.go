package tailers

import "syscall"

// childAttributes let a child end with us, however we end.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
