//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
)

// browse opens a page in a real browser without a window and returns the document
// that the browser made of it, and what it complained of.
func browse(t *testing.T, page string, flags ...string) (dom, complaints string) {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("chromium is not installed: run .ci/install (Chromium)")
	}
	args := append([]string{"--headless", "--no-sandbox", "--disable-gpu", "--user-data-dir=" + t.TempDir(), "--enable-logging=stderr", "--virtual-time-budget=3000", "--dump-dom"}, flags...)
	cmd := exec.Command(path, append(args, "file://"+page)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("browse: %v\n%s", err, stderr.String())
	}
	for line := range strings.Lines(stderr.String()) {
		if strings.Contains(line, "CONSOLE") {
			complaints += line
		}
	}
	return stdout.String(), complaints
}

func TestTheReportIsAPageThatABrowserShowsWithoutComplaint(t *testing.T) {
	dir := t.TempDir()
	log, page := filepath.Join(dir, "mail.log"), filepath.Join(dir, "report.html")
	var b strings.Builder
	for i := range 40 {
		stamp := time.Date(2026, 11, 20, i%9, 0, 0, 0, time.UTC).Format(time.RFC3339)
		status := "dsn=2.0.0, status=sent (250 ok)"
		if i%2 == 0 {
			status = `dsn=5.0.0, status=bounced (host mx.example.net[192.0.2.9] said: 550 zorp <script>document.title="stolen"</script><img src=x onerror=alert(1)> (in reply to RCPT TO command))`
		}
		fmt.Fprintf(&b, "%s mx1 postfix/smtp[7]: 4bQ%05dzJ: to=<user%d@example.net>, relay=mx.example.net[192.0.2.9]:25, delay=1.5, delays=0.1/0/0.4/1, %s\n", stamp, i, i, status)
	}
	if err := os.WriteFile(log, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(binary, "report", "-o", page, log).CombinedOutput(); err != nil {
		t.Fatalf("report: %v\n%s", err, out)
	}
	dom, complaints := browse(t, page)
	if complaints != "" {
		t.Errorf("the browser complains: %s", complaints)
	}
	tree, err := html.Parse(strings.NewReader(dom))
	if err != nil {
		t.Fatal(err)
	}
	bars, scripts, title, text := 0, 0, "", ""
	for n := range tree.Descendants() {
		switch {
		case n.Type == html.TextNode:
			text += n.Data
			if n.Parent.Data == "title" && n.Parent.Parent.Data == "head" {
				title = n.Data
			}
		case n.Data == "script", n.Data == "img":
			scripts++
		case n.Data == "rect":
			bars++
		}
	}
	if bars < 18 {
		t.Errorf("%d bars are drawn, want two for each of nine hours", bars)
	}
	if scripts != 0 || !strings.HasPrefix(title, "Mail deliverability") {
		t.Errorf("%d scripts and images, title %q", scripts, title)
	}
	if !strings.Contains(text, "<script>document.title") {
		t.Error("the script in the reply is not shown as text")
	}
	if strings.Contains(text, "user4@") {
		t.Error("an address is on the page")
	}

	// The policy must be in force: a page that it does not fit is complained of.
	source, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(dir, "broken.html")
	if err := os.WriteFile(broken, bytes.Replace(source, []byte("</header>"), []byte("</header><script>document.title=1</script>"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, complaints := browse(t, broken); !strings.Contains(complaints, "Content Security Policy") {
		t.Error("a script would run on the page")
	}
}
