package gateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/session"
)

func TestAnswersKeepTheRequestsTime(t *testing.T) {
	h := newHouse(t, nil)
	p := h.dial(t, vin1)
	p.send(p.loginFrame(), p.realtime(1), p.frame(codec.CommandReissue, codec.FlagCommand, wireTime(at)),
		p.frame(codec.CommandVehicleLogout, codec.FlagCommand, append(wireTime(at), 0, 1)))
	for _, want := range []struct {
		cmd  codec.Command
		unit []byte
	}{
		{codec.CommandVehicleLogin, wireTime(at)},
		{codec.CommandRealtime, wireTime(at.Add(time.Second))},
		{codec.CommandReissue, wireTime(at)},
		{codec.CommandVehicleLogout, wireTime(at)},
	} {
		f := p.answer(want.cmd)
		require.Equal(t, codec.FlagSuccess, f.Flag())
		require.Equal(t, want.unit, f.Unit())
		require.Equal(t, vin1, f.VIN().String())
	}
	require.Equal(t, 4, h.sink.count())
}

func TestHeartbeatAndTimeSync(t *testing.T) {
	h := newHouse(t, nil)
	p := h.login(t, vin1)
	before := time.Now().Add(-time.Second)
	p.send(p.frame(codec.CommandHeartbeat, codec.FlagCommand, nil), p.frame(codec.CommandTimeSync, codec.FlagCommand, nil))
	require.Empty(t, p.answer(codec.CommandHeartbeat).Unit())
	f := p.answer(codec.CommandTimeSync)
	got, ok := codec.ParseTime([6]byte(f.Unit()))
	require.True(t, ok)
	require.WithinRange(t, got, before.Truncate(time.Second), time.Now())
	_, offset := got.Zone()
	require.Equal(t, 8*3600, offset)
	require.Equal(t, 1, h.sink.count(), "heartbeat and time sync are not stored")
}

func TestNoAnswerBeforeTheRecordIsStored(t *testing.T) {
	h := newHouse(t, nil)
	h.sink.hold.Store(true)
	p := h.dial(t, vin1)
	p.send(p.loginFrame(), p.realtime(1), p.frame(codec.CommandHeartbeat, codec.FlagCommand, nil), p.realtime(2))
	eventually(t, "three records", func() bool { return h.sink.count() == 3 })
	p.quiet()
	h.sink.confirm(1, false)
	p.answer(codec.CommandVehicleLogin)
	p.quiet()
	h.sink.confirm(2, true) // the later report first: its answer waits
	require.Equal(t, wireTime(at.Add(time.Second)), p.answer(codec.CommandRealtime).Unit())
	p.answer(codec.CommandHeartbeat)
	require.Equal(t, wireTime(at.Add(2*time.Second)), p.answer(codec.CommandRealtime).Unit())
	require.Zero(t, h.g.inFlight.Load())
}

