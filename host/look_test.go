package host_test

import (
	"fmt"
	"strings"
	"testing"

	"mtatap/config"
	"mtatap/host"
	"mtatap/parsers"
)

// Each kind of host: what is found, what is said, and a configuration that holds.
func TestALookFindsTheLogsOf(t *testing.T) {
	for _, tt := range []struct {
		name    string
		host    func(*testing.T, *fake)
		sources []string // "format path" or "format journald units"
		says    []string
	}{
		{"Debian with Postfix and rsyslog", func(t *testing.T, f *fake) {
			f.postfix("")
			f.rsyslog()
			f.log(t, "/var/log/mail.log", "postfix/iso.log")
			f.put("/var/log/mail.log.1", "")
			f.put("/var/log/mail.log.2.gz", "")
		}, []string{"postfix /var/log/mail.log"}, []string{
			"Postfix is here: /etc/postfix/main.cf", "/var/log/mail.log: Postfix, syslog with RFC 3339 stamps; ", "/etc/rsyslog.conf sends mail there", "rotated: mail.log.1, mail.log.2.gz",
		}},
		{"Debian with Postfix and rsyslog, before the first mail", func(_ *testing.T, f *fake) {
			f.postfix("")
			f.rsyslog()
		}, []string{"postfix /var/log/mail.log"}, []string{"/var/log/mail.log: not there yet; will be followed as Postfix"}},
		{"Postfix with a log of its own", func(t *testing.T, f *fake) {
			f.postfix("/var/log/postfix.log")
			f.rsyslog()
			f.log(t, "/var/log/postfix.log", "postfix/maillog.log")
		}, []string{"postfix /var/log/postfix.log"}, []string{"postconf says so"}},
		{"Postfix whose postconf does not answer", func(t *testing.T, f *fake) {
			f.put("/etc/postfix/main.cf", "maillog_file = /var/log/old.log\nmaillog_file=/var/log/own.log\n")
			f.put("/usr/sbin/postconf", "")
		}, []string{"postfix /var/log/own.log"}, []string{"maillog_file in /etc/postfix/main.cf"}},
		{"Red Hat with Postfix and traditional stamps", func(t *testing.T, f *fake) {
			f.postfix("")
			f.put("/usr/sbin/rsyslogd", "")
			f.put("/etc/rsyslog.conf", "*.info;mail.none;authpriv.none /var/log/messages\nmail.* -/var/log/maillog\n")
			f.log(t, "/var/log/maillog", "postfix/rfc3164.log")
		}, []string{"postfix /var/log/maillog"}, []string{"traditional syslog stamps"}},
		{"Debian with Exim", func(t *testing.T, f *fake) {
			f.exim("log_file_path = /var/log/exim4/%slog")
			f.rsyslog()
			f.log(t, "/var/log/exim4/mainlog", "exim/mainlog.log")
			f.put("/var/log/mail.log", "2026-11-24T01:00:00+00:00 mx dovecot: imap-login: Login\n")
		}, []string{"exim /var/log/exim4/mainlog"}, []string{"Exim, the mail server's own form", "exim4 says so"}},
		{"Red Hat with Exim that does not answer", func(t *testing.T, f *fake) {
			f.put("/usr/sbin/exim", "")
			f.log(t, "/var/log/exim/main.log", "exim/mainlog.log")
		}, []string{"exim /var/log/exim/main.log"}, []string{"where Exim logs"}},
		{"FreeBSD with Exim and a log for each day", func(t *testing.T, f *fake) {
			f.put("/usr/local/sbin/exim", "")
			f.put("/usr/local/etc/exim/configure", "")
			f.answers["/usr/local/sbin/exim"] = "log_file_path = /var/log/exim/%slog-%D"
			f.log(t, "/var/log/exim/mainlog-20261123", "exim/mainlog.log")
		}, []string{"exim /var/log/exim/mainlog-*"}, []string{"Exim, the mail server's own form"}},
		{"FreeBSD with Postfix", func(t *testing.T, f *fake) {
			f.put("/usr/local/etc/postfix/main.cf", "")
			f.put("/usr/sbin/syslogd", "")
			f.put("/etc/syslog.conf", "*.notice;kern.debug;mail.crit\t/var/log/messages\nmail.info\t\t\t/var/log/maillog\n")
			f.log(t, "/var/log/maillog", "postfix/rfc3164.log")
		}, []string{"postfix /var/log/maillog"}, []string{"/etc/syslog.conf sends mail there"}},
		{"Exim through syslog", func(t *testing.T, f *fake) {
			f.exim("log_file_path = syslog")
			f.rsyslog()
			f.log(t, "/var/log/mail.log", "exim/syslog.log")
		}, []string{"exim /var/log/mail.log"}, nil},
		{"Exim that logs to both its file and syslog", func(t *testing.T, f *fake) {
			f.exim("log_file_path = /var/log/exim4/%slog : syslog")
			f.rsyslog()
			f.log(t, "/var/log/exim4/mainlog", "exim/mainlog.log")
			f.log(t, "/var/log/mail.log", "exim/syslog.log")
		}, []string{"exim /var/log/exim4/mainlog"}, nil},
		{"Haraka with the log that its settings name", func(t *testing.T, f *fake) {
			f.put("/etc/haraka/config/smtp.ini", "port=25\ndaemon_log_file=/var/log/haraka/out.log\n")
			f.log(t, "/var/log/haraka/out.log", "haraka/timestamps.log")
		}, []string{"haraka /var/log/haraka/out.log"}, []string{"Haraka is here", "daemon_log_file in"}},
		{"Haraka whose output systemd takes", func(_ *testing.T, f *fake) {
			f.put("/opt/haraka/config/smtp.ini", "port=25\n")
			f.journald("haraka.service")
		}, []string{"haraka journald [haraka.service]"}, []string{"the journal of systemd: Haraka"}},
		{"a host with the journal alone", func(_ *testing.T, f *fake) {
			f.postfix("")
			f.journald("postfix.service", "postfix@.service")
		}, []string{"postfix journald [postfix.service postfix@-.service]"}, []string{"the journal of systemd: Postfix", "no log file of it was found"}},
		{"a host with the journal, and a file from before rsyslog went", func(t *testing.T, f *fake) {
			f.postfix("")
			f.journald("postfix.service")
			f.log(t, "/var/log/mail.log", "postfix/rfc3164.log")
		}, []string{"postfix journald [postfix.service]"}, nil},
		{"Postfix and Exim side by side", func(t *testing.T, f *fake) {
			f.postfix("")
			f.rsyslog()
			f.exim("log_file_path = :syslog")
			f.log(t, "/var/log/mail.log", "postfix/iso.log")
			f.log(t, "/var/log/exim4/mainlog", "exim/mainlog.log")
		}, []string{"exim /var/log/exim4/mainlog", "postfix /var/log/mail.log"}, nil},
		{"a file with lines of two mail servers", func(t *testing.T, f *fake) {
			f.postfix("")
			f.rsyslog()
			mixed := f.log(t, "/var/log/mail.log", "postfix/iso.log")
			mixed.Data = append(mixed.Data, "2026-11-24T01:00:00+00:00 mx exim[12]: 1vN5xW-000000001Lm-0abc Completed\n"...)
		}, []string{"postfix /var/log/mail.log"}, []string{"also holds lines of Exim"}},
		{"a log host without a mail server", func(t *testing.T, f *fake) {
			f.rsyslog()
			f.log(t, "/var/log/mail.log", "postfix/rfc5424.log")
		}, []string{"postfix /var/log/mail.log"}, []string{"syslog RFC 5424"}},
		{"a host that logs all to one file", func(t *testing.T, f *fake) {
			f.postfix("")
			f.put("/var/log/messages", "Nov 24 01:00:00 mx kernel: hello\nNov 24 01:00:01 mx postfix/qmgr[372]: 3F1: removed\n")
		}, []string{"postfix /var/log/messages"}, []string{"a log of everything"}},
		{"a log that is empty", func(_ *testing.T, f *fake) {
			f.postfix("")
			f.rsyslog()
			f.put("/var/log/mail.log", "")
		}, []string{"postfix /var/log/mail.log"}, []string{"/var/log/mail.log: empty; will be followed as Postfix"}},
		{"a log without a line of the mail server yet", func(_ *testing.T, f *fake) {
			f.postfix("")
			f.rsyslog()
			f.put("/var/log/mail.log", "2026-11-24T01:00:00+00:00 mx dovecot: imap-login: Login\n")
		}, []string{"postfix /var/log/mail.log"}, []string{"no line of Postfix in the last 1"}},
		{"OpenBSD with OpenSMTPD", func(t *testing.T, f *fake) {
			f.put("/etc/mail/smtpd.conf", "")
			f.put("/usr/sbin/syslogd", "")
			f.put("/etc/syslog.conf", "mail.info\t/var/log/maillog\n")
			f.log(t, "/var/log/maillog", "opensmtpd/syslog.log")
		}, []string{"opensmtpd /var/log/maillog"}, []string{"OpenSMTPD is here", "/var/log/maillog: OpenSMTPD, traditional syslog stamps"}},
		{"syslog-ng", func(t *testing.T, f *fake) {
			f.postfix("")
			f.put("/usr/sbin/syslog-ng", "")
			f.put("/etc/syslog-ng/syslog-ng.conf", "destination d_mail { file(\"/var/log/mail/all.log\"); };\ndestination d_err { file(\"/var/log/mail.err\"); };\n")
			f.log(t, "/var/log/mail/all.log", "postfix/rfc3164.log")
		}, []string{"postfix /var/log/mail/all.log"}, nil},
		{"nothing", func(*testing.T, *fake) {}, nil, []string{"no log of a mail server was found; looked for:", "  /etc/postfix/main.cf\n", "  /var/log/maillog\n"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake()
			tt.host(t, f)
			found := host.Look(t.Context(), f, host.Request{Account: host.Account{Name: "root"}, Own: true})
			if got := sources(found); fmt.Sprint(got) != fmt.Sprint(tt.sources) {
				t.Errorf("found %q, want %q", got, tt.sources)
			}
			report := found.Report()
			for _, want := range tt.says {
				if !strings.Contains(report, want) {
					t.Errorf("the report lacks %q:\n%s", want, report)
				}
			}
			cfg := mustHold(t, found.Config("/var/lib/mtatap"))
			if got := configured(cfg); len(tt.sources) > 0 && fmt.Sprint(got) != fmt.Sprint(tt.sources) {
				t.Errorf("the configuration follows %q, want %q", got, tt.sources)
			}
		})
	}
}

