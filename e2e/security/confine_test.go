//go:build e2e

package security

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The unit is applied without systemd in two steps. confined (root, in a thread
// that ends afterwards) makes the view of the file system and starts this test
// binary in a user namespace; there confine gives up what is left and becomes
// mtatap.

const confineVariable = "MTATAP_E2E_CONFINE"

// plan is what confine is to do.
type plan struct {
	Path     string
	Args     []string
	UID, GID int
	Umask    int
	Files    uint64 // LimitNOFILE
	Seccomp  restrictions
}

// How the settings of the unit are treated here. One that is not listed fails the
// test: whoever adds it to the unit says here how it is applied.
const (
	byPlan    = "applied"
	byTest    = "what the test does itself: start, stop, reload, watchdog"
	byCgroup  = "needs systemd's control group"
	byKernel  = "implied by having no capability, no device and a read-only file system"
	notNeeded = "nothing of it reaches a process that runs by itself"
)

var treatment = map[string]string{
	"User": byPlan, "Group": byPlan, "SupplementaryGroups": byPlan, "UMask": byPlan, "Environment": byPlan, "LimitNOFILE": byPlan,
	"LimitCORE": byPlan, "CapabilityBoundingSet": byPlan, "AmbientCapabilities": byPlan, "NoNewPrivileges": byPlan, "ProtectSystem": byPlan,
	"ReadOnlyPaths": byPlan, "StateDirectory": byPlan, "StateDirectoryMode": byPlan, "ProtectHome": byPlan, "ProtectProc": byPlan,
	"ProtectControlGroups": byPlan, "ProtectKernelTunables": byPlan, "PrivateTmp": byPlan, "PrivateDevices": byPlan, "PrivateIPC": byPlan,
	"PrivateMounts": byPlan, "PrivateUsers": byPlan, "MemoryDenyWriteExecute": byPlan, "RestrictAddressFamilies": byPlan,
	"RestrictNamespaces": byPlan, "SystemCallFilter": byPlan, "SystemCallErrorNumber": byPlan, "ProtectHostname": byPlan,
	"Type": byTest, "NotifyAccess": byTest, "ExecStart": byTest, "ExecReload": byTest, "Restart": byTest, "RestartSec": byTest,
	"WatchdogSec": byTest, "TimeoutStopSec": byTest,
	"MemoryHigh": byCgroup, "MemoryMax": byCgroup, "TasksMax": byCgroup, "DevicePolicy": byCgroup,
	"ProtectClock": byKernel, "ProtectKernelLogs": byKernel, "ProtectKernelModules": byKernel, "RestrictRealtime": byKernel,
	"RestrictSUIDSGID": byKernel, "SystemCallArchitectures": byKernel, "LockPersonality": byKernel,
	"KeyringMode": notNeeded, "RemoveIPC": notNeeded,
}

// startConfined runs args under the restrictions of u with the right to write
// below state alone, as an own user in the group adm.
func startConfined(t *testing.T, u unit, web, state string, env []string, args ...string) *process {
	t.Helper()
	for name := range u {
		if treatment[name] == "" {
			t.Errorf("the unit sets %s: say in this test how it is applied", name)
		}
	}
	for _, name := range []string{"NoNewPrivileges", "PrivateTmp", "PrivateDevices", "PrivateIPC", "PrivateMounts", "PrivateUsers", "ProtectHome",
		"ProtectControlGroups", "ProtectKernelTunables", "MemoryDenyWriteExecute", "RestrictNamespaces", "ProtectHostname"} {
		if !u.on(name) {
			t.Errorf("this test applies %s=yes, which the unit does not have", name)
		}
	}
	for name, want := range map[string]string{"CapabilityBoundingSet": "", "AmbientCapabilities": "", "ProtectSystem": "strict", "ProtectProc": "invisible",
		"SupplementaryGroups": "adm", "SystemCallErrorNumber": "EPERM", "ReadOnlyPaths": "/var/log", "StateDirectoryMode": "0700", "LimitCORE": "0"} {
		if got := u.one(t, name); got != want {
			t.Errorf("this test applies %s=%s, the unit has %s", name, want, got)
		}
	}
	p := plan{Path: args[0], Args: args, UID: confinedUser, GID: confinedUser, Seccomp: restrictions{
		Calls: systemCalls(t, u["SystemCallFilter"]), Families: addressFamilies(t, u.one(t, "RestrictAddressFamilies")),
		Namespaces: true, Errno: uint32(unix.EPERM),
	}}
	scan(t, u.one(t, "UMask"), "%o", &p.Umask)
	scan(t, u.one(t, "LimitNOFILE"), "%d", &p.Files)
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append([]string{"PATH=/usr/bin:/bin", confineVariable + "=" + string(text)}, env...)
	cmd.Env = append(cmd.Env, u["Environment"]...)
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}, {ContainerID: confinedUser, HostID: confinedUser, Size: 1}}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
		UidMappings: ids, GidMappings: ids,
	}
	t.Cleanup(func() { os.Remove(devices) })
	return launch(t, web, cmd, func(cmd *exec.Cmd) error { return confined(cmd, state) })
}

// confinedUser is a user that nothing on this machine belongs to, and its group.
const confinedUser = 61517

