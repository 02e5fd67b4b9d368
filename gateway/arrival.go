package gateway

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime/debug"
	"slices"
	"syscall"
	"time"

	"github.com/pires/go-proxyproto"

	"github.com/tboxgate/tboxgate/gateway/metrics"
)

// arrival is a connection between being accepted and belonging to a loop.
type arrival struct {
	l       *listener
	nc      net.Conn
	remote  netip.AddrPort // of the peer; behind a proxy, what its header says
	counted bool           // its address has been counted
}

// refuse closes a connection that is not counted in.
func (a *arrival) refuse(why string, err error) {
	_ = a.nc.Close()
	a.l.g.opt.Metrics.ConnectionRefused(a.l.opt.Address, why)
	if err != nil {
		a.l.g.warn.Warn("connection refused", "remote", a.remote, "reason", why, "error", err)
		return
	}
	a.l.g.warn.Warn("connection refused", "remote", a.remote, "reason", why)
}

// giveUp counts a connection out and closes it.
func (a *arrival) giveUp(why string, err error) {
	if a.counted {
		a.l.leaveAddress(a.remote.Addr())
	}
	a.l.leave()
	a.refuse(why, err)
}

// enterAddress counts the peer's address in; false when it has too many
// connections, this one is closed then.
func (a *arrival) enterAddress() bool {
	if !a.l.enterAddress(a.remote.Addr()) {
		a.giveUp(metrics.RefusedPerAddress, nil)
		return false
	}
	a.counted = true
	return true
}

// admit gives the connection to the loop that has the fewest. An error says
// that the system is short of something; the connection is closed then.
func (a *arrival) admit(t *tlsConn) error {
	lp := a.l.g.leastLoaded()
	lp.size.Add(1)
	c := &conn{loop: lp, ln: a.l, remote: a.remote, slot: -1, tls: t}
	_, err := lp.engine.EnrollContext(a.nc, c)
	if err == nil && !c.opened { // gnet keeps to itself what epoll says, but it waits until the loop has looked
		err = errNotEnrolled
	}
	if err != nil {
		lp.size.Add(-1)
		a.giveUp(metrics.RefusedEnrolError, err)
	}
	return err
}

// handshake reads what comes before the first frame, a proxy's header, then
// TLS, and admits the connection. A fault on what a stranger sends ends it alone.
func (a *arrival) handshake() {
	t, why, err := a.prepare()
	if why != "" {
		a.giveUp(why, err)
		return
	}
	_ = a.admit(t) // told and counted
}

