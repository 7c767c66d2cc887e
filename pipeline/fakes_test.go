package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mtatap/event"
	"mtatap/parsers"
	"mtatap/rules"
	"mtatap/tailers"
)

// input gives chunks of lines and then either ends or waits to be stopped.
type input struct {
	chunks []tailers.Chunk
	given  int
	follow bool
}

func (in *input) Next(ctx context.Context) (tailers.Chunk, error) {
	if in.given < len(in.chunks) {
		in.given++
		return in.chunks[in.given-1], ctx.Err()
	}
	if !in.follow {
		return tailers.Chunk{}, io.EOF
	}
	<-ctx.Done()
	return tailers.Chunk{}, ctx.Err()
}

func (in *input) Close() error { return nil }

// position tells chunks apart: the number of the last one given.
func (in *input) position() tailers.Position { return positionOf(in.given) }

func positionOf(n int) tailers.Position {
	var p tailers.Position
	if err := json.Unmarshal(fmt.Appendf(nil, `{"horizon":"2026-11-23T00:00:00Z","next":%d}`, n), &p); err != nil {
		panic(err)
	}
	return p
}

// chunk has lines of n recipients, "to ann1" and so on, or other text.
func chunk(lines ...string) tailers.Chunk {
	return tailers.Chunk{Lines: []byte(strings.Join(lines, "\n") + "\n"), Origin: &event.Origin{Path: "log"}, Observed: time.Now()}
}

// toParser makes a bounced delivery of each line "to NAME" and an error of each
// line "bad".
type toParser struct{}

func (toParser) Parse(dst []event.Delivery, line parsers.Line) ([]event.Delivery, error) {
	raw := string(line.Text)
	if raw == "bad" {
		return dst, &parsers.UnparsedError{MTA: "postfix", Program: "smtp", Problem: "test"}
	}
	name, ok := strings.CutPrefix(raw, "to ")
	if !ok {
		return dst, nil
	}
	return append(dst, event.Delivery{MTA: "postfix", Recipient: name, Status: event.Bounced, Diagnostic: "550 5.1.1 User unknown",
		SMTPCode: 550, EnhancedCode: "5.1.1", Origin: line.Origin, Offset: line.Offset, Raw: raw}), nil
}
func (toParser) Flush(dst []event.Delivery) []event.Delivery {
	return append(dst, event.Delivery{MTA: "postfix", Recipient: "flushed", Status: event.Bounced})
}
func (toParser) Snapshot(dst []byte) []byte { return append(dst, "remembered"...) }
func (toParser) Restore([]byte) error       { return nil }

// sink keeps what it is given. While it is blocked, Write waits.
type sink struct {
	mu      sync.Mutex
	got     []string
	writes  int
	blocked chan struct{} // nil: never
	fail    error
	closed  bool
}

func (s *sink) Write(ctx context.Context, events []*event.Event) error {
	if s.blocked != nil {
		select {
		case <-s.blocked:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	if s.fail != nil {
		return s.fail
	}
	for _, e := range events {
		var sent struct{ Recipient string }
		if err := json.Unmarshal(e.JSON, &sent); err != nil || sent.Recipient != e.Recipient {
			return fmt.Errorf("JSON %q of %q: %w", e.JSON, e.Recipient, err)
		}
		s.got = append(s.got, e.Recipient)
	}
	return nil
}

func (s *sink) Close() error {
	s.closed = true
	return nil
}

func (s *sink) recipients() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.got, " ")
}

// store keeps what is saved; while full, it fails.
type store struct {
	mu       sync.Mutex
	saved    map[string]tailers.Position
	memories map[string]string
	full     bool
}

var errFull = errors.New("no space left on device")

func (s *store) Save(positions map[string]tailers.Position) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.full {
		return errFull
	}
	s.saved = positions
	return nil
}

func (s *store) SaveMemory(file string, _ tailers.Position, snapshot []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.memories == nil {
		s.memories = map[string]string{}
	}
	s.memories[file] = string(snapshot)
	return nil
}

// bench is a pipeline with its surroundings.
type bench struct {
	*Pipeline
	registry *prometheus.Registry
	logged   *strings.Builder
}

func newBench(t testing.TB, keeper LineKeeper, sinks ...Sink) *bench {
	t.Helper()
	registry := prometheus.NewRegistry()
	var logged strings.Builder
	p := New(defaultRules(t), Options{
		Sinks: sinks, Keeper: keeper, Metrics: NewMetrics(registry), Limits: Limits{Events: 2, Bytes: 1 << 20, Linger: time.Hour},
		Logger: slog.New(slog.NewTextHandler(&logged, nil)),
	})
	return &bench{p, registry, &logged}
}

// builtIn are the default rules: immutable, and slow to load.
var builtIn = sync.OnceValues(func() (*rules.Set, error) {
	data, err := os.ReadFile("../rules.yaml")
	if err != nil {
		return nil, err
	}
	return rules.Parse("rules.yaml", data, nil)
})

func defaultRules(t testing.TB) *rules.Set {
	t.Helper()
	set, err := builtIn()
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// reader returns a reader of in that acknowledges to acks.
func (b *bench) reader(in *input, acks *checkpoints) *reader {
	return &reader{Pipeline: b.Pipeline, file: "log", input: in, position: in.position, parser: toParser{}, metrics: b.metrics.of("log"), log: b.log, acks: acks,
		backlog: func(tailers.Position) (int64, bool) { return 0, false }}
}

// value returns the sum of a metric over its labels.
func (b *bench) value(t testing.TB, name string) float64 {
	t.Helper()
	families, err := b.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			sum := 0.0
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
			return sum
		}
	}
	return 0
}

func openToParser() (parsers.Parser, error) { return toParser{}, nil }
