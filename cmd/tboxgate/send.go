package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/command/client"
	"github.com/tboxgate/tboxgate/gateway/admin"
)

// sendCommand calls AsyncRRpc for people: it builds the data unit, sends it and waits for the vehicle's answer.
func (p *program) sendCommand() *cli.Command {
	return &cli.Command{
		Name:  "send",
		Usage: "send a command to a vehicle and print its answer",
		Description: "query, set and control take names and check values; --json takes the JSON of a frame, as in the stream.\n" +
			"Exit status: 0 the vehicle answered success, 3 it refused, 4 it did not answer (in time), 5 its session ended,\n" +
			"1 the gateway refused or something else went wrong, 2 the command line is wrong.",
		Flags: sendFlags(),
		Action: func(c *cli.Context) error {
			if c.String(jsonFlag) == "" || c.Args().Present() {
				return p.group(c)
			}
			return p.send(c, 0, nil)
		},
		Subcommands: []*cli.Command{{
			Name:  "query",
			Usage: "ask for parameters (0x80)",
			Flags: sendFlags(&cli.StringFlag{Name: "params", Usage: "names or `IDS` separated by commas: reportPeriod,9; all: those of the standard"}),
			Action: func(c *cli.Context) error {
				names, err := paramNames(c, c.String("params"))
				if err != nil {
					return err
				}
				return p.send(c, codec.CommandParamQuery, buildIf(names, func(d client.Device, at time.Time) (client.Command, error) {
					return client.QueryCommand(d, at, names...)
				}))
			},
		}, {
			Name:  "set",
			Usage: "set parameters (0x81)",
			Flags: sendFlags(&cli.StringSliceFlag{Name: "set", Usage: "`NAME=VALUE`, such as reportPeriod=10 or heartbeatPeriod=2m; repeatable"}),
			Action: func(c *cli.Context) error {
				settings, err := paramSettings(c, c.StringSlice("set"))
				if err != nil {
					return err
				}
				return p.send(c, codec.CommandParamSet, buildIf(settings, func(d client.Device, at time.Time) (client.Command, error) {
					return client.SetCommand(d, at, settings...)
				}))
			},
		}, p.controlCommand()},
	}
}

func sendFlags(own ...cli.Flag) []cli.Flag {
	return operatorFlags(append([]cli.Flag{
		&cli.StringFlag{Name: "vin", Usage: "the vehicle's `VIN`"}}, append(own,
		&cli.StringFlag{Name: jsonFlag, Usage: "the command as a frame's JSON in a `FILE`, - for standard input; v, edition, flag, vin, encryption, time may be absent"},
		&cli.StringFlag{Name: "hex", Usage: "the whole data unit in `HEX`, from its time on; nothing is checked"},
		&cli.IntFlag{Name: "edition", Usage: "edition of the data unit, 2016 or 2025", DefaultText: "the session's"},
		&cli.BoolFlag{Name: "no-wait", Usage: "print the message id at once", DisableDefaultText: true},
		&cli.DurationFlag{Name: "timeout", Usage: "wait at most so long for the answer", DefaultText: "until the gateway gives up"},
		&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "text or json", DefaultText: "text"},
		productFlag(),
		&cli.StringFlag{Name: "api", Usage: "call this API address, http://HOST:PORT, signed with --access-key, instead of the gateway's socket"},
		&cli.StringFlag{Name: "access-key", Usage: "ID:SECRET for --api [$TBOXGATE_ACCESS_KEY]"},
	)...)...)
}

// builder builds a command of the flags that one kind of command has.
type builder func(d client.Device, at time.Time) (client.Command, error)

// buildIf is the builder when its flag was given, else nil.
func buildIf[T any](given []T, b builder) builder {
	if len(given) == 0 {
		return nil
	}
	return b
}

// send sends one command. kind is 0 when only its JSON says what it is. build is nil when none of the command's own flags
// was given.
func (p *program) send(c *cli.Context, kind codec.Command, build builder) error {
	if err := inherit(c); err != nil {
		return err
	}
	if _, err := arguments(c, 0, 0); err != nil {
		return err
	}
	if o := c.String("output"); o != "" && o != "text" && o != jsonFlag {
		return usagef(c, "--output: %q is neither text nor json", o)
	}
	sources := 0
	for _, given := range []bool{build != nil, c.String("hex") != "", c.String(jsonFlag) != ""} {
		if given {
			sources++
		}
	}
	if c.String("vin") == "" && c.String(jsonFlag) == "" {
		return usagef(c, "--vin is needed")
	}
	own := map[codec.Command]string{codec.CommandParamQuery: "--params", codec.CommandParamSet: "--set"}[kind]
	switch {
	case sources == 0:
		return usagef(c, "what to send is missing: %s, --json or --hex", own)
	case sources > 1:
		return usagef(c, "%s, --json and --hex: only one of them can say what to send", cmp.Or(own, "the command's own flags"))
	}
	vinText := c.String("vin")
	switch {
	case c.String("hex") != "":
		unit, err := unhex([]byte(c.String("hex")))
		if err != nil {
			return usagef(c, "--hex: %v", err)
		}
		build = func(d client.Device, _ time.Time) (client.Command, error) {
			return client.Command{ProductKey: d.ProductKey, DeviceName: d.DeviceName, Command: kind, Unit: unit}, nil
		}
	case c.String(jsonFlag) != "":
		object, vinInside, err := p.commandObject(c.String(jsonFlag))
		if err != nil {
			return err
		}
		if vinText == "" {
			vinText = vinInside
		}
		if vinText == "" {
			return usagef(c, "--vin is needed: the JSON has no vin")
		}
		build = func(d client.Device, at time.Time) (client.Command, error) {
			return client.JSONCommand(d, at, kind, object)
		}
	}
	vin, err := vinArgument(c, vinText)
	if err != nil {
		return usagef(c, "--vin: %v", err)
	}
	if err := possible(build, codec.Edition(c.Int("edition"))); err != nil {
		return usagef(c, "%v%s", err, suggestion(err))
	}
	ctx, stop := untilSignal(c.Context, p.stderr)
	defer stop()
	return p.caller(ctx, c, vin, func(s *sender) error {
		cmd, err := build(s.device, time.Now())
		if err != nil {
			return usagef(c, "%v%s", err, suggestion(err))
		}
		return s.send(ctx, c, p, cmd)
	})
}