func TestFramesSplitAtAnyByte(t *testing.T) {
	h := newHouse(t, nil)
	p := h.dial(t, vin1)
	for _, b := range append(p.loginFrame(), p.realtime(1)...) {
		p.send([]byte{b})
		if b%7 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	p.answer(codec.CommandVehicleLogin)
	p.answer(codec.CommandRealtime)
}

func TestManyFramesInOneSegmentAndTheLargestFrame(t *testing.T) {
	h := newHouse(t, nil)
	p := h.login(t, vin1)
	big := p.frame(codec.CommandRealtime, codec.FlagCommand, append(wireTime(at), bytes.Repeat([]byte{0x80, 0x00, 0x01, '#'}, (codec.MaxUnitSize-6)/4)...))
	unit := make([]byte, codec.MaxUnitSize)
	copy(unit, wireTime(at))
	unit[6], unit[7], unit[8] = 0x80, 0xff, 0xf2 // one custom item up to the end
	full := p.frame(codec.CommandRealtime, codec.FlagCommand, unit)
	require.Len(t, full, codec.MaxFrameSize)
	var all []byte
	const n = 500
	for i := range n {
		all = append(all, p.realtime(i)...)
	}
	all = append(append(append(all, big...), full...), p.realtime(n)...)
	go p.send(all)
	for i := range n {
		require.Equal(t, wireTime(at.Add(time.Duration(i)*time.Second)), p.answer(codec.CommandRealtime).Unit())
	}
	for range 3 {
		require.Equal(t, codec.FlagSuccess, p.answer(codec.CommandRealtime).Flag())
	}
}

func TestResynchronising(t *testing.T) {
	h := newHouse(t, nil)
	p := h.login(t, vin1)
	broken := p.realtime(1)
	broken[30] ^= 0x55
	p.send(append(append([]byte("noise without a mark "), broken...), p.realtime(2)...))
	require.Equal(t, wireTime(at.Add(2*time.Second)), p.answer(codec.CommandRealtime).Unit())
	for range 16 {
		p.send(broken)
	}
	p.ended()
	eventually(t, "offline", func() bool { return h.sessions.Len() == 0 })
	ev := h.presence()
	require.Equal(t, session.ReasonProtocolError, ev[len(ev)-1].Reason)
}

func TestWrongVINOnAVehicleLink(t *testing.T) {
	h := newHouse(t, nil)
	p := h.login(t, vin1)
	p.send(frameOf(t, codec.Edition2016, vin2, codec.CommandRealtime, codec.FlagCommand, wireTime(at)), p.realtime(3))
	f := p.answer(codec.CommandRealtime)
	require.Equal(t, codec.FlagError, f.Flag())
	require.Equal(t, vin2, f.VIN().String())
	require.Equal(t, codec.FlagSuccess, p.answer(codec.CommandRealtime).Flag())
	require.Equal(t, 2, h.sink.count())
}

func TestDeadlines(t *testing.T) {
	h := newHouse(t, func(o *Options) {
		o.Listeners[0].LoginTimeout = time.Second
		o.Listeners[0].IdleTimeout = 2 * time.Second
	})
	start := time.Now()
	silent := h.dial(t, vin2)
	p := h.login(t, vin1)
	silent.ended()
	require.GreaterOrEqual(t, time.Since(start), time.Second)
	p.ended()
	require.GreaterOrEqual(t, time.Since(start), 2*time.Second)
	eventually(t, "offline", func() bool { return len(h.presence()) == 2 })
	require.Equal(t, session.ReasonIdle, h.presence()[1].Reason)
}

func TestAnswersAreNeverAnswered(t *testing.T) {
	h := newHouse(t, nil)
	p := h.login(t, vin1)
	p.send(p.frame(codec.CommandParamQuery, codec.FlagSuccess, append(wireTime(at), 0)),
		p.frame(codec.CommandControl, codec.FlagCommand, append(wireTime(at), 3)), // some terminals answer with 0xFE
		p.frame(codec.CommandRealtime, codec.FlagSuccess, wireTime(at)),
		p.frame(codec.CommandHeartbeat, codec.FlagSuccess, nil))
	eventually(t, "two answers heard", func() bool { return len(h.commands.said()) == 2 })
	p.quiet()
	require.Equal(t, []string{vin1 + " paramQuery", vin1 + " control"}, h.commands.said())
	require.Equal(t, 4, h.sink.count())
}

func TestUnknownCommandIsStoredAndNotAnswered(t *testing.T) {
	h := newHouse(t, nil)
	p := h.login(t, vin1)
	p.send(p.frame(0xC5, codec.FlagCommand, []byte{1, 2, 3}), p.realtime(1))
	p.answer(codec.CommandRealtime)
	require.Equal(t, codec.Command(0xC5), h.sink.records()[1].rec.Command)
}

func TestUnreadableTime(t *testing.T) {
	h := newHouse(t, nil)
	p := h.login(t, vin1)
	p.send(p.frame(codec.CommandRealtime, codec.FlagCommand, []byte{1, 2}))
	f := p.answer(codec.CommandRealtime)
	require.Equal(t, codec.FlagError, f.Flag())
	require.Empty(t, f.Unit())
	require.Equal(t, 2, h.sink.count(), "it is stored all the same")
}

func TestStructureErrorRefused(t *testing.T) {
	odd := append(wireTime(at), 0x0A, 1, 2) // an item type without a layout
	for _, refuse := range []bool{false, true} {
		h := newHouse(t, func(o *Options) {
			if refuse {
				o.Listeners[0].OnStructureError = StructureRefuse
			}
		})
		p := h.login(t, vin1)
		p.send(p.frame(codec.CommandRealtime, codec.FlagCommand, odd))
		want := codec.FlagSuccess
		if refuse {
			want = codec.FlagError
		}
		require.Equal(t, want, p.answer(codec.CommandRealtime).Flag())
		require.Equal(t, 2, h.sink.count())
	}
}

func TestAckSettings(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.Listeners[0].AckForm, o.Listeners[0].AckRealtime = AckEcho, AckErrorOnly })
	p := h.dial(t, vin1)
	login := p.loginFrame()
	p.send(login, p.realtime(1), p.frame(codec.CommandRealtime, codec.FlagCommand, nil), p.frame(codec.CommandHeartbeat, codec.FlagCommand, nil))
	f := p.answer(codec.CommandVehicleLogin)
	require.Equal(t, codec.Frame(login).Unit()[6:], f.Unit()[6:], "Annex B: the rest of the unit comes back")
	got, ok := codec.ParseTime([6]byte(f.Unit()[:6]))
	require.True(t, ok)
	require.WithinDuration(t, time.Now(), got, wait, "with the time of the answer")
	require.Equal(t, codec.FlagError, p.answer(codec.CommandRealtime).Flag(), "only the bad report is answered")
	p.answer(codec.CommandHeartbeat)
}

