package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/tboxgate/tboxgate/gateway/admin"
	"github.com/tboxgate/tboxgate/session"
)

func (p *program) keysCommand() *cli.Command {
	return &cli.Command{
		Name:  "keys",
		Usage: "access keys of the API",
		Subcommands: []*cli.Command{
			p.createKeyCommand(),
			p.listKeysCommand(),
			p.changeKeysCommand("disable", "refuse calls signed with keys, from now on", func(ctx context.Context, o *operator, id string) error {
				return o.DisableKey(ctx, id, true)
			}),
			p.changeKeysCommand("enable", "let keys be used again", func(ctx context.Context, o *operator, id string) error {
				return o.DisableKey(ctx, id, false)
			}),
			p.changeKeysCommand("delete", "revoke keys at once", func(ctx context.Context, o *operator, id string) error {
				return o.DeleteKey(ctx, id)
			}),
		},
	}
}

func (p *program) createKeyCommand() *cli.Command {
	return &cli.Command{
		Name:  "create",
		Usage: "make a key and print it; its secret is shown this once",
		Description: "Rights: query, set, control (send commands of that kind), publish (messages to MQTT devices), read (devices,\n" +
			"their state, results of all commands; those of its own commands a key may always read), import (register and delete\n" +
			"devices). --allow read makes a key that changes nothing.",
		Flags: operatorFlags(outputFlag(),
			&cli.StringFlag{Name: "id", Usage: "its id, 1-64 of A-Z a-z 0-9 . - _", DefaultText: "made up"},
			&cli.StringFlag{Name: "secret", Usage: "its secret, at least 8 characters [$TBOXGATE_SECRET]", DefaultText: "made up"},
			&cli.StringSliceFlag{Name: productName, Aliases: []string{productAlias}, Usage: "product `KEY` that it may work with; repeatable", DefaultText: "all"},
			&cli.StringFlag{Name: "allow", Usage: "`RIGHTS` separated by commas", DefaultText: "all"},
			&cli.DurationFlag{Name: "expires", Usage: "it works for so long, such as 12h", DefaultText: "for ever"},
			&cli.BoolFlag{Name: "sts", Usage: "with a security token, as Alibaba Cloud's STS gives them; needs --expires", DisableDefaultText: true}),
		Action: func(c *cli.Context) error {
			if _, err := arguments(c, 0, 0); err != nil {
				return err
			}
			n := admin.NewKey{ID: c.String("id"), Secret: p.setting(c, "secret"), Products: c.StringSlice(productName), Temporary: c.Bool("sts")}
			if text := c.String("allow"); text != "" {
				for right := range strings.SplitSeq(text, ",") {
					n.Allow = append(n.Allow, strings.TrimSpace(right))
				}
			}
			switch d := c.Duration("expires"); {
			case d > 0:
				n.ExpiresAt = session.At(time.Now().Add(d))
			case c.IsSet("expires"):
				return usagef(c, "--expires: a time to come is wanted, such as 12h")
			case n.Temporary:
				return usagef(c, "--sts needs --expires")
			}
			return p.operate(c, makeDirectory, func(ctx context.Context, o *operator) error {
				key, err := o.CreateKey(ctx, n)
				if err != nil {
					return err
				}
				if c.Bool(jsonFlag) {
					return printJSON(p.stdout, key)
				}
				text := fmt.Sprintf("access key      %s\naccess secret   %s\n", key.ID, key.Secret)
				if key.SecurityToken != "" {
					text += fmt.Sprintf("security token  %s\n", key.SecurityToken)
				}
				if limits := keyLimits(key); limits != "" {
					text += fmt.Sprintf("limits          %s\n", limits)
				}
				_, err = fmt.Fprint(p.stdout, text)
				return err
			})
		},
	}
}

func (p *program) listKeysCommand() *cli.Command {
	return &cli.Command{
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
	}
}

// changeKeysCommand does one thing with each key of its arguments.
func (p *program) changeKeysCommand(name, usage string, do func(ctx context.Context, o *operator, id string) error) *cli.Command {
	return &cli.Command{
		Name:      name,
		Usage:     usage,
		ArgsUsage: "ID...",
		Flags:     operatorFlags(),
		Action:    func(c *cli.Context) error { return p.operateEach(c, needDirectory, do) },
	}
}

// keyLimits tells what a key is limited to, "" for one that may do everything for ever.
func keyLimits(k admin.Key) string {
	var limits []string
	if len(k.Products) > 0 {
		limits = append(limits, "products "+strings.Join(k.Products, ","))
	}
	if len(k.Allow) > 0 {
		limits = append(limits, "may "+strings.Join(k.Allow, ","))
	}
	if !k.ExpiresAt.IsZero() {
		limits = append(limits, "until "+shortTime(k.ExpiresAt.Time))
	}
	return strings.Join(limits, "; ")
}

func keyNote(k admin.Key) string {
	var notes []string
	switch {
	case k.Static:
		notes = append(notes, "given by a flag, the environment or the file")
	case k.Unreadable:
		notes = append(notes, "does not work: sealed with another seal key; put that key back and restart, or delete and create it again")
	case k.Disabled:
		notes = append(notes, "disabled")
	case !k.ExpiresAt.IsZero() && !time.Now().Before(k.ExpiresAt.Time):
		notes = append(notes, "expired")
	}
	if k.Temporary {
		notes = append(notes, "with a security token")
	}
	if limits := keyLimits(k); limits != "" {
		notes = append(notes, limits)
	}
	return strings.Join(notes, "; ")
}
