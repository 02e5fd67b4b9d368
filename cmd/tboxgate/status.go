package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/tboxgate/tboxgate/gateway/admin"
	"github.com/tboxgate/tboxgate/gateway/clock"
)

// readyTimeout bounds the question behind status --ready.
const readyTimeout = 5 * time.Second

func (p *program) statusCommand() *cli.Command {
	return &cli.Command{
		Name:  "status",
		Usage: "what is running, and how good its clock is",
		Description: "With --ready the exit status is 0 only when the gateway is ready for vehicles, as /readyz says: a health check\n" +
			"for containers without a shell. It asks the address in --admin-listen and needs neither token nor data directory.",
		Flags: operatorFlags(outputFlag(),
			&cli.BoolFlag{Name: "ready", Usage: "ask /readyz and say nothing when it is ready", DisableDefaultText: true},
			&cli.StringFlag{Name: "admin-listen", Usage: "the admin address for --ready [$TBOXGATE_ADMIN_LISTEN]", DefaultText: "127.0.0.1:9960"}),
		Action: func(c *cli.Context) error {
			if _, err := arguments(c, 0, 0); err != nil {
				return err
			}
			if c.Bool("ready") {
				cfg, err := p.config(c)
				if err != nil {
					return configProblem(c, err)
				}
				return ready(c.Context, cmp.Or(p.setting(c, addrFlag), cfg.Admin.Address))
			}
			return p.operate(c, needGateway, func(ctx context.Context, o *operator) error {
				s, err := o.Status(ctx)
				if err != nil {
					return err
				}
				if c.Bool(jsonFlag) {
					return printJSON(p.stdout, s)
				}
				_, err = io.WriteString(p.stdout, statusText(s))
				return err
			})
		},
	}
}

func statusText(s admin.Status) string {
	var b strings.Builder
	line := func(name, value string) { fmt.Fprintf(&b, "%-10s %s\n", name, value) }
	line("version", s.Version)
	line("node", s.Node)
	line("started", shortTime(s.StartedAt.Time))
	line("data", s.DataDir)
	line("vehicles", strings.Join(s.Addresses.Vehicles, " "))
	line("API", s.Addresses.API)
	line("admin", s.Addresses.Admin)
	if s.Addresses.NATS != "" {
		line("NATS", s.Addresses.NATS)
	}
	line("sessions", fmt.Sprintf("%d of %d registered vehicles", s.Sessions, s.Devices))
	line("clock", clockText(s.Clock))
	return b.String()
}

// clockText says how good the machine's clock is.
func clockText(c admin.Clock) string {
	switch {
	case !c.Known:
		return "unknown: the system does not tell"
	case !c.Synchronized:
		return "NOT synchronized: no time service keeps it, and vehicles that ask (0x08) are told its time"
	}
	return fmt.Sprintf("synchronized, off by %.6fs as estimated, %.3fs at most", c.EstimatedError, c.MaxError)
}

// ownClock is the machine's clock as the admin API shows it.
func ownClock() admin.Clock {
	s := clock.Read()
	return admin.Clock{
		Known: s.Known, Synchronized: s.Synchronized, OffsetSeconds: s.Offset.Seconds(),
		EstimatedError: s.EstimatedError.Seconds(), MaxError: s.MaxError.Seconds(),
	}
}

// warnClock says at the start when nobody keeps the clock that vehicles are served.
func warnClock(log *slog.Logger, s clock.Status) {
	if s.Known && !s.Synchronized {
		log.Warn("the machine's clock is not synchronized: run a time service (chrony, systemd-timesyncd); vehicles that ask (0x08) are told this time",
			"maxError", s.MaxError.String())
	}
}

// ready asks /readyz at an admin address. One that listens everywhere is asked on loopback.
func ready(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	url := address
	if !strings.Contains(address, "://") {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return fmt.Errorf("admin address %s: %w", address, err)
		}
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			host = "localhost"
		}
		url = "http://" + net.JoinHostPort(host, port)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(url, "/")+"/readyz", nil)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("not ready: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	if err != nil {
		return fmt.Errorf("not ready: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s", strings.TrimSpace(string(text)))
	}
	return nil
}
