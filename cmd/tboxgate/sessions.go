package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/tboxgate/tboxgate/session"
)

func (p *program) sessionsCommand() *cli.Command {
	return &cli.Command{
		Name:  "sessions",
		Usage: "vehicles that are logged in",
		Subcommands: []*cli.Command{{
			Name:  "list",
			Usage: "list the sessions",
			Flags: operatorFlags(outputFlag()),
			Action: func(c *cli.Context) error {
				if _, err := arguments(c, 0, 0); err != nil {
					return err
				}
				return p.operate(c, needGateway, func(ctx context.Context, o *operator) error {
					out := printer[session.Info]{w: p.stdout, json: c.Bool(jsonFlag), columns: []column[session.Info]{
						{"VIN", 17, func(s session.Info) string { return s.VIN }},
						{"PRODUCT", 12, func(s session.Info) string { return s.ProductKey }},
						{"EDITION", 7, func(s session.Info) string { return strconv.Itoa(int(s.Edition)) }},
						{"REMOTE", 21, func(s session.Info) string { return s.Remote.String() }},
						{"LOGIN", 20, func(s session.Info) string { return shortTime(s.LoginAt.Time) }},
						{"LAST SEEN", 20, func(s session.Info) string { return shortTime(s.LastSeenAt.Time) }},
						{"FRAMES", 10, func(s session.Info) string { return strconv.FormatUint(s.Frames, 10) }},
						{"PLATFORM", 0, func(s session.Info) string { return s.Platform }},
					}}
					return out.all(o.Sessions(ctx))
				})
			},
		}, {
			Name:      "show",
			Usage:     "show the session of a vehicle as JSON",
			ArgsUsage: "VIN",
			Flags:     operatorFlags(),
			Action: func(c *cli.Context) error {
				args, err := arguments(c, 1, 1)
				if err != nil {
					return err
				}
				vin, err := vinArgument(c, args[0])
				if err != nil {
					return err
				}
				return p.operate(c, needGateway, func(ctx context.Context, o *operator) error {
					s, err := o.Session(ctx, vin)
					if err != nil {
						return err
					}
					text, err := json.MarshalIndent(s, "", "  ")
					if err != nil {
						return err
					}
					_, err = fmt.Fprintf(p.stdout, "%s\n", text)
					return err
				})
			},
		}, {
			Name:      "kick",
			Usage:     "end the sessions of vehicles; they may log in again",
			ArgsUsage: "VIN...",
			Flags:     operatorFlags(),
			Action: func(c *cli.Context) error {
				return p.operateEach(c, needGateway, func(ctx context.Context, o *operator, text string) error {
					vin, err := vinArgument(c, text)
					if err != nil {
						return err
					}
					s, err := o.Kick(ctx, vin)
					if err != nil {
						return err
					}
					_, err = fmt.Fprintf(p.stdout, "kicked %s, session %s\n", printable(s.VIN), s.Session)
					return err
				})
			},
		}},
	}
}
