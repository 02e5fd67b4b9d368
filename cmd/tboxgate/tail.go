package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/admin"
	"github.com/tboxgate/tboxgate/gateway/stream"
)

// tailSince is how far tail looks back when nobody says.
const tailSince = 10 * time.Minute

func (p *program) tailCommand() *cli.Command {
	return &cli.Command{
		Name:  "tail",
		Usage: "print stored frames",
		Description: "Prints the frames in the order in which they were received: the stream's JSON, one object a line,\n" +
			"or with --raw their bytes in hex. --follow goes on with what comes, until Ctrl-C. See docs/reading.md.",
		Flags: operatorFlags(
			vinsFlag(), commandsFlag(), sincesFlag("10m; with --follow from now on"),
			&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "go on with what comes", DisableDefaultText: true},
			&cli.BoolFlag{Name: "raw", Usage: "print the frames' bytes in hex", DisableDefaultText: true},
			mergesFlag(),
		),
		Action: func(c *cli.Context) error {
			if _, err := arguments(c, 0, 0); err != nil {
				return err
			}
			now := time.Now()
			q, err := frameQuery(c, now)
			if err != nil {
				return err
			}
			raw, need := c.Bool("raw"), needDirectory
			if raw && q.Merge {
				return usagef(c, "--raw and --%s: a merged pack is no frame", mergeFlag)
			}
			if q.Follow = c.Bool("follow"); q.Follow {
				need = needGateway // without one nothing comes
			}
			switch {
			case !q.Since.IsZero():
			case q.Follow:
				q.Since = now
			default:
				q.Since = now.Add(-tailSince)
			}
			var stop func()
			c.Context, stop = untilSignal(c.Context, p.stderr)
			defer stop()
			return p.operate(c, need, func(ctx context.Context, o *operator) error {
				printed, err := p.tail(ctx, o, q, raw)
				if err == nil && printed == 0 && !q.Follow && !c.IsSet(sinceFlag) {
					say(p.stderr, "no such frame in the last %v; --since looks further back\n", tailSince)
				}
				return err
			})
		},
	}
}

// tail prints frames until there are no more or ctx ends, and says how many.
func (p *program) tail(ctx context.Context, o *operator, q admin.FrameQuery, raw bool) (printed int, err error) {
	out := bufio.NewWriterSize(p.stdout, 64<<10)
	left := 0
	for line, err := range o.StoredFrames(ctx, q) {
		if ctx.Err() != nil {
			break
		}
		if err == nil && raw {
			line, err = frameHex(line)
		}
		switch {
		case errors.Is(err, admin.ErrDamaged), errors.Is(err, stream.ErrMasked):
			left++
			say(p.stderr, "tboxgate: left out: %v\n", err)
			continue
		case err != nil:
			return printed, errors.Join(out.Flush(), err)
		}
		if err := writeLine(out, line); err != nil {
			return printed, err
		}
		printed++
		if q.Follow {
			if err := out.Flush(); err != nil {
				return printed, err
			}
		}
	}
	if err := out.Flush(); err != nil {
		return printed, err
	}
	if left > 0 && ctx.Err() == nil {
		return printed, fmt.Errorf("tail: %d left out", left)
	}
	return printed, nil
}

// frameHex gives the bytes of a frame's JSON. The error is stream.ErrMasked for one without its secrets.
func frameHex(line []byte) ([]byte, error) {
	records, err := stream.Parse("", nil, line)
	if err != nil {
		return nil, err
	}
	frame, err := records[0].AppendFrame(make([]byte, 0, codec.MaxFrameSize/16))
	if err != nil {
		return nil, err
	}
	return hex.AppendEncode(nil, frame), nil
}

// writeLine writes a line and its end.
func writeLine(w *bufio.Writer, line []byte) error {
	if _, err := w.Write(line); err != nil {
		return err
	}
	return w.WriteByte('\n')
}
