package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"
)

func (p *program) lastCommand() *cli.Command {
	return &cli.Command{
		Name:  "last",
		Usage: "show the last known state of a vehicle as JSON",
		Flags: operatorFlags(&cli.StringFlag{Name: vinFlag, Usage: "the vehicle's `VIN`"}),
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
			return p.operate(c, needDirectory, func(ctx context.Context, o *operator) error {
				state, err := o.Last(ctx, vin)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(p.stdout, "%s\n", state)
				return err
			})
		},
	}
}
