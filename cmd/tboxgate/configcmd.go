package main

import (
	"errors"
	"fmt"
	"os"
	"reflect"

	"github.com/urfave/cli/v2"

	"github.com/tboxgate/tboxgate/gateway/certfiles"
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
			Usage: "say what is wrong with it, one line each; the files of certificates and passwords that it names are read, too",
			Flags: flags(),
			Action: func(c *cli.Context) error {
				if _, err := arguments(c, 0, 0); err != nil {
					return err
				}
				cfg, err := p.config(c)
				if err == nil {
					err = certificates(cfg)
				}
				if err != nil {
					say(p.stderr, "%v\n", err)
					return errReported
				}
				_, err = fmt.Fprintln(p.stdout, "ok")
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

// certificates reads the files of certificates and passwords that a configuration names, and says which cannot be used.
func certificates(cfg *Config) error {
	var errs []error
	check := func(where string, files certfiles.Files) {
		if files == (certfiles.Files{}) {
			return // no TLS
		}
		if _, err := certfiles.Load(files, nil); err != nil {
			errs = append(errs, fmt.Errorf("%s.%w", where, err))
		}
	}
	for i, l := range cfg.Listeners {
		check(fmt.Sprintf("listeners[%d]", i), certfiles.Files{Cert: l.TLS.Cert, Key: l.TLS.Key, ClientCA: l.TLS.ClientCA})
	}
	check("api", certfiles.Files{Cert: cfg.API.TLS.Cert, Key: cfg.API.TLS.Key, ClientCA: cfg.API.TLS.ClientCA})
	for i, l := range cfg.MQTT.Listeners {
		check(fmt.Sprintf("mqtt.listeners[%d]", i), certfiles.Files{Cert: l.TLS.Cert, Key: l.TLS.Key})
	}
	note := func(where string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s.%w", where, err))
		}
	}
	for i, s := range cfg.Sinks {
		where := fmt.Sprintf("sinks[%d]", i)
		_, err := s.password()
		note(where, err)
		_, err = s.TLS.config()
		note(where, err)
	}
	_, err := cfg.NATS.TLS.config()
	note("nats", err)
	if name := cfg.NATS.CredentialsFile; name != "" {
		if _, err := os.ReadFile(name); err != nil {
			note("nats", fmt.Errorf("credentialsFile: %w", err))
		}
	}
	return errors.Join(errs...)
}
