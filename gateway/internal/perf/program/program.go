//go:build linux

// Package program is what the programs that measure have in common: how they begin and end, and the flags that mean the
// same to each.
package program

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
)

// Main does the work of a program, whose context ends with SIGINT and SIGTERM. After an error it ends the process with
// status 1; -h is none.
func Main(name string, work func(ctx context.Context, args []string, stdout io.Writer) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	if err := work(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

// Options are the flags of a measurement in rounds: a server on one core, its load on another.
type Options struct {
	Out        string // the page to be written; "": what was measured is printed
	Rounds     int
	Warm       time.Duration
	Length     time.Duration
	Limit      time.Duration
	ServerCore int
	LoadCore   int
	Temp       string
}

// Flags adds the flags; what o holds are their defaults.
func (o *Options) Flags(f *flag.FlagSet) {
	f.StringVar(&o.Out, "out", o.Out, "page whose measured parts are replaced; empty: they are printed")
	f.IntVar(&o.Rounds, "rounds", o.Rounds, "rounds, in each of which everything is measured once")
	f.DurationVar(&o.Warm, "warm", o.Warm, "load before each measurement")
	f.DurationVar(&o.Length, "d", o.Length, "length of each measurement")
	f.DurationVar(&o.Limit, "limit", o.Limit, "give up after this long")
	f.IntVar(&o.ServerCore, "server-core", o.ServerCore, "core of the server")
	f.IntVar(&o.LoadCore, "load-core", o.LoadCore, "core of the load")
	f.StringVar(&o.Temp, "temp", o.Temp, "directory for programs and data, on the disk to be measured; empty: the system's")
}

// InDir calls work with a new directory below temp, which it removes afterwards, and a context that ends after limit.
func InDir(ctx context.Context, temp string, limit time.Duration, work func(ctx context.Context, dir string) error) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not done within %v", limit))
	defer cancel()
	dir, err := os.MkdirTemp(temp, "tboxgate-perf-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	return work(ctx, dir)
}
