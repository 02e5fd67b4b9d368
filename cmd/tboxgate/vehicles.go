package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/session"
)

func (p *program) vehiclesCommand() *cli.Command {
	return &cli.Command{
		Name:  "vehicles",
		Usage: "vehicles that may log in",
		Subcommands: []*cli.Command{{
			Name:      "import",
			Usage:     "register the VINs of files or of standard input",
			ArgsUsage: "[FILE|-]...",
			Description: "A file holds one VIN a line, or CSV with a header that has a column vin (or deviceName), or CSV without a\n" +
				"header and the VIN first. When the first line has several columns, none called so and no digit in the first, it is\n" +
				"taken for a header without the column, and the file is refused. Blank lines and lines that begin with # are passed\n" +
				"over. Registering again changes nothing.",
			Flags: operatorFlags(productFlag()),
			Action: func(c *cli.Context) error {
				args, err := inputs(c)
				if err != nil {
					return err
				}
				return p.operate(c, makeDirectory, func(ctx context.Context, o *operator) error {
					if err := o.knownProduct(ctx, o.productKey, false); err != nil {
						return err
					}
					im := &vehicleImport{p: p, o: o, show: isTerminal(p.stderr), count: map[session.RegisterStatus]int{}}
					for _, a := range args {
						if err := p.input(a, func(src io.Reader, name string) error { return im.file(ctx, src, name) }); err != nil {
							return errors.Join(err, im.report())
						}
					}
					return im.report()
				})
			},
		}, {
			Name:  "list",
			Usage: "list the registered vehicles",
			Flags: operatorFlags(outputFlag(), &cli.StringFlag{Name: productName, Aliases: []string{productAlias}, Usage: "only those of one product", DefaultText: "all"}),
			Action: func(c *cli.Context) error {
				if _, err := arguments(c, 0, 0); err != nil {
					return err
				}
				return p.operate(c, needDirectory, func(ctx context.Context, o *operator) error {
					key := c.String(productName)
					if key != "" {
						if err := o.knownProduct(ctx, key, true); err != nil {
							return err
						}
					}
					return p.listVehicles(ctx, o, key, c.Bool(jsonFlag))
				})
			},
		}, p.eachVehicle("disable", "keep vehicles from logging in; those that are online are cut off",
			"They stay registered, with the status DISABLE in the API. Commands to them are refused.",
			func(ctx context.Context, o *operator, vin codec.VIN) error {
				return o.DisableVehicle(ctx, o.productKey, vin, true)
			}),
			p.eachVehicle("enable", "let disabled vehicles log in again", "",
				func(ctx context.Context, o *operator, vin codec.VIN) error {
					return o.DisableVehicle(ctx, o.productKey, vin, false)
				}),
			p.eachVehicle("delete", "let vehicles log in no more; those that are online are cut off",
				"Their records stay in the stream until they are too old.",
				func(ctx context.Context, o *operator, vin codec.VIN) error {
					return o.DeleteVehicle(ctx, o.productKey, vin)
				}),
			p.eraseCommand(),
		},
	}
}

// eachVehicle is a command that does one thing to every VIN on its line.
func (p *program) eachVehicle(name, usage, description string, do func(context.Context, *operator, codec.VIN) error) *cli.Command {
	return &cli.Command{
		Name: name, Usage: usage, Description: description, ArgsUsage: "VIN...", Flags: operatorFlags(productFlag()),
		Action: func(c *cli.Context) error {
			args, err := arguments(c, 1, anyNumber)
			if err != nil {
				return err
			}
			return p.operate(c, needDirectory, func(ctx context.Context, o *operator) error {
				if err := o.knownProduct(ctx, o.productKey, true); err != nil {
					return err
				}
				return each(args, func(text string) error {
					vin, err := vinArgument(c, text)
					if err != nil {
						return err
					}
					return do(ctx, o, vin)
				})
			})
		},
	}
}

// registered is what a table shows of a session.Device.
type registered struct {
	VIN           string    `json:"vin"`
	VINHex        string    `json:"vinHex"`
	ProductKey    string    `json:"productKey"`
	RegisteredAt  time.Time `json:"registeredAt"`
	LastOnlineAt  time.Time `json:"lastOnlineAt"`
	LastOfflineAt time.Time `json:"lastOfflineAt"`
	OfflineReason string    `json:"offlineReason"`
	Disabled      bool      `json:"disabled"`
}

func (v registered) state() string {
	switch {
	case v.Disabled:
		return "disabled"
	case v.LastOnlineAt.IsZero():
		return "never online"
	case v.LastOnlineAt.After(v.LastOfflineAt):
		return "online"
	default:
		return "offline: " + v.OfflineReason
	}
}

func (p *program) listVehicles(ctx context.Context, o *operator, productKey string, asJSON bool) error {
	table := printer[registered]{w: p.stdout, columns: []column[registered]{
		{"VIN", 17, func(v registered) string {
			if v.VIN == "" {
				return v.VINHex
			}
			return v.VIN
		}},
		{"PRODUCT", 12, func(v registered) string { return v.ProductKey }},
		{"REGISTERED", 20, func(v registered) string { return shortTime(v.RegisteredAt) }},
		{"LAST ONLINE", 20, func(v registered) string { return shortTime(v.LastOnlineAt) }},
		{"STATE", 0, registered.state},
	}}
	for line, err := range o.Vehicles(ctx, productKey) {
		if err != nil {
			return err
		}
		if asJSON {
			if _, err := p.stdout.Write(append(line, '\n')); err != nil {
				return err
			}
			continue
		}
		var v registered
		if err := json.Unmarshal(line, &v); err != nil {
			return fmt.Errorf("vehicles list: %w", err)
		}
		if err := table.print(v); err != nil {
			return err
		}
	}
	return nil
}
