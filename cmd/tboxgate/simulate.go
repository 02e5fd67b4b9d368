package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/vehicle"
)

func (p *program) simulateCommand() *cli.Command {
	return &cli.Command{
		Name:  "simulate",
		Usage: "drive simulated vehicles against a gateway",
		Description: "The vehicles log in, report, send heartbeats, answer commands and log out, and every answer they get is checked.\n" +
			"At the end, after --duration, --reports or SIGINT, a summary is printed; the exit status is 1 when something was\n" +
			"answered wrongly or not at all. With --platform they are relayed over one connection of an enterprise platform.",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "addr", Value: devListen, Usage: "the gateway's address for vehicles, HOST:PORT"},
			&cli.IntFlag{Name: "vehicles", Aliases: []string{"n"}, Value: 1, Usage: "how many"},
			&cli.StringFlag{Name: "vin", Value: exampleVIN, Usage: "VIN of the first; the number at its end counts up for the others"},
			&cli.StringFlag{Name: "edition", Value: "2016", Usage: "2016, 2025 or both (in turn)"},
			&cli.StringFlag{Name: "drive", Value: vehicle.DriveDay.String(), Usage: "day (drive, park, charge, alarms) or road (drive without an end)"},
			&cli.Float64Flag{Name: "pace", Value: 1, Usage: "shorten drives, stops and charges by this factor"},
			&cli.IntFlag{Name: "cells", Value: 96, Usage: "battery cells; above 200 the 2016 edition splits a report"},
			&cli.IntFlag{Name: "probes", Value: 16, Usage: "battery temperature probes"},
			&cli.DurationFlag{Name: "period", Value: 10 * time.Second, Usage: "between two reports of a vehicle"},
			&cli.DurationFlag{Name: "heartbeat", Value: time.Minute, Usage: "between two heartbeats"},
			&cli.DurationFlag{Name: "time-sync", Value: time.Hour, Usage: "between two time syncs (0x08), the first after the login; 0: none"},
			&cli.DurationFlag{Name: "clock-offset", Usage: "how far the vehicles' clocks are ahead"},
			&cli.DurationFlag{Name: "duration", Usage: "log out after so long", DefaultText: "until SIGINT"},
			&cli.IntFlag{Name: "reports", Usage: "log out after so many reports", DefaultText: "no limit"},
			&cli.DurationFlag{Name: "ramp", Usage: "spread the logins over this time", DefaultText: "1ms for each vehicle"},
			&cli.DurationFlag{Name: "answer-timeout", Value: 30 * time.Second, Usage: "a login without an answer fails, another answer is late"},
			&cli.StringFlag{Name: "answer", Value: vehicle.StyleTime.String(), Usage: "how commands are answered: " + vehicle.StyleNames() +
				"; several, joined by commas, are dealt out in turn"},
			&cli.DurationFlag{Name: "answer-delay", Value: 45 * time.Second, Usage: "how late the style \"late\" answers"},
			&cli.StringFlag{Name: "script", Usage: "YAML `FILE` of faults to play, see docs/simulate.md"},
			&cli.Uint64Flag{Name: "seed", Usage: "another seed is another fleet: drives, alarms, who plays which fault"},
			&cli.BoolFlag{Name: "reconnect", Usage: "come back when the connection breaks, as a real terminal does", DisableDefaultText: true},
			&cli.StringFlag{Name: "platform", Usage: "code of a platform that relays the vehicles"},
			&cli.StringFlag{Name: "platform-user", Value: "user", Usage: "its user name"},
			&cli.StringFlag{Name: "platform-password", Value: "password", Usage: "its password [$TBOXGATE_PLATFORM_PASSWORD]"},
			&cli.StringFlag{Name: "summary", Value: "auto", Usage: "json, text, or auto: text for a terminal"},
		}, peerTLSFlags()...),
		Action: func(c *cli.Context) error {
			if _, err := arguments(c, 0, 0); err != nil {
				return err
			}
			s, err := p.newSimulation(c)
			if err != nil {
				return err
			}
			ctx, stop := untilSignal(c.Context, p.stderr)
			defer stop()
			if d := c.Duration("duration"); d > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, d)
				defer cancel()
			}
			return s.run(ctx)
		},
	}
}

