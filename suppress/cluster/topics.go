package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/segmentio/kafka-go"
)

// Topics are the names of the topics in use. All have the same number of
// partitions, and all but Events are compacted.
type Topics struct {
	Events       string // what happened
	Suppressions string // key: recipient; value: a record; tombstone: released
	Commands     string // key: recipient; value: what an operator asks for
	State        string // the processor's own
}

func (t Topics) compacted() []string { return []string{t.Suppressions, t.Commands, t.State} }

// Prepare returns the number of partitions, having made topics that are missing if
// create is set. It tries again while no broker answers, and returns an error if
// topics do not fit, or when ctx ends.
func (k *Kafka) Prepare(ctx context.Context, t Topics, create bool, failed func(error)) (partitions int, err error) {
	err = persist(ctx, failed, func() error {
		partitions, err = k.prepare(ctx, t, create)
		return err
	})
	return partitions, err
}

func (k *Kafka) prepare(ctx context.Context, t Topics, create bool) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*attemptTimeout)
	defer cancel()
	found, err := k.partitions(ctx, append(t.compacted(), t.Events))
	if err != nil {
		return 0, err
	}
	n, missing, err := t.fit(found, create)
	switch {
	case err != nil:
		return 0, err
	case len(missing) > 0:
		return 0, k.create(ctx, missing[0])
	}
	return n, k.checkCompaction(ctx, t.compacted())
}

// fit returns the number of partitions that all topics have, or which are to be made
// first. found has the number of partitions of each, 0 of a missing one.
func (t Topics) fit(found map[string]int, create bool) (n int, missing []kafka.TopicConfig, err error) {
	n = found[t.Events]
	if n == 0 {
		if !create {
			return 0, nil, final("topic %s does not exist: let the sidecars write to it first, or set create_topic: true", t.Events)
		}
		return 0, []kafka.TopicConfig{{Topic: t.Events, NumPartitions: -1, ReplicationFactor: -1}}, nil
	}
	var wrong []string
	for _, name := range t.compacted() {
		switch {
		case found[name] == n:
		case found[name] > 0:
			wrong = append(wrong, fmt.Sprintf("topic %s has %d partitions, but %s has %d: they must be as many; make %s anew, or choose another name for it", name, found[name], t.Events, n, name))
		case create:
			missing = append(missing, kafka.TopicConfig{Topic: name, NumPartitions: n, ReplicationFactor: -1,
				ConfigEntries: []kafka.ConfigEntry{{ConfigName: "cleanup.policy", ConfigValue: "compact"}}})
		default:
			wrong = append(wrong, fmt.Sprintf("topic %s does not exist: create it with %d partitions and cleanup.policy=compact, or set create_topic: true", name, n))
		}
	}
	if len(wrong) > 0 {
		return 0, nil, final("%s", strings.Join(wrong, "\n"))
	}
	return n, missing, nil
}

// partitions returns how many each topic has, 0 of a missing one.
func (k *Kafka) partitions(ctx context.Context, topics []string) (map[string]int, error) {
	res, err := k.Client.Metadata(ctx, &kafka.MetadataRequest{Topics: topics})
	if err != nil {
		return nil, fmt.Errorf("ask for topics: %w", err)
	}
	found := map[string]int{}
	for _, t := range res.Topics {
		if t.Error != nil && !errors.Is(t.Error, kafka.UnknownTopicOrPartition) {
			return nil, fmt.Errorf("ask for topic %s: %w", t.Name, t.Error)
		}
		found[t.Name] = len(t.Partitions)
	}
	return found, nil
}

// create makes a topic. It returns an error in any case: the caller looks again.
func (k *Kafka) create(ctx context.Context, t kafka.TopicConfig) error {
	res, err := k.Client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{t}})
	if err == nil {
		err = res.Errors[t.Topic]
	}
	if err != nil && !errors.Is(err, kafka.TopicAlreadyExists) {
		return fmt.Errorf("create topic %s: %w", t.Topic, err)
	}
	return fmt.Errorf("wait for new topic %s: %w", t.Topic, kafka.UnknownTopicOrPartition)
}

// checkCompaction refuses topics whose records are deleted with age: a suppression
// would be forgotten. Who may not ask is believed.
func (k *Kafka) checkCompaction(ctx context.Context, topics []string) error {
	req := &kafka.DescribeConfigsRequest{}
	for _, name := range topics {
		req.Resources = append(req.Resources, kafka.DescribeConfigRequestResource{
			ResourceType: kafka.ResourceTypeTopic, ResourceName: name, ConfigNames: []string{"cleanup.policy"}})
	}
	res, err := k.Client.DescribeConfigs(ctx, req)
	if err != nil {
		return fmt.Errorf("ask for topic settings: %w", err)
	}
	for _, r := range res.Resources {
		for _, e := range r.ConfigEntries {
			if r.Error == nil && e.ConfigName == "cleanup.policy" && e.ConfigValue != "compact" {
				return final("topic %s has cleanup.policy=%s, which would forget recipients: set it to compact", r.ResourceName, e.ConfigValue)
			}
		}
	}
	return nil
}
