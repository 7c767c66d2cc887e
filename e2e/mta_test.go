//go:build e2e

package e2e

import (
	"path/filepath"
	"testing"
	"time"

	"mtatap/e2e/lab"
)

// mtas are the mail servers, each with its usual way to rotate a log. Haraka's
// log can only be copied and truncated, which loses what it writes meanwhile,
// so it is not rotated under load.
var mtas = []struct {
	start  func(t testing.TB, opts lab.Options) lab.MTA
	name   string
	rotate lab.Rotation
}{
	{lab.StartPostfix, "postfix", lab.RotateRename},
	{lab.StartExim, "exim", lab.RotateRename},
	{lab.StartHaraka, "haraka", ""},
}

// A destination is a sink under test: its configuration, and how to read back
// all that it got.
type destination struct {
	name string
	open func(t *testing.T) (config string, read func() []published)
}

var destinations = []destination{
	{"file", func(t *testing.T) (string, func() []published) {
		path := filepath.Join(t.TempDir(), "events.ndjson")
		return "file: {path: " + path + "}", func() []published {
			if !complete(path) {
				return nil
			}
			return readLines[published](t, path)
		}
	}},
}

// Whatever the remote side says, hostile or not, every recipient of every
// attempt gives the event that is right for it, and nobody else gets one.
func TestEventsAreWhatTheRemoteSideSaid(t *testing.T) {
	for _, mta := range mtas {
		for _, to := range destinations {
			t.Run(mta.name+" to "+to.name, func(t *testing.T) {
				server, err := lab.StartServer(lab.Scripts())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(server.Close)
				running := mta.start(t, lab.Options{Routes: server.Routes()})
				sink, read := to.open(t)
				tap := startMtatap(t, source(running)+"sinks:\n  "+sink+"\n")

				half := lab.EachScript(lab.Scripts())
				runMail(t, server, running, half)
				if mta.rotate != "" {
					if err := running.Rotate(mta.rotate); err != nil {
						t.Fatal(err)
					}
				}
				runMail(t, server, running, lab.Mixed(mta.name))

				wrong := []string{"not compared yet"}
				for deadline := time.Now().Add(10 * time.Second); len(wrong) > 0 && time.Now().Before(deadline); time.Sleep(500 * time.Millisecond) {
					wrong = compare(mta.name, server.Oracle(), read())
				}
				for _, w := range wrong {
					t.Error(w)
				}
				if err := tap.stop(); err != nil {
					t.Errorf("mtatap ended with %v", err)
				}
				for id, n := range count(read()) {
					if n > 1 {
						t.Errorf("event %s is there %d times", id, n)
					}
				}
			})
		}
	}
}

func count(events []published) map[string]int {
	times := map[string]int{}
	for _, e := range events {
		times[e.ID]++
	}
	return times
}
