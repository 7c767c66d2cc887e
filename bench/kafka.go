package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"mtatap/bench/logs"
)

// load is one program that brings a log's outcomes into a topic.
type load struct {
	name, does string
	run        func(topic string) (usage, error)
	usage      []usage
	problem    error
}

// kafkaRate compares what brings a file of outcomes into Kafka.
func kafkaRate(ctx context.Context, b *bench) ([]row, error) {
	k, err := b.broker(ctx)
	if err != nil {
		return nil, err
	}
	defer k.stop()
	log, err := b.log(logs.Options{Lines: 1_000_000, Status: 1})
	if err != nil {
		return nil, err
	}
	loads := []*load{{name: "mtatap replay --to-sinks", does: "from the log: classified events", run: func(topic string) (usage, error) { return b.toKafka(k, log, topic) }}}
	if kit, err := b.install(ctx, "kcat"); err != nil {
		loads = append(loads, &load{name: "kcat", problem: err})
	} else {
		keyed := filepath.Join(kit.work, "keyed.ndjson")
		if err := b.keyedEvents(log, keyed); err != nil {
			return nil, err
		}
		loads = append(loads, &load{name: "kcat", does: "ready events from a file, no headers", run: func(topic string) (usage, error) {
			return toEnd(kit.command("usr/bin/kcat", "-P", "-b", k.addr, "-t", topic, "-K", "\t", "-z", "lz4", "-X", "acks=all", "-X", "partitioner=murmur2_random", "-l", keyed))
		}})
	}
	if kit, err := b.install(ctx, "rsyslog", "rsyslog-kafka"); err != nil {
		loads = append(loads, &load{name: "rsyslog omkafka", problem: err})
	} else {
		loads = append(loads, &load{name: "rsyslog omkafka", does: "from the log: mmnormalize, six regular expressions, JSON", run: func(topic string) (usage, error) {
			return b.rsyslogToKafka(ctx, kit, k, log, topic)
		}})
	}
	runs := 0
	for range b.pairs {
		for _, l := range loads {
			if l.problem != nil || b.enough(l.usage) {
				continue
			}
			runs++
			topic := fmt.Sprintf("run%d", runs)
			if err := k.create(ctx, topic); err != nil {
				return nil, err
			}
			u, err := l.run(topic)
			if n, countErr := k.count(ctx, topic); err == nil && (countErr != nil || n != log.lines) {
				err = fmt.Errorf("%d records of %d outcomes (%v)", n, log.lines, countErr)
			}
			if l.problem = err; err != nil {
				fmt.Fprintf(os.Stderr, "bench: %s: %v\n", l.name, err)
				continue
			}
			fmt.Fprintf(os.Stderr, "%s %s, CPU %s\n", l.name, seconds(u.wall), seconds(u.cpu))
			l.usage = append(l.usage, u)
			if err := k.remove(ctx, topic); err != nil {
				return nil, err
			}
		}
	}
	return b.kafkaReport(log, loads)
}

func (b *bench) kafkaReport(log input, loads []*load) ([]row, error) {
	var t strings.Builder
	fmt.Fprintf(&t, "%d outcomes (%s of log) into a topic of %d partitions of a real Kafka on the same cores, acks=all, lz4; medians of all runs.\n\n", log.lines, mebibytes(log.bytes), partitions)
	t.WriteString("| program | what it does | runs | events/s | its CPU for an event | memory |\n|---|---|---|---|---|---|\n")
	for _, l := range loads {
		if len(l.usage) == 0 {
			fmt.Fprintf(&t, "| %s | not measured: %s | 0 | | | |\n", l.name, oneLine(l.problem))
			continue
		}
		u := middle(l.usage)
		fmt.Fprintf(&t, "| %s | %s | %d | %.0f | %.1f µs | %s |\n", l.name, l.does, len(l.usage), rate(log, u), cpuEach(log, u), mebibytes(u.peak))
	}
	fmt.Print(t.String())
	if b.document != "" {
		if err := replaceText(b.document, "kafka", t.String()); err != nil {
			return nil, err
		}
	}
	if loads[0].problem != nil || len(loads[0].usage) == 0 {
		return nil, fmt.Errorf("mtatap to Kafka: %w", loads[0].problem)
	}
	us := middle(loads[0].usage)
	return []row{
		{what: "file to Kafka on the same cores", measured: fmt.Sprintf("%.0f events/s", rate(log, us)), target: "at least 300,000 events/s", verdict: verdict(rate(log, us) >= 300_000)},
		{what: "file to Kafka, mtatap's CPU", measured: fmt.Sprintf("%.1f µs an event", cpuEach(log, us)), target: "at most 4 µs", verdict: verdict(cpuEach(log, us) <= 4)},
	}, nil
}

