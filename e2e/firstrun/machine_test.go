//go:build e2e

package firstrun

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// folderVariable tells the process inside the machine where to make it.
const folderVariable = "MTATAP_E2E_MACHINE"

// TestMain makes the machine first where this process is to be inside.
func TestMain(m *testing.M) {
	if dir := os.Getenv(folderVariable); dir != "" {
		if err := makeMachine(dir); err != nil {
			fmt.Fprintln(os.Stderr, "make machine:", err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// inside runs the test again as the first process of a machine of its own, with
// the built binary as /root/mtatap and the tree's folders as /root/tree. What it
// starts ends with it, what it writes is gone with it. It needs root.
func inside(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "mtatap"), "../..").CombinedOutput(); err != nil {
		t.Fatalf("build mtatap: %v\n%s", err, out)
	}
	if out, err := exec.Command("cp", "-r", "../../systemd", dir).CombinedOutput(); err != nil {
		t.Fatalf("copy unit: %v\n%s", err, out)
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), folderVariable+"="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
	}
	out, err := cmd.CombinedOutput()
	t.Logf("inside the machine:\n%s", out)
	if err != nil {
		t.Fatal(err)
	}
}

// makeMachine gives this process, the first of its namespaces, a copy of the file
// system to write to, devices, a loopback interface and a name.
func makeMachine(dir string) error {
	root := filepath.Join(dir, "machine", "root")
	var failed error
	try := func(what string, err error) {
		if failed == nil && err != nil {
			failed = fmt.Errorf("%s: %w", what, err)
		}
	}
	mount := func(source, target, kind, data string) {
		if failed == nil {
			try("make "+target, os.MkdirAll(target, 0o755))
			try("mount "+target, unix.Mount(source, target, kind, 0, data))
		}
	}
	try("keep mounts to ourselves", unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	mount("tmpfs", filepath.Dir(root), "tmpfs", "mode=0755")
	upper, work := filepath.Join(filepath.Dir(root), "upper"), filepath.Join(filepath.Dir(root), "work")
	try("make upper", os.MkdirAll(upper, 0o755))
	try("make work", os.MkdirAll(work, 0o755))
	mount("overlay", root, "overlay", "lowerdir=/,upperdir="+upper+",workdir="+work)
	mount("proc", root+"/proc", "proc", "")
	mount("tmpfs", root+"/run", "tmpfs", "mode=0755")
	mount("tmpfs", root+"/tmp", "tmpfs", "mode=1777")
	mount("tmpfs", root+"/dev", "tmpfs", "mode=0755")
	for name, minor := range map[string]uint32{"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9} {
		if failed == nil {
			at := filepath.Join(root, "dev", name)
			try("make "+at, unix.Mknod(at, unix.S_IFCHR|0o666, int(unix.Mkdev(1, minor))))
			try("open "+at, os.Chmod(at, 0o666))
		}
	}
	if failed == nil {
		out, err := exec.Command("cp", "-r", filepath.Join(dir, "mtatap"), filepath.Join(dir, "systemd"), root+"/root/").CombinedOutput()
		if err != nil {
			try("copy binary", fmt.Errorf("%w: %s", err, out))
		}
	}
	if failed == nil {
		try("enter", unix.Chroot(root))
		try("enter", os.Chdir("/root"))
	}
	try("name", unix.Sethostname([]byte("mail")))
	try("start loopback", startLoopback())
	return failed
}

func startLoopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}
