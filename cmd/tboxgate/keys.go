package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/tboxgate/tboxgate/gateway/admin"
)

func (p *program) keysCommand() *cli.Command {
	return &cli.Command{
		Name:  "keys",
		Usage: "access keys of the API",
		Subcommands: []*cli.Command{{
			Name:  "create",
			Usage: "make a key and print it; its secret is shown this once",
			Flags: operatorFlags(outputFlag(),
				&cli.StringFlag{Name: "id", Usage: "its id, 1-64 of A-Z a-z 0-9 - _", DefaultText: "made up"},
				&cli.StringFlag{Name: "secret", Usage: "its secret, at least 8 characters [$TBOXGATE_SECRET]", DefaultText: "made up"}),
			Action: func(c *cli.Context) error {
				if _, err := arguments(c, 0, 0); err != nil {
					return err
				}
				return p.operate(c, makeDirectory, func(ctx context.Context, o *operator) error {
					key, err := o.CreateKey(ctx, c.String("id"), p.setting(c, "secret"))
					if err != nil {
						return err
					}
					if c.Bool(jsonFlag) {
						return printJSON(p.stdout, key)
					}
					_, err = fmt.Fprintf(p.stdout, "access key     %s\naccess secret  %s\n", key.ID, key.Secret)
					return err
				})
			},
		}, {
			Name:  "list",
			Usage: "list the keys, without their secrets",
			Flags: operatorFlags(outputFlag()),
			Action: func(c *cli.Context) error {
				if _, err := arguments(c, 0, 0); err != nil {
					return err
				}
				return p.operate(c, needDirectory, func(ctx context.Context, o *operator) error {
					keys, err := o.Keys(ctx)
					if err != nil {
						return err
					}
					out := printer[admin.Key]{w: p.stdout, json: c.Bool(jsonFlag), columns: []column[admin.Key]{
						{"ACCESS KEY", 24, func(k admin.Key) string { return k.ID }},
						{"CREATED", 20, func(k admin.Key) string { return shortTime(k.CreatedAt.Time) }},
						{"", 0, keyNote},
					}}
					for _, k := range keys {
						if err := out.print(k); err != nil {
							return err
						}
					}
					return nil
				})
			},
		}, {
			Name:      "delete",
			Usage:     "revoke keys at once",
			ArgsUsage: "ID...",
			Flags:     operatorFlags(),
			Action: func(c *cli.Context) error {
				ids, err := arguments(c, 1, anyNumber)
				if err != nil {
					return err
				}
				return p.operate(c, needDirectory, func(ctx context.Context, o *operator) error {
					return each(ids, func(id string) error { return o.DeleteKey(ctx, id) })
				})
			},
		}},
	}
}

func keyNote(k admin.Key) string {
	switch {
	case k.Static:
		return "given by a flag, the environment or the file"
	case k.Unreadable:
		return "does not work: sealed with another seal key"
	}
	return ""
}

// each does all and reports all that went wrong.
func each(items []string, do func(string) error) error {
	var errs []error
	for _, item := range items {
		errs = append(errs, do(item))
	}
	return errors.Join(errs...)
}

// shortTime is a time as tables show it, UTC; nothing for never.
func shortTime(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}
