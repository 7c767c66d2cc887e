package sinks

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"

	"mtatap/config"
)

// refusal reports whether the broker refused the records themselves, so that
// trying the same again is useless. Everything else is retried, a wrong
// password or a missing right too: an operator can mend it without a restart.
func refusal(err error) (Cause, bool) {
	switch {
	case errors.Is(err, kafka.MessageSizeTooLarge), errors.Is(err, kafka.RecordListTooLarge):
		return CauseTooLarge, true
	case errors.Is(err, kafka.InvalidRecord):
		return CauseInvalid, true
	}
	return "", false
}

// topicGone reports whether the topic or partition is unknown to the broker or
// in the cached layout of the cluster.
func topicGone(err error) bool {
	return errors.Is(err, kafka.UnknownTopicOrPartition) ||
		errors.Is(err, protocol.ErrNoTopic) || errors.Is(err, protocol.ErrNoPartition)
}

// kafkaHint says what to look at when err persists; "" if it speaks for itself.
func kafkaHint(err error, cfg config.Kafka) string {
	if hint := tlsHint(err); hint != "" {
		return hint
	}
	var dns *net.DNSError
	var path *os.PathError
	switch {
	case errors.Is(err, kafka.SASLAuthenticationFailed):
		return "check sasl.username and password_file, which is read again at each connection"
	case errors.Is(err, kafka.UnsupportedSASLMechanism):
		return "the broker does not offer this sasl.mechanism"
	case errors.Is(err, kafka.IllegalSASLState):
		return "the listener may not expect sasl"
	case errors.Is(err, kafka.TopicAuthorizationFailed), errors.Is(err, kafka.ClusterAuthorizationFailed):
		return "the user needs the rights DESCRIBE and WRITE on the topic, and CREATE for create_topic"
	case topicGone(err) && cfg.CreateTopic:
		return "create_topic is set: waiting for the topic to appear"
	case topicGone(err):
		return "create the topic or set create_topic: true"
	case errors.Is(err, kafka.NotEnoughReplicas), errors.Is(err, kafka.NotEnoughReplicasAfterAppend):
		return "fewer replicas are in sync than min.insync.replicas asks for"
	case errors.Is(err, kafka.MessageSizeTooLarge), errors.Is(err, kafka.RecordListTooLarge):
		return "the request is split; a single event that is too large goes to the dead letters: see max.message.bytes of the topic"
	case errors.Is(err, kafka.InvalidRecord):
		return "the request is split; a single event that is refused goes to the dead letters"
	case errors.Is(err, kafka.InvalidTimestamp):
		return "the clocks of this host and the broker differ by more than the topic allows"
	case errors.Is(err, kafka.UnsupportedCompressionType):
		return "the broker does not know this compression"
	case errors.As(err, &dns):
		return "the broker's host name does not resolve; a broker also announces names of its own (advertised.listeners)"
	case errors.As(err, &path):
		return "the sink reads this file at each connection"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens at this address; a broker also announces addresses of its own (advertised.listeners)"
	case closedByPeer(err) && cfg.TLS != nil:
		return "the broker closed the connection: it stopped, or this port may not speak TLS, or may want a client certificate or other sasl settings"
	case closedByPeer(err):
		return "the broker closed the connection: it stopped, or this port may expect TLS or sasl"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "no answer in time: the broker may be overloaded, stopped, or behind a firewall; a listener that expects TLS also stays silent"
	}
	return ""
}

func closedByPeer(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func tlsHint(err error) string {
	var (
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		header    tls.RecordHeaderError
		remote    *net.OpError
	)
	switch {
	case errors.As(err, &authority):
		return "the server's certificate is signed by an unknown authority: set tls.ca_file"
	case errors.As(err, &host):
		return "the server's certificate is for another name: set tls.server_name"
	case errors.As(err, &invalid):
		return "the server's certificate is not valid: expired, or the clock is wrong"
	case errors.As(err, &header):
		return "this port does not speak TLS"
	case errors.As(err, &remote) && remote.Op == "remote error": // what crypto/tls calls an alert of the peer
		return "the server refused the TLS handshake: it may want a client certificate (tls.cert_file, key_file)"
	}
	return ""
}
