package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/segmentio/kafka-go"

	"mtatap/e2e/port"
)

// broker is a real Kafka on loopback, with the memory and compiler that Kafka's
// own script gives it.
type broker struct {
	dir    string
	libs   string
	addr   string
	client *kafka.Client
	cmd    *exec.Cmd
}

// broker starts one with an empty store.
func (b *bench) broker(ctx context.Context) (*broker, error) {
	libs := filepath.Join(filepath.Dir(b.cache), "mtatap-e2e", "kafka", "libs")
	if jars, _ := filepath.Glob(filepath.Join(libs, "kafka_*.jar")); len(jars) == 0 {
		return nil, errors.New("find Kafka: not installed, run .ci/install")
	}
	dir, err := b.folder()
	if err != nil {
		return nil, err
	}
	var addrs [2]string
	for i := range addrs {
		addr, release, err := port.Reserve(loopback)
		if err != nil {
			return nil, err
		}
		defer release()
		addrs[i] = addr.String()
	}
	k := &broker{dir: dir, libs: libs, addr: addrs[0]}
	k.client = &kafka.Client{Addr: kafka.TCP(k.addr), Timeout: 20 * time.Second, Transport: &kafka.Transport{MetadataTTL: time.Second}}
	settings := strings.Join([]string{
		"process.roles=broker,controller", "node.id=1", "controller.quorum.voters=1@" + addrs[1], "controller.listener.names=CONTROLLER",
		"listeners=PLAINTEXT://" + addrs[0] + ",CONTROLLER://" + addrs[1], "advertised.listeners=PLAINTEXT://" + addrs[0],
		"listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT", "log.dirs=" + filepath.Join(dir, "store"),
		"auto.create.topics.enable=false", "offsets.topic.replication.factor=1", "log.segment.delete.delay.ms=1000", "",
	}, "\n")
	if err := os.WriteFile(k.settings(), []byte(settings), 0o600); err != nil {
		return nil, fmt.Errorf("write Kafka's settings: %w", err)
	}
	if out, err := k.java("256m", "kafka.tools.StorageTool", "format", "--cluster-id", "bXRhdGFwLWJlbmNoLW1hcms", "--config", k.settings()).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("format Kafka's store: %w: %s", err, out)
	}
	return k, k.start(ctx)
}

// start starts the broker and waits until it answers.
func (k *broker) start(ctx context.Context) error {
	k.cmd = k.java("1g", "kafka.Kafka", k.settings())
	if err := k.cmd.Start(); err != nil {
		return fmt.Errorf("start Kafka: %w", err)
	}
	for range 600 {
		res, err := k.client.Metadata(ctx, &kafka.MetadataRequest{})
		if err == nil && len(res.Brokers) > 0 {
			return nil
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	k.stop()
	return errors.New("start Kafka: no answer after a minute")
}

// stop ends the broker as a power failure would.
func (k *broker) stop() {
	_ = k.cmd.Process.Kill() // it may have ended
	_ = k.cmd.Wait()         // killed
}

func (k *broker) settings() string { return filepath.Join(k.dir, "server.properties") }

func (k *broker) java(heap, class string, args ...string) *exec.Cmd {
	cmd := exec.Command("java", append([]string{"-Xmx" + heap, "-Xms" + heap, "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", filepath.Join(k.libs, "*"), class}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return cmd
}

const partitions = 4

func (k *broker) create(ctx context.Context, topic string) error {
	res, err := k.client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{Topic: topic, NumPartitions: partitions, ReplicationFactor: 1}}})
	if err == nil {
		err = res.Errors[topic]
	}
	if err != nil {
		return fmt.Errorf("create topic: %w", err)
	}
	for range 100 { // until it has leaders
		if n, err := k.count(ctx, topic); err == nil && n == 0 {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("create topic %s: not there after 5 s", topic)
}

func (k *broker) remove(ctx context.Context, topic string) error {
	res, err := k.client.DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: []string{topic}})
	if err == nil {
		err = res.Errors[topic]
	}
	if err != nil {
		return fmt.Errorf("remove topic: %w", err)
	}
	return nil
}

// count returns how many records a topic holds.
func (k *broker) count(ctx context.Context, topic string) (int, error) {
	var ask []kafka.OffsetRequest
	for p := range partitions {
		ask = append(ask, kafka.LastOffsetOf(p))
	}
	res, err := k.client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{topic: ask}})
	if err != nil {
		return 0, fmt.Errorf("count records: %w", err)
	}
	n := 0
	for _, p := range res.Topics[topic] {
		if p.Error != nil {
			return 0, fmt.Errorf("count records: %w", p.Error)
		}
		n += int(p.LastOffset)
	}
	return n, nil
}