func rate(log input, u usage) float64    { return float64(log.lines) / u.wall.Seconds() }
func cpuEach(log input, u usage) float64 { return u.cpu.Seconds() * 1e6 / float64(log.lines) }

// kafkaConfig writes a configuration that publishes log and returns its path.
func (b *bench) kafkaConfig(k *broker, log, topic string) (string, error) {
	dir, err := b.folder()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "mtatap.yaml")
	config := fmt.Sprintf("sources: [{path: %s, format: postfix, start: beginning}]\nstate_dir: %s\nsinks: {kafka: {brokers: [\"%s\"], topic: %s}}\n",
		log, filepath.Join(dir, "state"), k.addr, topic)
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		return "", fmt.Errorf("write configuration: %w", err)
	}
	return path, nil
}

func (b *bench) toKafka(k *broker, log input, topic string) (usage, error) {
	config, err := b.kafkaConfig(k, log.path, topic)
	if err != nil {
		return usage{}, err
	}
	return b.replay("--format", "postfix", "--config.file", config, "--to-sinks", log.path)
}

// keyedEvents writes the events of log, each behind its key and a tab.
func (b *bench) keyedEvents(log input, path string) error {
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write events: %w", err)
	}
	defer file.Close()
	out := bufio.NewWriterSize(file, 1<<20)
	cmd := exec.Command(b.mtatap, "replay", "--quiet", "--format", "postfix", log.path)
	events, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("write events: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("write events: %w", err)
	}
	lines := bufio.NewScanner(events)
	for lines.Scan() {
		_, rest, _ := bytes.Cut(lines.Bytes(), []byte(`"recipient":"`))
		key, _, _ := bytes.Cut(rest, []byte(`"`))
		out.Write(key) // errors are kept by the writer and told by Flush
		out.WriteByte('\t')
		out.Write(lines.Bytes())
		out.WriteByte('\n')
	}
	return errors.Join(lines.Err(), cmd.Wait(), out.Flush())
}

// rsyslogToKafka runs rsyslog until all outcomes are in the topic.
func (b *bench) rsyslogToKafka(ctx context.Context, kit *kit, k *broker, log input, topic string) (usage, error) {
	work, err := b.folder()
	if err != nil {
		return usage{}, err
	}
	modules := filepath.Dir(kit.glob("usr/lib/*/rsyslog/omkafka.so")) + ":" + filepath.Dir(kit.glob("usr/lib/*/rsyslog/mmnormalize.so")) + ":" + filepath.Dir(kit.glob("usr/lib/*/rsyslog/lmnet.so"))
	cmd := kit.command("usr/sbin/rsyslogd", "-n", "-M", modules, "-f", filepath.Join(kit.conf, "rsyslog-kafka.conf"), "-i", filepath.Join(work, "pid"))
	cmd.Env = append(cmd.Env, "LOG="+log.path, "WORK="+work, "RULEBASE="+filepath.Join(kit.conf, "postfix.rulebase"), "BROKER="+k.addr, "TOPIC="+topic)
	p, err := start(cmd)
	if err != nil {
		return usage{}, err
	}
	err = p.until(atMost, func() bool {
		time.Sleep(20 * time.Millisecond)
		n, err := k.count(ctx, topic)
		return err == nil && n >= log.lines || ctx.Err() != nil
	})
	u := p.now()
	return u, errors.Join(err, p.stop())
}

// kafkaLatency measures from the append of a line to its event at a consumer,
// which is later than the acknowledgement.
func kafkaLatency(ctx context.Context, b *bench) ([]row, error) {
	k, err := b.broker(ctx)
	if err != nil {
		return nil, err
	}
	defer k.stop()
	log, s, err := b.liveToKafka(ctx, k, "latency")
	if err != nil {
		return nil, err
	}
	defer log.Close()
	defer s.stop()
	c := newConsumer(ctx, k, "latency")
	const rate = 1000
	if _, err := appendSteadily(ctx, log, rate, 5*time.Second); err != nil { // the broker's compiler warms up
		return nil, err
	}
	warm := c.pauseAndTake(2 * time.Second)
	n, err := appendSteadily(ctx, log, rate, 20*time.Second)
	if err != nil {
		return nil, err
	}
	took := c.pauseAndTake(3 * time.Second)
	c.close()
	if len(took) != n {
		return nil, fmt.Errorf("consumer got %d events of %d lines (%d before)", len(took), n, len(warm))
	}
	p50, p99 := percentile(took, 50), percentile(took, 99)
	const linger = 50 * time.Millisecond
	return []row{{
		what:     "append to Kafka's consumer, 1,000 lines/s",
		measured: fmt.Sprintf("p50 %s, p99 %s", milliseconds(p50), milliseconds(p99)),
		target:   "p50 under 5 ms + linger, p99 under 40 ms + linger (50 ms)", verdict: verdict(p50 < 5*time.Millisecond+linger && p99 < 40*time.Millisecond+linger),
	}}, nil
}

