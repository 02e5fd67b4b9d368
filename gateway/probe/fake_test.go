package probe

import (
	"bytes"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
)

// fake is a gateway as the standard wants it, with hooks to make it wrong in one way at a time.
type fake struct {
	addr string

	answers  func(c *fakeConn, f codec.Frame, right []byte) []byte // changes what is sent for f
	refuses  func(f codec.Frame, flag codec.Flag) codec.Flag       // changes the flag with which a frame is refused
	next     func(b []byte) (codec.Frame, int, error)              // cuts the input
	reads    int                                                   // bytes of one read at most, 0: all that is there
	segments bool                                                  // takes what one read gives as a frame, or as nothing
	drops    bool                                                  // drops what is behind a frame and is no whole frame
	lets     bool                                                  // lets every frame in without a login
	keeps    bool                                                  // keeps an older connection of the VIN
	damage   func(c *fakeConn, b []byte) []byte                    // answers bytes that are no frame
	stuck    bool                                                  // reads nothing more after damage
	idle     time.Duration                                         // closes a connection after it, 0: never
	deaf     bool                                                  // heartbeats do not count for idle
	login    time.Duration                                         // closes a connection without a login after it, 0: never
	orders   func(f codec.Frame) []byte                            // changes a command that is sent
	sends    int                                                   // of a command without an answer
	every    time.Duration                                         // between them
	takes    func(f codec.Frame) string                            // the state that an answer gives a command, "": none
	wait     time.Duration                                         // within which a command comes
	mute     bool                                                  // cannot be asked what became of a command

	wg       sync.WaitGroup
	closed   chan struct{}
	commands map[codec.VIN]*fakeCommand
	mu       sync.Mutex
	users    map[codec.VIN]*fakeConn
	open     map[net.Conn]bool
}

type fakeConn struct {
	*fake
	conn     net.Conn
	vin      codec.VIN // logged in on a vehicle's connection
	platform bool
	ended    bool // close after what is to be sent
	frames   int
}

func newFake(t *testing.T, wrong func(*fake)) *fake {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	f := &fake{addr: l.Addr().String(), users: map[codec.VIN]*fakeConn{}, open: map[net.Conn]bool{},
		answers: func(_ *fakeConn, _ codec.Frame, right []byte) []byte { return right },
		refuses: func(_ codec.Frame, flag codec.Flag) codec.Flag { return flag },
		next:    func(b []byte) (codec.Frame, int, error) { return codec.Next(b, 0) },
		damage:  func(*fakeConn, []byte) []byte { return nil },
		orders:  func(f codec.Frame) []byte { return f },
		sends:   3, every: time.Second,
		takes: func(f codec.Frame) string {
			if f.Flag() == codec.FlagSuccess || f.Flag() == codec.FlagCommand {
				return answered
			}
			return "rejected"
		},
		closed: make(chan struct{}), commands: map[codec.VIN]*fakeCommand{},
	}
	if wrong != nil {
		wrong(f)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			f.mu.Lock()
			f.open[conn] = true
			f.mu.Unlock()
			wg.Go(func() { (&fakeConn{fake: f, conn: conn}).serve() })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		f.mu.Lock()
		for conn := range f.open {
			_ = conn.Close()
		}
		f.mu.Unlock()
		close(f.closed)
		wg.Wait()
		f.wg.Wait()
	})
	return f
}

func (c *fakeConn) serve() {
	defer func() {
		_ = c.conn.Close()
		c.mu.Lock()
		delete(c.open, c.conn)
		c.mu.Unlock()
	}()
	var in []byte
	buf := make([]byte, 70000)
	if c.reads > 0 {
		buf = buf[:c.reads]
	}
	if c.login > 0 {
		_ = c.conn.SetReadDeadline(time.Now().Add(c.login))
	}
	for !c.ended {
		n, err := c.conn.Read(buf)
		if err != nil {
			return
		}
		if c.segments {
			in = nil
		}
		in = append(in, buf[:n]...)
		before := c.frames
		for !c.ended {
			f, n, err := c.next(in)
			if n == 0 {
				break
			}
			out := c.damage(c, in[:n])
			if err == nil {
				f = bytes.Clone(f)
				c.frames++
				if f.Command() >= codec.CommandParamQuery && f.Command() <= codec.CommandControl {
					c.answered(f)
				}
				out = c.answers(c, f, c.right(f))
			} else if c.stuck {
				_, _ = io.Copy(io.Discard, c.conn) // until the peer is gone
				return
			}
			in = in[n:]
			switch {
			case err != nil || c.vin.IsZero() && !c.platform:
			case c.idle <= 0:
				_ = c.conn.SetReadDeadline(time.Time{})
			case !c.deaf || f.Command() != codec.CommandHeartbeat:
				_ = c.conn.SetReadDeadline(time.Now().Add(c.idle))
			}
			if _, err := c.conn.Write(out); err != nil {
				return
			}
		}
		if c.drops && c.frames > before {
			in = nil
		}
	}
}

func known(vin codec.VIN) bool { return strings.HasPrefix(vin.String(), "LTEST0") }

// refuse answers an error.
func (c *fakeConn) refuse(f codec.Frame, flag codec.Flag) []byte {
	return codec.AppendAnswer(nil, f, c.refuses(f, flag), f.TimeBytes())
}

