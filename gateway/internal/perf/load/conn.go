//go:build linux

package load

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tboxgate/tboxgate/codec"
)

// generator is all connections of a measurement and what they have counted.
type generator struct {
	o       Options
	epoll   int
	conns   []*conn
	byFD    []*conn // by descriptor; nil where there is none
	events  []unix.EpollEvent
	buf     []byte
	start   time.Time
	command byte // of the frame sent: what its answers must carry

	up         int // logged in
	closed     int
	answered   int64
	wrong      int64
	refused    int64
	answerSize int
	hist       histogram
	gap        time.Duration // the longest without an answer
}

// conn is one connection.
type conn struct {
	fd       int // -1 when it is closed
	vin      string
	state    state
	block    []byte  // one write
	unsent   int     // bytes of the block that are written, 0 when none waits
	inFlight int     // frames without an answer
	missing  int     // answers that the oldest block still lacks
	sent     []int64 // times of the blocks in flight, oldest first
	part     []byte  // of an answer
	wantOut  bool
}

// state is where a connection stands.
type state uint8

const (
	platformLogin state = iota // sent
	vehicleLogin               // sent
	loggedIn
)

func newGenerator(o Options) (*generator, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	g := &generator{
		o: o, epoll: epoll, byFD: make([]*conn, o.Connections+64), events: make([]unix.EpollEvent, 4096),
		buf: make([]byte, 256<<10), start: time.Now(),
	}
	if len(o.Frame) > 0 {
		g.command = o.Frame[commandAt]
	}
	return g, nil
}

func (g *generator) close() {
	for _, c := range g.conns {
		g.drop(c)
	}
	_ = unix.Close(g.epoll)
}

// mostWaiting bounds the connections that have not logged in yet, so that the server's accept queue is not overrun.
const mostWaiting = 512

// connect opens all connections and logs them in. The time it took is never 0.
func (g *generator) connect(ctx context.Context) (time.Duration, error) {
	start := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, g.o.LoginTimeout, errors.New("the logins took too long"))
	defer cancel()
	wait := func(most, milliseconds int) {
		for len(g.conns)-g.up-g.closed > most && ctx.Err() == nil {
			g.poll(milliseconds, false)
		}
	}
	for i := range g.o.Connections {
		fd, err := g.dial(i)
		if err != nil {
			return time.Since(start), err
		}
		c := &conn{fd: fd, vin: vinOf(g.o, i), state: vehicleLogin}
		g.conns = append(g.conns, c)
		g.byFD = append(g.byFD, make([]*conn, max(0, fd+1-len(g.byFD)))...)
		g.byFD[fd] = c
		if g.o.Block > 0 {
			c.block = blockOf(g.o.Frame, c.vin, g.o.Block)
		}
		first := loginFrame(c.vin)
		if g.o.PlatformUser != "" {
			c.state = platformLogin
			first = platformLoginFrame(c.vin, g.o.PlatformUser, g.o.PlatformPassword)
		}
		g.writeAll(c, first)
		if i%64 == 63 {
			g.poll(0, false)
			wait(mostWaiting, 1)
		}
	}
	wait(0, 10)
	took := time.Since(start)
	switch {
	case g.up < g.o.Connections && ctx.Err() != nil:
		return took, fmt.Errorf("load: %d of %d connections logged in: %w", g.up, g.o.Connections, context.Cause(ctx))
	case g.up < g.o.Connections:
		return took, fmt.Errorf("load: %d of %d connections logged in, the server closed the others", g.up, g.o.Connections)
	case g.refused > 0 || g.wrong > 0:
		return took, fmt.Errorf("load: %d logins were refused, %d answers were wrong", g.refused, g.wrong)
	}
	return took, nil
}

// writeAll writes a login: into an empty socket, so it goes out whole or the connection is broken.
func (g *generator) writeAll(c *conn, b []byte) {
	if n, errno := write(c.fd, b); errno != 0 || n != len(b) {
		g.drop(c)
	}
}

// drop closes a connection that is open.
func (g *generator) drop(c *conn) {
	if c.fd < 0 {
		return
	}
	_ = unix.Close(c.fd)
	g.byFD[c.fd] = nil
	c.fd = -1
	g.closed++
}

