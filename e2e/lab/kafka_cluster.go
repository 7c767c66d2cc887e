//go:build e2e

package lab

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
)

// KafkaCluster is several brokers that keep copies of each other's topics. It
// ends with its test.
type KafkaCluster struct{ brokers []*Kafka }

// StartKafkaCluster starts n brokers with replication n and waits until all of
// them answer. A record counts as published when all but one have it.
func StartKafkaCluster(t testing.TB, n int) *KafkaCluster {
	t.Helper()
	addrs := make([][]string, n)
	var voters []string
	for i, all := 0, kafkaAddrs(t, 2*n); i < n; i++ {
		addrs[i] = all[2*i : 2*i+2]
		voters = append(voters, fmt.Sprintf("%d@%s", i+1, addrs[i][1]))
	}
	c := &KafkaCluster{}
	for i := range n {
		c.brokers = append(c.brokers, newKafka(t, KafkaOptions{Config: map[string]string{
			"node.id":                          fmt.Sprint(i + 1),
			"controller.quorum.voters":         strings.Join(voters, ","),
			"default.replication.factor":       fmt.Sprint(n),
			"min.insync.replicas":              fmt.Sprint(n - 1),
			"offsets.topic.replication.factor": fmt.Sprint(n),
			"replica.lag.time.max.ms":          "3000",
		}}, addrs[i]))
	}
	for _, k := range c.brokers {
		k.start()
	}
	for _, k := range c.brokers {
		k.await()
	}
	for deadline := time.Now().Add(3 * time.Minute); c.size() < n; time.Sleep(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d brokers found each other", c.size(), n)
		}
	}
	return c
}

// size is how many brokers the first one knows.
func (c *KafkaCluster) size() int {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	client, done := c.brokers[0].client()
	defer done()
	res, err := client.Metadata(ctx, &kafka.MetadataRequest{})
	if err != nil {
		return 0
	}
	return len(res.Brokers)
}

// Addrs are the addresses of all brokers.
func (c *KafkaCluster) Addrs() []string {
	var addrs []string
	for _, k := range c.brokers {
		addrs = append(addrs, k.addr)
	}
	return addrs
}

// Broker returns the broker of that number, from 0.
func (c *KafkaCluster) Broker(n int) *Kafka { return c.brokers[n] }

// Leader returns which broker leads the first partition of topic.
func (c *KafkaCluster) Leader(topic string) int {
	k := c.brokers[0]
	k.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	client, done := k.client()
	defer done()
	res, err := client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})
	if err != nil {
		k.t.Fatalf("ask for the leader of topic %s: %v", topic, err)
	}
	for _, p := range res.Topics[0].Partitions {
		if p.ID == 0 && p.Leader.ID > 0 {
			return p.Leader.ID - 1
		}
	}
	k.t.Fatalf("topic %s has no leader", topic)
	return 0
}