// liveToKafka starts a sidecar on a new log.
func (b *bench) liveToKafka(ctx context.Context, k *broker, topic string) (*os.File, *sidecar, error) {
	if err := k.create(ctx, topic); err != nil {
		return nil, nil, err
	}
	dir, err := b.folder()
	if err != nil {
		return nil, nil, err
	}
	log, err := os.Create(filepath.Join(dir, "mail.log"))
	if err != nil {
		return nil, nil, fmt.Errorf("make log: %w", err)
	}
	config, err := b.kafkaConfig(k, log.Name(), topic)
	if err != nil {
		return nil, nil, err
	}
	s, err := b.sidecar(nil, "--config.file", config)
	return log, s, err
}

// consumer reads all partitions of a topic.
type consumer struct {
	cancel  context.CancelFunc
	readers sync.WaitGroup
	mu      sync.Mutex
	took    []time.Duration
}

func newConsumer(ctx context.Context, k *broker, topic string) *consumer {
	c := &consumer{}
	ctx, c.cancel = context.WithCancel(ctx)
	for p := range partitions {
		c.readers.Go(func() {
			r := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{k.addr}, Topic: topic, Partition: p, MinBytes: 1, MaxBytes: 10 << 20, MaxWait: 500 * time.Millisecond})
			defer r.Close()
			for {
				m, err := r.ReadMessage(ctx)
				if err != nil {
					return // ctx has ended
				}
				if d, ok := sinceStamp(m.Value, time.Now()); ok {
					c.mu.Lock()
					c.took = append(c.took, d)
					c.mu.Unlock()
				}
			}
		})
	}
	return c
}

// pauseAndTake waits and returns what has come since it was last called.
func (c *consumer) pauseAndTake(d time.Duration) []time.Duration {
	time.Sleep(d)
	c.mu.Lock()
	defer c.mu.Unlock()
	took := c.took
	c.took = nil
	return took
}

func (c *consumer) close() {
	c.cancel()
	c.readers.Wait()
}

// kafkaOutage looks at memory: while a backlog is published, and while Kafka is
// away and the log grows.
func kafkaOutage(ctx context.Context, b *bench) ([]row, error) {
	k, err := b.broker(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { k.stop() }()
	rows, err := b.backlogToKafka(ctx, k)
	if err != nil {
		return nil, err
	}
	log, s, err := b.liveToKafka(ctx, k, "outage")
	if err != nil {
		return nil, err
	}
	defer log.Close()
	defer s.stop()
	away := 60 * time.Second
	if b.quick {
		away = 5 * time.Second
	}
	before, err := appendSteadily(ctx, log, 2000, 3*time.Second)
	if err != nil {
		return nil, err
	}
	k.stop()
	during, err := appendSteadily(ctx, log, 5000, away)
	if err != nil {
		return nil, err
	}
	peak := s.peak.Load()
	if err := k.start(ctx); err != nil {
		return nil, err
	}
	n := 0
	err = s.until(time.Minute, func() bool {
		n, _ = k.count(ctx, "outage")
		return n >= before+during || ctx.Err() != nil
	})
	if err != nil {
		return nil, fmt.Errorf("%d of %d lines arrived: %w", n, before+during, err)
	}
	return append(rows, row{
		what:     fmt.Sprintf("memory of run in an outage of %s", away),
		measured: fmt.Sprintf("%s; %s after catching up with %d lines, nothing lost", mebibytes(peak), mebibytes(s.peak.Load()), during), target: "at most 60 MiB", verdict: verdict(s.peak.Load() <= 60<<20),
	}), nil
}

func (b *bench) backlogToKafka(ctx context.Context, k *broker) ([]row, error) {
	log, err := b.log(logs.Options{Lines: 2_000_000})
	if err != nil {
		return nil, err
	}
	_, want, err := count(log.path, []byte(", status="))
	if err != nil {
		return nil, err
	}
	if err := k.create(ctx, "backlog"); err != nil {
		return nil, err
	}
	config, err := b.kafkaConfig(k, log.path, "backlog")
	if err != nil {
		return nil, err
	}
	s, err := b.sidecar(nil, "--config.file", config)
	if err != nil {
		return nil, err
	}
	err = s.until(2*time.Minute, func() bool {
		n, err := k.count(ctx, "backlog")
		return err == nil && n >= want || ctx.Err() != nil
	})
	peak := s.peak.Load()
	return []row{{
		what: "memory of run with Kafka, 2 million lines", measured: mebibytes(peak), target: "at most 60 MiB", verdict: verdict(peak <= 60<<20),
	}}, errors.Join(err, s.stop())
}
