//go:build linux

// Command soak lets vehicles come and go for a long time and watches whether the gateway keeps anything of them:
//
//	go run ./gateway/internal/perf/soak -for 30m -out docs/performance.md     # make soak SOAK=30m
//
// It runs a gateway with the embedded store on loopback. Vehicles log in, report, and log out, over TCP and TLS, in both
// editions; they are taken over, cut off within a frame, send garbage, and do not read; commands go through the admin
// socket. Every answer is checked. Every ten seconds it takes down the gateway's resident memory, descriptors and
// goroutines. It fails when one of them grows, when an answer is wrong or missing, or when something is left once all
// have gone.
//
//	main.go      from beginning to end
//	churn.go     what all clients share, and who they are
//	fleet.go     well-behaved vehicles, and takeovers
//	hostile.go   cut connections, garbage, slow readers
//	commands.go  commands through the admin socket
//	samples.go   what is watched, and the verdict
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/tboxgate/tboxgate/gateway/internal/perf/cert"
	"github.com/tboxgate/tboxgate/gateway/internal/perf/page"
	"github.com/tboxgate/tboxgate/gateway/internal/perf/program"
	"github.com/tboxgate/tboxgate/gateway/internal/perf/server"
)

func main() { program.Main("soak", run) }

// options are the flags.
type options struct {
	length   time.Duration
	every    time.Duration
	vehicles int
	out      string
	gateway  string
	temp     string
}

func parse(args []string) (o options, err error) {
	f := flag.NewFlagSet("soak", flag.ContinueOnError)
	f.DurationVar(&o.length, "for", time.Minute, "how long; from 15 minutes on growth is judged strictly")
	f.DurationVar(&o.every, "every", 10*time.Second, "time between two samples")
	f.IntVar(&o.vehicles, "vehicles", 200, "well-behaved vehicles; the others are in proportion")
	f.StringVar(&o.out, "out", "", "page whose part about the soak is replaced")
	f.StringVar(&o.gateway, "program", "", "a built tboxgate; empty: it is built here")
	f.StringVar(&o.temp, "temp", "", "directory for the gateway's data; empty: the system's")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.length < 6*o.every || o.every < 100*time.Millisecond || o.length > 24*time.Hour || o.vehicles < 20 || o.vehicles > 5000 {
		return o, errors.New("a soak takes at least six samples, at most a day, and 20 to 5,000 vehicles")
	}
	return o, nil
}

// endLimit bounds what comes before and after the time that is asked for.
const endLimit = 3 * time.Minute

func run(ctx context.Context, args []string, stdout io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	return program.InDir(ctx, o.temp, o.length+endLimit, func(ctx context.Context, dir string) error { return o.run(ctx, dir, stdout) })
}

func (o options) run(ctx context.Context, dir string, stdout io.Writer) error {
	if o.gateway == "" {
		if err := server.Build(ctx, dir, "cmd/tboxgate"); err != nil {
			return err
		}
		o.gateway = filepath.Join(dir, "tboxgate")
	}
	files, err := cert.Write(dir)
	if err != nil {
		return err
	}
	srv, err := server.Start(ctx, server.Options{
		Program: o.gateway, Dir: filepath.Join(dir, "run"), Core: -1, Sink: "nats", Payload: "json", Cert: files.Cert, Key: files.Key,
	})
	if err != nil {
		return err
	}
	report, err := soak(ctx, o, srv, files, stdout)
	if errors.Is(err, errNoAnswer) {
		return errors.Join(err, srv.KeepDump())
	}
	if stopErr := srv.Stop(); stopErr != nil {
		err = errors.Join(err, fmt.Errorf("the gateway: %w", stopErr))
	}
	if err != nil {
		return err
	}
	if o.out != "" {
		return page.Write(o.out, page.Block{Name: "soak", Text: report})
	}
	return nil
}

// soak drives the clients and watches the gateway. The report says how it went; the error is what went wrong.
func soak(ctx context.Context, o options, srv *server.Server, files cert.Files, stdout io.Writer) (report string, err error) {
	w := &watch{srv: srv, started: time.Now(), out: stdout}
	if err := w.sample(ctx, "before"); err != nil {
		return "", err
	}
	churn, stop := context.WithCancel(ctx)
	defer stop()
	c := newChurn(o, srv, files)
	c.start(churn)
	tick := time.NewTicker(o.every)
	defer tick.Stop()
	for end := time.Now().Add(o.length); err == nil && time.Now().Before(end); {
		select {
		case <-tick.C:
			err = w.sample(ctx, "")
		case err = <-c.failed:
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	stop()
	c.wait()
	select {
	case late := <-c.failed:
		err = errors.Join(err, late)
	default:
	}
	if err != nil {
		return "", err
	}
	if err := w.rest(ctx); err != nil {
		return "", err
	}
	report = w.report(c.count.text(), o)
	_, err = fmt.Fprintf(stdout, "\n%s", report)
	return report, errors.Join(err, w.verdict(o), c.count.verdict())
}
