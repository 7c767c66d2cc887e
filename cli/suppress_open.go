package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mtatap/config"
	"mtatap/event"
	"mtatap/privacy"
	"mtatap/rules"
	"mtatap/sinks"
	"mtatap/suppress"
	"mtatap/suppress/cluster"
	"mtatap/suppress/local"
	"mtatap/suppress/store"
)

// suppressions is the list, wherever it is kept. Recipients are as published.
type suppressions interface {
	// Each calls f for each suppression until f returns an error.
	Each(f func(suppress.Record) error) error
	// Change suppresses or releases a recipient by hand.
	Change(ctx context.Context, recipient string, o suppress.Outcome) error
	Close() error
}

// open returns the list of cfg: from Kafka, from the run that keeps it, or from its
// store. only is a recipient if nobody else matters, "" for all.
func (s *suppressor) open(ctx context.Context, cfg *config.Config, only string) (suppressions, error) {
	log, _, err := s.log.logger(s.env.Stderr, cfg.Log.Level, cfg.Log.Format)
	if err != nil {
		return nil, err
	}
	if cfg.Suppress.Kafka != nil {
		return openCluster(ctx, cfg.Suppress.Kafka, only, log)
	}
	set, err := loadRules(cfg.Rules, s.env.Rules)
	if err != nil {
		return nil, err
	}
	l, err := openLocal(cfg, set, prometheus.NewRegistry(), nil, log)
	switch {
	case errors.Is(err, store.ErrInUse):
		return newRunning(controlSocket(cfg.Suppress.Store)), nil
	case err != nil:
		return nil, err
	}
	return l, nil
}

// addressOf returns what makes of an address what is published of it.
func addressOf(cfg *config.Config) (func(string) string, error) {
	mask, err := privacy.New(cfg.Privacy)
	if err != nil {
		return nil, err
	}
	return func(address string) string {
		e := event.Event{}
		e.Recipient = strings.Trim(strings.TrimSpace(address), "<>")
		if mask != nil {
			mask.Apply(&e)
		}
		return e.Key()
	}, nil
}

// openLocal opens the list of a single host. failed is told of each failed attempt to
// write or to publish; nil if nobody counts them.
func openLocal(cfg *config.Config, set *rules.Set, reg prometheus.Registerer, failed func(error), log *slog.Logger) (*local.Local, error) {
	policy, err := suppress.PolicyOf(set)
	if err != nil {
		return nil, err
	}
	metrics, err := suppress.NewMetrics(reg, set.Reasons())
	if err != nil {
		return nil, err
	}
	c := cfg.Suppress
	dead := sinks.NewDeadLetters(cfg.DeadLetters, nil)
	publishers := []local.Publisher{publisher{sinks.NewFile(config.File{Path: c.File}, sinks.Deps{Name: "suppress.file", Log: log, Failed: failed})}}
	if c.Webhook != nil {
		webhook, err := sinks.NewWebhook(*c.Webhook, sinks.Deps{Name: "suppress.webhook", Log: log, Failed: failed, DeadLetters: dead})
		if err != nil {
			return nil, err
		}
		publishers = append(publishers, publisher{webhook})
	}
	if err := os.MkdirAll(filepath.Dir(c.Store), 0o700); err != nil {
		return nil, fmt.Errorf("make state directory: %w", err)
	}
	file, err := store.Open(c.Store, store.Options{})
	if err != nil {
		return nil, err
	}
	l, err := local.New(policy, local.Options{Store: file, Publishers: publishers, Observe: c.Observe, MaxRecipients: c.MaxRecipients, Metrics: metrics, Logger: log, Failed: failed})
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return l, nil
}

// publisher lets a sink of events take decisions.
type publisher struct {
	sink interface {
		Write(context.Context, []*event.Event) error
	}
}

// Publish implements local.Publisher.
func (p publisher) Publish(ctx context.Context, records [][]byte) error {
	events := make([]*event.Event, len(records))
	for i, r := range records {
		events[i] = &event.Event{JSON: r}
	}
	return p.sink.Write(ctx, events)
}

