//go:build linux

// Command perf measures the gateway beside the floor, the event loop library by itself, and writes docs/performance.md:
//
//	go run ./gateway/internal/perf -out docs/performance.md       # make perf
//	go run ./gateway/internal/perf -rounds 1 -d 1s -idle 0        # a quick look, printed only
//
// It builds the programs, runs them in turn on core 0 with the load on core 1, round after round, and compares what
// was measured in the same round. It is called in the root of the repository.
//
//	plan.go        what is measured, and the targets
//	throughput.go  frames for each second of CPU time
//	idle.go        memory of a connection that does nothing
//	table.go       the session table's benchmark
//	report.go      the page
//
// The rest is in packages below: the two programs floor and loadgen (load), the gateway as a process (server), what the
// system tells of a process (proc), the page (page), and the endurance run (soak).
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
	"time"

	"golang.org/x/sys/unix"

	"github.com/tboxgate/tboxgate/gateway/internal/perf/page"
	"github.com/tboxgate/tboxgate/gateway/internal/perf/server"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "perf:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	out        string
	rounds     int
	warm       time.Duration
	length     time.Duration
	idle       int
	vehicles   int
	table      bool
	limit      time.Duration
	serverCore int
	loadCore   int
	temp       string
}

func parse(args []string) (o options, err error) {
	f := flag.NewFlagSet("perf", flag.ContinueOnError)
	f.StringVar(&o.out, "out", "", "page whose measured parts are replaced; empty: they are printed")
	f.IntVar(&o.rounds, "rounds", 9, "rounds, each with every configuration once; 0: no throughput")
	f.DurationVar(&o.warm, "warm", time.Second, "warming up before each measurement")
	f.DurationVar(&o.length, "d", 3*time.Second, "length of each measurement")
	f.IntVar(&o.idle, "idle", 3, "rounds of the memory measurement; 0: none")
	f.IntVar(&o.vehicles, "vehicles", 10_000, "idle vehicles")
	f.BoolVar(&o.table, "table", true, "run the session table's benchmark")
	f.DurationVar(&o.limit, "limit", 40*time.Minute, "give up after this long")
	f.IntVar(&o.serverCore, "server-core", 0, "core of the server")
	f.IntVar(&o.loadCore, "load-core", 1, "core of the load")
	f.StringVar(&o.temp, "temp", "", "directory for programs and data, on the disk to be measured; empty: the system's")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.rounds < 0 || o.rounds > 50 || o.idle < 0 || o.idle > 20 || o.length < 100*time.Millisecond || o.vehicles < 1 {
		return o, errors.New("up to 50 rounds of at least 100 ms, up to 20 of memory, with at least one vehicle")
	}
	return o, nil
}

// bench is a measurement under way.
type bench struct {
	options
	dir   string // programs and data
	frame string // file of the frame that is sent
	log   io.Writer
}

func run(ctx context.Context, args []string, stdout io.Writer) (err error) {
	o, err := parse(args)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.limit, fmt.Errorf("not done within %v", o.limit))
	defer cancel()
	dir, err := os.MkdirTemp(o.temp, "tboxgate-perf-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b := &bench{options: o, dir: dir, frame: filepath.Join("codec", "testdata", "bench", "realtime.bin"), log: stdout}
	if err := server.Build(ctx, dir, "cmd/tboxgate", "gateway/internal/perf/floor", "gateway/internal/perf/loadgen"); err != nil {
		return err
	}
	machine, err := b.machine(ctx)
	if err != nil {
		return err
	}
	blocks := []page.Block{{Name: "machine", Text: machine}}
	if o.rounds > 0 {
		r, err := b.throughput(ctx)
		if err != nil {
			return err
		}
		blocks = append(blocks, page.Block{Name: "frames", Text: r.text()}, page.Block{Name: "rates", Text: r.details()})
		defer func() { err = errors.Join(err, r.flaws()) }()
	}
	if o.idle > 0 {
		r, err := b.idleMemory(ctx)
		if err != nil {
			return err
		}
		blocks = append(blocks, page.Block{Name: "memory", Text: idleText(r, o.vehicles)})
	}
	if o.table {
		text, err := tableBenchmark(ctx)
		if err != nil {
			return err
		}
		blocks = append(blocks, page.Block{Name: "table", Text: text})
	}
	if o.out != "" {
		return page.Write(o.out, blocks...)
	}
	for _, block := range blocks {
		if _, err := fmt.Fprintf(stdout, "\n== %s\n\n%s\n", block.Name, block.Text); err != nil {
			return err
		}
	}
	return nil
}

// say writes a line about how far it is.
func (b *bench) say(format string, args ...any) {
	_, _ = fmt.Fprintf(b.log, format+"\n", args...) // progress only
}

// program is the path of a built program.
func (b *bench) program(name string) string { return filepath.Join(b.dir, name) }
