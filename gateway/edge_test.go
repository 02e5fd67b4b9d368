package gateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/session"
)

// connOf is the connection of a vehicle.
func (h *house) connOf(t *testing.T, vin string) *conn {
	var v codec.VIN
	copy(v[:], vin)
	s := h.sessions.Get(v)
	require.NotNil(t, s)
	return s.Link.(*conn)
}

// big is a report with a user-defined item of n bytes.
func (p *peer) big(n int) []byte {
	unit := append(wireTime(at), 0x80, byte(n>>8), byte(n))
	return p.frame(codec.CommandRealtime, codec.FlagCommand, append(unit, make([]byte, n)...))
}

// short is eventually for what, done wrongly, happens when a connection has lingered for five seconds.
func short(t *testing.T, what string, f func() bool) {
	t.Helper()
	require.Eventually(t, f, 4*time.Second, 2*time.Millisecond, what)
}

// TestFrameBehindTheOneThatFillsTheWindow: a frame that lies complete behind the one that filled the window is read as soon as there is room.
func TestFrameBehindTheOneThatFillsTheWindow(t *testing.T) {
	for _, useTLS := range []bool{false, true} {
		a := newAuthority(t)
		h := newHouse(t, func(o *Options) {
			o.Limits.Window = 1
			if useTLS {
				o.Listeners[0].TLS = a.server()
			}
		})
		var p *peer
		if useTLS {
			var err error
			p, err = h.dialTLS(t, vin1, &tls.Config{RootCAs: a.pool})
			require.NoError(t, err)
			p.send(p.loginFrame())
			p.answer(codec.CommandVehicleLogin)
		} else {
			p = h.login(t, vin1)
		}
		h.sink.hold.Store(true)
		b := p.big(1000)
		p.send(b[:100])
		time.Sleep(50 * time.Millisecond)
		p.send(append(append([]byte(nil), b[100:]...), p.realtime(1)...))
		short(t, "big published", func() bool { return h.sink.count() == 2 })
		time.Sleep(20 * time.Millisecond)
		h.sink.confirm(1, false)
		p.answer(codec.CommandRealtime)
		short(t, "the complete frame behind it is read, since the store has room", func() bool { return h.sink.count() == 3 })
	}
}

// TestStalledByItselfThenByAll: a connection that stalled on its own window, and then finds all connections together full, is woken too.
func TestStalledByItselfThenByAll(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.Limits.Window = 4; o.Limits.InFlightBytes = 8 << 10; o.Loops = 1 })
	a, b := h.login(t, vin1), h.login(t, vin2)
	h.sink.hold.Store(true)
	var all []byte
	for i := range 6 {
		all = append(all, a.realtime(i)...)
	}
	a.send(all) // 4 published, 2 unread: its own window is full
	short(t, "four", func() bool { return h.sink.count() == 2+4 })
	require.Less(t, h.g.inFlight.Load(), int64(8<<10))
	b.send(b.big(6000)) // fills what all may have
	short(t, "big", func() bool { return h.sink.count() == 2+5 })
	h.sink.confirm(4, false)
	for range 4 {
		a.answer(codec.CommandRealtime)
	}
	require.GreaterOrEqual(t, h.g.inFlight.Load(), int64(8<<10))
	h.sink.confirm(1, false)
	b.answer(codec.CommandRealtime)
	short(t, "the two frames left are read", func() bool { return h.sink.count() == 2+7 })
}

// TestConfirmedAndClosedAtOnce: a confirmation and the wish to close in one batch of mail: the answer goes out first.
func TestConfirmedAndClosedAtOnce(t *testing.T) {
	h := newHouse(t, nil)
	p := h.login(t, vin1)
	h.sink.hold.Store(true)
	p.send(p.realtime(1))
	short(t, "published", func() bool { return h.sink.count() == 2 })
	c := h.connOf(t, vin1)
	entered, gate := make(chan struct{}), make(chan struct{})
	c.loop.box.put(mail{do: func() { close(entered); <-gate }})
	<-entered
	h.sink.confirm(1, false)
	c.Close(session.ReasonDrain)
	close(gate)
	p.answer(codec.CommandRealtime)
}

// TestTLSAlertOnBrokenSocket: an alert that cannot be sent ends the connection without a fault of ours.
func TestTLSAlertOnBrokenSocket(t *testing.T) {
	a := newAuthority(t)
	var log lockedBuffer
	h := newHouse(t, func(o *Options) {
		o.Listeners[0].TLS = a.server()
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
	})
	p, err := h.dialTLS(t, vin1, &tls.Config{RootCAs: a.pool})
	require.NoError(t, err)
	p.send(p.loginFrame())
	p.answer(codec.CommandVehicleLogin)
	c := h.connOf(t, vin1)
	done := make(chan struct{})
	c.loop.box.put(mail{do: func() { _ = unix.Shutdown(c.gc.Fd(), unix.SHUT_WR); close(done) }})
	<-done
	_, err = p.nc.(*tls.Conn).NetConn().Write([]byte("\x17\x03\x03\x00\x20this is no TLS record at all 1234"))
	require.NoError(t, err)
	short(t, "closed", func() bool { return h.g.connections.Load() == 0 })
	require.False(t, strings.Contains(log.String(), "fault while"), log.String())
}