// prepare is the handshake itself; why is the reason of a failure.
func (a *arrival) prepare() (t *tlsConn, why string, err error) {
	l := a.l
	defer func() {
		if r := recover(); r != nil {
			l.g.log.Error("fault in a handshake; the connection is closed", "remote", a.remote, "fault", r, "stack", string(debug.Stack()))
			why = metrics.RefusedFault
		}
	}()
	ctx, cancel := context.WithTimeout(l.ctx, l.opt.HandshakeTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = a.nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if len(l.opt.ProxyFrom) > 0 {
		if err := a.readProxyHeader(); err != nil {
			return nil, metrics.RefusedProxyHeader, err
		}
		if !l.enterAddress(a.remote.Addr()) {
			return nil, metrics.RefusedPerAddress, nil
		}
		a.counted = true
	}
	if l.certs != nil {
		if t, err = a.startTLS(ctx); err != nil {
			return nil, metrics.RefusedTLSHandshake, err
		}
	}
	if !stop() {
		return nil, metrics.RefusedHandshakeTimeout, context.Cause(ctx)
	}
	return t, "", nil
}

// startTLS runs the handshake and turns the TLS connection over to the loop.
func (a *arrival) startTLS(ctx context.Context) (*tlsConn, error) {
	config, err := a.l.certs.Current(time.Now())
	if err != nil {
		a.l.g.log.Error("certificate files have changed and cannot be used; the ones before stay in use", "listener", a.l.opt.Address, "error", err)
	}
	t := &tlsConn{pipe: &tlsPipe{socket: a.nc}}
	t.tls = tls.Server(t.pipe, config)
	began := time.Now()
	err = t.tls.HandshakeContext(ctx)
	a.l.g.opt.Metrics.Handshake(handshakeResult(err), tlsVersion(t.tls, err), time.Since(began))
	if err != nil {
		return nil, err
	}
	t.pipe.socket = nil
	if certs := t.tls.ConnectionState().PeerCertificates; len(certs) > 0 {
		t.names = names(certs[0])
	}
	return t, nil
}

var (
	errProxyFrom   = errors.New("not one of proxyFrom, so its word about the peer's address is not taken")
	errNotEnrolled = errors.New("the event loop could not watch the socket")
	errNoProxy     = errors.New("no PROXY header, which the listener's proxyFrom demands")
)

// readProxyHeader reads the PROXY header, version 1 or 2, that a listener with
// ProxyFrom demands, and not a byte more: what follows belongs to TLS or to the
// loop, so the header is looked at in the kernel first.
func (a *arrival) readProxyHeader() error {
	if !slices.ContainsFunc(a.l.opt.ProxyFrom, func(p netip.Prefix) bool { return p.Contains(a.remote.Addr()) }) {
		return errProxyFrom
	}
	sc, ok := a.nc.(syscall.Conn)
	if !ok {
		return fmt.Errorf("no socket: %T", a.nc)
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return err
	}
	buf := make([]byte, maxProxyV2)
	for {
		n, err := peekSocket(rc, buf)
		if err != nil {
			return err
		}
		size, err := proxyHeaderSize(buf[:n])
		if err != nil {
			return err
		}
		if size > 0 && size <= n {
			return a.takeProxyHeader(size)
		}
		time.Sleep(time.Millisecond) // the bytes seen stay, so the socket stays readable: there is nothing to wait on
	}
}

// peekSocket waits for input and copies it without taking it.
func peekSocket(rc syscall.RawConn, buf []byte) (n int, err error) {
	waitErr := rc.Read(func(fd uintptr) bool {
		var again bool
		n, again, err = peekNow(int(fd), buf)
		return !again
	})
	if err = errors.Join(waitErr, err); err == nil && n == 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Sizes of a PROXY header: version 1 is a line, version 2 has 16 bytes and a length.
const (
	maxProxyV1 = 107
	maxProxyV2 = 16 + 4096
)

// proxyHeaderSize is the size of the PROXY header that b begins with, 0 when
// there are too few bytes to tell.
func proxyHeaderSize(b []byte) (int, error) {
	switch v1, v2 := proxyproto.SIGV1, proxyproto.SIGV2; {
	case bytes.HasPrefix(b, v2[:min(len(b), len(v2))]):
		if len(b) < 16 {
			return 0, nil
		}
		size := 16 + int(b[14])<<8 + int(b[15])
		if size > maxProxyV2 {
			return 0, fmt.Errorf("PROXY header of %d bytes, at most %d are taken", size, maxProxyV2)
		}
		return size, nil
	case bytes.HasPrefix(b, v1[:min(len(b), len(v1))]):
		if end := bytes.Index(b, []byte("\r\n")); end >= 0 {
			return end + 2, nil
		}
		if len(b) >= maxProxyV1 {
			return 0, fmt.Errorf("PROXY header without an end in %d bytes", maxProxyV1)
		}
		return 0, nil
	}
	return 0, errNoProxy
}

// takeProxyHeader takes the header off the socket, and its word for the peer's address.
func (a *arrival) takeProxyHeader(size int) error {
	b := make([]byte, size)
	if _, err := io.ReadFull(a.nc, b); err != nil {
		return err
	}
	h, err := proxyproto.Read(bufio.NewReader(bytes.NewReader(b)))
	if err != nil {
		return err
	}
	if src, _, ok := h.TCPAddrs(); ok && h.Command.IsProxy() {
		a.remote = addrPort(src)
	}
	return nil // LOCAL: the proxy speaks for itself, a health check
}
