//go:build linux

// Command api measures how long a signed call takes to become a frame that a vehicle reads, and writes docs/performance.md:
//
//	go run ./gateway/internal/perf/api -out docs/performance.md     # make perf-api
//	go run ./gateway/internal/perf/api -rounds 1 -d 2s              # a quick look, printed only
//
// The gateway runs on core 0, what calls it and the vehicles on core 1. Calls are due at fixed times and are made then,
// whatever has become of those before. It is called in the root of the repository.
//
//	main.go    options, and a round
//	caller.go  the calls, signed as docs/api.md says
//	pin.go     this process on its core
//	fleet.go   the vehicles: idle ones that are commanded, and those that report
//	report.go  the page
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/tboxgate/tboxgate/gateway/internal/perf/page"
	"github.com/tboxgate/tboxgate/gateway/internal/perf/proc"
	"github.com/tboxgate/tboxgate/gateway/internal/perf/program"
	"github.com/tboxgate/tboxgate/gateway/internal/perf/server"
)

func main() { program.Main("api", run) }

// options are the flags.
type options struct {
	program.Options
	vehicles int
}

func parse(args []string) (o options, err error) {
	f := flag.NewFlagSet("api", flag.ContinueOnError)
	o.Options = program.Options{Rounds: 5, Warm: 2 * time.Second, Length: 10 * time.Second, Limit: 20 * time.Minute, LoadCore: 1}
	o.Flags(f)
	f.IntVar(&o.vehicles, "vehicles", 1000, "idle vehicles that are commanded in turn")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.Rounds < 1 || o.Rounds > 50 || o.Length < 100*time.Millisecond || o.vehicles < 1 || o.vehicles > 20_000 {
		return o, errors.New("1 to 50 rounds of at least 100 ms, with 1 to 20,000 vehicles")
	}
	return o, nil
}

// scenario is what is measured.
type scenario struct {
	name  string
	calls int // a second, over all keys
	keys  int // access keys that take turns
	// frames that other vehicles report in a second, over reporters connections.
	frames    int
	reporters int
	target    time.Duration // of the 99th percentile, to the frame at the vehicle
}

func scenarios() []scenario {
	return []scenario{
		{name: "idle vehicles", calls: 1000, keys: 4, target: 20 * time.Millisecond},
		{name: "10,000 frames/s", calls: 300, keys: 4, frames: 10_000, reporters: 200, target: 20 * time.Millisecond},
	}
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	return program.InDir(ctx, o.Temp, o.Limit, func(ctx context.Context, dir string) error { return o.run(ctx, dir, stdout) })
}

// run measures and writes the page.
func (o options) run(ctx context.Context, dir string, stdout io.Writer) error {
	if err := server.Build(ctx, dir, "cmd/tboxgate"); err != nil {
		return err
	}
	found := results{}
	for round := range o.Rounds {
		for _, s := range scenarios() {
			r, err := o.measure(ctx, s, filepath.Join(dir, "tboxgate"), filepath.Join(dir, fmt.Sprintf("%d-%s", round, strings.ReplaceAll(s.name, "/", ""))))
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			found[s.name] = append(found[s.name], r)
			_, _ = fmt.Fprintf(stdout, "round %d/%d  %-16s  %s\n", round+1, o.Rounds, s.name, r) // progress only
		}
	}
	text := found.text(o)
	if o.Out != "" {
		return page.Write(o.Out, page.Block{Name: "api", Text: text})
	}
	_, err := fmt.Fprintf(stdout, "\n%s\n", text)
	return err
}

// measure runs one scenario against a gateway of its own.
func (o options) measure(ctx context.Context, s scenario, gateway, dir string) (r result, err error) {
	keys := makeKeys(s.keys)
	srv, err := server.Start(ctx, server.Options{
		Program: gateway, Dir: dir, Core: o.ServerCore, Sink: "nats", Payload: "json", Env: []string{"TBOXGATE_ACCESS_KEY=" + keys.env()},
	})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, srv.Stop()) }()
	free, err := pin(o.LoadCore)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, free()) }()
	f := newFleet(o.vehicles)
	defer f.close()
	if err := f.connect(ctx, srv.Vehicles[0].String()); err != nil {
		return r, err
	}
	reports, err := newReporters(ctx, srv.Vehicles[0].String(), s)
	if err != nil {
		return r, err
	}
	defer reports.close()
	c := newCaller(srv.API, keys, f)
	defer c.close()
	if err := c.calls(ctx, s.calls, o.Warm); err != nil {
		return r, err
	}
	c.measured.Store(true)
	cpu, err := proc.CPU(srv.PID)
	if err != nil {
		return r, err
	}
	frames, start := reports.answered.Load(), time.Now()
	if err := c.calls(ctx, s.calls, o.Length); err != nil {
		return r, err
	}
	took := time.Since(start)
	after, err := proc.CPU(srv.PID)
	if err != nil {
		return r, err
	}
	r = c.result()
	r.callRate = float64(r.calls) / took.Seconds()
	r.frameRate = float64(reports.answered.Load()-frames) / took.Seconds()
	r.cpu = (after - cpu).Seconds() / took.Seconds()
	return r, reports.err()
}
