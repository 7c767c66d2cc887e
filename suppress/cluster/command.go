package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"mtatap/suppress"
)

// Command is what an operator asks for: a recipient added or released by hand. It
// travels on a compacted topic of its own, keyed and partitioned like events, so
// that the owner of the recipient's state reads it.
type Command struct {
	SchemaVersion int       `json:"schema_version"`
	Recipient     string    `json:"recipient"`
	Do            string    `json:"do"` // add or release
	Reason        string    `json:"reason,omitempty"`
	Time          time.Time `json:"time"`
}

const (
	// CommandAdd suppresses.
	CommandAdd = "add"
	// CommandRelease ends a suppression.
	CommandRelease = "release"
)

// Send writes c to its partition and returns when it is there to stay.
func (k *Kafka) Send(ctx context.Context, t Topics, partition int, c Command, failed func(error)) error {
	c.SchemaVersion = suppress.SchemaVersion
	text, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("encode command: %w", err)
	}
	_, err = k.produce(ctx, t.Commands, partition, []record{{key: c.Recipient, value: text}}, failed)
	return err
}

// outcome returns what c says of its recipient, Nothing if it makes no sense.
func (c Command) outcome() suppress.Outcome {
	kind := suppress.Nothing
	switch c.Do {
	case CommandAdd:
		kind = suppress.Add
	case CommandRelease:
		kind = suppress.Release
	}
	if c.SchemaVersion != suppress.SchemaVersion || kind == suppress.Nothing {
		return suppress.Outcome{}
	}
	return suppress.OutcomeByHand(kind, c.Recipient, c.Reason, c.Time)
}