func TestDeliveriesInTheSampleAreCounted(t *testing.T) {
	f := newFake()
	f.postfix("")
	f.log(t, "/var/log/mail.log", "postfix/iso.log")
	found := host.Look(t.Context(), f, host.Request{Own: true})
	s := found.Logs[0].Sample
	if s.Envelope != parsers.Envelope3339 || s.Lines < 100 || s.Deliveries < 10 || s.Unparsed != 0 {
		t.Errorf("got %+v", s)
	}
}

func TestOfALongLogOnlyTheEndIsLookedAt(t *testing.T) {
	f := newFake()
	f.postfix("")
	line := "2026-11-24T01:00:00+00:00 mx postfix/qmgr[372]: 3F1: removed\n"
	f.put("/var/log/mail.log", strings.Repeat("junk\n", 200_000)+strings.Repeat(line, 5000))
	s := host.Look(t.Context(), f, host.Request{Own: true}).Logs[0].Sample
	if want := 256 << 10 / len(line); s.Lines != want && s.Lines != want+1 {
		t.Errorf("looked at %d lines, want about %d", s.Lines, want)
	}
}

func TestPathsOfAnotherRootAreThoseSeenFromHere(t *testing.T) {
	f := newFake()
	f.postfix("")
	f.rsyslog()
	f.log(t, "/var/log/mail.log", "postfix/iso.log")
	f.put("/opt/haraka/config/smtp.ini", "")
	f.journald("haraka.service")
	found := host.Look(t.Context(), f, host.Request{Root: "/host", Own: true})
	cfg := mustHold(t, found.Config("/var/lib/mtatap"))
	if got := cfg.Sources[0].Path; got != "/host/var/log/mail.log" {
		t.Errorf("got %s", got)
	}
	if got := cfg.Sources[1].Journald.Directory; got != "/host/var/log/journal" {
		t.Errorf("got %s", got)
	}
}

