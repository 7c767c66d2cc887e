//go:build e2e

package lab

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Journal is a folder of journal files such as journald writes.
type Journal struct {
	Dir   string
	t     testing.TB
	write string
	start time.Time
	n     int
}

// JournalEntry is one entry to write.
type JournalEntry struct {
	Unit, Identifier, Message string
}

// NewJournal returns an empty journal.
func NewJournal(t testing.TB) *Journal {
	t.Helper()
	program(t, "journal", "journalctl")
	return &Journal{
		Dir: t.TempDir(), t: t, start: time.Now().Add(-time.Hour).Truncate(time.Microsecond),
		write: program(t, "journal", cacheDir(t, "journal", "lib", "systemd", "systemd-journal-remote"), "/lib/systemd/systemd-journal-remote"),
	}
}

// Append writes entries to a file of the journal, a millisecond apart, as of a boot
// of the host. It returns when journalctl can read them.
func (j *Journal) Append(file string, boot byte, entries ...JournalEntry) {
	j.t.Helper()
	var b bytes.Buffer
	for _, e := range entries {
		j.n++
		at := time.Duration(j.n) * time.Millisecond
		micros := j.start.Add(at).UnixMicro()
		fmt.Fprintf(&b, "__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=%d\n_BOOT_ID=%032x\n", micros, at.Microseconds(), boot)
		fmt.Fprintf(&b, "_HOSTNAME=%s\n_SYSTEMD_UNIT=%s\nSYSLOG_IDENTIFIER=%s\nSYSLOG_PID=%d\n_SOURCE_REALTIME_TIMESTAMP=%d\n", MailHost, e.Unit, e.Identifier, j.n, micros-7)
		b.WriteString("MESSAGE\n") // the form that takes any bytes
		_ = binary.Write(&b, binary.LittleEndian, uint64(len(e.Message)))
		b.WriteString(e.Message + "\n\n")
	}
	cmd := exec.Command(j.write, "--output="+filepath.Join(j.Dir, file), "-")
	cmd.Stdin = &b
	if out, err := cmd.CombinedOutput(); err != nil {
		j.t.Fatalf("write journal: %v\n%s", err, out)
	}
}

// Export returns what journalctl prints of the whole journal in JSON.
func (j *Journal) Export() []byte {
	j.t.Helper()
	out, err := exec.Command("journalctl", "--directory="+j.Dir, "--output=json", "--all").Output()
	if err != nil {
		j.t.Fatalf("read journal: %v", err)
	}
	return out
}