// possible builds a command before anybody is connected to: what no edition takes is a mistake at once.
func possible(build builder, e codec.Edition) error {
	_, err := build(client.Device{Edition: e}, time.Now())
	if err != nil && e == 0 {
		if _, other := build(client.Device{Edition: codec.Edition2025}, time.Now()); other == nil {
			return nil
		}
	}
	return err
}

// inherit takes over the flags that were given to the commands above: send control --vin V reset.
func inherit(c *cli.Context) error {
	for _, above := range c.Lineage()[1:] {
		for _, name := range above.LocalFlagNames() {
			local := slices.ContainsFunc(c.Command.Flags, func(f cli.Flag) bool { return slices.Contains(f.Names(), name) })
			if !local || slices.Contains(c.LocalFlagNames(), name) {
				continue
			}
			if err := c.Set(name, fmt.Sprint(above.Value(name))); err != nil {
				return usagef(c, "--%s: %v", name, err)
			}
		}
	}
	return nil
}

// sender is a client of the API and what is known about the vehicle.
type sender struct {
	*client.Client
	device client.Device
}

// caller connects to the API: over the admin socket or address, or signed to its own address.
func (p *program) caller(ctx context.Context, c *cli.Context, vin codec.VIN, fn func(*sender) error) error {
	s := &sender{device: client.Device{DeviceName: vin.String(), Edition: codec.Edition(c.Int("edition"))}}
	if e := s.device.Edition; e != 0 && e != codec.Edition2016 && e != codec.Edition2025 {
		return usagef(c, "--edition is 2016 or 2025")
	}
	if url := c.String("api"); url != "" {
		var key AccessKey
		if err := key.UnmarshalText([]byte(p.setting(c, "access-key"))); err != nil {
			return usagef(c, "--api needs --access-key: %v", err)
		}
		cfg, err := p.config(c)
		if err != nil {
			return configProblem(c, err)
		}
		s.device.ProductKey = cfg.Products[0].Key
		if s.Client, err = client.New(client.Options{BaseURL: url, AccessKeyID: key.ID, AccessKeySecret: key.Secret}); err != nil {
			return err
		}
		return fn(s)
	}
	return p.operate(c, needGateway, func(_ context.Context, o *operator) (err error) {
		s.device.ProductKey = o.productKey
		if s.Client, err = client.New(client.Options{BaseURL: "http://gateway", HTTPClient: o.Calls()}); err != nil {
			return err
		}
		info, err := o.Session(ctx, vin)
		switch {
		case err == nil && s.device.Edition == 0:
			s.device.Edition = info.Edition
		case err != nil && !errors.Is(err, admin.ErrNotFound): // offline is for the API to say: it knows why
			return err
		}
		return fn(s)
	})
}

// commandObject reads the JSON of --json, and the VIN that stands in it.
func (p *program) commandObject(name string) (object []byte, vin string, err error) {
	const most = 1 << 20
	err = p.input(name, func(src io.Reader, name string) error {
		if object, err = io.ReadAll(io.LimitReader(src, most)); err != nil {
			return fmt.Errorf("--json: %s: %w", name, err)
		}
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	return object, vinOfObject(object), nil
}

// paramNames reads the list of --params; nil when there is none.
func paramNames(c *cli.Context, list string) ([]string, error) {
	if list == "" {
		return nil, nil
	}
	if list == "all" {
		return standardParams(), nil
	}
	var names []string
	for word := range strings.SplitSeq(list, ",") {
		word = strings.TrimSpace(word)
		if _, err := client.QueryCommand(client.Device{}, time.Now(), word); err != nil {
			return nil, usagef(c, "--params: %q is neither an id from 1 to 254 nor a name%s", word, didYouMean(word, standardParams()))
		}
		names = append(names, word)
	}
	return names, nil
}

// paramSettings reads NAME=VALUE; nil when there are none.
func paramSettings(c *cli.Context, list []string) ([]client.Setting, error) {
	var settings []client.Setting
	for _, s := range list {
		name, value, ok := strings.Cut(s, "=")
		if !ok {
			return nil, usagef(c, "--set %s: NAME=VALUE is wanted", s)
		}
		if _, known := codec.ParamByName(name); !known {
			return nil, usagef(c, "--set: unknown parameter %q%s", name, didYouMean(name, standardParams()))
		}
		settings = append(settings, client.Setting{Name: name, Value: value})
	}
	return settings, nil
}

// standardParams are the names of the standard's parameters in the order of their ids.
func standardParams() []string {
	var names []string
	for id := codec.ParamStoragePeriod; id <= codec.ParamSampling; id++ {
		names = append(names, codec.Param{ID: id}.Name())
	}
	return names
}
