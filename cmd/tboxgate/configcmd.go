package main

import (
	"fmt"
	"reflect"

	"github.com/urfave/cli/v2"
)

// configCommand looks at the configuration as serve would read it, with the same flags.
func (p *program) configCommand() *cli.Command {
	flags := func() []cli.Flag {
		return append([]cli.Flag{configFileFlag()}, configFlags(reflect.TypeFor[Config]())...)
	}
	return &cli.Command{
		Name:  "config",
		Usage: "check or print the configuration",
		Subcommands: []*cli.Command{{
			Name:  "check",
			Usage: "say what is wrong with it, one line each",
			Flags: flags(),
			Action: func(c *cli.Context) error {
				if _, err := arguments(c, 0, 0); err != nil {
					return err
				}
				if _, err := p.config(c); err != nil {
					say(p.stderr, "%v\n", err)
					return errReported
				}
				_, err := fmt.Fprintln(p.stdout, "ok")
				return err
			},
		}, {
			Name:  "print",
			Usage: "print what file, environment and flags make together, secrets masked",
			Flags: flags(),
			Action: func(c *cli.Context) error {
				if _, err := arguments(c, 0, 0); err != nil {
					return err
				}
				cfg, err := p.config(c)
				if err != nil {
					return configProblem(c, err)
				}
				return printConfig(p.stdout, cfg)
			},
		}},
	}
}