func TestOnlyMailServersThatAreConfiguredAreAsked(t *testing.T) {
	f := newFake()
	f.exim("")
	f.put("/usr/sbin/postconf", "") // of a Postfix that is not configured
	host.Look(t.Context(), f, host.Request{Own: true})
	if got := fmt.Sprint(f.asked); got != "[/usr/sbin/exim4 -bP log_file_path]" {
		t.Errorf("asked %s", got)
	}
}

func sources(f host.Findings) (all []string) {
	for _, l := range f.Logs {
		all = append(all, l.Format+" "+l.Path)
	}
	if f.Journal != nil {
		for _, mta := range f.Journal.MTAs {
			all = append(all, fmt.Sprintf("%s journald %v", mta, f.Journal.Units[mta]))
		}
	}
	return all
}

func configured(c *config.Config) (all []string) {
	for _, s := range c.Sources {
		if s.Journald != nil {
			all = append(all, fmt.Sprintf("%s journald %v", s.Format, s.Journald.Units))
			continue
		}
		all = append(all, s.Format+" "+s.Path)
	}
	return all
}

// mustHold reads a written configuration, as it is and with each setting that it
// offers turned on.
func mustHold(t *testing.T, text []byte) *config.Config {
	t.Helper()
	cfg, err := config.Parse("/etc/mtatap/mtatap.yaml", text, nil)
	if err != nil {
		t.Fatalf("the configuration does not hold: %v\n%s", err, text)
	}
	if first, _, _ := strings.Cut(string(text), "\n"); !strings.HasPrefix(first, "# yaml-language-server: $schema=") {
		t.Errorf("the first line is %q", first)
	}
	var on []string
	for l := range strings.Lines(string(text)) {
		indent := l[:len(l)-len(strings.TrimLeft(l, " "))]
		if rest := l[len(indent):]; strings.HasPrefix(rest, "#") && !strings.HasPrefix(rest, "# ") && rest != "#\n" {
			l = indent + rest[1:]
		}
		on = append(on, l)
	}
	if _, err := config.Parse("/etc/mtatap/mtatap.yaml", []byte(strings.Join(on, "")), nil); err != nil {
		for _, l := range strings.Split(err.Error(), "\n") {
			if !strings.Contains(l, "does not exist") { // key and rules files are for the operator to make
				t.Errorf("with all settings on: %s", l)
			}
		}
	}
	return cfg
}
