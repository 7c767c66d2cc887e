// Command suppressed keeps the set of recipients that must not be mailed any more,
// and prints each change: suppressed BROKER.
//
// It only reads: it must never decide about a recipient, or write to the topic.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/segmentio/kafka-go"
)

func main() {
	broker, topic := os.Args[1], "mtatap.suppressions"
	partitions, err := kafka.LookupPartitions(context.Background(), "tcp", broker, topic)
	if err != nil {
		log.Fatal(err)
	}
	changes := make(chan kafka.Message)
	for _, p := range partitions { // each from its beginning, at every start
		r := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{broker}, Topic: topic, Partition: p.ID, MaxBytes: 10e6})
		go func() {
			for {
				m, err := r.ReadMessage(context.Background())
				if err != nil {
					log.Fatal(err)
				}
				changes <- m
			}
		}()
	}
	suppressed := map[string]string{} // recipient to the record that says why
	for m := range changes {
		recipient, what := string(m.Key), "suppressed"
		if len(m.Value) > 0 {
			suppressed[recipient] = string(m.Value)
		} else { // a tombstone
			delete(suppressed, recipient)
			what = "released"
		}
		fmt.Printf("%s %q, %d in all\n", what, recipient, len(suppressed)) // strangers choose addresses: quote
	}
}