// devices is where the few devices that are left are gathered.
const devices = "/run/mtatap-e2e-dev"

const groupAdm = 4 // in Debian and all that derive from it

func scan(t *testing.T, text, format string, to any) {
	t.Helper()
	if _, err := fmt.Sscanf(text, format, to); err != nil {
		t.Fatalf("read %q: %v", text, err)
	}
}

// confined starts cmd with the view of the file system that the unit gives.
func confined(cmd *exec.Cmd, state string) error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with its namespace
		started <- errors.Join(narrowView(state), setGroups(groupAdm), cmd.Start())
	}()
	return <-started
}

// setGroups is about this thread alone, unlike the function of syscall.
func setGroups(groups ...uint32) error {
	if _, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(&groups[0])), 0); errno != 0 {
		return fmt.Errorf("set groups: %w", errno)
	}
	return nil
}

// narrowView gives this thread a file system in which only state can be written,
// homes and temporary files of others are not seen, and there are no devices.
func narrowView(state string) error {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("make mount namespace: %w", err)
	}
	var failed error
	mount := func(source, target, kind string, flags uintptr, data string) {
		if failed == nil {
			if err := unix.Mount(source, target, kind, flags, data); err != nil {
				failed = fmt.Errorf("mount %s on %s: %w", source, target, err)
			}
		}
	}
	readOnly := func(path string, set, clear uint64, flags uint) {
		if failed == nil {
			if err := unix.MountSetattr(unix.AT_FDCWD, path, flags, &unix.MountAttr{Attr_set: set, Attr_clr: clear}); err != nil {
				failed = fmt.Errorf("change mount %s: %w", path, err)
			}
		}
	}
	const quiet = unix.MS_NOSUID | unix.MS_NODEV
	mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	mount(state, state, "", unix.MS_BIND, "")
	for _, home := range []string{"/home", "/root", "/run/user"} {
		if _, err := os.Stat(home); err == nil {
			mount("tmpfs", home, "tmpfs", quiet, "mode=0000")
		}
	}
	for _, temporary := range []string{"/tmp", "/var/tmp"} {
		mount("tmpfs", temporary, "tmpfs", quiet, "mode=1777")
	}
	if failed == nil {
		failed = os.MkdirAll(devices, 0o755)
	}
	mount("tmpfs", devices, "tmpfs", unix.MS_NOSUID, "mode=0755")
	for _, device := range []string{"null", "zero", "full", "random", "urandom"} {
		if failed == nil {
			failed = os.WriteFile(filepath.Join(devices, device), nil, 0o666)
		}
		mount("/dev/"+device, filepath.Join(devices, device), "", unix.MS_BIND, "")
	}
	mount(devices, "/dev", "", unix.MS_BIND|unix.MS_REC, "")
	mount("proc", "/proc", "proc", quiet|unix.MS_NOEXEC, "hidepid=invisible")
	readOnly("/", unix.MOUNT_ATTR_RDONLY, 0, unix.AT_RECURSIVE)
	// As in ProtectSystem=strict: /proc is left, but for what tunes the kernel.
	readOnly("/proc", 0, unix.MOUNT_ATTR_RDONLY, 0)
	mount("/proc/sys", "/proc/sys", "", unix.MS_BIND, "")
	readOnly("/proc/sys", unix.MOUNT_ATTR_RDONLY, 0, 0)
	readOnly(state, 0, unix.MOUNT_ATTR_RDONLY, 0)
	return failed
}

// confine runs first thing in the child: it gives up all privileges and becomes
// what is to be confined. It does not return.
func confine(text string) {
	runtime.LockOSThread()
	err := giveUp(text)
	fmt.Fprintln(os.Stderr, "confine:", err)
	os.Exit(125)
}

func giveUp(text string) error {
	var p plan
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return err
	}
	syscall.Umask(p.Umask)
	for capability := uintptr(0); capability <= unix.CAP_LAST_CAP; capability++ {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("drop capability %d: %w", capability, err)
		}
	}
	set := func(limit int, n uint64) error { return syscall.Setrlimit(limit, &syscall.Rlimit{Cur: n, Max: n}) }
	if err := errors.Join(set(unix.RLIMIT_NOFILE, p.Files), set(unix.RLIMIT_CORE, 0)); err != nil {
		return fmt.Errorf("set limits: %w", err)
	}
	// Raw, for this thread alone: it is the one that lives on in the new program.
	for _, call := range []uintptr{unix.SYS_SETRESGID, unix.SYS_SETRESUID} {
		id := uintptr(p.UID)
		if call == unix.SYS_SETRESGID {
			id = uintptr(p.GID)
		}
		if _, _, errno := unix.RawSyscall(call, id, id, id); errno != 0 {
			return fmt.Errorf("change user: %w", errno)
		}
	}
	env := []string{}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, confineVariable) {
			env = append(env, v)
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	// MemoryDenyWriteExecute as new systemds do it.
	if err := unix.Prctl(unix.PR_SET_MDWE, unix.PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0); err != nil {
		return fmt.Errorf("deny memory that is written and executed: %w", err)
	}
	program := p.Seccomp.program()
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&prog)), 0, 0); err != nil {
		return fmt.Errorf("filter system calls: %w", err)
	}
	return syscall.Exec(p.Path, p.Args, env)
}
