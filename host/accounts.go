package host

import (
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

// ServiceUser is who the systemd unit runs mtatap as, and serviceGroup the group
// that the unit adds.
const (
	ServiceUser  = "mtatap"
	serviceGroup = "adm"
)

// Account is somebody who wants to read logs.
type Account struct {
	Name string
	UID  int // -1 if the account is not there
	GIDs []int
}

// Service returns the account that the systemd unit runs as. It need not be there
// yet.
func Service(sys System) Account {
	a := Account{Name: ServiceUser, UID: -1}
	for _, f := range colonFile(sys, "/etc/passwd") {
		if f[0] == a.Name && len(f) > 3 {
			a.UID = number(f[2])
			a.GIDs = append(a.GIDs, number(f[3]))
		}
	}
	for _, f := range colonFile(sys, "/etc/group") {
		if len(f) > 3 && (f[0] == serviceGroup || slices.Contains(strings.Split(f[3], ","), a.Name)) {
			a.GIDs = append(a.GIDs, number(f[2]))
		}
	}
	return a
}

// Named returns the account with these numbers, by its name if it has one.
func Named(sys System, uid int, gids []int) Account {
	return Account{Name: nameIn(sys, "/etc/passwd", uid), UID: uid, GIDs: gids}
}

func (a Account) in(gid int) bool { return slices.Contains(a.GIDs, gid) }

// groupNumber returns that of a group, -1 if there is none of that name.
func groupNumber(sys System, group string) int {
	for _, f := range colonFile(sys, "/etc/group") {
		if f[0] == group && len(f) > 2 {
			return number(f[2])
		}
	}
	return -1
}

// nameIn returns the name that has a number in /etc/passwd or /etc/group, else the
// number.
func nameIn(sys System, file string, n int) string {
	for _, f := range colonFile(sys, file) {
		if len(f) > 2 && number(f[2]) == n {
			return f[0]
		}
	}
	return strconv.Itoa(n)
}

func colonFile(sys System, path string) (lines [][]string) {
	text, err := fs.ReadFile(sys, name(path))
	if err != nil {
		return nil // then there are only numbers
	}
	for l := range strings.Lines(string(text)) {
		lines = append(lines, strings.Split(strings.TrimRight(l, "\n"), ":"))
	}
	return lines
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return -1
	}
	return n
}
