package cluster

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/segmentio/kafka-go"

	"mtatap/suppress"
)

// input is an event or a command on its way into a state.
type input struct {
	offset    int64
	command   bool
	recipient string
	suppress.Outcome
}

// inputs is what one fetch gave.
type inputs struct {
	all       []input
	command   bool
	next, end int64
	refused   int // records that are no events
}

// feed reads a partition from offset on and hands its records on until ctx ends. It
// reads ahead while the last ones are worked on.
type feed struct {
	kafka     broker
	topic     string
	partition int
	command   bool
	failed    func(error)
	out       chan<- inputs
}

func (f *feed) run(ctx context.Context, offset int64) error {
	decoder := new(suppress.Decoder)
	for {
		var batch inputs
		err := persist(ctx, f.failed, func() error {
			batch = inputs{command: f.command}
			got, err := f.kafka.fetch(ctx, f.topic, f.partition, offset, func(offset int64, _, value []byte, _ stamp) error {
				f.decode(decoder, &batch, offset, value)
				return nil
			})
			batch.next, batch.end = got.next, got.end
			if errors.Is(err, kafka.OffsetOutOfRange) {
				return f.outOfRange(ctx, &offset, err)
			}
			return err
		})
		if err != nil {
			return err
		}
		offset = batch.next
		select {
		case f.out <- batch:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// outOfRange goes on with the oldest record where the next ones are deleted, and
// says so.
func (f *feed) outOfRange(ctx context.Context, offset *int64, cause error) error {
	first, end, err := f.kafka.bounds(ctx, f.topic, f.partition)
	switch {
	case err != nil:
		return err
	case *offset > end:
		return madeAnew(f.topic, f.partition, end, *offset)
	case *offset < first:
		*offset = first
	}
	return cause // logged; the next attempt is at the new offset
}

func madeAnew(topic string, partition int, end, offset int64) error {
	return final("topic %s, partition %d ends at offset %d, but offset %d has been read: it was made anew or lost records; choose another suppress.kafka.group and state topic", topic, partition, end, offset)
}

func (f *feed) decode(d *suppress.Decoder, batch *inputs, offset int64, value []byte) {
	in := input{offset: offset, command: f.command}
	if f.command {
		var c Command
		if value == nil {
			return
		}
		if json.Unmarshal(value, &c) != nil {
			batch.refused++
			return
		}
		in.recipient, in.Outcome = c.Recipient, c.outcome()
	} else {
		var err error
		if in.recipient, in.Outcome, err = d.Decode(value); err != nil {
			batch.refused++
			return
		}
	}
	if in.Kind != suppress.Nothing {
		batch.all = append(batch.all, in)
	}
}
