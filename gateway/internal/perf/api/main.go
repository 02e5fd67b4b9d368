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
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tboxgate/tboxgate/gateway/internal/perf/page"
	"github.com/tboxgate/tboxgate/gateway/internal/perf/proc"
	"github.com/tboxgate/tboxgate/gateway/internal/perf/server"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "api:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	out        string
	rounds     int
	warm       time.Duration
	length     time.Duration
	vehicles   int
	limit      time.Duration
	serverCore int
	loadCore   int
	temp       string
}

func parse(args []string) (o options, err error) {
	f := flag.NewFlagSet("api", flag.ContinueOnError)
	f.StringVar(&o.out, "out", "", "page whose measured part is replaced; empty: it is printed")
	f.IntVar(&o.rounds, "rounds", 5, "rounds, each with every scenario once")
	f.DurationVar(&o.warm, "warm", 2*time.Second, "calls before each measurement")
	f.DurationVar(&o.length, "d", 10*time.Second, "length of each measurement")
	f.IntVar(&o.vehicles, "vehicles", 1000, "idle vehicles that are commanded in turn")
	f.DurationVar(&o.limit, "limit", 20*time.Minute, "give up after this long")
	f.IntVar(&o.serverCore, "server-core", 0, "core of the gateway")
	f.IntVar(&o.loadCore, "load-core", 1, "core of the calls and the vehicles")
	f.StringVar(&o.temp, "temp", "", "directory for the program and its data, on the disk to be measured; empty: the system's")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.rounds < 1 || o.rounds > 50 || o.length < 100*time.Millisecond || o.vehicles < 1 || o.vehicles > 20_000 {
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

// run measures and writes the page.
func run(ctx context.Context, args []string, stdout io.Writer) (err error) {
	o, err := parse(args)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.limit, fmt.Errorf("not done within %v", o.limit))
	defer cancel()
	dir, err := os.MkdirTemp(o.temp, "tboxgate-api-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := server.Build(ctx, dir, "cmd/tboxgate"); err != nil {
		return err
	}
	found := results{}
	for round := range o.rounds {
		for _, s := range scenarios() {
			r, err := o.measure(ctx, s, filepath.Join(dir, "tboxgate"), filepath.Join(dir, fmt.Sprintf("%d-%s", round, strings.ReplaceAll(s.name, "/", ""))))
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			found[s.name] = append(found[s.name], r)
			_, _ = fmt.Fprintf(stdout, "round %d/%d  %-16s  %s\n", round+1, o.rounds, s.name, r) // progress only
		}
	}
	text := found.text(o)
	if o.out != "" {
		return page.Write(o.out, page.Block{Name: "api", Text: text})
	}
	_, err = fmt.Fprintf(stdout, "\n%s\n", text)
	return err
}

// measure runs one scenario against a gateway of its own.
func (o options) measure(ctx context.Context, s scenario, program, dir string) (r result, err error) {
	keys := makeKeys(s.keys)
	srv, err := server.Start(ctx, server.Options{
		Program: program, Dir: dir, Core: o.serverCore, Sink: "nats", Payload: "json", Env: []string{"TBOXGATE_ACCESS_KEY=" + keys.env()},
	})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, srv.Stop()) }()
	free, err := pin(o.loadCore)
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
	if err := c.calls(ctx, s.calls, o.warm); err != nil {
		return r, err
	}
	c.measured.Store(true)
	cpu, err := proc.CPU(srv.PID)
	if err != nil {
		return r, err
	}
	frames, start := reports.answered.Load(), time.Now()
	if err := c.calls(ctx, s.calls, o.length); err != nil {
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
