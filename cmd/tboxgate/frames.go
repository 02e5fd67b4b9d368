package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/admin"
	"github.com/tboxgate/tboxgate/gateway/last"
	"github.com/tboxgate/tboxgate/gateway/sink/nats"
	"github.com/tboxgate/tboxgate/gateway/stream"
)

// frameStore are the frames in the store, as the admin API reads them.
type frameStore struct {
	store *nats.Store
	ended context.Context // ends what is being read
}

// Read reads until its context ends, or the process that has the store.
func (s frameStore) Read(ctx context.Context, q stream.Query) iter.Seq2[*stream.Record, error] {
	return func(yield func(*stream.Record, error) bool) {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		defer context.AfterFunc(s.ended, func() { cancel(context.Cause(s.ended)) })()
		more := true
		stream.Read(ctx, s.store.JetStream(), q)(func(r *stream.Record, err error) bool {
			more = yield(r, s.explain(err))
			return more
		})
		if more && q.Follow && s.ended.Err() != nil {
			yield(nil, context.Cause(s.ended))
		}
	}
}

// Gaps finds the gaps of a vehicle.
func (s frameStore) Gaps(ctx context.Context, vin codec.VIN, since, until time.Time, period time.Duration) ([]stream.Gap, error) {
	gaps, err := stream.Gaps(ctx, s.store.JetStream(), vin, since, until, period)
	return gaps, s.explain(err)
}

// Last returns what is known last of a vehicle.
func (s frameStore) Last(ctx context.Context, vin codec.VIN) (json.RawMessage, error) {
	known, err := last.Read(ctx, s.store.KV(nats.BucketLast), vin)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, kindError{fmt.Errorf("nothing was stored of vehicle %s", vin), admin.ErrNotFound}
	}
	return known, s.explain(err)
}

// explain says of an error in reading that the store is away, and why.
func (s frameStore) explain(err error) error {
	var bad *stream.ParseError
	if err == nil || errors.As(err, &bad) {
		return err
	}
	if why := s.store.Healthy(); why != nil {
		return fmt.Errorf("the store is away, reading ended: %w (%w)", why, err)
	}
	return err
}

// keptFrames gives an API the frames in the store, or the reason why there are none.
func (s *state) keptFrames(ended context.Context, api *admin.API) {
	types := make([]string, len(s.cfg.Sinks))
	for i, sink := range s.cfg.Sinks {
		types[i] = sink.Type
	}
	if slices.Contains(types, "nats") {
		api.Frames = frameStore{s.store, ended}
		return
	}
	api.NoFrames = fmt.Sprintf("frames are not kept here: the gateway's sink is %s; tail, export, gaps and last need the sink nats",
		strings.Join(types, ", "))
}

// Flags of the commands that read frames.
const (
	vinFlag     = "vin"
	commandFlag = "command"
	sinceFlag   = "since"
	untilFlag   = "until"
	mergeFlag   = "merge-split"
)

// timeHelp says how points in time are written.
const timeHelp = "RFC 3339, or a duration before now such as 90s, 15m, 24h, 7d"

func vinsFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: vinFlag, Usage: "only of this `VIN`, may be given more than once"}
}

func commandsFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: commandFlag, Usage: "only of this `COMMAND` (realtime, reissue, 0xC1), may be given more than once"}
}

func sincesFlag(about string) cli.Flag {
	return &cli.StringFlag{Name: sinceFlag, Usage: "received at or after `TIME`: " + timeHelp, DefaultText: about}
}

func untilsFlag() cli.Flag {
	return &cli.StringFlag{Name: untilFlag, Usage: "received before `TIME`, likewise", DefaultText: "now"}
}

func mergesFlag() cli.Flag {
	return &cli.BoolFlag{Name: mergeFlag, Usage: "put the frames of a split pack (2016, more than 200 cells) together", DisableDefaultText: true}
}

// frameQuery reads those flags that a command has.
func frameQuery(c *cli.Context, now time.Time) (q admin.FrameQuery, err error) {
	for _, text := range c.StringSlice(vinFlag) {
		vin, err := vinArgument(c, text)
		if err != nil {
			return q, err
		}
		q.VINs = append(q.VINs, vin)
	}
	for _, name := range c.StringSlice(commandFlag) {
		if !admin.KnownCommand(name) {
			return q, usagef(c, "--%s %q is neither a name such as realtime nor an id such as 0xC1", commandFlag, name)
		}
		q.Commands = append(q.Commands, name)
	}
	if q.Since, err = pointInTime(c, sinceFlag, now); err != nil {
		return q, err
	}
	if q.Until, err = pointInTime(c, untilFlag, now); err != nil {
		return q, err
	}
	if !q.Since.IsZero() && !q.Until.IsZero() && !q.Since.Before(q.Until) {
		return q, usagef(c, "--%s is not before --%s", sinceFlag, untilFlag)
	}
	q.Merge = c.Bool(mergeFlag)
	return q, nil
}

// pointInTime reads a flag: RFC 3339, or a duration before now. Without the flag it is the zero time.
func pointInTime(c *cli.Context, flag string, now time.Time) (time.Time, error) {
	s := c.String(flag)
	if s == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t, nil
	}
	text := s
	days := 0
	if n, isDays := strings.CutSuffix(s, "d"); isDays {
		if _, err := fmt.Sscanf(n, "%d", &days); err == nil && fmt.Sprint(days) == n {
			text = fmt.Sprintf("%dh", 24*days)
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return time.Time{}, usagef(c, "--%s %q: a time is wanted: %s", flag, s, timeHelp)
	}
	return now.Add(-d), nil
}
