package gateway

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/tboxgate/tboxgate/gateway/certfiles"
	"github.com/tboxgate/tboxgate/gateway/metrics"
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
	g     *Gateway
	opt   Listener
	ln    net.Listener
	certs *certfiles.Loader // nil without TLS
	done  chan struct{}     // closed when accept has returned

	// Handshakes (PROXY header, TLS) run on goroutines of their own, in a bounded number.
	ctx       context.Context // ends with the listener
	cancel    context.CancelFunc
	slots     chan struct{}
	preparing sync.WaitGroup

	mu     sync.Mutex
	byAddr map[netip.Addr]int // connections from one address; nil without a limit

	pace  *rate.Limiter // of accepting; nil without a limit
	count *metrics.Listener
}

func listen(g *Gateway, opt Listener) (*listener, error) {
	l := &listener{
		g: g, opt: opt, done: make(chan struct{}),
		slots: make(chan struct{}, g.opt.Limits.Handshakes), count: g.opt.Metrics.NewListener(opt.Address),
	}
	var err error
	if opt.TLS != nil {
		if l.certs, err = loadCerts(*opt.TLS, g.opt.Metrics.Certificate(metrics.ServerVehicles, opt.Address)); err != nil {
			return nil, err
		}
	}
	lc := net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: 15 * time.Second, Count: 4}}
	if l.ln, err = lc.Listen(context.Background(), "tcp", opt.Address); err != nil {
		return nil, reason(err)
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	if n := g.opt.Limits.AcceptRate; n > 0 {
		l.pace = rate.NewLimiter(rate.Limit(n), max(1, n/10))
	}
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
		l.keepPace()
		nc, err := l.ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			l.g.warn.Warn("cannot accept a connection; trying again", "listener", l.opt.Address, "error", err)
			l.g.opt.Metrics.ConnectionRefused(l.opt.Address, metrics.RefusedAcceptError)
		} else {
			err = l.take(nc)
		}
		if err == nil {
			pause = acceptPauseMin
			continue
		}
		// No descriptor left, or its like: wait, the rest of the gateway goes on.
		l.rest(pause)
		pause = min(2*pause, acceptPauseMax)
	}
}

// rest waits, but not longer than the listener lives.
func (l *listener) rest(d time.Duration) {
	select {
	case <-time.After(d):
	case <-l.ctx.Done():
	}
}

// keepPace waits until the listener may accept another connection. Those that
// come faster wait in the kernel's queue, and where that is full their TCP tries again.
func (l *listener) keepPace() {
	if l.pace == nil {
		return
	}
	if r := l.pace.Reserve(); r.Delay() > 0 {
		l.g.opt.Metrics.AcceptPaused()
		l.rest(r.Delay())
	}
}

// take counts a connection in and leads it to its loop: at once, or by way of a
// handshake. An error says that the system is short of something.
func (l *listener) take(nc net.Conn) error {
	a := &arrival{l: l, nc: nc, remote: addrPort(nc.RemoteAddr())}
	if why := l.enter(); why != "" {
		a.refuse(why, nil)
		return nil
	}
	if len(l.opt.ProxyFrom) == 0 { // behind a proxy the address is not known yet
		if !a.enterAddress() {
			return nil
		}
		if l.certs == nil {
			return a.admit(nil)
		}
	}
	select {
	case l.slots <- struct{}{}:
	default:
		a.giveUp(metrics.RefusedHandshakes, nil)
		return nil
	}
	l.preparing.Go(func() {
		defer func() { <-l.slots }()
		a.handshake()
	})
	return nil
}

// enter counts a connection in; the reason says why it may not stay.
func (l *listener) enter() (why string) {
	if l.g.draining.Load() {
		return metrics.RefusedDraining
	}
	if l.g.connections.Add(1) > int64(l.g.opt.Limits.Connections) {
		l.leave()
		return metrics.RefusedLimit
	}
	return ""
}

// leave counts a connection out.
func (l *listener) leave() { l.g.connections.Add(-1) }

// enterAddress counts a connection of an address; false when it has too many.
func (l *listener) enterAddress(a netip.Addr) bool {
	if l.byAddr == nil {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byAddr[a] >= l.g.opt.Limits.PerAddress {
		return false
	}
	l.byAddr[a]++
	return true
}

func (l *listener) leaveAddress(a netip.Addr) {
	if l.byAddr == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byAddr[a]--; l.byAddr[a] <= 0 {
		delete(l.byAddr, a)
	}
}

// stop closes the listener and waits until nothing is being handed over any more.
func (l *listener) stop() {
	_ = l.ln.Close()
	l.cancel()
	<-l.done
	l.preparing.Wait()
}
