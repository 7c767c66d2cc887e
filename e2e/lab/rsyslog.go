//go:build e2e

package lab

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// SyslogSocket is where programs that log to syslog send their records.
const SyslogSocket = "/dev/log"

// SyslogFormats are the files that StartRsyslog writes, without ".log".
func SyslogFormats() []string { return []string{"rfc3164", "iso", "rfc5424", "json"} }

// StartRsyslog starts an rsyslogd that listens on SyslogSocket, which must be
// free, and writes every record in each of the SyslogFormats to a file of that
// name in the returned folder, with host as the machine's name. stop ends it
// once it has written all it got.
func StartRsyslog(t testing.TB, host string) (dir string, stop func()) {
	t.Helper()
	rsyslogd := program(t, "packages", "rsyslogd", "/usr/sbin/rsyslogd")
	if _, err := os.Lstat(SyslogSocket); err == nil {
		t.Fatalf("%s is taken: make sample logs on a machine without a system logger", SyslogSocket)
	}
	dir = workDir(t, "", "rsyslog")
	writeFiles(t, dir, map[string]string{"rsyslog.conf": fmt.Sprintf(rsyslogConf, dir, SyslogSocket, host)})
	cmd := exec.Command(rsyslogd, "-n", "-f", filepath.Join(dir, "rsyslog.conf"), "-i", filepath.Join(dir, "pid"))
	cmd.Stderr = os.Stderr
	p := startProcess(t, cmd)
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		if err := p.stop(); err != nil {
			t.Error(err)
		}
		os.Remove(SyslogSocket)
	}
	t.Cleanup(stop)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("unixgram", SyslogSocket); err == nil {
			c.Close()
			return dir, stop
		}
		if time.Now().After(deadline) {
			t.Fatal("rsyslogd does not listen")
		}
	}
}

const rsyslogConf = `global(workDirectory="%[1]s" localHostname="%[3]s")
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="%[2]s" CreatePath="on" RateLimit.Interval="0" UseSpecialParser="on" ParseHostname="off")
template(name="json" type="list" option.jsonf="on") {
  property(outname="timestamp" name="timereported" dateFormat="rfc3339" format="jsonf")
  property(outname="host" name="hostname" format="jsonf")
  property(outname="severity" name="syslogseverity-text" format="jsonf")
  property(outname="facility" name="syslogfacility-text" format="jsonf")
  property(outname="tag" name="syslogtag" format="jsonf")
  property(outname="program" name="programname" format="jsonf")
  property(outname="message" name="msg" format="jsonf")
}
if $syslogfacility-text == "mail" then {
  action(type="omfile" file="%[1]s/rfc3164.log" template="RSYSLOG_TraditionalFileFormat")
  action(type="omfile" file="%[1]s/iso.log" template="RSYSLOG_FileFormat")
  action(type="omfile" file="%[1]s/rfc5424.log" template="RSYSLOG_SyslogProtocol23Format")
  action(type="omfile" file="%[1]s/json.log" template="json")
}
`
