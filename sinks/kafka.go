package sinks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"

	"mtatap/config"
	"mtatap/event"
)

const (
	attemptTimeout = 5 * time.Second
	dialTimeout    = 3 * time.Second
	metadataTTL    = 1500 * time.Millisecond
)

// Kafka publishes events to a topic, at least once and in order for each key.
//
// The key is the lower-cased recipient, or the queue id where there is none,
// partitioned by Murmur2 as the Java client does; the value is the event's JSON;
// the headers are those of CloudEvents in binary mode, with ce_source
// /mtatap/HOST; the time is that of publishing. All in-sync replicas must have a
// record before it counts as delivered. A partition has one request in flight,
// so a retry cannot overtake what comes after it. A retry after an unknown
// outcome (a lost answer) may double events, with the same ids.
//
// The number of partitions is asked for at the first Write and then kept:
// partitions added later stay unused until a restart, and the restart moves
// keys. If the topic is deleted and made again with fewer, that smaller number
// is taken.
type Kafka struct {
	cfg        config.Kafka
	deps       Deps
	client     kafkaClient
	sets       recordSets
	disconnect func()
	trouble    *trouble
	partitions int // 0: not yet known
}

// kafkaClient is what Kafka needs of *kafka.Client.
type kafkaClient interface {
	RawProduce(context.Context, *kafka.RawProduceRequest) (*kafka.ProduceResponse, error)
	Metadata(context.Context, *kafka.MetadataRequest) (*kafka.MetadataResponse, error)
	CreateTopics(context.Context, *kafka.CreateTopicsRequest) (*kafka.CreateTopicsResponse, error)
}

// NewKafka returns the sink of cfg. It does not connect; it fails only where the
// settings or the TLS files are unusable.
func NewKafka(cfg config.Kafka, deps Deps) (*Kafka, error) {
	if deps.DeadLetters == nil {
		return nil, errNoDeadLetters
	}
	if len(cfg.Brokers) == 0 || cfg.Topic == "" {
		return nil, errors.New("kafka sink needs brokers and a topic")
	}
	codec, err := compression(cfg.Compression)
	if err != nil {
		return nil, err
	}
	transport, err := newTransport(cfg)
	if err != nil {
		return nil, err
	}
	return &Kafka{
		cfg:  cfg,
		deps: deps,
		client: &kafka.Client{
			Addr:      kafka.TCP(cfg.Brokers...),
			Timeout:   attemptTimeout,
			Transport: transport,
		},
		sets:       recordSets{codec: codec},
		disconnect: transport.CloseIdleConnections,
		trouble:    newTrouble(deps),
	}, nil
}

// Open asks for the topic until a broker has answered.
func (k *Kafka) Open(ctx context.Context) error {
	if err := k.pin(ctx); err != nil {
		return err
	}
	k.trouble.mended()
	return nil
}

// Write publishes events and returns when all in-sync replicas have them.
func (k *Kafka) Write(ctx context.Context, events []*event.Event) error {
	recs := make([]record, len(events))
	for i, e := range events {
		recs[i] = record{event: e, key: e.Key()}
	}
	var wait backoff
	for len(recs) > 0 {
		if k.partitions == 0 {
			if err := k.pin(ctx); err != nil {
				return err
			}
		}
		left, err := k.writePartitions(ctx, recs)
		if err != nil {
			return err
		}
		if len(left) > 0 {
			// The topic went away under way.
			if len(left) < len(recs) {
				wait = backoff{}
			}
			if err := wait.sleep(ctx); err != nil {
				return err
			}
			if err := k.pin(ctx); err != nil {
				return err
			}
		}
		recs = left
	}
	k.trouble.mended()
	return nil
}

// Close closes the connections.
func (k *Kafka) Close() error {
	k.disconnect()
	return nil
}

// pin asks for the number of partitions, until it gets one or ctx ends, and
// keeps it; once pinned, it changes only if there are fewer now.
func (k *Kafka) pin(ctx context.Context) error {
	var wait backoff
	for {
		n, err := k.countPartitions(ctx)
		if err == nil {
			if k.partitions == 0 || n < k.partitions {
				k.partitions = n
			}
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		k.fail(err)
		if err := wait.sleep(ctx); err != nil {
			return err
		}
	}
}

func (k *Kafka) countPartitions(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	res, err := k.client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{k.cfg.Topic}})
	if err != nil {
		return 0, fmt.Errorf("ask for partitions of topic %s: %w", k.cfg.Topic, err)
	}
	for _, topic := range res.Topics {
		switch {
		case topic.Name != k.cfg.Topic:
		case errors.Is(topic.Error, kafka.UnknownTopicOrPartition) && k.cfg.CreateTopic:
			if err := k.createTopic(ctx); err != nil {
				return 0, err
			}
			return 0, fmt.Errorf("wait for new topic %s: %w", k.cfg.Topic, kafka.UnknownTopicOrPartition)
		case topic.Error != nil:
			return 0, fmt.Errorf("ask for partitions of topic %s: %w", k.cfg.Topic, topic.Error)
		case len(topic.Partitions) > 0:
			return len(topic.Partitions), nil
		}
	}
	return 0, fmt.Errorf("ask for partitions of topic %s: %w", k.cfg.Topic, kafka.LeaderNotAvailable)
}

