//go:build e2e

package lab

import (
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha512"
	"time"

	"github.com/segmentio/kafka-go"
)

// DeleteTopic deletes a topic with all that it holds.
func (k *Kafka) DeleteTopic(topic string) {
	k.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	client, done := k.client()
	defer done()
	res, err := client.DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: []string{topic}})
	if err == nil {
		err = res.Errors[topic]
	}
	if err != nil {
		k.t.Fatalf("delete topic %s: %v", topic, err)
	}
}

// ChangePassword gives the user of the secure listener another SCRAM-SHA-512
// password. Connections that are there stay.
func (k *Kafka) ChangePassword(password string) {
	k.t.Helper()
	const iterations = 8192
	salt := make([]byte, 16)
	if _, err := rand.Read(salt); err != nil {
		k.t.Fatal(err)
	}
	salted, err := pbkdf2.Key(sha512.New, password, salt, iterations, sha512.Size)
	if err != nil {
		k.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	client, done := k.client()
	defer done()
	res, err := client.AlterUserScramCredentials(ctx, &kafka.AlterUserScramCredentialsRequest{Upsertions: []kafka.UserScramCredentialsUpsertion{{
		Name: k.security.Username, Mechanism: kafka.ScramMechanismSha512, Iterations: iterations, Salt: salt, SaltedPassword: salted,
	}}})
	if err == nil {
		for _, r := range res.Results {
			err = r.Error
		}
	}
	if err != nil {
		k.t.Fatalf("change password: %v", err)
	}
}
