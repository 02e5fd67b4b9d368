//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/internal/perf/cert"
	"github.com/tboxgate/tboxgate/gateway/internal/perf/server"
)

// churn is all clients of a soak.
type churn struct {
	o      options
	srv    *server.Server
	files  cert.Files
	count  counts
	failed chan error // takes the first thing that went wrong
	group  sync.WaitGroup
}

// counts is what the clients did.
type counts struct {
	runs, acked         atomic.Uint64 // of well-behaved vehicles: connections, answered frames
	takeovers           atomic.Uint64
	cuts, garbage, slow atomic.Uint64
	commands, onTheWay  atomic.Uint64 // answered by a vehicle that was there; over, the vehicle coming or going
}

// text is one line.
func (c *counts) text() string {
	return fmt.Sprintf("%d connections of well-behaved vehicles with %d answered frames, %d takeovers, %d connections cut within a frame, "+
		"%d of garbage, %d that did not read, %d commands answered by vehicles, %d to vehicles that came or went",
		c.runs.Load(), c.acked.Load(), c.takeovers.Load(), c.cuts.Load(), c.garbage.Load(), c.slow.Load(),
		c.commands.Load(), c.onTheWay.Load())
}

// verdict says what has not happened at all, so that nothing is proven about it.
func (c *counts) verdict() error {
	var errs []error
	for what, n := range map[string]uint64{
		"connections": c.runs.Load(), "answers": c.acked.Load(), "takeovers": c.takeovers.Load(), "cuts": c.cuts.Load(),
		"garbage": c.garbage.Load(), "slow readers": c.slow.Load(), "commands": c.commands.Load(),
	} {
		if n == 0 {
			errs = append(errs, fmt.Errorf("no %s in the whole soak", what))
		}
	}
	return errors.Join(errs...)
}

func newChurn(o options, srv *server.Server, files cert.Files) *churn {
	return &churn{o: o, srv: srv, files: files, failed: make(chan error, 1)}
}

// start lets all clients run until ctx ends. For every twenty well-behaved vehicles there is one that is taken over again
// and again and one that gets commands; of each kind that misbehaves there is one for every fifty.
func (c *churn) start(ctx context.Context) {
	n := c.o.vehicles
	for i := range n {
		c.forever(ctx, func(ctx context.Context) error { return c.drive(ctx, i) })
	}
	for i := range max(1, n/20) {
		c.group.Go(func() { c.fail(c.takeOver(ctx, i)) })
		c.group.Go(func() { c.fail(c.obey(ctx, i)) })
		c.forever(ctx, func(ctx context.Context) error { return c.order(ctx, i) })
	}
	for i := range max(1, n/50) {
		c.forever(ctx, func(ctx context.Context) error { return c.cut(ctx, i) })
		c.forever(ctx, func(ctx context.Context) error { return c.babble(ctx, i) })
		c.forever(ctx, func(ctx context.Context) error { return c.ignore(ctx, i) })
	}
}

// forever calls f until ctx ends or it fails, with short pauses so that clients do not march in step.
func (c *churn) forever(ctx context.Context, f func(context.Context) error) {
	c.group.Go(func() {
		for wait(ctx, between(0, time.Second)) {
			if err := f(ctx); err != nil {
				c.fail(err)
				return
			}
		}
	})
}

// fail keeps the first error.
func (c *churn) fail(err error) {
	if err == nil {
		return
	}
	select {
	case c.failed <- err:
	default:
	}
}

// wait waits for all clients.
func (c *churn) wait() { c.group.Wait() }

// wait pauses and reports false when ctx has ended.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return ctx.Err() == nil
	}
}

func between(least, most time.Duration) time.Duration {
	return least + rand.N(most-least)
}

// The kinds of vehicles; the letter stands in their VINs.
const (
	kindFleet   = 'F'
	kindTaken   = 'T'
	kindCut     = 'C'
	kindGarbage = 'G'
	kindSlow    = 'S'
	kindOrdered = 'O'
)

func vin(kind byte, i int) string { return fmt.Sprintf("LTEST%c%011d", kind, i) }

// edition alternates.
func edition(i int) codec.Edition {
	if i%2 == 0 {
		return codec.Edition2016
	}
	return codec.Edition2025
}

// plain connects to the listener without TLS.
func (c *churn) plain(ctx context.Context) (*net.TCPConn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", c.srv.Vehicles[0].String())
	if err != nil {
		return nil, err
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("a TCP connection is a %T", conn), conn.Close())
	}
	return tcp, nil
}
