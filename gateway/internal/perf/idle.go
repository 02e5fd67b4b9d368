//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/tboxgate/tboxgate/gateway/internal/perf/cert"
	"github.com/tboxgate/tboxgate/gateway/internal/perf/load"
	"github.com/tboxgate/tboxgate/gateway/internal/perf/proc"
	"github.com/tboxgate/tboxgate/gateway/internal/perf/server"
)

// idleResult is what one round of the memory measurement found over TCP or TLS, in KiB for each vehicle.
type idleResult struct {
	grown      float64 // resident memory over what the process held before the second wave
	overFresh  float64 // resident memory over the process before its first connection
	goroutines [2]float64
}

// state is a server's memory after a garbage collection.
type state struct {
	rss        float64 // KiB
	goroutines float64
}

// idleKey names a series of memory measurements.
type idleKey struct {
	tls  bool
	gogc string // the garbage collector's headroom in percent; 100 is Go's default, and the gateway's
}

func idleKeys() []idleKey {
	return []idleKey{{false, "100"}, {false, "10"}, {true, "100"}, {true, "10"}}
}

func (k idleKey) String() string {
	if k.tls {
		return "TLS, GOGC=" + k.gogc
	}
	return "TCP, GOGC=" + k.gogc
}

// idleMemory measures in rounds.
func (b *bench) idleMemory(ctx context.Context) (map[idleKey][]idleResult, error) {
	r := map[idleKey][]idleResult{}
	files, err := cert.Write(b.dir)
	if err != nil {
		return nil, err
	}
	for round := range b.idle {
		for _, k := range idleKeys() {
			one, err := b.idleRound(ctx, k, files)
			if err != nil {
				return nil, fmt.Errorf("memory, round %d, %s: %w", round+1, k, err)
			}
			r[k] = append(r[k], one)
			b.say("memory round %d/%d  %-13s  %.2f KiB a vehicle (%.2f over the fresh process), goroutines %.0f before, %.0f with",
				round+1, b.idle, k, one.grown, one.overFresh, one.goroutines[0], one.goroutines[1])
		}
	}
	return r, nil
}

// idleRound registers the vehicles in one process, then lets them connect twice to another: the second wave finds code
// and tables in place, as in a gateway that has run for a while.
func (b *bench) idleRound(ctx context.Context, k idleKey, files cert.Files) (r idleResult, err error) {
	o := server.Options{Program: b.program("tboxgate"), Dir: filepath.Join(b.dir, "idle"), Core: b.ServerCore, Sink: "discard", Payload: "json",
		Env: []string{"GOGC=" + k.gogc}}
	if k.tls {
		o.Cert, o.Key = files.Cert, files.Key
	}
	defer func() { err = errors.Join(err, os.RemoveAll(o.Dir)) }()
	wave := func(srv *server.Server, hold time.Duration, look func() error) (load.IdleResult, error) {
		lo := load.Options{
			Addr: srv.Vehicles[0], PID: srv.PID, Connections: b.vehicles, Sources: 16, Hold: hold, LoginTimeout: 2 * time.Minute,
		}
		if k.tls {
			lo.Addr = srv.Vehicles[1]
			lo.TLS = files.Client()
		}
		return load.Idle(ctx, lo, look)
	}
	withServer := func(f func(*server.Server) error) error {
		srv, err := server.Start(ctx, o)
		if err != nil {
			return err
		}
		if err := f(srv); err != nil {
			return errors.Join(err, srv.Kill())
		}
		return srv.Stop()
	}
	err = withServer(func(srv *server.Server) error {
		_, err := wave(srv, 0, nil)
		return err
	})
	if err != nil {
		return r, fmt.Errorf("registering: %w", err)
	}
	return r, withServer(func(srv *server.Server) error {
		fresh, err := collected(ctx, srv)
		if err != nil {
			return err
		}
		if _, err = wave(srv, 0, nil); err != nil {
			return err
		}
		if err = quiet(ctx, srv); err != nil {
			return err
		}
		time.Sleep(b.settle)
		before, err := collected(ctx, srv)
		if err != nil {
			return err
		}
		var with state
		_, err = wave(srv, b.settle, func() (err error) {
			with, err = collected(ctx, srv)
			return err
		})
		n := float64(b.vehicles)
		r = idleResult{
			grown: (with.rss - before.rss) / n, overFresh: (with.rss - fresh.rss) / n,
			goroutines: [2]float64{before.goroutines, with.goroutines},
		}
		return err
	})
}

// quiet waits until no connection is left.
func quiet(ctx context.Context, srv *server.Server) error {
	for range 100 {
		m, err := srv.Metrics(ctx)
		if err != nil || m["tboxgate_connections"] == 0 {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
	return errors.New("connections are left ten seconds after all vehicles have gone")
}

// collected reads a server's memory after two garbage collections, which it makes happen by asking for metrics, whose
// text is garbage, until there were two.
func collected(ctx context.Context, srv *server.Server) (state, error) {
	const collections = "go_gc_duration_seconds_count"
	first, err := srv.Metrics(ctx)
	if err != nil {
		return state{}, err
	}
	for range 5000 {
		m, err := srv.Metrics(ctx)
		if err != nil {
			return state{}, err
		}
		if m[collections] < first[collections]+2 {
			continue
		}
		time.Sleep(time.Second) // freed memory goes back to the system in the background
		rss, err := proc.RSS(srv.PID)
		return state{rss: float64(rss), goroutines: m["go_goroutines"]}, err
	}
	return state{}, errors.New("no garbage collection in 5,000 readings of the metrics")
}