func TestDownlink(t *testing.T) {
	h := newHouse(t, nil)
	p := h.login(t, vin1)
	s := h.sessions.Get(codec.MakeVIN([]byte(vin1)))
	done := make(chan error, 1)
	s.Link.Send(p.frame(codec.CommandControl, codec.FlagCommand, append(wireTime(at), 3)), func(err error) { done <- err })
	require.NoError(t, <-done)
	require.Equal(t, codec.FlagCommand, p.answer(codec.CommandControl).Flag())
	_ = p.nc.Close()
	eventually(t, "closed", func() bool { return h.g.connections.Load() == 0 })
	s.Link.Send([]byte("x"), func(err error) { done <- err })
	require.ErrorIs(t, <-done, session.ErrLinkClosed)
	s.Link.Send(make([]byte, 1<<20), func(err error) { done <- err })
	require.ErrorIs(t, <-done, session.ErrLinkBusy)
}

func TestFaultStaysWithItsConnection(t *testing.T) {
	h := newHouse(t, nil)
	h.commands.panics.Store(true)
	p, q := h.login(t, vin1), h.login(t, vin2)
	p.send(p.frame(codec.CommandControl, codec.FlagSuccess, wireTime(at)))
	p.ended()
	q.send(q.realtime(1))
	q.answer(codec.CommandRealtime)
	eventually(t, "one offline", func() bool { return h.sessions.Len() == 1 })
}

func TestDrainAnswersWhatIsStored(t *testing.T) {
	h := newHouse(t, nil)
	h.sink.hold.Store(true)
	p := h.dial(t, vin1)
	p.send(p.loginFrame(), p.realtime(1))
	eventually(t, "two records", func() bool { return h.sink.count() == 2 })
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		defer cancel()
		done <- h.g.Drain(ctx)
	}()
	eventually(t, "offline by the drain", func() bool { return h.sessions.Len() == 0 })
	require.Equal(t, session.ReasonDrain, h.presence()[1].Reason)
	h.sink.confirm(2, false)
	p.answer(codec.CommandVehicleLogin)
	p.answer(codec.CommandRealtime)
	p.ended()
	require.NoError(t, <-done)
}

