package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/probe"
)

func (p *program) probeCommand() *cli.Command {
	return &cli.Command{
		Name:      "probe",
		Usage:     "test whether a gateway, any gateway, keeps to GB/T 32960.3",
		ArgsUsage: "HOST:PORT",
		Description: "The cases connect as vehicles and platforms do. They log in, report, and activate vehicles: the VIN must be registered,\n" +
			"and belong to no real vehicle. More VINs (--vins) let more cases run at a time. The exit status is 1 when a case failed;\n" +
			"warnings, and cases that were not run, do not fail. See docs/probe.md.",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "vin", Value: exampleVIN, Usage: "a registered VIN that nobody else uses"},
			&cli.IntFlag{Name: "vins", Value: 1, Usage: "how many VINs are registered, counting up from it: so many cases run at a time"},
			&cli.StringFlag{Name: "unknown-vin", Value: "LTESTUNKNOWN00000", Usage: "a VIN that is not registered"},
			&cli.StringFlag{Name: "edition", Value: "both", Usage: "2016, 2025 or both"},
			&cli.StringSliceFlag{Name: "case", Usage: "only the cases of this name or `PATTERN` (\"answer.*\"); may be repeated"},
			&cli.StringFlag{Name: "platform", Usage: "code of a platform; without it its cases are left out"},
			&cli.StringFlag{Name: "user", Usage: "its user name"},
			&cli.StringFlag{Name: "password", Usage: "its password [$TBOXGATE_PLATFORM_PASSWORD]"},
			&cli.DurationFlag{Name: "timeout", Value: 5 * time.Second, Usage: "wait so long for an answer that must come"},
			&cli.DurationFlag{Name: "quiet", Value: time.Second, Usage: "wait so long for an answer that need not or must not come"},
			&cli.StringFlag{Name: "format", Value: "table", Usage: "table, json or junit"},
			&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "table: show every frame with its fields", DisableDefaultText: true},
			&cli.BoolFlag{Name: "list", Usage: "print the cases and what they expect, and do nothing", DisableDefaultText: true},
		}, append(probeCommandFlags(), peerTLSFlags()...)...),
		Action: p.probe,
	}
}

func (p *program) probe(c *cli.Context) error {
	if c.Bool("list") {
		if _, err := arguments(c, 0, 1); err != nil {
			return err
		}
		return listCases(p.stdout)
	}
	if all := c.Args().Slice(); len(all) > 1 && c.NumFlags() == 0 && strings.HasPrefix(all[1], "-") {
		// The address is what the command is about, so it may stand before the flags.
		return p.app().RunContext(c.Context, append(append([]string{"tboxgate", "probe"}, all[1:]...), all[0]))
	}
	args, err := arguments(c, 1, 1)
	if err != nil {
		return err
	}
	o := probe.Options{
		Addr: args[0], UnknownVIN: c.String("unknown-vin"), Cases: c.StringSlice("case"), Code: c.String("platform"), User: c.String("user"),
		Password: c.String("password"), Timeout: c.Duration("timeout"), Quiet: c.Duration("quiet"),
	}
	if v, _ := p.env(envPrefix + "PLATFORM_PASSWORD"); v != "" && !c.IsSet("password") {
		o.Password = v
	}
	if o.VINs, err = countUp(c.String("vin"), c.Int("vins")); err != nil {
		return usagef(c, "%v", err)
	}
	switch c.String("edition") {
	case "both":
	case "2016":
		o.Editions = []codec.Edition{codec.Edition2016}
	case "2025":
		o.Editions = []codec.Edition{codec.Edition2025}
	default:
		return usagef(c, "--edition is 2016, 2025 or both")
	}
	write := map[string]func(io.Writer, []probe.Result) error{
		"table": func(w io.Writer, r []probe.Result) error { return probe.WriteTable(w, r, c.Bool("verbose")) },
		"json":  probe.WriteJSON, "junit": probe.WriteJUnit,
	}[c.String("format")]
	if write == nil {
		return usagef(c, "--format is table, json or junit")
	}
	if o.Commands, err = p.readProbeCommands(c); err != nil {
		return err
	}
	if err := probeLimits(c, &o); err != nil {
		return usagef(c, "%v", err)
	}
	dials, err := readPeerTLS(c)
	if err != nil {
		return err
	}
	if dials != nil {
		o.Dial = dials.dial
	}
	ctx, stop := untilSignal(c.Context, p.stderr)
	defer stop()
	results, err := probe.Run(ctx, o)
	switch {
	case errors.Is(err, probe.ErrPattern):
		return usagef(c, "--case: %v (see --list)", err)
	case errors.Is(err, probe.ErrUnreachable):
		return fmt.Errorf("%w; is a gateway listening there, and with TLS if --tls is given?", err)
	case results == nil && err != nil:
		return usagef(c, "%v", err)
	}
	if err := errors.Join(err, write(p.stdout, results)); err != nil {
		return err
	}
	if n := probe.Count(results)[probe.Fail]; n > 0 {
		return fmt.Errorf("probe: %d of %d cases failed", n, len(results))
	}
	return nil
}

// listCases prints the names of the cases and what they expect.
func listCases(w io.Writer) error {
	for _, c := range probe.Cases() {
		editions := ""
		for _, e := range []codec.Edition{codec.Edition2016, codec.Edition2025} {
			if clause := c.Clause(e); clause != "" {
				editions += fmt.Sprintf("  %d: %s", e, clause)
			}
		}
		if _, err := fmt.Fprintf(w, "%-28s  %s\n%-28s%s\n", c.Name, c.Expect, "", editions); err != nil {
			return err
		}
	}
	return nil
}
