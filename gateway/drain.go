package gateway

import (
	"context"
	"fmt"
	"time"

	"github.com/tboxgate/tboxgate/session"
)

// drainLook is how often Drain looks whether the last answer has gone out.
const drainLook = 10 * time.Millisecond

// Drain ends the gateway without losing an answer: it stops accepting, closes
// the connections one by one spread over Options.DrainWindow, each after the
// answers that the store still owes it, and stops the loops. When ctx ends
// first, what is left is closed at once; the error says how much that was.
// Frames that were read and not answered come again: their senders reissue them.
func (g *Gateway) Drain(ctx context.Context) error {
	g.draining.Store(true)
	for _, l := range g.listeners {
		l.stop()
	}
	g.closeSpread(ctx)
	tick := time.NewTicker(drainLook)
	defer tick.Stop()
	for g.connections.Load() > 0 {
		select {
		case <-ctx.Done():
			left := g.connections.Load()
			if err := g.stopLoops(); err != nil {
				g.log.Error("event loops ended with an error", "error", err)
			}
			return fmt.Errorf("drain: %d connections closed before they were quiet: %w", left, context.Cause(ctx))
		case <-tick.C:
		}
	}
	return g.stopLoops()
}

// closeSpread asks every connection to close, evenly spread over the drain
// window, so that a fleet does not come back all at once.
func (g *Gateway) closeSpread(ctx context.Context) {
	var all []*conn
	for _, l := range g.loops {
		all = append(all, l.snapshot(ctx)...)
	}
	if len(all) == 0 {
		return
	}
	step := g.opt.DrainWindow / time.Duration(len(all))
	start := time.Now()
	for i, c := range all {
		c.Close(session.ReasonDrain)
		if ahead := time.Until(start.Add(time.Duration(i+1) * step)); ahead > time.Millisecond && i < len(all)-1 {
			select {
			case <-ctx.Done():
				return
			case <-time.After(ahead):
			}
		}
	}
}

// Close stops at once: connections are cut, answers that wait are lost.
func (g *Gateway) Close() error {
	g.draining.Store(true)
	for _, l := range g.listeners {
		l.stop()
	}
	return g.stopLoops()
}
