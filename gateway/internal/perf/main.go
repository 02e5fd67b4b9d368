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
// system tells of a process (proc), the page (page), how each program begins and ends (program), the calls of the API (api),
// and the endurance run (soak).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/tboxgate/tboxgate/gateway/internal/perf/page"
	"github.com/tboxgate/tboxgate/gateway/internal/perf/program"
	"github.com/tboxgate/tboxgate/gateway/internal/perf/server"
)

func main() { program.Main("perf", run) }

// options are the flags.
type options struct {
	program.Options
	idle     int
	vehicles int
	settle   time.Duration
	table    bool
}

func parse(args []string) (o options, err error) {
	f := flag.NewFlagSet("perf", flag.ContinueOnError)
	o.Options = program.Options{Rounds: 9, Warm: time.Second, Length: 3 * time.Second, Limit: 40 * time.Minute, LoadCore: 1}
	o.Flags(f)
	f.IntVar(&o.idle, "idle", 3, "rounds of the memory measurement; 0: none")
	f.IntVar(&o.vehicles, "vehicles", 10_000, "idle vehicles")
	// The store keeps what it has written last, here the logins, in memory for ten seconds more.
	f.DurationVar(&o.settle, "settle", 15*time.Second, "how long idle vehicles do nothing before memory is read")
	f.BoolVar(&o.table, "table", true, "run the session table's benchmark")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.Rounds < 0 || o.Rounds > 50 || o.idle < 0 || o.idle > 20 || o.Length < 100*time.Millisecond || o.vehicles < 1 {
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

func run(ctx context.Context, args []string, stdout io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	return program.InDir(ctx, o.Temp, o.Limit, func(ctx context.Context, dir string) error {
		b := &bench{options: o, dir: dir, frame: filepath.Join("codec", "testdata", "bench", "realtime.bin"), log: stdout}
		return b.run(ctx)
	})
}

// run measures and writes the page.
func (b *bench) run(ctx context.Context) (err error) {
	if err := server.Build(ctx, b.dir, "cmd/tboxgate", "gateway/internal/perf/floor", "gateway/internal/perf/loadgen"); err != nil {
		return err
	}
	machine, err := b.machine(ctx)
	if err != nil {
		return err
	}
	blocks := []page.Block{{Name: "machine", Text: machine}}
	if b.Rounds > 0 {
		r, err := b.throughput(ctx)
		if err != nil {
			return err
		}
		blocks = append(blocks, page.Block{Name: "frames", Text: r.text()}, page.Block{Name: "rates", Text: r.details()})
		defer func() { err = errors.Join(err, r.flaws()) }()
	}
	if b.idle > 0 {
		r, err := b.idleMemory(ctx)
		if err != nil {
			return err
		}
		blocks = append(blocks, page.Block{Name: "memory", Text: idleText(r, b.vehicles)})
	}
	if b.table {
		text, err := tableBenchmark(ctx)
		if err != nil {
			return err
		}
		blocks = append(blocks, page.Block{Name: "table", Text: text})
	}
	if b.Out != "" {
		return page.Write(b.Out, blocks...)
	}
	for _, block := range blocks {
		if _, err := fmt.Fprintf(b.log, "\n== %s\n\n%s\n", block.Name, block.Text); err != nil {
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