// createTopic creates the topic with the broker's default partitions and
// replicas.
func (k *Kafka) createTopic(ctx context.Context) error {
	res, err := k.client.CreateTopics(ctx, &kafka.CreateTopicsRequest{
		Topics: []kafka.TopicConfig{{Topic: k.cfg.Topic, NumPartitions: -1, ReplicationFactor: -1}},
	})
	if err == nil {
		err = res.Errors[k.cfg.Topic]
	}
	if err != nil && !errors.Is(err, kafka.TopicAlreadyExists) {
		return fmt.Errorf("create topic %s: %w", k.cfg.Topic, err)
	}
	return nil
}

// writePartitions publishes recs, with one goroutine for each partition. It
// returns what is left, in order for each key, because the topic or a partition
// no longer exists; or the error of ctx.
func (k *Kafka) writePartitions(ctx context.Context, recs []record) ([]record, error) {
	parts := make([][]record, k.partitions)
	for _, r := range recs {
		p := partitionOf(r.key, len(parts))
		parts[p] = append(parts[p], r)
	}
	left := make([][]record, len(parts))
	var done sync.WaitGroup
	for p, recs := range parts {
		if len(recs) > 0 {
			done.Go(func() { left[p] = k.writePartition(ctx, p, recs) })
		}
	}
	done.Wait()
	if err := ctx.Err(); err != nil && !empty(left) {
		return nil, err
	}
	var all []record
	for _, recs := range left {
		all = append(all, recs...)
	}
	return all, nil
}

func empty(parts [][]record) bool {
	for _, recs := range parts {
		if len(recs) > 0 {
			return false
		}
	}
	return true
}

// writePartition publishes recs to one partition, one request after the other.
// It returns what is left when ctx ends or the partition no longer exists.
func (k *Kafka) writePartition(ctx context.Context, partition int, recs []record) []record {
	var wait backoff
	limit := maxRequestEvents
	for len(recs) > 0 {
		n := fit(recs, limit)
		err := k.produce(ctx, partition, recs[:n])
		if err == nil {
			recs = recs[n:]
			limit = min(2*limit, maxRequestEvents)
			wait = backoff{}
			continue
		}
		if ctx.Err() != nil {
			return recs
		}
		k.fail(err)
		cause, refused := refusal(err)
		switch {
		case refused && n > 1:
			limit = n / 2
		case refused:
			if k.deps.bury(ctx, k.trouble, k.deps.letter(cause, err, recs[0].event)) != nil {
				return recs
			}
			recs = recs[1:]
		case topicGone(err):
			return recs
		default:
			if wait.sleep(ctx) != nil {
				return recs
			}
		}
	}
	return nil
}

// produce makes one attempt to publish recs.
func (k *Kafka) produce(ctx context.Context, partition int, recs []record) error {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	set := k.sets.get()
	encoded, err := set.encode(recs, time.Now())
	if err != nil {
		return err
	}
	res, err := k.client.RawProduce(ctx, &kafka.RawProduceRequest{
		Topic:        k.cfg.Topic,
		Partition:    partition,
		RequiredAcks: kafka.RequireAll,
		RawRecords:   protocol.RawRecordSet{Reader: bytes.NewReader(encoded)},
	})
	if err == nil {
		k.sets.put(set) // the broker has answered: nobody reads it any more
	}
	switch {
	case err != nil:
		return fmt.Errorf("publish to partition %d: %w", partition, err)
	case len(res.RecordErrors) > 0:
		return fmt.Errorf("publish to partition %d: %w", partition, recordErrors(res))
	case res.Error != nil:
		return fmt.Errorf("publish to partition %d: %w", partition, res.Error)
	}
	return nil
}

// recordErrors joins what a response says of the whole batch and of its records
// into one error of a few words.
func recordErrors(res *kafka.ProduceResponse) error {
	batch := res.Error
	if batch == nil {
		batch = kafka.InvalidRecord
	}
	first := -1
	for i := range res.RecordErrors {
		if first < 0 || i < first {
			first = i
		}
	}
	return fmt.Errorf("%w: %d records refused, record %d: %v", batch, len(res.RecordErrors), first, res.RecordErrors[first])
}

func (k *Kafka) fail(err error) { k.trouble.failed(err, kafkaHint(err, k.cfg)) }