// right is what the standard wants for f.
func (c *fakeConn) right(f codec.Frame) []byte {
	if f.Flag() != codec.FlagCommand {
		return nil
	}
	success := codec.AppendAnswer(nil, f, codec.FlagSuccess, f.TimeBytes())
	var m codec.Message
	m.Decode(f)
	switch f.Command() {
	case codec.CommandVehicleLogin:
		if !known(f.VIN()) {
			c.ended = !c.platform
			return c.refuse(f, codec.FlagError)
		}
		if !c.platform {
			c.enter(f.VIN())
		}
		return success
	case codec.CommandPlatformLogin:
		if c.platform = m.Body.(*codec.PlatformLogin).PasswordText() == "secret"; !c.platform {
			c.ended = true
			return c.refuse(f, codec.FlagError)
		}
		return success
	case codec.CommandActivation:
		state, reason := uint8(1), uint8(0)
		if !known(f.VIN()) {
			state, reason = 2, 2
		}
		b, _ := codec.NewActivationResponse(f.VIN(), state, reason).Append(nil)
		return b
	}
	if c.vin.IsZero() && !c.platform && !c.lets {
		c.ended = true
		return nil
	}
	switch f.Command() {
	case codec.CommandRealtime, codec.CommandReissue:
		if !f.Encryption().Plain() || len(f.Unit()) < codec.TimeSize || !known(f.VIN()) || !c.platform && !c.lets && f.VIN() != c.vin {
			return c.refuse(f, codec.FlagError)
		}
		return success
	case codec.CommandVehicleLogout, codec.CommandPlatformLogout:
		c.ended = true
		return success
	case codec.CommandHeartbeat:
		return success
	case codec.CommandTimeSync, codec.CommandKeyExchange:
		return codec.AppendAnswer(nil, f, codec.FlagSuccess, codec.AppendTime(nil, time.Now()))
	}
	return nil
}

// enter makes the connection the vehicle's.
func (c *fakeConn) enter(vin codec.VIN) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.users[vin]; old != nil && old != c && !c.keeps {
		_ = old.conn.Close()
	}
	c.users[vin], c.vin = c, vin
}

// closesIdle makes it close connections, as the options tell.
func closesIdle(f *fake) { f.idle, f.login = 2*time.Second, time.Second }

// options are all that a fake needs to be tested.
func (f *fake) options(timeout time.Duration) Options {
	o := testOptions(f.addr, timeout)
	f.wait = timeout
	o.Commands = &Commands{Provoke: f.provoke}
	o.Resend, o.ResendControl, o.Idle, o.LoginDeadline = time.Second, time.Second, 2*time.Second, time.Second
	return o
}

// testOptions are for a gateway on the same machine; they wait long for what must come.
func testOptions(addr string, timeout time.Duration) Options {
	return Options{Addr: addr, VINs: []string{"LTEST000000000001", "LTEST000000000002", "LTEST000000000003", "LTEST000000000004",
		"LTEST000000000005", "LTEST000000000006"}, Code: "TESTPLATFORM00001", User: "user", Password: "secret", Timeout: timeout,
		Quiet: 50 * time.Millisecond}
}

// TestRightGateway: a gateway that does everything right passes every case.
func TestRightGateway(t *testing.T) {
	o := newFake(t, nil).options(20 * time.Second)
	o.Cases = []string{"[^i]*"}
	results, err := Run(t.Context(), o)
	require.NoError(t, err)
	o = newFake(t, closesIdle).options(20 * time.Second)
	o.Cases = []string{"idle.*"}
	idle, err := Run(t.Context(), o)
	require.NoError(t, err)
	results = append(results, idle...)
	require.Len(t, results, 102+5+2*(9+3))
	for _, r := range results {
		if r.Case.Name == "answer.timeSync" && r.Outcome == Warn {
			continue // the machine has stood still for seconds
		}
		require.Equal(t, Pass, r.Outcome, "%s %d: %s", r.Case.Name, r.Edition, r.Seen)
		require.NotEmpty(t, r.Seen)
		if r.Case.Name == "odd.encrypted" { // the fake knows 0x02 alone
			require.Equal(t, r.Edition == codec.Edition2025, strings.Contains(r.Seen, "; the edition has 0x07 for it, decryptError"), r.Seen)
			sent := 0
			for _, s := range r.Steps {
				if s.Sent && s.Data[2] == byte(codec.CommandRealtime) {
					sent++
				}
			}
			require.Equal(t, map[codec.Edition]int{codec.Edition2016: 2, codec.Edition2025: 4}[r.Edition], sent, "each method of the edition")
		}
		require.NotEmpty(t, r.Steps)
	}
}

// TestAnnexB: the other profile passes as well: echoes under a new time, reports not answered.
func TestAnnexB(t *testing.T) {
	f := newFake(t, func(f *fake) {
		f.answers = func(c *fakeConn, f codec.Frame, right []byte) []byte {
			answer := codec.Frame(right)
			if len(right) == 0 || answer.Flag() != codec.FlagSuccess || c.platform {
				return right
			}
			switch f.Command() {
			case codec.CommandRealtime, codec.CommandReissue:
				return nil
			case codec.CommandHeartbeat:
				return codec.AppendAnswer(nil, f, codec.FlagSuccess, codec.AppendTime(nil, time.Now()))
			case codec.CommandVehicleLogin, codec.CommandVehicleLogout:
				return codec.AppendAnswer(nil, f, codec.FlagSuccess, append(codec.AppendTime(nil, time.Now()), f.Unit()[codec.TimeSize:]...))
			}
			return right
		}
	})
	o := testOptions(f.addr, 20*time.Second)
	results, err := Run(t.Context(), o)
	require.NoError(t, err)
	for _, r := range results {
		require.NotEqual(t, Fail, r.Outcome, "%s %d: %s", r.Case.Name, r.Edition, r.Seen)
		switch r.Case.Name {
		case "answer.realtime":
			require.Equal(t, "taken; no answer, as Annex B has it for vehicles", r.Seen)
		case "answer.vehicleLogin":
			require.Equal(t, "success, the request's data unit under a new time", r.Seen)
		}
	}
}