// newSimulation reads the flags.
func (p *program) newSimulation(c *cli.Context) (*simulation, error) {
	n := c.Int("vehicles")
	vins, err := countUp(c.String("vin"), n)
	if err != nil {
		return nil, usagef(c, "%v", err)
	}
	summary := c.String("summary")
	if summary != "json" && summary != "text" && summary != "auto" {
		return nil, usagef(c, "--summary is json, text or auto")
	}
	s := &simulation{p: p, vehicles: n, ramp: time.Duration(n) * time.Millisecond, reconnect: c.Bool("reconnect"),
		seed: c.Uint64("seed"), text: summary == "text" || summary == "auto" && isTerminal(p.stdout)}
	if c.IsSet("ramp") {
		s.ramp = c.Duration("ramp")
	}
	editions, styles, err := turns(c)
	if err != nil {
		return nil, err
	}
	cfg, err := vehicleConfig(c)
	if err != nil {
		return nil, err
	}
	dials, err := readPeerTLS(c)
	if err != nil {
		return nil, err
	}
	if code := c.String("platform"); code != "" {
		if len(editions) > 1 {
			return nil, usagef(c, "--edition both: the link of a platform has one edition")
		}
		cfg.Edition, cfg.Dial = editions[0], dials.dial(code)
		return s, p.addPlatform(c, s, code, vins, cfg, styles)
	}
	if err := enoughDescriptors(n); err != nil {
		return nil, fmt.Errorf("simulate: %w", err)
	}
	for i, vin := range vins {
		cfg.VIN, cfg.Style, cfg.Edition, cfg.Dial = vin, styles[i%len(styles)], editions[i%len(editions)], dials.dial(vin)
		d, err := vehicle.New(cfg)
		if err != nil {
			return nil, usagef(c, "%v", err)
		}
		s.drivers = append(s.drivers, d)
	}
	return s, nil
}

// addPlatform makes the one driver of a simulation with --platform.
func (p *program) addPlatform(c *cli.Context, s *simulation, code string, vins []string, cfg vehicle.Config,
	styles []vehicle.Style) error {
	if !c.IsSet("heartbeat") {
		cfg.Heartbeat = 0 // a platform's profile has none
	}
	password := c.String("platform-password")
	if v, _ := p.env(envPrefix + "PLATFORM_PASSWORD"); v != "" && !c.IsSet("platform-password") {
		password = v
	}
	d, err := vehicle.NewPlatform(vehicle.PlatformConfig{
		Code: code, User: c.String("platform-user"), Password: password, Vehicles: vins, Styles: styles, Vehicle: cfg,
	})
	if err != nil {
		return usagef(c, "%v", err)
	}
	s.drivers = []driver{d}
	return nil
}

// vehicleConfig is what the flags say of every vehicle.
func vehicleConfig(c *cli.Context) (vehicle.Config, error) {
	cfg := vehicle.Config{
		Addr: c.String("addr"), Period: c.Duration("period"), Heartbeat: c.Duration("heartbeat"), Reports: c.Int("reports"),
		AnswerDelay: c.Duration("answer-delay"), AnswerTimeout: c.Duration("answer-timeout"), TimeSync: c.Duration("time-sync"),
		ClockOffset: c.Duration("clock-offset"), Pace: c.Float64("pace"), Cells: c.Int("cells"), Probes: c.Int("probes"),
		Seed: c.Uint64("seed"), Start: time.Now(),
	}
	var err error
	if cfg.Drive, err = vehicle.ParseDrive(c.String("drive")); err != nil {
		return cfg, usagef(c, "--drive: %v", err)
	}
	if name := c.String("script"); name != "" {
		src, err := os.ReadFile(name)
		if err != nil {
			return cfg, err
		}
		if cfg.Script, err = vehicle.ParseScript(src); err != nil {
			return cfg, fmt.Errorf("%s: %w", name, err)
		}
	}
	return cfg, nil
}

// turns reads the flags whose values are dealt out to the vehicles in turn.
func turns(c *cli.Context) (editions []codec.Edition, styles []vehicle.Style, err error) {
	switch c.String("edition") {
	case "2016":
		editions = []codec.Edition{codec.Edition2016}
	case "2025":
		editions = []codec.Edition{codec.Edition2025}
	case "both":
		editions = []codec.Edition{codec.Edition2016, codec.Edition2025}
	default:
		return nil, nil, usagef(c, "--edition is 2016, 2025 or both")
	}
	for name := range strings.SplitSeq(c.String("answer"), ",") {
		style, err := vehicle.ParseStyle(name)
		if err != nil {
			return nil, nil, usagef(c, "--answer: %v", err)
		}
		styles = append(styles, style)
	}
	return editions, styles, nil
}

// countUp makes n VINs: first, and those whose number at the end is one more each.
func countUp(first string, n int) ([]string, error) {
	if n < 1 {
		return nil, errors.New("--vehicles is 1 or more")
	}
	stem := len(first)
	for stem > 0 && first[stem-1] >= '0' && first[stem-1] <= '9' {
		stem--
	}
	vins := []string{first}
	for digits := []byte(first[stem:]); len(vins) < n; {
		i := len(digits) - 1
		for ; i >= 0 && digits[i] == '9'; i-- {
			digits[i] = '0'
		}
		if i < 0 {
			return nil, fmt.Errorf("--vin %s: the number at its end has no room for %d vehicles", first, n)
		}
		digits[i]++
		vins = append(vins, first[:stem]+string(digits))
	}
	return vins, nil
}
