//go:build e2e

package security

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// systemCalls returns the numbers of what the lists of SystemCallFilter allow,
// the first of which says what there is to take away from.
func systemCalls(t *testing.T, filters []string) []int {
	t.Helper()
	sets, numbers := callSets(t), callNumbers(t)
	allowed := map[string]bool{}
	for i, filter := range filters {
		filter, without := strings.CutPrefix(filter, "~")
		if i == 0 && without {
			t.Fatal("the first SystemCallFilter takes away: this test knows only lists of what is allowed")
		}
		for name := range strings.FieldsSeq(filter) {
			for _, call := range expand(t, sets, name) {
				allowed[call] = !without
			}
		}
	}
	// systemd allows these whatever the list says.
	for _, call := range expand(t, sets, "@default") {
		allowed[call] = true
	}
	var all []int
	for call, yes := range allowed {
		if n, known := numbers[call]; yes && known { // others are of other machines
			all = append(all, n)
		}
	}
	if len(all) < 100 {
		t.Fatalf("only %d system calls are allowed: the lists were not understood", len(all))
	}
	slices.Sort(all)
	return all
}

func expand(t *testing.T, sets map[string][]string, name string) []string {
	t.Helper()
	if name[0] != '@' {
		return []string{name}
	}
	members, known := sets[name]
	if !known {
		t.Fatalf("systemd has no set %s", name)
	}
	var all []string
	for _, m := range members {
		all = append(all, expand(t, sets, m)...)
	}
	return all
}

// callSets asks systemd for its sets of system calls.
func callSets(t *testing.T) map[string][]string {
	t.Helper()
	out, err := exec.Command(systemdAnalyze(t), "--no-pager", "syscall-filter").Output()
	if err != nil {
		t.Fatal(err)
	}
	sets, set := map[string][]string{}, ""
	for line := range strings.Lines(string(out)) {
		indented := strings.HasPrefix(line, " ")
		switch line = strings.TrimSpace(line); {
		case line == "" || line[0] == '#':
		case !indented:
			set = line
		default:
			sets[set] = append(sets[set], line)
		}
	}
	return sets
}

var callNumber = regexp.MustCompile(`(?m)^\s*SYS_([A-Z0-9_]+)\s*=\s*(\d+)`)

// callNumbers reads the numbers of system calls on this machine from the source
// of the library that has them as constants.
func callNumbers(t *testing.T) map[string]int {
	t.Helper()
	dir, err := exec.Command("go", "list", "-f", "{{.Dir}}", "golang.org/x/sys/unix").Output()
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "zsysnum_linux_"+runtime.GOARCH+".go"))
	if err != nil {
		t.Fatal(err)
	}
	numbers := map[string]int{}
	for _, m := range callNumber.FindAllStringSubmatch(string(source), -1) {
		if numbers[strings.ToLower(m[1])], err = strconv.Atoi(m[2]); err != nil {
			t.Fatal(err)
		}
	}
	return numbers
}

// Offsets into struct seccomp_data: number of the call, low half of its first,
// second and third argument.
const (
	callAt = 0
	arg0At = 16
	arg2At = 32
)

// filter is a seccomp program in the making.
type filter []unix.SockFilter

func (f *filter) load(at uint32) {
	*f = append(*f, unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: at})
}

func (f *filter) end(verdict uint32) {
	*f = append(*f, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: verdict})
}

// jump compares what was loaded by how and goes that many instructions on.
func (f *filter) jump(how uint16, value uint32, yes, no uint8) {
	*f = append(*f, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_K | how, K: value, Jt: yes, Jf: no})
}

const (
	allow = unix.SECCOMP_RET_ALLOW
	deny  = unix.SECCOMP_RET_ERRNO
)

// restrictions are what the unit forbids by seccomp.
type restrictions struct {
	Calls      []int
	Families   []int
	Namespaces bool // no new ones
	Errno      uint32
}

// program returns the filter: what is on no list fails with the unit's error.
func (r restrictions) program() filter {
	var f filter
	f.load(callAt)
	if r.Namespaces {
		// As systemd does it: flags of clone3 are in memory, so it is not there at all.
		f.jump(unix.BPF_JEQ, unix.SYS_CLONE3, 0, 1)
		f.end(deny | uint32(unix.ENOSYS))
		f.jump(unix.BPF_JEQ, unix.SYS_CLONE, 1, 0)
		f.jump(unix.BPF_JEQ, unix.SYS_UNSHARE, 0, 4)
		f.load(arg0At)
		f.jump(unix.BPF_JSET, unix.CLONE_NEWNS|unix.CLONE_NEWUSER|unix.CLONE_NEWPID|unix.CLONE_NEWNET|unix.CLONE_NEWIPC|unix.CLONE_NEWUTS|unix.CLONE_NEWCGROUP, 0, 1)
		f.end(deny | uint32(unix.EPERM))
		f.load(callAt)
	}
	f.jump(unix.BPF_JEQ, unix.SYS_SOCKET, 0, uint8(len(r.Families)+3))
	f.load(arg0At)
	for i, family := range r.Families {
		f.jump(unix.BPF_JEQ, uint32(family), uint8(len(r.Families)-i), 0)
	}
	f.end(deny | uint32(unix.EAFNOSUPPORT))
	f.load(callAt)
	for _, call := range r.Calls {
		f.jump(unix.BPF_JEQ, uint32(call), 0, 1)
		f.end(allow)
	}
	f.end(deny | r.Errno)
	return f
}

var families = map[string]int{"AF_UNIX": unix.AF_UNIX, "AF_INET": unix.AF_INET, "AF_INET6": unix.AF_INET6, "AF_NETLINK": unix.AF_NETLINK}

func addressFamilies(t *testing.T, names string) (all []int) {
	t.Helper()
	for name := range strings.FieldsSeq(names) {
		family, known := families[name]
		if !known {
			t.Fatalf("this test does not know the address family %s", name)
		}
		all = append(all, family)
	}
	return all
}

func (r restrictions) String() string {
	return fmt.Sprintf("%d system calls, %d address families", len(r.Calls), len(r.Families))
}
