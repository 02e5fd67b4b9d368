package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"

	"golang.org/x/time/rate"
)

// Bounds of the events about refused logins.
const (
	refusedPerSecond = 50
	refusedBurst     = 500
)

// Gateway is a running gateway: its listeners, event loops and connections.
type Gateway struct {
	opt       Options
	log       *slog.Logger
	warn      *slog.Logger // for what peers can cause as often as they like: limited in rate
	nodeJSON  []byte
	refusals  *rate.Limiter // of events about refused logins
	listeners []*listener
	loops     []*loop

	connections atomic.Int64 // open, logged in or not
	inFlight    atomic.Int64 // record bytes that the store has not confirmed
	waiting     atomic.Bool  // some loop has connections that wait for inFlight to fall
	draining    atomic.Bool
}

// New checks the options. Nothing runs before Start.
func New(opt Options) (*Gateway, error) {
	opt, err := opt.withDefaults()
	if err != nil {
		return nil, err
	}
	node, err := json.Marshal(opt.Node)
	if err != nil {
		return nil, fmt.Errorf("gateway: node %q: %w", opt.Node, err)
	}
	opt.Metrics.SetConnectionsLimit(opt.Limits.Connections)
	return &Gateway{
		opt: opt, log: opt.Log, warn: LimitedLog(opt.Log, opt.Metrics.LogLineSuppressed), nodeJSON: node, refusals: rate.NewLimiter(refusedPerSecond, refusedBurst),
	}, nil
}

// Start binds all listeners and takes connections. An error names the address
// that could not be bound; nothing runs then.
func (g *Gateway) Start() error {
	for _, opt := range g.opt.Listeners {
		l, err := listen(g, opt)
		if err != nil {
			g.unbind()
			return fmt.Errorf("vehicle listener %s: %w", opt.Address, err)
		}
		g.listeners = append(g.listeners, l)
	}
	for range g.opt.Loops {
		l, err := newLoop(g)
		if err != nil {
			g.unbind()
			return errors.Join(fmt.Errorf("event loop: %w", err), g.stopLoops())
		}
		g.loops = append(g.loops, l)
	}
	for _, l := range g.listeners {
		go l.accept()
	}
	return nil
}

// unbind closes listeners whose accept does not run yet.
func (g *Gateway) unbind() {
	for _, l := range g.listeners {
		_ = l.ln.Close()
		l.cancel()
	}
	g.listeners = nil
}

// Addrs are the addresses bound, in the order of Options.Listeners.
func (g *Gateway) Addrs() []netip.AddrPort {
	out := make([]netip.AddrPort, len(g.listeners))
	for i, l := range g.listeners {
		out[i] = addrPort(l.ln.Addr())
	}
	return out
}

// Reload reads the certificate files of all listeners again. What cannot be
// used is named in the error; the certificates before stay in use there.
func (g *Gateway) Reload() error {
	var errs []error
	for _, l := range g.listeners {
		if l.certs == nil {
			continue
		}
		if err := l.certs.Reload(); err != nil {
			errs = append(errs, fmt.Errorf("vehicle listener %s: %w", l.opt.Address, err))
		}
	}
	return errors.Join(errs...)
}

// Responsive asks every event loop for a sign of life and returns an error naming how many have given none when ctx
// ends. A service manager's watchdog wants to know.
func (g *Gateway) Responsive(ctx context.Context) error {
	alive := make(chan struct{}, len(g.loops))
	asked := 0
	for _, l := range g.loops {
		// One that has never had a connection, or has ended, has nothing to get stuck on.
		if l.box.event.Load() != nil && l.box.put(mail{do: func() { alive <- struct{}{} }}) {
			asked++
		}
	}
	for n := range asked {
		select {
		case <-alive:
		case <-ctx.Done():
			return fmt.Errorf("gateway: %d of %d event loops do not answer: %w", asked-n, len(g.loops), context.Cause(ctx))
		}
	}
	return nil
}

// leastLoaded is the loop with the fewest connections.
func (g *Gateway) leastLoaded() *loop {
	best := g.loops[0]
	for _, l := range g.loops[1:] {
		if l.size.Load() < best.size.Load() {
			best = l
		}
	}
	return best
}

// release counts n confirmed record bytes out and wakes connections that had to
// wait for all together.
func (g *Gateway) release(n int64) {
	left := g.inFlight.Add(-n)
	if left < g.opt.Limits.InFlightBytes && g.waiting.Load() && g.waiting.CompareAndSwap(true, false) {
		for _, l := range g.loops {
			l.box.putResume()
		}
	}
}

func (g *Gateway) stopLoops() error {
	var err error
	for _, l := range g.loops {
		err = errors.Join(err, l.stop())
	}
	g.loops = nil
	return err
}

// reason is the part of a bind error that the address does not repeat.
func reason(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}
