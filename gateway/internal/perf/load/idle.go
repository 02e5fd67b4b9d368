//go:build linux

package load

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/internal/perf/proc"
)

// IdleResult is what a measurement of idle connections found.
type IdleResult struct {
	Alive   int     `json:"alive"`     // connections that logged in and were still there at the end
	Before  int64   `json:"beforeKiB"` // resident memory of the server before the first connection
	After   int64   `json:"afterKiB"`  // and with all of them idle
	PerConn float64 `json:"perConn"`   // KiB of growth for each
}

// Idle logs vehicles in, leaves them alone for Options.Hold and measures by how much the server's memory has grown
// (Options.PID). look, which may be nil, is called then, while all are connected.
func Idle(ctx context.Context, o Options, look func() error) (IdleResult, error) {
	if err := o.validateIdle(); err != nil {
		return IdleResult{}, err
	}
	o.Block, o.Window = 0, 0
	var r IdleResult
	var err error
	if r.Before, err = proc.RSS(o.PID); err != nil {
		return r, err
	}
	settled := func() error {
		if r.After, err = proc.RSS(o.PID); err != nil || look == nil {
			return err
		}
		return look()
	}
	if o.TLS != nil {
		r.Alive, err = idleTLS(ctx, o, settled)
	} else {
		r.Alive, err = idlePlain(ctx, o, settled)
	}
	if err == nil && r.Alive != o.Connections {
		err = fmt.Errorf("load: %d of %d idle connections are left", r.Alive, o.Connections)
	}
	r.PerConn = float64(r.After-r.Before) / float64(o.Connections)
	return r, err
}

func idlePlain(ctx context.Context, o Options, settled func() error) (alive int, err error) {
	g, err := newGenerator(o)
	if err != nil {
		return 0, err
	}
	defer g.close()
	if _, err = g.connect(ctx); err != nil {
		return g.alive(), err
	}
	for end := time.Now().Add(o.Hold); time.Now().Before(end) && ctx.Err() == nil; {
		g.poll(50, false)
	}
	if err = errors.Join(context.Cause(ctx), settled()); err != nil {
		return g.alive(), err
	}
	g.poll(0, false)
	return g.alive(), nil
}

// handshakes is how many connections log in at the same time over TLS. Gateways bound handshakes too.
const handshakes = 32

// idleTLS does the same over TLS. Logins run side by side; afterwards no goroutine is left here either.
func idleTLS(ctx context.Context, o Options, settled func() error) (alive int, err error) {
	conns := make([]net.Conn, o.Connections)
	defer func() {
		for _, c := range conns {
			if c != nil {
				_ = c.Close()
			}
		}
	}()
	login, cancel := context.WithTimeoutCause(ctx, o.LoginTimeout, errors.New("the logins took too long"))
	defer cancel()
	group, login := errgroup.WithContext(login)
	group.SetLimit(handshakes)
	for i := range conns {
		group.Go(func() (err error) {
			conns[i], err = loginTLS(login, o, i)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return 0, err
	}
	select {
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	case <-time.After(o.Hold):
	}
	if err := settled(); err != nil {
		return 0, err
	}
	ended := slices.DeleteFunc(slices.Clone(conns), stillOpen)
	return len(conns) - len(ended), nil
}

// loginTLS connects one vehicle and waits for the answer to its login.
func loginTLS(ctx context.Context, o Options, i int) (net.Conn, error) {
	d := tls.Dialer{
		NetDialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+i%o.Sources))}},
		Config:    o.TLS,
	}
	c, err := d.DialContext(ctx, "tcp4", o.Addr.String())
	if err != nil {
		return nil, fmt.Errorf("load: connection %d: %w", i, err)
	}
	if err := logIn(ctx, c, vinOf(o, i)); err != nil {
		return nil, fmt.Errorf("load: login of connection %d: %w", i, errors.Join(err, c.Close()))
	}
	return c, nil
}

func logIn(ctx context.Context, c net.Conn, vin string) error {
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := c.Write(loginFrame(vin)); err != nil {
		return err
	}
	answer := make([]byte, codec.MinFrameSize+codec.TimeSize)
	if _, err := io.ReadFull(c, answer); err != nil {
		return err
	}
	f, err := codec.ParseFrame(answer)
	if err != nil {
		return err
	}
	if f.Command() != codec.CommandVehicleLogin || f.Flag() != codec.FlagSuccess {
		return fmt.Errorf("it was answered with command %02x, flag %s", byte(f.Command()), f.Flag())
	}
	return nil
}

// stillOpen looks whether the server has ended a connection. Nothing lies in the socket of one that it
// has not; where something does, a Read says what it is.
func stillOpen(c net.Conn) bool {
	t, ok := c.(*tls.Conn)
	if !ok {
		return false
	}
	sc, ok := t.NetConn().(syscall.Conn)
	if !ok {
		return false
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	empty := false
	if err := rc.Control(func(fd uintptr) {
		_, _, err := unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
		empty = errors.Is(err, unix.EAGAIN)
	}); err != nil || empty {
		return err == nil
	}
	if err := c.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		return false
	}
	_, err = c.Read(make([]byte, 1))
	return errors.Is(err, os.ErrDeadlineExceeded)
}
