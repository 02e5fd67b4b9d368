package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/trace"
)

func (p *program) traceCommand() *cli.Command {
	return &cli.Command{
		Name:  "trace",
		Usage: "follow one vehicle's frames live: what it sends, what it is answered, and commands with their answers",
		Description: "A line for each frame, with the time since the frame that it answers, until Ctrl-C. The vehicle may be offline when this\n" +
			"begins. Secrets are masked; with --dump a frame that carries one is shown as JSON. Of events that come faster than they can be\n" +
			"printed some are dropped, and how many is said.",
		Flags: operatorFlags(outputFlag(),
			&cli.StringFlag{Name: "vin", Usage: "the vehicle's `VIN`"},
			&cli.BoolFlag{Name: "dump", Usage: "print frames as annotated hex dumps", DisableDefaultText: true},
			&cli.IntFlag{Name: "count", Usage: "end after so many events", DefaultText: "never"}),
		Action: func(c *cli.Context) error {
			if _, err := arguments(c, 0, 0); err != nil {
				return err
			}
			if c.String("vin") == "" {
				return usagef(c, "--vin is needed")
			}
			vin, err := vinArgument(c, c.String("vin"))
			if err != nil {
				return usagef(c, "--vin: %v", err)
			}
			if c.Bool("dump") && c.Bool(jsonFlag) {
				return usagef(c, "--dump and --json exclude each other")
			}
			ctx, stop := untilSignal(c.Context, p.stderr)
			defer stop()
			return p.operate(c, needGateway, func(_ context.Context, o *operator) error { return p.follow(ctx, c, o, vin) })
		},
	}
}

func (p *program) follow(ctx context.Context, c *cli.Context, o *operator, vin codec.VIN) error {
	left := c.Int("count")
	following := func() { say(p.stderr, "following %s; Ctrl-C ends\n", printable(vin.String())) }
	for e, err := range o.Trace(ctx, vin, following) {
		switch {
		case err != nil && ctx.Err() != nil:
			return nil // Ctrl-C is how it ends
		case err != nil:
			return err
		case c.Bool(jsonFlag):
			err = printJSON(p.stdout, e)
		default:
			_, err = io.WriteString(p.stdout, traceText(e, c.Bool("dump")))
		}
		if err != nil {
			return err
		}
		if left--; left == 0 {
			return nil
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return errors.New("the gateway has stopped")
}

// traceText is an event for people: a line, and the frame's dump below it if wanted.
func traceText(e trace.Event, dump bool) string {
	var b strings.Builder
	if e.Dropped > 0 {
		fmt.Fprintf(&b, "... %d events dropped: they came faster than they were read\n", e.Dropped)
	}
	fmt.Fprintf(&b, "%s  %-3s", e.At.UTC().Format("15:04:05.000Z"), e.Kind)
	switch e.Kind {
	case trace.KindIn, trace.KindOut:
		fmt.Fprintf(&b, "  %-14s %-8s %5d B", e.Command, e.Flag, e.Bytes)
		if e.Took != nil {
			fmt.Fprintf(&b, "  after %.1f ms", *e.Took)
		}
	default:
		fmt.Fprintf(&b, "  %s", e.Reason)
		for _, detail := range []struct{ name, value string }{{"session", e.Session}, {"remote", e.Remote}, {"platform", e.Platform}} {
			if detail.value != "" {
				fmt.Fprintf(&b, "  %s %s", detail.name, printable(detail.value))
			}
		}
	}
	raw, err := hex.DecodeString(e.Raw)
	switch {
	case dump && err == nil && len(raw) >= codec.MinFrameSize:
		b.WriteString("\n")
		b.Write(codec.AppendDump(nil, codec.Frame(raw)))
		return b.String()
	case len(e.Frame) > 0:
		b.WriteString("  " + string(e.Frame))
	}
	b.WriteString("\n")
	return b.String()
}