// TestFaultWhileClosing: a fault while sessions end does not keep the connection counted in.
func TestFaultWhileClosing(t *testing.T) {
	boom := true
	h := newHouse(t, func(o *Options) {
		o.Sessions = session.NewTable(func(e session.PresenceEvent) {
			if !e.Online && boom {
				boom = false
				panic("presence")
			}
		}, "test")
		o.Listeners[0].IdleTimeout = time.Second
	})
	p := h.login(t, vin1)
	_ = p.nc.Close()
	short(t, "counted out", func() bool { return h.g.connections.Load() == 0 })
}

// TestStalledThenEnd: frames that lay unread when the peer ended its side are stored.
func TestStalledThenEnd(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.Limits.Window = 4; o.Listeners[0].AckRealtime = AckNever })
	p := h.login(t, vin1)
	h.sink.hold.Store(true)
	var all []byte
	for i := range 20 {
		all = append(all, p.realtime(i)...)
	}
	p.send(all)
	short(t, "window", func() bool { return h.sink.count() == 1+4 })
	_ = p.nc.Close()
	short(t, "all stored", func() bool { return h.sink.count() == 21 })
	h.sink.confirm(21, false)
	short(t, "closed", func() bool { return h.g.connections.Load() == 0 && h.g.inFlight.Load() == 0 })
}

// TestActivationForAnotherVIN: requireVinMatch holds for activations too.
func TestActivationForAnotherVIN(t *testing.T) {
	a := newAuthority(t)
	h := newHouse(t, func(o *Options) {
		tl := a.server()
		tl.ClientCA, tl.RequireVINMatch = a.path("ca.pem"), true
		o.Listeners[0].TLS = tl
	})
	p, err := h.dialTLS(t, vin1, &tls.Config{RootCAs: a.pool, Certificates: []tls.Certificate{a.issue("car", vin1)}})
	require.NoError(t, err)
	p.send(frameOf(t, codec.Edition2025, vin2, codec.CommandActivation, codec.FlagCommand, append(wireTime(at), make([]byte, 90)...)))
	f := p.answer(codec.CommandActivationResponse)
	require.EqualValues(t, 2, f.Unit()[0], "activated with another vehicle's certificate; stored: %d", h.sink.count())
}

// Connections that wait for all together take turns: one that has more and more to send does not keep the others out.
func TestWaitingConnectionsTakeTurns(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.Loops, o.Limits.InFlightBytes = 1, 1 })
	vins := []string{vin1, vin2}
	var peers []*peer
	for _, vin := range vins {
		peers = append(peers, h.login(t, vin))
	}
	h.sink.hold.Store(true)
	before := h.sink.count()
	for _, p := range peers {
		p.send(bytes.Repeat(p.realtime(1), 30))
		p.quiet()
	}
	for n := 1; n <= 20; n++ {
		eventually(t, "the next record", func() bool { return h.sink.count() == before+n })
		h.sink.confirm(1, false)
	}
	turns := map[string]int{}
	for _, k := range h.sink.records()[before:] {
		turns[k.rec.VIN.String()]++
	}
	for _, vin := range vins {
		require.GreaterOrEqual(t, turns[vin], 8, "%v", turns)
	}
}

// A long frame in TLS records of a few bytes comes through, and what follows it in the same record too.
func TestTLSLongFrameInSmallRecords(t *testing.T) {
	a := newAuthority(t)
	h := newHouse(t, func(o *Options) { o.Listeners[0].TLS = a.server() })
	p, err := h.dialTLS(t, vin1, &tls.Config{RootCAs: a.pool})
	require.NoError(t, err)
	p.send(p.loginFrame())
	p.answer(codec.CommandVehicleLogin)
	long := p.frame(codec.CommandRealtime, codec.FlagCommand, append(wireTime(at), bytes.Repeat([]byte{0x80, 0, 1, '#'}, 5000)...))
	input := append(append(long, p.realtime(1)...), p.realtime(2)...)
	go func() {
		for size := 1; len(input) > 0; size = size%17 + 1 {
			n := min(size, len(input))
			p.send(input[:n])
			input = input[n:]
		}
	}()
	for i := range 3 {
		require.Equal(t, wireTime(at.Add(time.Duration(i)*time.Second)), p.answer(codec.CommandRealtime).Unit())
	}
	require.Len(t, h.sink.records(), 4)
}

// TestStartCharacterTooMany: a lone start character does not hold back the frame behind it, however the bytes arrive.
func TestStartCharacterTooMany(t *testing.T) {
	h := newHouse(t, nil)
	p := h.dial(t, vin1)
	login := p.loginFrame()
	for i, cut := range []int{0, 1, 2, 23, 24, 25, 40, len(login)} {
		stream := append([]byte("#"), login...)
		p.send(stream[:cut])
		if cut > 0 {
			time.Sleep(2 * time.Millisecond) // most times it arrives on its own
		}
		p.send(stream[cut:])
		require.Equal(t, codec.FlagSuccess, p.answer(codec.CommandVehicleLogin).Flag(), "cut at %d", cut)
		require.Equal(t, float64(i+1), h.meter(t, "tboxgate_bad_frames_total", "reason", "start"))
	}
}

// TestResponsive: a loop that is stuck is found.
func TestResponsive(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.Loops = 1 })
	require.NoError(t, h.g.Responsive(t.Context()), "no loop has had a connection")
	h.login(t, vin1)
	require.NoError(t, h.g.Responsive(t.Context()))

	stuck, free := make(chan struct{}), make(chan struct{})
	defer close(free)
	h.g.loops[0].box.put(mail{do: func() { close(stuck); <-free }})
	<-stuck
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	require.ErrorContains(t, h.g.Responsive(ctx), "1 of 1 event loops do not answer")
}