// inFlight is the number of frames that wait for an answer.
func (g *generator) inFlight() int {
	n := 0
	for _, c := range g.conns {
		if c.fd >= 0 {
			n += c.inFlight
		}
	}
	return n
}

// alive is the number of open connections.
func (g *generator) alive() int { return len(g.conns) - g.closed }

func (g *generator) nanoseconds() int64 { return int64(time.Since(g.start)) }

// pump fills the window of a connection.
func (g *generator) pump(c *conn) {
	for c.fd >= 0 && c.state == loggedIn && c.unsent == 0 && !c.wantOut && c.inFlight+g.o.Block <= g.o.Window {
		if len(c.sent) == 0 {
			c.missing = g.o.Block
		}
		n, errno := write(c.fd, c.block)
		switch {
		case errno == unix.EAGAIN:
			g.watch(c, true)
			return
		case errno != 0:
			g.drop(c)
			return
		}
		c.sent = append(c.sent, g.nanoseconds())
		c.inFlight += g.o.Block
		if n < len(c.block) {
			c.unsent = n
			g.flush(c)
		}
	}
}

// flush writes the rest of a block that has gone out in part.
func (g *generator) flush(c *conn) {
	for c.unsent > 0 {
		n, errno := write(c.fd, c.block[c.unsent:])
		switch {
		case errno == unix.EAGAIN:
			g.watch(c, true)
			return
		case errno != 0:
			g.drop(c)
			return
		}
		if c.unsent += n; c.unsent == len(c.block) {
			c.unsent = 0
		}
	}
	g.watch(c, false)
}

// writable goes on where a full socket had stopped the writing.
func (g *generator) writable(c *conn, pump bool) {
	g.flush(c)
	if pump {
		g.pump(c)
	}
}

// readable takes what has arrived.
func (g *generator) readable(c *conn, pump bool) {
	have := copy(g.buf, c.part)
	n, errno := read(c.fd, g.buf[have:])
	if errno == unix.EAGAIN {
		return
	}
	if errno != 0 || n == 0 {
		g.drop(c)
		return
	}
	in := g.buf[:have+n]
	c.part = append(c.part[:0], in[g.answers(c, in):]...)
	if pump {
		g.pump(c)
	}
}

// answers counts the whole answers at the start of b and returns the bytes that they take.
func (g *generator) answers(c *conn, b []byte) int {
	n := 0
	for len(b)-n >= codec.MinFrameSize {
		f := b[n:]
		if (f[0] != codec.Edition2016.StartMark() && f[0] != codec.Edition2025.StartMark()) || f[1] != f[0] {
			g.wrong++
			n++
			continue
		}
		size := codec.MinFrameSize + int(binary.BigEndian.Uint16(f[lengthAt:]))
		if len(f) < size {
			break
		}
		f = f[:size]
		n += size
		if g.o.CheckAnswers && codec.Check(f[commandAt:size-1]) != f[size-1] {
			g.wrong++
		}
		g.answer(c, f)
	}
	return n
}

// answer counts one answer.
func (g *generator) answer(c *conn, f []byte) {
	command, flag := codec.Command(f[commandAt]), codec.Flag(f[flagAt])
	if flag == codec.FlagCommand {
		g.wrong++
		return
	}
	switch c.state {
	case platformLogin, vehicleLogin:
		g.loginAnswer(c, command, flag)
		return
	case loggedIn:
	}
	if byte(command) != g.command || c.inFlight == 0 {
		g.wrong++
		return
	}
	if flag != codec.FlagSuccess {
		g.refused++
	}
	g.answerSize = len(f)
	g.answered++
	c.inFlight--
	c.missing--
	if c.missing == 0 {
		g.hist.observe(g.nanoseconds() - c.sent[0])
		c.sent = append(c.sent[:0], c.sent[1:]...)
		c.missing = g.o.Block
	}
}

// loginAnswer takes a connection one login further.
func (g *generator) loginAnswer(c *conn, command codec.Command, flag codec.Flag) {
	if flag != codec.FlagSuccess {
		g.refused++
	}
	switch {
	case c.state == platformLogin && command == codec.CommandPlatformLogin:
		c.state = vehicleLogin
		g.writeAll(c, loginFrame(c.vin))
	case c.state == vehicleLogin && command == codec.CommandVehicleLogin:
		c.state = loggedIn
		g.up++
	default:
		g.wrong++
	}
}
