package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/command/client"
	"github.com/tboxgate/tboxgate/gateway/probe"
)

// probeCommandFlags say what makes the gateway under test send commands, and how long it takes for what.
func probeCommandFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "api", Usage: "have this API (AsyncRRpc) send the commands that the cases command.* need, http://HOST:PORT, signed with --access-key"},
		&cli.StringFlag{Name: "access-key", Usage: "ID:SECRET for --api [$TBOXGATE_ACCESS_KEY]"},
		&cli.StringFlag{Name: "access-key-file", Usage: "`FILE` that holds it"},
		productFlag(),
		&cli.DurationFlag{Name: "commands", Usage: "wait so long for each command that somebody sends by hand, when asked to", DefaultText: "these cases are not run"},
		&cli.DurationFlag{Name: "resend", Usage: "the gateway sends an unanswered query again after this", DefaultText: "not tested"},
		&cli.DurationFlag{Name: "resend-control", Usage: "and an unanswered control after this; the standard has 1m", DefaultText: "not tested"},
		&cli.DurationFlag{Name: "idle", Usage: "the gateway closes a connection without frames after this", DefaultText: "not tested"},
		&cli.DurationFlag{Name: "login-deadline", Usage: "and one without a login after this", DefaultText: "not tested"},
	}
}

// readProbeCommands reads the flags; nil when nothing provokes commands.
func (p *program) readProbeCommands(c *cli.Context) (*probe.Commands, error) {
	url, wait := c.String("api"), c.Duration("commands")
	for _, name := range []string{"commands", "resend", "resend-control", "idle", "login-deadline"} {
		if c.Duration(name) < 0 {
			return nil, usagef(c, "--%s %v: a duration is not below zero", name, c.Duration(name))
		}
	}
	switch {
	case url != "" && wait > 0:
		return nil, usagef(c, "--api or --commands: either the API sends the commands, or somebody does")
	case wait > 0:
		return &probe.Commands{OneAtATime: true, Provoke: p.ask(wait)}, nil
	case url == "":
		for _, name := range []string{"access-key", "access-key-file"} {
			if c.IsSet(name) {
				return nil, usagef(c, "--%s needs --api", name)
			}
		}
		return nil, nil
	}
	text := p.setting(c, "access-key")
	if name := c.String("access-key-file"); name != "" {
		if c.IsSet("access-key") {
			return nil, usagef(c, "--access-key or --access-key-file, not both")
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		text = strings.TrimSpace(string(b))
	}
	var key AccessKey
	if err := key.UnmarshalText([]byte(text)); err != nil {
		return nil, usagef(c, "--api needs --access-key: %v", err)
	}
	cfg, err := p.config(c)
	if err != nil {
		return nil, configProblem(c, err)
	}
	api, err := client.New(client.Options{BaseURL: url, AccessKeyID: key.ID, AccessKeySecret: key.Secret,
		HTTPClient: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment}}})
	if err != nil {
		return nil, usagef(c, "--api: %v", err)
	}
	return &probe.Commands{Provoke: provokeBy(api, cfg.Products[0].Key, c.Duration("timeout"))}, nil
}

// provokeBy has an API send the commands.
func provokeBy(api *client.Client, product string, wait time.Duration) func(context.Context, probe.Order) (*probe.Provoked, error) {
	return func(ctx context.Context, o probe.Order) (*probe.Provoked, error) {
		id, err := api.Send(ctx, client.Command{ProductKey: product, DeviceName: o.VIN, Command: o.Command, Unit: o.Unit})
		if err != nil {
			return nil, err
		}
		return &probe.Provoked{Wait: wait, State: func(ctx context.Context) (string, bool, error) {
			r, err := api.Result(ctx, product, id)
			return r.State, r.Over(), err
		}}, nil
	}
}

// ask asks people to send the commands.
func (p *program) ask(wait time.Duration) func(context.Context, probe.Order) (*probe.Provoked, error) {
	what := map[codec.Command]string{codec.CommandParamQuery: "query (0x80)", codec.CommandParamSet: "setting (0x81)", codec.CommandControl: "control (0x82)"}
	return func(_ context.Context, o probe.Order) (*probe.Provoked, error) {
		say(p.stderr, "tboxgate: send a %s of the %d edition to %s now; %v for it\n", what[o.Command], o.Edition, o.VIN, wait)
		return &probe.Provoked{Wait: wait}, nil
	}
}

// probeLimits are the flags that tell what the gateway does after what time.
func probeLimits(c *cli.Context, o *probe.Options) error {
	o.Resend, o.ResendControl = c.Duration("resend"), c.Duration("resend-control")
	o.Idle, o.LoginDeadline = c.Duration("idle"), c.Duration("login-deadline")
	if o.Idle > 0 && o.Idle < time.Second {
		return fmt.Errorf("--idle %v: at least 1s", o.Idle)
	}
	return nil
}
