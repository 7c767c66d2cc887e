//go:build e2e

package suppress

import (
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sidecar is the part of a configuration that publishes dir/mail.log as events.
func (f fleet) sidecar(dir string) string {
	return fmt.Sprintf("sources: [{path: %s, format: postfix, start: beginning}]\nsinks: {kafka: {brokers: [%q], topic: %s}}\n",
		filepath.Join(dir, "mail.log"), f.broker.Addr(), f.events())
}

func testBackfill(t *testing.T, f fleet) {
	lines := mailLog(3000)
	half := len(lines) / 2
	dir := t.TempDir()
	log, rotated := filepath.Join(dir, "mail.log"), filepath.Join(dir, "mail.log.1")

	// Live: a sidecar follows the log through a rotation while the processor runs.
	f.broker.CreateTopic(f.events(), partitions, nil)
	save(t, log, strings.Join(lines[:half/2], ""))
	sidecar := startCommand(t, "run", f.configure(t, f.sidecar(dir)))
	p := start(t, f.configure(t, ""))
	appendTo(t, log, lines[half/2:half])
	f.await(t, int64(half)) // each line is an event
	if err := os.Rename(log, rotated); err != nil {
		t.Fatal(err)
	}
	save(t, log, strings.Join(lines[half:half+10], ""))
	appendTo(t, log, lines[half+10:])
	f.await(t, int64(len(lines)))
	want, events := oracleOf(t, rotated, log)
	if events != int64(len(lines)) {
		t.Fatalf("%d events of %d lines", events, len(lines))
	}
	live, _ := f.table(t)
	compare(t, live, want)
	p.stop()
	sidecar.stop()

	// Afterwards: the compressed old log and the present one, then the processor.
	past := fleet{f.broker, f.name + "-past"}
	past.broker.CreateTopic(past.events(), partitions, nil)
	must(t, "replay", "--quiet", "--config.file", past.configure(t, past.sidecar(dir)), "--to-sinks", compressed(t, rotated), log)
	p = start(t, past.configure(t, ""))
	past.await(t, int64(len(lines)))
	replayed, _ := past.table(t)
	compare(t, replayed, live)

	// The past once more, behind the present: nothing changes twice.
	must(t, "replay", "--quiet", "--config.file", past.configure(t, past.sidecar(dir)), "--to-sinks", compressed(t, rotated), log)
	past.await(t, int64(2*len(lines)))
	replayed, _ = past.table(t)
	compare(t, replayed, live)
	p.stop()
}

// appendTo writes lines in some portions.
func appendTo(t *testing.T, log string, lines []string) {
	t.Helper()
	f, err := os.OpenFile(log, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for portion := range 10 {
		part := lines[len(lines)*portion/10 : len(lines)*(portion+1)/10]
		if _, err := f.WriteString(strings.Join(part, "")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond) // so that they are read in portions too
	}
}

func compressed(t *testing.T, log string) string {
	t.Helper()
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	z := gzip.NewWriter(&b)
	_, err = z.Write(text)
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return save(t, filepath.Join(t.TempDir(), "mail.log.1.gz"), b.String())
}
