package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/tboxgate/tboxgate/session"
)

// fleetCommand asks a running gateway about all vehicles at once.
func (p *program) fleetCommand() *cli.Command {
	return &cli.Command{
		Name:  "fleet",
		Usage: "questions about all vehicles at once",
		Subcommands: []*cli.Command{{
			Name:   "summary",
			Usage:  "the fleet in numbers",
			Flags:  operatorFlags(outputFlag()),
			Action: p.fleetSummary,
		}, {
			Name:  "silent",
			Usage: "vehicles of which nothing has been heard for some time, online or offline",
			Flags: operatorFlags(outputFlag(),
				&cli.DurationFlag{Name: "for", Usage: "at least so long", Value: time.Hour},
				&cli.BoolFlag{Name: "never", Usage: "list registered vehicles that have never logged in, too", DisableDefaultText: true}),
			Action: p.fleetList(func(ctx context.Context, c *cli.Context, o *operator) (iter.Seq2[session.FleetVehicle, error], error) {
				least, err := positive(c, "for")
				return o.FleetSilent(ctx, least, c.Bool("never")), err
			}),
		}, {
			Name:  "clock",
			Usage: "vehicles online whose clock is off: collection time against arrival of the last realtime report",
			Flags: operatorFlags(outputFlag(), &cli.DurationFlag{Name: "off", Usage: "at least so much, ahead or behind", Value: time.Minute}),
			Action: p.fleetList(func(ctx context.Context, c *cli.Context, o *operator) (iter.Seq2[session.FleetVehicle, error], error) {
				off, err := positive(c, "off")
				return o.FleetClock(ctx, off), err
			}),
		}, {
			Name:  "encrypted",
			Usage: "vehicles online that have sent encrypted data units: stored as they came, and nobody can read them here",
			Flags: operatorFlags(outputFlag()),
			Action: p.fleetList(func(ctx context.Context, _ *cli.Context, o *operator) (iter.Seq2[session.FleetVehicle, error], error) {
				return o.FleetEncrypted(ctx), nil
			}),
		}},
	}
}

// positive is a duration flag that is not below zero.
func positive(c *cli.Context, flag string) (time.Duration, error) {
	d := c.Duration(flag)
	if d < 0 {
		return 0, usagef(c, "--%s %v: a duration is not below zero", flag, d)
	}
	return d, nil
}

func (p *program) fleetList(ask func(context.Context, *cli.Context, *operator) (iter.Seq2[session.FleetVehicle, error], error)) cli.ActionFunc {
	return func(c *cli.Context) error {
		if _, err := arguments(c, 0, 0); err != nil {
			return err
		}
		return p.operate(c, needGateway, func(ctx context.Context, o *operator) error {
			list, err := ask(ctx, c, o)
			if err != nil {
				return err
			}
			out := printer[session.FleetVehicle]{w: p.stdout, json: c.Bool(jsonFlag), columns: []column[session.FleetVehicle]{
				{"VIN", 17, func(v session.FleetVehicle) string { return v.VIN }},
				{"PRODUCT", 12, func(v session.FleetVehicle) string { return v.ProductKey }},
				{"STATE", 12, fleetState},
				{"LAST SEEN", 20, func(v session.FleetVehicle) string { return shortTime(v.LastSeenAt.Time) }},
				{"SILENT", 10, func(v session.FleetVehicle) string { return silence(v) }},
				{"CLOCK", 10, func(v session.FleetVehicle) string { return clockOff(v.ClockOff) }},
				{"ENCRYPTED", 9, func(v session.FleetVehicle) string { return strconv.Itoa(int(v.EncryptedFrames)) }},
				{"PLATFORM", 0, func(v session.FleetVehicle) string { return v.Platform }},
			}}
			return out.all(list)
		})
	}
}

// fleetState is online, never, or why the vehicle went offline.
func fleetState(v session.FleetVehicle) string {
	switch {
	case v.Session != "":
		return "online"
	case v.LastSeenAt.IsZero():
		return "never"
	}
	return string(v.OfflineReason)
}

func silence(v session.FleetVehicle) string {
	if v.LastSeenAt.IsZero() {
		return "-"
	}
	return (time.Duration(v.Silent) * time.Second).String()
}

// clockOff says how far a clock is ahead (+) or behind (-).
func clockOff(seconds *int64) string {
	switch {
	case seconds == nil:
		return "-"
	case *seconds > 0:
		return "+" + (time.Duration(*seconds) * time.Second).String()
	}
	return (time.Duration(*seconds) * time.Second).String()
}

func (p *program) fleetSummary(c *cli.Context) error {
	if _, err := arguments(c, 0, 0); err != nil {
		return err
	}
	return p.operate(c, needGateway, func(ctx context.Context, o *operator) error {
		s, err := o.FleetSummary(ctx)
		if err != nil {
			return err
		}
		if c.Bool(jsonFlag) {
			return printJSON(p.stdout, s)
		}
		status, err := o.Status(ctx)
		if err != nil {
			return err
		}
		var b strings.Builder
		line := func(n int, format string, args ...any) {
			fmt.Fprintf(&b, "%10d  %s\n", n, fmt.Sprintf(format, args...))
		}
		line(s.Devices, "vehicles registered")
		line(s.Disabled, "disabled")
		line(s.NeverSeen, "never seen")
		line(s.Offline, "offline")
		line(s.Elsewhere, "online at another node")
		line(s.Online, "online here")
		for _, n := range s.Sessions {
			kind := "vehicles themselves"
			if n.Platform {
				kind = "relayed by platforms"
			}
			line(n.Sessions, "  on %s, edition %d, %s", n.Listener, n.Edition, kind)
		}
		for i, d := range session.SilentThresholds {
			line(s.Silent[i], "silent for %s or longer", shortDuration(d))
		}
		for i, d := range session.ClockThresholds {
			line(s.Ahead[i]+s.Behind[i], "clock off by %s or more: %d ahead, %d behind, of %d known", shortDuration(d), s.Ahead[i], s.Behind[i], s.ClockKnown)
		}
		line(s.Encrypted, "have sent encrypted data units, %d in all", s.EncryptedFrames)
		fmt.Fprintf(&b, "\nown clock: %s\n", clockText(status.Clock))
		_, err = io.WriteString(p.stdout, b.String())
		return err
	})
}
