//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"mtatap/e2e/lab"
)

var update = flag.Bool("update", false, "make the sample logs of testdata anew")

const sampleHost = "mta-out"

// TestMakeSampleLogs writes testdata/<mta>/<format>.log and the oracles beside
// them. Syslog forms need /dev/log to be free, host names a UTS namespace.
func TestMakeSampleLogs(t *testing.T) {
	if !*update {
		t.Skip("rewrites testdata; asked for by -update")
	}
	t.Run("postfix", makePostfixSamples)
	t.Run("exim", makeEximSamples)
	t.Run("haraka", makeHarakaSamples)
	t.Run("opensmtpd", makeOpenSMTPDSamples)
}

func makePostfixSamples(t *testing.T) {
	t.Run("syslog", func(t *testing.T) {
		dir, stop := lab.StartRsyslog(t, sampleHost)
		oracle := sampleRun(t, func(routes map[string]netip.AddrPort) lab.MTA {
			return lab.StartPostfix(t, lab.Options{Routes: routes, Syslog: true, Host: sampleHost})
		})
		stop()
		for _, format := range lab.SyslogFormats() {
			writeSample(t, "postfix", format, filepath.Join(dir, format+".log"), oracle)
		}
	})
	t.Run("maillog", func(t *testing.T) {
		var log string
		oracle := sampleRun(t, func(routes map[string]netip.AddrPort) lab.MTA {
			mta := lab.StartPostfix(t, lab.Options{Routes: routes, Host: sampleHost})
			log = mta.LogPath()
			return mta
		})
		writeSample(t, "postfix", "maillog", log, oracle)
	})
	for variant, messages := range map[string][]lab.Submission{
		lab.PostfixBounces:  lab.Bounces(),
		lab.PostfixSettings: lab.Mixed("postfix"),
	} {
		t.Run(variant, func(t *testing.T) {
			server, err := lab.StartServer(lab.Scripts())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(server.Close)
			mta := lab.StartPostfix(t, lab.Options{Routes: server.Routes(), Host: sampleHost, Variant: variant})
			runMail(t, server, mta, messages)
			if err := mta.Stop(); err != nil {
				t.Fatal(err)
			}
			writeLog(t, "postfix", variant, mta.LogPath())
		})
	}
}

func makeEximSamples(t *testing.T) {
	t.Run("bounces", makeEximBounces)
	for _, variant := range []string{"", lab.EximAll, lab.EximPrecise} {
		t.Run("selectors "+variant, func(t *testing.T) {
			dir, stop := lab.StartRsyslog(t, sampleHost)
			var log string
			oracle := sampleRun(t, func(routes map[string]netip.AddrPort) lab.MTA {
				mta := lab.StartExim(t, lab.Options{Routes: routes, Syslog: true, Host: sampleHost, Variant: variant})
				log = mta.LogPath()
				return mta
			})
			stop()
			switch syslog := filepath.Join(dir, "rfc3164.log"); variant {
			case lab.EximAll:
				writeSample(t, "exim", "mainlog-all", log, oracle)
			case lab.EximPrecise:
				writeSample(t, "exim", "mainlog-precise", log, oracle)
				writeSample(t, "exim", "syslog-bare", syslog, oracle)
			default:
				writeSample(t, "exim", "mainlog", log, oracle)
				writeSample(t, "exim", "syslog", syslog, oracle)
			}
		})
	}
}

// makeEximBounces writes a log of bounces that came in. What they say is not the
// remote side's, so there is no oracle.
func makeEximBounces(t *testing.T) {
	server, err := lab.StartServer(lab.Scripts())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	mta := lab.StartExim(t, lab.Options{Routes: server.Routes(), Host: sampleHost, Variant: lab.EximBounces})
	runMail(t, server, mta, lab.EximBounceMail())
	if err := mta.Stop(); err != nil {
		t.Fatal(err)
	}
	writeLog(t, "exim", "bounces", mta.LogPath())
}

func makeHarakaSamples(t *testing.T) {
	all, brief := lab.SampleSubmissions(lab.Scripts(), "haraka"), lab.BriefSubmissions(lab.Scripts(), "haraka")
	for _, sample := range []struct {
		name, version, variant string
		messages               []lab.Submission
	}{
		{"default", "", "", all},
		{"timestamps", "", lab.HarakaTimestamps, all},
		{"logfmt", "", lab.HarakaLogfmt + "+" + lab.HarakaTimestamps, all},
		{"json", "", lab.HarakaJSON + "+" + lab.HarakaTimestamps, all},
		{"protocol", "", lab.HarakaProtocol, brief},
		{"notice", "", lab.HarakaNotice, brief},
		{"arriving", "", lab.HarakaArriving, lab.ArrivingSubmissions()},
		{"2.8", lab.Haraka28, "", brief},
		{"2.8-json", lab.Haraka28, lab.HarakaJSON + "+" + lab.HarakaTimestamps, brief},
		{"2.8-debug", lab.Haraka28, lab.HarakaDebug, brief},
		{"3.0", lab.Haraka30, "", brief},
		{"3.0-logfmt", lab.Haraka30, lab.HarakaLogfmt + "+" + lab.HarakaTimestamps, brief},
	} {
		t.Run(sample.name, func(t *testing.T) {
			syslog := sample.name == "default"
			dir, stop := "", func() {}
			if syslog {
				dir, stop = lab.StartRsyslog(t, sampleHost)
			}
			var log string
			oracle := sampleRunOf(t, lab.HarakaTakes(sample.version, sample.messages), func(routes map[string]netip.AddrPort) lab.MTA {
				mta := lab.StartHaraka(t, lab.Options{Routes: routes, Syslog: syslog, Host: sampleHost, Version: sample.version, Variant: sample.variant})
				log = mta.LogPath()
				return mta
			})
			stop()
			if sample.variant == lab.HarakaNotice || sample.variant == lab.HarakaArriving {
				writeLog(t, "haraka", sample.name, log) // does not tell all that the remote side knows, or more
				return
			}
			writeSample(t, "haraka", sample.name, log, oracle)
			if syslog {
				writeSample(t, "haraka", "syslog", filepath.Join(dir, "rfc3164.log"), oracle)
			}
		})
	}
}

