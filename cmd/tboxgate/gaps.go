package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/admin"
	"github.com/tboxgate/tboxgate/gateway/stream"
)

func (p *program) gapsCommand() *cli.Command {
	return &cli.Command{
		Name:  "gaps",
		Usage: "list the times in which a vehicle sent no realtime reports",
		Description: "A gap is longer than one and a half periods, by collection times (+08:00). REISSUED is how many reports of\n" +
			"that time came later (0x03) and FILLED whether they fill it; PARKED that the vehicle had logged out.",
		Flags: operatorFlags(
			&cli.StringFlag{Name: vinFlag, Usage: "the vehicle's `VIN`", Required: false},
			&cli.StringFlag{Name: sinceFlag, Usage: "collected at or after `TIME`: " + timeHelp, DefaultText: "the oldest"},
			&cli.StringFlag{Name: untilFlag, Usage: "collected before `TIME`, likewise", DefaultText: "now"},
			&cli.DurationFlag{Name: "period", Value: stream.DefaultPeriod, Usage: "how often the vehicle should report"},
			outputFlag(),
		),
		Action: func(c *cli.Context) error {
			if _, err := arguments(c, 0, 0); err != nil {
				return err
			}
			if c.String(vinFlag) == "" {
				return usagef(c, "--%s is needed", vinFlag)
			}
			vin, err := vinArgument(c, c.String(vinFlag))
			if err != nil {
				return err
			}
			period := c.Duration("period")
			if period < time.Second {
				return usagef(c, "--period %v: at least a second", period)
			}
			now := time.Now()
			since, err := pointInTime(c, sinceFlag, now)
			if err != nil {
				return err
			}
			until, err := pointInTime(c, untilFlag, now)
			if err != nil {
				return err
			}
			var stop func()
			c.Context, stop = untilSignal(c.Context, p.stderr)
			defer stop()
			return p.operate(c, needDirectory, func(ctx context.Context, o *operator) error {
				out := printer[stream.Gap]{w: p.stdout, json: c.Bool(jsonFlag), columns: []column[stream.Gap]{
					{"FROM", 25, func(g stream.Gap) string { return g.From.Format(time.RFC3339) }},
					{"TO", 25, func(g stream.Gap) string { return g.To.Format(time.RFC3339) }},
					{"LENGTH", 10, func(g stream.Gap) string { return (time.Duration(g.Seconds) * time.Second).String() }},
					{"REISSUED", 8, func(g stream.Gap) string { return strconv.Itoa(g.Reissued) }},
					{"FILLED", 6, func(g stream.Gap) string { return g.Filled }},
					{"PARKED", 0, func(g stream.Gap) string {
						if g.Logout {
							return "yes"
						}
						return "no"
					}},
				}}
				n := 0
				for g, err := range o.Gaps(ctx, vin, since, until, period) {
					if err != nil {
						return err
					}
					if err := out.print(g); err != nil {
						return err
					}
					n++
				}
				if n > 0 || c.Bool(jsonFlag) {
					return nil
				}
				for _, err := range o.StoredFrames(ctx, admin.FrameQuery{VINs: []codec.VIN{vin}, Commands: []string{"realtime"}}) {
					if err == nil {
						say(p.stderr, "no gaps\n")
					}
					return err
				}
				return fmt.Errorf("no realtime report is stored of vehicle %s", vin)
			})
		},
	}
}
