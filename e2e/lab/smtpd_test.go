package lab

import (
	"net/smtp"
	"strings"
	"testing"

	"mtatap/event"
)

func TestServerSaysWhatTheScriptSaysAndRemembersIt(t *testing.T) {
	s, err := StartServer(Scripts())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, script := range Scripts() {
		t.Run(script.Name, func(t *testing.T) {
			addr := s.Routes()[script.domain()].String()
			before := len(s.Oracle())
			sendErr := smtp.SendMail(addr, nil, script.Sender(), []string{script.Recipient()}, []byte("x"))
			said := s.Oracle()[before:]
			if len(said) != 1 {
				t.Fatalf("%d exchanges, want 1", len(said))
			}
			e := said[0]
			if e.Recipient != script.Recipient() || script.reply(1) != Accept && e.Stage != script.stage() {
				t.Errorf("recorded %+v for %+v", e, script)
			}
			want := strings.ReplaceAll(script.reply(1), HangUp, "")
			if want != Accept && e.Reply != want {
				t.Errorf("said %q, want %q", e.Reply, want)
			}
			if delivered := e.Category == event.CategoryDelivered; delivered != (sendErr == nil) {
				t.Errorf("recorded %s, client got %v", e.Category, sendErr)
			}
		})
	}
}

func TestServerAnswersLaterAttemptsByTheNextReply(t *testing.T) {
	s, err := StartServer(Scripts())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	addr := s.Routes()[DefaultDomain].String()
	for _, want := range []int{451, 250} {
		smtp.SendMail(addr, nil, "a@sender.example", []string{"grey+1@remote.example"}, []byte("x"))
		all := s.Oracle()
		if last := all[len(all)-1]; last.Code != want {
			t.Errorf("answered %d, want %d", last.Code, want)
		}
	}
}

func TestEveryScriptHasANameOfItsOwnAndACategoryIfItRefuses(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range Scripts() {
		if seen[s.Name] {
			t.Errorf("%s is there twice", s.Name)
		}
		seen[s.Name] = true
		code, _ := codes(s.reply(1))
		if refuses := s.reply(1) != Accept && code/100 != 2; refuses != (s.Category != "") {
			t.Errorf("%s: category %q, reply %q", s.Name, s.Category, s.reply(1))
		}
	}
}