// runningList is the list of a run that has it open, reached through its socket.
type runningList struct{ client *http.Client }

func newRunning(socket string) runningList {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
	return runningList{&http.Client{Transport: &http.Transport{DialContext: dial}}}
}

func (r runningList) ask(ctx context.Context, method, path string, body []byte) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://run"+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("ask the running mtatap: %w", err)
	}
	res, err := r.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the running mtatap: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		defer res.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(res.Body, 1000))
		return nil, fmt.Errorf("ask the running mtatap: %s: %s", res.Status, bytes.TrimSpace(text))
	}
	return res.Body, nil
}

// Each implements suppressions.
func (r runningList) Each(f func(suppress.Record) error) error {
	body, err := r.ask(context.Background(), http.MethodGet, listRoute, nil)
	if err != nil {
		return err
	}
	defer body.Close()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		record, err := suppress.DecodeRecord(lines.Bytes())
		if err == nil {
			err = f(record)
		}
		if err != nil {
			return err
		}
	}
	return lines.Err()
}

// Change implements suppressions.
func (r runningList) Change(ctx context.Context, recipient string, o suppress.Outcome) error {
	method, body := http.MethodDelete, []byte(nil)
	if o.Kind == suppress.Add {
		method = http.MethodPut
		var err error
		if body, err = json.Marshal(change{o.Reason}); err != nil {
			return fmt.Errorf("encode change: %w", err)
		}
	}
	answer, err := r.ask(ctx, method, listRoute+"/"+url.PathEscape(recipient), body)
	if err != nil {
		return err
	}
	return answer.Close()
}

// Close implements suppressions.
func (r runningList) Close() error {
	r.client.CloseIdleConnections()
	return nil
}

// shared is the list that the processors keep on Kafka.
type shared struct {
	*cluster.Table
	kafka      *cluster.Kafka
	connection *sinks.KafkaConnection
	topics     cluster.Topics
	partitions int
	failed     func(error)
	store      *store.Store
	dir        string // of the store
}

// openCluster reads the list from Kafka, into a file that goes with Close.
func openCluster(ctx context.Context, cfg *config.SuppressKafka, only string, log *slog.Logger) (_ *shared, err error) {
	connection, topics, err := connectSuppress(cfg)
	if err != nil {
		return nil, err
	}
	c := &shared{connection: connection, kafka: clusterKafka(connection, cfg), topics: topics}
	c.failed = func(err error) { log.Warn("Kafka failed, retrying", "err", err, "hint", connection.Hint(err)) }
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	if c.partitions, err = c.kafka.Prepare(ctx, topics, false, c.failed); err != nil {
		return nil, err
	}
	if c.dir, err = os.MkdirTemp("", "mtatap-suppressions-"); err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	if c.store, err = store.Open(filepath.Join(c.dir, "list.db"), store.Options{Cache: true}); err != nil {
		return nil, err
	}
	c.Table = cluster.NewTable(c.kafka, topics, c.partitions, c.store, c.failed)
	if only != "" {
		c.Only(sinks.KafkaPartition(only, c.partitions))
	}
	return c, c.CatchUp(ctx)
}

// Change implements suppressions: the processor that has the recipient takes it from
// there.
func (c *shared) Change(ctx context.Context, recipient string, o suppress.Outcome) error {
	command := cluster.Command{Recipient: recipient, Do: cluster.CommandRelease, Reason: o.Reason, Time: o.Time}
	if o.Kind == suppress.Add {
		command.Do = cluster.CommandAdd
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return c.kafka.Send(ctx, c.topics, sinks.KafkaPartition(recipient, c.partitions), command, c.failed)
}

// Close implements suppressions.
func (c *shared) Close() error {
	c.connection.Close()
	var err error
	if c.store != nil {
		err = c.store.Close()
	}
	if c.dir != "" {
		err = errors.Join(err, os.RemoveAll(c.dir))
	}
	return err
}