// TestPeerThatEndsItsSide sends frames and a FIN, as `nc -N` does: the answers come all the same, once the records are stored.
func TestPeerThatEndsItsSide(t *testing.T) {
	a := newAuthority(t)
	for _, secure := range []bool{false, true} {
		h := newHouse(t, func(o *Options) {
			if secure {
				o.Listeners[0].TLS = a.server()
			}
		})
		h.sink.hold.Store(true)
		p := h.dial(t, vin1)
		end := p.nc.(*net.TCPConn).CloseWrite
		if secure {
			c := tls.Client(p.nc, &tls.Config{RootCAs: a.pool, ServerName: "127.0.0.1"})
			p.nc, p.in = c, codec.NewReader(c, 0)
			end = func() error { return errors.Join(c.CloseWrite(), c.NetConn().(*net.TCPConn).CloseWrite()) }
		}
		p.send(p.loginFrame(), p.realtime(1), p.realtime(2))
		require.NoError(t, end())
		eventually(t, "three records, offline", func() bool { return h.sink.count() == 3 && h.sessions.Len() == 0 })
		time.Sleep(20 * time.Millisecond)
		h.sink.confirm(1, false)
		p.answer(codec.CommandVehicleLogin)
		h.sink.confirm(2, false)
		p.answer(codec.CommandRealtime)
		p.answer(codec.CommandRealtime)
		eventually(t, "closed", func() bool { return h.g.connections.Load() == 0 })
	}
	// Without a confirmation it ends after a while, and with the gateway.
	h := newHouse(t, nil)
	h.sink.hold.Store(true)
	p := h.dial(t, vin1)
	p.send(p.loginFrame())
	require.NoError(t, p.nc.(*net.TCPConn).CloseWrite())
	eventually(t, "offline", func() bool { return h.sink.count() == 1 && h.sessions.Len() == 0 })
	require.EqualValues(t, 1, h.g.connections.Load())
	require.NoError(t, h.g.Close())
	require.Zero(t, h.g.connections.Load())
	p.ended()
}

// TestListenersHaveTheirOwnRules: one for vehicles that never hears answers to reports, one for platforms.
func TestListenersHaveTheirOwnRules(t *testing.T) {
	h := newHouse(t, func(o *Options) {
		o.Listeners = []Listener{
			{Address: "127.0.0.1:0", Profile: ProfileVehicle, AckRealtime: AckNever},
			{Address: "127.0.0.1:0", Profile: ProfilePlatform},
		}
	})
	p := h.login(t, vin1)
	p.send(p.realtime(1), p.frame(codec.CommandHeartbeat, codec.FlagCommand, nil))
	p.answer(codec.CommandHeartbeat)
	q := h.dial(t, platformCode)
	q.send(q.platformLogin("test-password"))
	q.ended()

	nc, err := net.Dial("tcp", h.g.Addrs()[1].String())
	require.NoError(t, err)
	defer func() { _ = nc.Close() }()
	r := &peer{t: t, nc: nc, in: codec.NewReader(nc, 0), vin: platformCode}
	r.send(r.platformLogin("test-password"))
	r.answer(codec.CommandPlatformLogin)
	v := *r
	v.vin = vin2
	r.send(v.realtime(1))
	r.answer(codec.CommandRealtime)
}

func TestAddressInUse(t *testing.T) {
	h := newHouse(t, nil)
	opt := h.g.opt
	opt.Listeners = []Listener{{Address: h.g.Addrs()[0].String()}}
	g, err := New(opt)
	require.NoError(t, err)
	err = g.Start()
	require.ErrorContains(t, err, h.g.Addrs()[0].String())
	require.ErrorContains(t, err, "address already in use")
}

func TestOptionsAreChecked(t *testing.T) {
	h := newHouse(t, nil)
	for name, edit := range map[string]func(*Options){
		"profile":    func(o *Options) { o.Listeners[0].Profile = "bus" },
		"ackForm":    func(o *Options) { o.Listeners[0].AckForm = "loud" },
		"address":    func(o *Options) { o.Listeners[0].Address = "nowhere" },
		"no sink":    func(o *Options) { o.Sink = nil },
		"idle":       func(o *Options) { o.Listeners[0].IdleTimeout = time.Millisecond },
		"max unit":   func(o *Options) { o.Limits.MaxUnit = 70000 },
		"no address": func(o *Options) { o.Listeners = nil },
	} {
		opt := h.g.opt
		opt.Listeners = append([]Listener(nil), opt.Listeners...)
		edit(&opt)
		_, err := New(opt)
		require.Error(t, err, name)
	}
}
