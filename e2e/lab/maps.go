//go:build e2e

package lab

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"net/smtp"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// PostfixLookups compiles an access map with postmap, which must not complain, and
// returns what Postfix finds in it for each of keys; a key without an answer is
// absent.
func PostfixLookups(t testing.TB, path string, keys []string) map[string]string {
	t.Helper()
	postmap := program(t, "packages", "postmap", "/usr/sbin/postmap")
	dir := t.TempDir()
	writeFiles(t, dir, map[string]string{"main.cf": "compatibility_level = 3.6\n"})
	if out, err := exec.Command(postmap, "-c", dir, "hash:"+path).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("make map of %s: %v\n%s", path, err, out)
	}
	ask := exec.Command(postmap, "-c", dir, "-q", "-", "hash:"+path)
	ask.Stdin = strings.NewReader(strings.Join(keys, "\n") + "\n")
	ask.Stderr = os.Stderr
	out, err := ask.Output()
	if err != nil {
		t.Errorf("ask map %s: %v", path, err)
	}
	found := map[string]string{}
	for line := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		found[key] = value
	}
	return found
}

// EximLookups returns what Exim finds for each of keys in a file for lsearch; a key
// without an answer is absent.
func EximLookups(t testing.TB, path string, keys []string) map[string]string {
	t.Helper()
	exim := program(t, "Exim", cacheDir(t, "exim", "usr", "sbin", "exim4"), "exim4", "/usr/sbin/exim4")
	config := filepath.Join(t.TempDir(), "exim.conf")
	if err := os.WriteFile(config, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var questions strings.Builder
	for _, key := range keys {
		questions.WriteString("${lookup{" + key + "}lsearch{" + path + "}}\n")
	}
	ask := exec.Command(exim, "-C", config, "-be")
	ask.Stdin = strings.NewReader(questions.String())
	out, err := ask.CombinedOutput()
	answers := strings.Split(strings.ReplaceAll(string(out), "> ", ""), "\n")
	if err != nil || len(answers) < len(keys) {
		t.Fatalf("ask %s: %v\n%s", path, err, out)
	}
	found := map[string]string{}
	for i, key := range keys {
		if answers[i] != "" {
			found[key] = answers[i]
		}
	}
	return found
}

// PostfixRefusals starts a Postfix with settings added, of which postconf must not
// complain, and returns what it says to each of addresses, at text.example, as a
// recipient; one that it takes is absent.
func PostfixRefusals(t testing.TB, settings string, addresses []string) map[string]string {
	t.Helper()
	dir := workDir(t, "", "postfix")
	server := StartPostfix(t, Options{Dir: dir, Routes: map[string]netip.AddrPort{"text.example": netip.MustParseAddrPort("127.0.0.1:9")}}).(*postfix)
	main, err := os.OpenFile(filepath.Join(server.config, "main.cf"), os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = main.WriteString(settings)
		err = errors.Join(err, main.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"postconf", "-c", server.config}, {"postconf", "-c", server.config, "-n"}} {
		var trouble bytes.Buffer
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Stderr = &trouble
		if err := cmd.Run(); err != nil || trouble.Len() > 0 {
			t.Errorf("%v: %v\n%s", args, err, &trouble)
		}
	}
	if err := server.control("reload"); err != nil {
		t.Fatal(err)
	}
	c, err := smtp.Dial(loopback(server.port))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Mail("sender@sender.example"); err != nil {
		t.Fatal(err)
	}
	refused := map[string]string{}
	for _, address := range addresses {
		var refusal *textproto.Error
		switch err := c.Rcpt(address); {
		case errors.As(err, &refusal):
			refused[address] = fmt.Sprintf("%d %s", refusal.Code, refusal.Msg)
		case err != nil:
			t.Fatal(err)
		}
	}
	return refused
}

// EximRefusals returns what an Exim with acl, statements of the ACL of RCPT, says to
// each of addresses as a recipient; one that it takes is absent.
func EximRefusals(t testing.TB, acl string, addresses []string) map[string]string {
	t.Helper()
	dir := workDir(t, "", "exim")
	exim := program(t, "Exim", cacheDir(t, "exim", "usr", "sbin", "exim4"), "exim4", "/usr/sbin/exim4")
	writeFiles(t, dir, map[string]string{"exim.conf": "spool_directory = " + dir + "/spool\nlog_file_path = " + dir + "/%slog\n" +
		"smtp_enforce_sync = false\nacl_smtp_rcpt = check_rcpt\nbegin acl\ncheck_rcpt:\n" + acl + "\n  accept\n"})
	ask := exec.Command(exim, "-C", filepath.Join(dir, "exim.conf"), "-bh", "127.0.0.1")
	said := "HELO client.example\r\nMAIL FROM:<sender@sender.example>\r\n"
	for _, address := range addresses {
		said += "RCPT TO:<" + address + ">\r\n"
	}
	ask.Stdin = strings.NewReader(said + "QUIT\r\n")
	var trouble bytes.Buffer
	ask.Stderr = &trouble
	out, err := ask.Output()
	var replies []string // to greeting, HELO, MAIL, each RCPT, QUIT
	for line := range strings.Lines(string(out)) {
		if len(line) > 3 && line[0] >= '2' && line[0] <= '5' && line[3] == ' ' {
			replies = append(replies, strings.TrimSpace(line))
		}
	}
	if err != nil || len(replies) != len(addresses)+4 {
		t.Fatalf("ask Exim: %v\n%s%s", err, out, &trouble)
	}
	refused := map[string]string{}
	for i, address := range addresses {
		if reply := replies[i+3]; reply[0] != '2' {
			refused[address] = reply
		}
	}
	return refused
}
