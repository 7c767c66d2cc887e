//go:build e2e

package faults

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"mtatap/e2e/lab"
)

var kafkaRefusalScenarios = []scenario{
	{"single events are larger than Kafka takes", func(r *rig) {
		r.expect.letters = true
		topic := fmt.Sprintf("small-%d", time.Now().UnixNano())
		r.lab.CreateTopic(topic, partitions, map[string]string{"max.message.bytes": "20000"})
		r.useTopic(r.lab, topic)
		r.sink("kafka")["compression"] = "none"
		r.begin()
		for n := range 5 {
			r.log.held(func() {
				r.log.raw(fmt.Sprintf("2026-11-20T10:00:00.000000+00:00 mx1 postfix/smtp[372]: 4E0BBBBBBB%d: to=<large@d001.example>, relay=mx.d001.example[192.0.2.21]:25, delay=0.43, delays=0.01/0.02/0.3/0.1, dsn=5.1.1, status=bounced (host mx.d001.example[192.0.2.21] said: 550 5.1.1 S9999999 %s)\n", n, strings.Repeat("word ", 6000)))
			})
			r.awaitFlow()
		}
		r.await(catchUp, "there are five dead letters", func() bool { return r.metric("mtatap_dead_letters_total", `sink="kafka"`, `cause="too_large"`) == 5 })
		r.settle()
	}},
	{"the topic is deleted and made again", func(r *rig) {
		topic := r.publishToTopic(r.lab)
		r.begin()
		// What the topic holds goes with it, so it is read first, while nothing
		// is published.
		r.signal(syscall.SIGSTOP)
		time.Sleep(time.Second)
		before := r.lab.ReadAll(topic)
		r.lab.DeleteTopic(topic)
		r.signal(syscall.SIGCONT)
		r.awaitLog(15*time.Second, "level=ERROR", "sink=kafka", "create the topic")
		r.log.rotate()
		r.lab.CreateTopic(topic, partitions, nil)
		r.awaitFlow()
		after := r.read
		r.read = func() map[string][]lab.KafkaRecord {
			return map[string][]lab.KafkaRecord{"kafka": append(before, after()["kafka"]...)}
		}
		r.settle()
	}},
	{"the password is changed at Kafka and later in its file", func(r *rig) {
		broker := lab.StartKafka(r.t, lab.KafkaOptions{Secure: true})
		r.publishToTopic(broker)
		password := r.useSASL(broker.Security(), "scram-sha-512", broker.Security().Password)
		r.begin()
		broker.ChangePassword("another one")
		broker.Restart() // ends the connections that had shown the old one
		r.log.rotate()
		r.awaitLog(30*time.Second, "level=ERROR", "sink=kafka", "check sasl.username and password_file")
		r.writeSecret(password, "another one")
		r.awaitLog(catchUp, "Sink recovered", "sink=kafka")
		r.awaitFlow()
		r.settle()
	}},
	{"the password is wrong", func(r *rig) {
		r.publishToTopic(r.lab)
		password := r.useSASL(r.lab.Security(), "scram-sha-256", "wrong")
		r.refused("check sasl.username and password_file")
		r.writeSecret(password, r.lab.Security().Password)
		r.recovers()
	}},
	{"the authority is the wrong one", func(r *rig) {
		r.publishToTopic(r.lab)
		r.useSASL(r.lab.Security(), "plain", r.lab.Security().Password)
		right, err := os.ReadFile(r.lab.Security().CAFile)
		if err != nil {
			r.t.Fatal(err)
		}
		authority := filepath.Join(r.dir, "ca.pem")
		r.writeSecret(authority, string(lab.OtherAuthority(r.t)))
		r.sink("kafka")["tls"] = map[string]any{"ca_file": authority}
		r.refused("tls.ca_file")
		r.writeSecret(authority, string(right))
		r.recovers()
	}},
	{"the port expects TLS and the configuration does not", func(r *rig) {
		r.publishToTopic(r.lab)
		r.sink("kafka")["brokers"] = []string{r.lab.Security().MTLSAddr}
		r.refused("expect TLS")
		sec := r.lab.Security()
		r.sink("kafka")["tls"] = map[string]any{"ca_file": sec.CAFile, "cert_file": sec.CertFile, "key_file": sec.KeyFile}
		r.terminate(stopWithin) // the configuration is read at the start
		r.start()
		r.recovers()
	}},
	{"the port speaks plain text and the configuration expects TLS", func(r *rig) {
		r.publishToTopic(r.lab)
		r.sink("kafka")["tls"] = map[string]any{"ca_file": r.lab.Security().CAFile}
		r.refused("may not speak TLS")
		delete(r.sink("kafka"), "tls")
		r.terminate(stopWithin)
		r.start()
		r.recovers()
	}},
	{"nothing listens at the address", func(r *rig) {
		r.publishToTopic(r.lab)
		addr := lab.FreeAddr(r.t)
		r.sink("kafka")["brokers"] = []string{addr}
		r.refused("nothing listens at this address")
		r.sink("kafka")["brokers"] = []string{r.lab.Addr()}
		r.terminate(stopWithin)
		r.start()
		r.recovers()
	}},
	{"the name of the broker does not resolve", func(r *rig) {
		r.publishToTopic(r.lab)
		_, port, err := net.SplitHostPort(r.lab.Addr())
		if err != nil {
			r.t.Fatal(err)
		}
		r.sink("kafka")["brokers"] = []string{"kafka.invalid:" + port}
		r.refused("kafka.invalid")
		r.sink("kafka")["brokers"] = []string{r.lab.Addr()}
		r.terminate(stopWithin)
		r.start()
		r.recovers()
	}},
}

// useSASL lets r authenticate at the secure listener, and returns the path of
// the password's file.
func (r *rig) useSASL(sec lab.KafkaSecurity, mechanism, password string) (path string) {
	path = filepath.Join(r.dir, "password")
	r.writeSecret(path, password)
	sink := r.sink("kafka")
	sink["brokers"] = []string{sec.SASLAddr}
	sink["tls"] = map[string]any{"ca_file": sec.CAFile}
	sink["sasl"] = map[string]any{"mechanism": mechanism, "username": sec.Username, "password_file": path}
	return path
}

func (r *rig) writeSecret(path, text string) {
	r.t.Helper()
	if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// refused starts writer and sidecar and expects within 5 s a line that says
// what is wrong, and then further attempts; mtatap stays healthy.
func (r *rig) refused(hint string) {
	r.t.Helper()
	r.log.start()
	r.start()
	r.awaitLog(5*time.Second, "level=ERROR", "sink=kafka", hint)
	if n := countLines(r.logText(), "level=ERROR"); n > 2 {
		r.t.Errorf("%d lines are logged at once", n)
	}
	errors := r.metric("mtatap_sink_errors_total", `sink="kafka"`)
	r.await(15*time.Second, "it is tried again", func() bool { return r.metric("mtatap_sink_errors_total", `sink="kafka"`) > errors })
	if !r.answers() {
		r.t.Error("mtatap is unhealthy")
	}
	if n := r.metric("mtatap_sink_events_total", `sink="kafka"`); n != 0 {
		r.t.Errorf("%v events went nowhere", n)
	}
	r.log.rotate()
}

// recovers expects that all flows once it is mended.
func (r *rig) recovers() {
	r.t.Helper()
	r.awaitFlow()
	r.settle()
}