func makeOpenSMTPDSamples(t *testing.T) {
	for name, syslog := range map[string]bool{"syslog": true, "stderr": false} {
		t.Run(name, func(t *testing.T) {
			dir, stop := "", func() {}
			if syslog {
				dir, stop = lab.StartRsyslog(t, sampleHost)
			}
			var log string
			oracle := sampleRun(t, func(routes map[string]netip.AddrPort) lab.MTA {
				mta := lab.StartOpenSMTPD(t, lab.Options{Routes: routes, Syslog: syslog, Host: sampleHost})
				log = mta.LogPath()
				return mta
			})
			if stop(); syslog {
				log = filepath.Join(dir, "rfc3164.log")
			}
			writeSample(t, "opensmtpd", name, log, oracle)
		})
	}
	t.Run("local", makeOpenSMTPDLocal)
}

// makeOpenSMTPDLocal writes a log of what never reaches the remote side: local
// deliveries, ways that are closed, and recipients that were refused.
func makeOpenSMTPDLocal(t *testing.T) {
	server, err := lab.StartServer(lab.Scripts())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	dir, stop := lab.StartRsyslog(t, sampleHost)
	mta := lab.StartOpenSMTPD(t, lab.Options{Routes: server.Routes(), Syslog: true, Host: sampleHost, Variant: lab.OpenSMTPDLocal})
	for _, refused := range []string{"user@elsewhere.example", `a" result="250 ok@elsewhere.example`} {
		if err := mta.Submit(t.Context(), "sender@sender.example", []string{refused}, ""); err == nil {
			t.Errorf("%s was taken", refused)
		}
	}
	runMail(t, server, mta, lab.OpenSMTPDLocalMail())
	time.Sleep(25 * time.Second) // the remote side does not hear of the end
	if err := mta.Stop(); err != nil {
		t.Fatal(err)
	}
	stop()
	writeLog(t, "opensmtpd", "local", filepath.Join(dir, "rfc3164.log"))
}

// sampleRun sends the sample messages through the started server, waits until
// nothing more happens, stops it and returns what the remote side said.
func sampleRun(t *testing.T, start func(routes map[string]netip.AddrPort) lab.MTA) []lab.Exchange {
	t.Helper()
	return sampleRunOf(t, nil, start)
}

// sampleRunOf does it with other messages than those that all samples share.
func sampleRunOf(t *testing.T, messages []lab.Submission, start func(routes map[string]netip.AddrPort) lab.MTA) []lab.Exchange {
	t.Helper()
	server, err := lab.StartServer(lab.Scripts())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	mta := start(server.Routes())
	if messages == nil {
		messages = lab.SampleSubmissions(lab.Scripts(), mta.Name())
	}
	runMail(t, server, mta, messages)
	if err := mta.Stop(); err != nil {
		t.Fatal(err)
	}
	return server.Oracle()
}

// writeSample keeps a log and its oracle.
func writeSample(t *testing.T, mta, format, log string, oracle []lab.Exchange) {
	t.Helper()
	var said bytes.Buffer
	enc := json.NewEncoder(&said)
	enc.SetEscapeHTML(false)
	for _, e := range oracle {
		if err := enc.Encode(e); err != nil {
			t.Fatal(err)
		}
	}
	writeLog(t, mta, format, log)
	writeFile(t, filepath.Join(samples, mta, format+".oracle.jsonl"), said.Bytes())
}

// writeLog keeps a log that has no oracle.
func writeLog(t *testing.T, mta, format, log string) {
	t.Helper()
	content, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	content = neutral(content, mta)
	writeFile(t, filepath.Join(samples, mta, format+".log"), content)
	t.Logf("%s/%s.log: %d lines, %d bytes", mta, format, bytes.Count(content, []byte("\n")), len(content))
}

func writeFile(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// neutral replaces the temporary work folder by /srv/<mta> and the machine's
// name, which Haraka finds for the client on 127.0.0.1, by localhost.
func neutral(log []byte, mta string) []byte {
	work := regexp.QuoteMeta(filepath.Join(os.TempDir(), "mtatap-e2e-"+mta+"-")) + `\d+`
	replace := func(pattern, by string) {
		log = regexp.MustCompile(pattern).ReplaceAllLiteral(log, []byte(by))
	}
	replace(work, "/srv/"+mta)
	replace(strings.ReplaceAll(work, "/", `\\/`), `\/srv\/`+mta)
	replace(`rdns=[^ ]+`, "rdns=localhost")
	replace(`"rdns":"[^"]+"`, `"rdns":"localhost"`)
	replace(`Hello [^ ]+ \[127`, "Hello localhost [127")
	return log
}
