package pipeline

import (
	"context"
	"fmt"
	"time"

	"mtatap/parsers"
)

// Finished is a log that is read to its end and grows no more.
type Finished interface {
	Input
	Close() error
}

// Recording is one finished log to replay.
type Recording struct {
	Name      string
	Open      func() (Finished, error)
	Parser    func() (parsers.Parser, error)
	Reference time.Time // stamps without a year are the latest not after it
}

// Replay reads recordings one after the other to their ends, each with a parser
// of its own. It keeps no positions. It returns when every sink has taken all
// events, or ctx has ended.
func (p *Pipeline) Replay(ctx context.Context, recordings []Recording) error {
	return p.run(ctx, func(ctx context.Context) error {
		for _, rec := range recordings {
			if err := p.replay(ctx, rec); err != nil {
				return fmt.Errorf("replay %s: %w", rec.Name, err)
			}
		}
		return nil
	})
}

func (p *Pipeline) replay(ctx context.Context, rec Recording) (err error) {
	parser, err := rec.Parser()
	if err != nil {
		return err
	}
	input, err := rec.Open()
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := input.Close(); err == nil {
			err = closeErr
		}
	}()
	r := &reader{Pipeline: p, file: rec.Name, input: input, parser: parser, reference: rec.Reference,
		metrics: p.metrics.of(rec.Name), log: p.log.With("file", rec.Name)}
	return r.run(ctx)
}
