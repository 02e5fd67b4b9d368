package gateway

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Back-off of a listener that cannot accept, for instance because the process
// has no descriptor left.
const (
	acceptPauseMin = 5 * time.Millisecond
	acceptPauseMax = time.Second
)

// listener accepts connections and hands them to loops. Accepting outside the
// loops keeps what can fail there (descriptors, limits) away from the
// connections that exist.
type listener struct {
	g           *Gateway
	opt         Listener
	ln          net.Listener
	idleSeconds int64
	done        chan struct{} // closed when accept has returned

	mu     sync.Mutex
	byAddr map[netip.Addr]int // connections from one address; nil without a limit
}

func listen(g *Gateway, opt Listener) (*listener, error) {
	lc := net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: 15 * time.Second, Count: 4}}
	ln, err := lc.Listen(context.Background(), "tcp", opt.Address)
	if err != nil {
		return nil, err
	}
	l := &listener{g: g, opt: opt, ln: ln, idleSeconds: int64(opt.IdleTimeout / time.Second), done: make(chan struct{})}
	if g.opt.Limits.PerAddress > 0 {
		l.byAddr = map[netip.Addr]int{}
	}
	return l, nil
}

// accept runs until the listener is closed.
func (l *listener) accept() {
	defer close(l.done)
	pause := acceptPauseMin
	for {
		nc, err := l.ln.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			// EMFILE and its like: wait, the rest of the gateway goes on.
			l.g.warn.Warn("cannot accept a connection; trying again", "listener", l.opt.Address, "error", err)
			l.g.opt.Metrics.ConnectionRefused("acceptError")
			time.Sleep(pause)
			pause = min(2*pause, acceptPauseMax)
			continue
		}
		pause = acceptPauseMin
		l.take(nc)
	}
}

// take gives a connection to the loop that has the fewest, or closes it when a limit is reached.
func (l *listener) take(nc net.Conn) {
	remote := addrPort(nc.RemoteAddr())
	if why := l.enter(remote); why != "" {
		l.g.opt.Metrics.ConnectionRefused(why)
		l.g.warn.Warn("connection refused", "remote", remote, "reason", why)
		_ = nc.Close()
		return
	}
	lp := l.g.leastLoaded()
	lp.size.Add(1)
	c := &conn{loop: lp, ln: l, remote: remote, slot: -1, need: 0}
	if _, err := lp.engine.EnrollContext(nc, c); err != nil {
		lp.size.Add(-1)
		l.leave(remote)
		l.g.opt.Metrics.ConnectionRefused("enrolError")
		l.g.warn.Warn("connection closed: the event loop could not take it", "remote", remote, "error", err)
	}
}

// enter counts a connection in; the reason says why it may not stay.
func (l *listener) enter(remote netip.AddrPort) (why string) {
	lim := &l.g.opt.Limits
	if l.g.draining.Load() {
		return "draining"
	}
	if l.g.connections.Add(1) > int64(lim.Connections) {
		l.g.connections.Add(-1)
		return "limit"
	}
	if l.byAddr == nil {
		return ""
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byAddr[remote.Addr()] >= lim.PerAddress {
		l.g.connections.Add(-1)
		return "perAddress"
	}
	l.byAddr[remote.Addr()]++
	return ""
}

// leave counts a connection out.
func (l *listener) leave(remote netip.AddrPort) {
	l.g.connections.Add(-1)
	if l.byAddr == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byAddr[remote.Addr()]--; l.byAddr[remote.Addr()] <= 0 {
		delete(l.byAddr, remote.Addr())
	}
}

// stop closes the listener and waits until nothing is being handed over any more.
func (l *listener) stop() {
	_ = l.ln.Close()
	<-l.done
}
