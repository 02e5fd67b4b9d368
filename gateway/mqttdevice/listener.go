package mqttdevice

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"time"

	"github.com/mochi-mqtt/server/v2/listeners"

	"github.com/tboxgate/tboxgate/gateway/certfiles"
)

// Listener is one address for devices.
type Listener struct {
	Address string // HOST:PORT
	TLS     *TLS   // nil: plain TCP
	// Expires is told when the certificate in use expires, at first and whenever another one is read. May be nil.
	Expires func(time.Time)
}

// TLS makes a listener speak TLS 1.2 and 1.3. The files are read again when they change, and by Broker.Reload.
type TLS struct {
	Cert string // PEM file: the server's certificate and its chain
	Key  string // PEM file: its private key
}

// listener accepts connections for the broker. It is our own for its limits: the broker's accepts without any, ends at the
// first error, waits for CONNECT without end, and lets a panic of one connection end the process.
type listener struct {
	id    string
	net   net.Listener
	certs *certfiles.Loader // nil: plain TCP
	guard *guard
	log   *slog.Logger

	mu     sync.Mutex
	closed bool
	conns  map[net.Conn]bool
}

var _ listeners.Listener = (*listener)(nil)

func listen(id string, o Listener, g *guard, log *slog.Logger) (l *listener, err error) {
	l = &listener{id: id, guard: g, log: log, conns: map[net.Conn]bool{}}
	if o.TLS != nil {
		if l.certs, err = certfiles.Load(certfiles.Files{Cert: o.TLS.Cert, Key: o.TLS.Key}, o.Expires); err != nil {
			return nil, err
		}
	}
	if l.net, err = net.Listen("tcp", o.Address); err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return l, nil
}

// Init, ID, Address and Protocol are what the broker asks for.
func (l *listener) Init(*slog.Logger) error { return nil }

// ID returns the listener's name in the broker.
func (l *listener) ID() string { return l.id }

// Address returns HOST:PORT as bound.
func (l *listener) Address() string { return l.net.Addr().String() }

// Protocol returns "tcp" or "tls".
func (l *listener) Protocol() string {
	if l.certs != nil {
		return "tls"
	}
	return "tcp"
}

// acceptPause is how long to wait after an error that is not the end, such as no descriptors left.
const acceptPause = 50 * time.Millisecond

// Serve accepts until the listener is closed.
func (l *listener) Serve(establish listeners.EstablishFn) {
	for {
		c, err := l.net.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			l.log.Warn("MQTT connections cannot be accepted at the moment", "listener", l.Address(), "error", err)
			time.Sleep(acceptPause)
			continue
		}
		if !l.guard.enter(c) {
			_ = c.Close()
			continue
		}
		if !l.add(c) {
			l.guard.leave(c)
			_ = c.Close()
			return
		}
		go l.serve(c, establish)
	}
}

// serve runs one connection.
func (l *listener) serve(c net.Conn, establish listeners.EstablishFn) {
	defer func() {
		if r := recover(); r != nil {
			l.guard.count.panics.Add(1)
			l.log.Error("panic on an MQTT connection", "remote", c.RemoteAddr().String(), "fault", r, "stack", string(debug.Stack()))
		}
		_ = c.Close()
		l.remove(c)
		l.guard.leave(c)
	}()
	_ = c.SetDeadline(time.Now().Add(l.guard.limits.ConnectTime)) // until CONNECT; then the keep alive takes over
	served := c
	if l.certs != nil {
		config, err := l.certs.Current(time.Now())
		if err != nil {
			l.log.Error("certificate files have changed and cannot be used; the ones before stay in use", "listener", l.Address(), "error", err)
		}
		served = tls.Server(c, config)
	}
	defer l.guard.gone(served)
	_ = establish(l.id, served) // how it ended is told by the hook
}

func (l *listener) add(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.conns[c] = true
	return true
}

func (l *listener) remove(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
}

// stopAccepting closes the address.
func (l *listener) stopAccepting() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	_ = l.net.Close()
}

// cut gives the connections that there are a last second.
func (l *listener) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		_ = c.SetDeadline(time.Now().Add(farewell))
	}
}

// closeConns closes the connections that there are.
func (l *listener) closeConns() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		_ = c.Close()
	}
}

// Close is the broker's.
func (l *listener) Close(closeClients listeners.CloseFn) {
	l.stopAccepting()
	closeClients(l.id)
}

func (l *listener) reload() error {
	if l.certs == nil {
		return nil
	}
	return l.certs.Reload()
}

// guard holds all listeners together to the limits of connections.
type guard struct {
	limits Limits
	count  *counters
	gone   func(net.Conn) // told of every connection that has ended

	mu        sync.Mutex
	all       int
	addresses map[string]int
}

func (g *guard) enter(c net.Conn) bool {
	host := hostOf(c)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.all >= g.limits.Connections || g.limits.PerAddress > 0 && g.addresses[host] >= g.limits.PerAddress {
		g.count.overLimit.Add(1)
		return false
	}
	g.all++
	g.addresses[host]++
	g.count.accepted.Add(1)
	return true
}

func (g *guard) leave(c net.Conn) {
	host := hostOf(c)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all--
	if g.addresses[host]--; g.addresses[host] == 0 {
		delete(g.addresses, host)
	}
}

func hostOf(c net.Conn) string {
	host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
	return host
}
