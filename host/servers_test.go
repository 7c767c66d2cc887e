package host

import (
	"fmt"
	"slices"
	"testing"

	"mtatap/event"
	"mtatap/parsers"
)

// Whoever adds a mail server to package parsers has it looked for.
func TestEveryMailServerThatCanBeReadIsLookedFor(t *testing.T) {
	var looked []event.MTA
	for _, row := range servers() {
		looked = append(looked, row.mta)
	}
	if !slices.Equal(looked, parsers.MTAs()) {
		t.Errorf("looks for %v, reads %v", looked, parsers.MTAs())
	}
}

func TestEveryRowIsOfAMailServerThatCanBeRead(t *testing.T) {
	for _, row := range known {
		if !slices.Contains(parsers.MTAs(), row.mta) {
			t.Errorf("%s: no parser of that name", row.mta)
		}
		if len(row.signs) == 0 || len(row.units) == 0 || !row.syslog && len(row.logs) == 0 {
			t.Errorf("%s: nothing to find it or its log by", row.mta)
		}
	}
}

func TestAMailServerWithoutARowIsLookedForByItsName(t *testing.T) {
	row := rowOf(event.MTA("smail"))
	if row.name != "Smail" || !row.syslog || !slices.Contains(row.signs, "/usr/sbin/smail") || fmt.Sprint(row.units) != "[smail.service]" {
		t.Errorf("got %+v", row)
	}
}

func TestThePathOfALogIsReadFromASetting(t *testing.T) {
	for _, tt := range []struct {
		value, paths string
		syslog       bool
	}{
		{"", "[]", false},
		{"/var/log/postfix.log", "[/var/log/postfix.log]", false},
		{"/dev/stdout", "[]", false},
		{"log_file_path = /var/log/exim4/%slog", "[/var/log/exim4/mainlog]", false},
		{"log_file_path = /var/log/exim/%s.log", "[/var/log/exim/main.log]", false},
		{"log_file_path = /var/log/exim/%s-%D.log", "[/var/log/exim/main-*.log]", false},
		{"log_file_path = syslog : /var/log/exim/%slog", "[/var/log/exim/mainlog]", true},
		{"log_file_path = :syslog", "[]", true},
		{`"/var/log/haraka.log"`, "[/var/log/haraka.log]", false},
	} {
		paths, syslog := logNames(tt.value)
		if fmt.Sprint(paths) != tt.paths || syslog != tt.syslog {
			t.Errorf("%q: got %v, %v", tt.value, paths, syslog)
		}
	}
}

func TestOnlyRulesThatTakeAllMailNameALog(t *testing.T) {
	const settings = `
# mail.* /var/log/comment
mail.*			-/var/log/mail.log
mail.info;mail.!err	/var/log/mail.info
mail,news.=info		/var/log/both.log;RSYSLOG_FileFormat
mail.err		/var/log/mail.err
mail.crit		/var/log/messages
*.*;mail.none		-/var/log/syslog
mail.*			@loghost.example
mail.*			/dev/console
mail.*
destination d { file("/var/log/mail-ng.log"); };
`
	if got := fmt.Sprint(mailFiles([]byte(settings))); got != "[/var/log/mail.log /var/log/mail.info /var/log/both.log /var/log/mail-ng.log]" {
		t.Errorf("got %s", got)
	}
}
