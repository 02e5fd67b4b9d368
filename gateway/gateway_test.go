package gateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/sink"
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
	require.Zero(t, h.g.InFlight())
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

func TestFirstFrameMustBeALogin(t *testing.T) {
	h := newHouse(t, nil)
	for name, frame := range map[string]func(*peer) []byte{
		"realtime":      func(p *peer) []byte { return p.realtime(1) },
		"heartbeat":     func(p *peer) []byte { return p.frame(codec.CommandHeartbeat, codec.FlagCommand, nil) },
		"a login reply": func(p *peer) []byte { return p.frame(codec.CommandVehicleLogin, codec.FlagSuccess, wireTime(at)) },
		"2016 activation": func(p *peer) []byte {
			return p.frame(codec.CommandActivation, codec.FlagCommand, wireTime(at))
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := h.dial(t, vin1)
			p.send(frame(p))
			p.ended()
		})
	}
	require.Zero(t, h.sink.count())
}

func TestRefusedLogin(t *testing.T) {
	for _, e := range []struct {
		edition codec.Edition
		flag    codec.Flag
	}{{codec.Edition2016, codec.FlagError}, {codec.Edition2025, codec.FlagVINUnknown}} {
		told := make(chan session.RefusedEvent, 10)
		h := newHouse(t, func(o *Options) { o.Refused = func(e session.RefusedEvent) { told <- e } })
		p := h.dial(t, vinUnknown)
		u := append(wireTime(at), 0, 1)
		u = append(append(u, "89860000000000000001"...), 0, 0)
		// More input behind the login must not turn the close into a reset that swallows the answer.
		p.send(append(frameOf(t, e.edition, vinUnknown, codec.CommandVehicleLogin, codec.FlagCommand, u), bytes.Repeat(p.realtime(1), 20)...))
		f := p.answer(codec.CommandVehicleLogin)
		require.Equal(t, e.flag, f.Flag())
		require.Equal(t, wireTime(at), f.Unit())
		p.ended()
		require.Zero(t, h.sink.count(), "refusals are no stream records")
		event := <-told
		require.Equal(t, vinUnknown, event.VIN.String())
		require.Equal(t, session.RefusedNotRegistered, event.Reason)
		require.JSONEq(t, `{"vin":"`+vinUnknown+`","login":"vehicle","remote":"`+p.nc.LocalAddr().String()+`","node":"test","at":"`+
			event.At.UTC().Format("2006-01-02T15:04:05.000Z")+`","reason":"notRegistered"}`, string(event.AppendJSON(nil)))
		require.Empty(t, told)
	}
}

func TestRefuseSilently(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.Listeners[0].RefuseLogin = RefuseSilent })
	p := h.dial(t, vinUnknown)
	p.send(p.loginFrame())
	p.ended()
}

func TestTakeover(t *testing.T) {
	h := newHouse(t, nil)
	first := h.login(t, vin1)
	second := h.login(t, vin1)
	first.ended()
	second.send(second.realtime(1))
	second.answer(codec.CommandRealtime)
	require.Equal(t, 1, h.sessions.Len())
	var got []string
	for _, e := range h.presence() {
		got = append(got, string(e.Reason))
	}
	require.Equal(t, []string{"login", "takeover", "login"}, got)
}

func TestReloginAndLogout(t *testing.T) {
	h := newHouse(t, nil)
	p := h.login(t, vin1)
	p.send(p.loginFrame())
	p.answer(codec.CommandVehicleLogin)
	require.Len(t, h.presence(), 1, "a second login of the same VIN is no event")
	p.send(p.frame(codec.CommandVehicleLogout, codec.FlagCommand, append(wireTime(at), 0, 1)))
	p.answer(codec.CommandVehicleLogout)
	eventually(t, "offline", func() bool { return h.sessions.Len() == 0 })
	require.Equal(t, session.ReasonLogout, h.presence()[1].Reason)
	p.send(p.loginFrame())
	p.answer(codec.CommandVehicleLogin)
	require.Equal(t, 1, h.sessions.Len())
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

func TestPlatformLink(t *testing.T) {
	h := newHouse(t, nil)
	p := h.dial(t, platformCode)
	p.send(p.platformLogin("test-password"))
	require.Equal(t, codec.FlagSuccess, p.answer(codec.CommandPlatformLogin).Flag())
	require.NotContains(t, h.sink.records()[0].body, "test-password")

	v1, v2, unknown := *p, *p, *p
	v1.vin, v2.vin, unknown.vin = vin1, vin2, vinUnknown
	p.send(v1.loginFrame(), v2.realtime(1), unknown.realtime(1), p.frame(codec.CommandHeartbeat, codec.FlagCommand, nil))
	require.Equal(t, codec.FlagSuccess, p.answer(codec.CommandVehicleLogin).Flag())
	require.Equal(t, codec.FlagSuccess, p.answer(codec.CommandRealtime).Flag(), "a report without login opens the session")
	require.Equal(t, codec.FlagError, p.answer(codec.CommandRealtime).Flag(), "an unregistered vehicle")
	p.answer(codec.CommandHeartbeat)
	require.Equal(t, 2, h.sessions.Len())
	recs := h.sink.records()
	require.Equal(t, platformCode, recs[len(recs)-1].rec.Platform)

	// Another link of the same platform takes one VIN over; both links live.
	q := h.dial(t, platformCode)
	q.send(q.platformLogin("test-password"))
	q.answer(codec.CommandPlatformLogin)
	w1 := *q
	w1.vin = vin1
	q.send(w1.realtime(2))
	q.answer(codec.CommandRealtime)
	require.NotSame(t, h.sessions.Get(codec.MakeVIN([]byte(vin1))).Link, h.sessions.Get(codec.MakeVIN([]byte(vin2))).Link)
	p.send(v2.realtime(3))
	p.answer(codec.CommandRealtime)

	p.send(p.frame(codec.CommandPlatformLogout, codec.FlagCommand, append(wireTime(at), 0, 1)))
	p.answer(codec.CommandPlatformLogout)
	eventually(t, "its vehicles are offline", func() bool { return h.sessions.Len() == 1 })
	_ = q.nc.Close()
	eventually(t, "all offline", func() bool { return h.sessions.Len() == 0 })
	online := map[string]int{}
	for _, e := range h.presence() {
		if e.Online {
			online[e.VIN.String()]++
		} else {
			online[e.VIN.String()]--
		}
		require.Equal(t, platformCode, e.Platform)
	}
	require.Equal(t, map[string]int{vin1: 0, vin2: 0}, online)
}

// TestPlatformBesideTheVehicle: a platform's report is no reason to throw off a vehicle that is connected itself; a login is.
func TestPlatformBesideTheVehicle(t *testing.T) {
	h := newHouse(t, nil)
	v := h.login(t, vin1)
	p := h.dial(t, platformCode)
	p.send(p.platformLogin("test-password"))
	p.answer(codec.CommandPlatformLogin)
	p.send(v.realtime(1))
	require.Equal(t, codec.FlagSuccess, p.answer(codec.CommandRealtime).Flag())
	v.send(v.realtime(2))
	v.answer(codec.CommandRealtime)
	require.Len(t, h.presence(), 1)
	p.send(v.loginFrame())
	p.answer(codec.CommandVehicleLogin)
	v.ended()
	require.Equal(t, platformCode, h.sessions.Get(codec.MakeVIN([]byte(vin1))).Platform)
}

func TestPlatformRefused(t *testing.T) {
	h := newHouse(t, nil)
	p := h.dial(t, platformCode)
	p.send(p.platformLogin("wrong"))
	require.Equal(t, codec.FlagError, p.answer(codec.CommandPlatformLogin).Flag())
	p.ended()
	require.Zero(t, h.sink.count())
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

func TestWindowStallsAndResumes(t *testing.T) {
	const n = 1000
	h := newHouse(t, func(o *Options) { o.Limits.Window = 32 })
	h.sink.hold.Store(true)
	p := h.dial(t, vin1)
	var all []byte
	for i := range n {
		all = append(all, p.realtime(i)...)
	}
	go p.send(p.loginFrame(), all)
	eventually(t, "the window is full", func() bool { return h.sink.count() == 32 })
	time.Sleep(50 * time.Millisecond)
	require.Equal(t, 32, h.sink.count(), "no frame beyond the window is taken")
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for {
			select {
			case <-stop:
				return
			default:
				h.sink.confirm(10, true)
				time.Sleep(100 * time.Microsecond)
			}
		}
	}()
	p.answer(codec.CommandVehicleLogin)
	for i := range n {
		require.Equal(t, wireTime(at.Add(time.Duration(i)*time.Second)), p.answer(codec.CommandRealtime).Unit())
	}
	eventually(t, "nothing under way", func() bool { return h.g.InFlight() == 0 })
}

func TestAllConnectionsTogetherAreBounded(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.Limits.InFlightBytes = 1 })
	h.sink.hold.Store(true)
	p, q := h.dial(t, vin1), h.dial(t, vin2)
	p.send(p.loginFrame())
	eventually(t, "one record", func() bool { return h.sink.count() == 1 })
	q.send(q.loginFrame())
	q.quiet()
	require.Equal(t, 1, h.sink.count(), "the second connection waits for the first one's record")
	h.sink.confirm(1, false)
	p.answer(codec.CommandVehicleLogin)
	eventually(t, "its turn", func() bool { return h.sink.count() == 2 })
	h.sink.confirm(1, false)
	q.answer(codec.CommandVehicleLogin)
}

func TestPeerThatSendsOnWhileTheStoreIsSlowIsClosed(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.Limits.Window, o.Limits.Inbound = 4, 1 }) // Inbound grows to one largest frame
	h.sink.hold.Store(true)
	p := h.dial(t, vin1)
	p.send(p.loginFrame())
	flood := bytes.Repeat(p.realtime(1), 4000)
	go func() { _, _ = p.nc.Write(flood) }()
	eventually(t, "closed", func() bool { return h.g.Connections() == 0 })
	require.LessOrEqual(t, h.sink.count(), 5)
}

func TestSlowReaderIsCut(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.Limits.Outbound = 16 << 10 })
	p := h.login(t, vin1)
	flood := bytes.Repeat(p.frame(codec.CommandTimeSync, codec.FlagCommand, nil), 20000)
	go func() {
		for range 100 { // 40 MB of requests, 62 MB of answers: more than any socket buffer holds
			if _, err := p.nc.Write(flood); err != nil {
				return
			}
		}
	}()
	eventually(t, "closed", func() bool { return h.g.Connections() == 0 })
	ev := h.presence()
	require.Equal(t, session.ReasonSlowReader, ev[len(ev)-1].Reason)
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
	eventually(t, "closed", func() bool { return h.g.Connections() == 0 })
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
		eventually(t, "closed", func() bool { return h.g.Connections() == 0 })
	}
	// Without a confirmation it ends after a while, and with the gateway.
	h := newHouse(t, nil)
	h.sink.hold.Store(true)
	p := h.dial(t, vin1)
	p.send(p.loginFrame())
	require.NoError(t, p.nc.(*net.TCPConn).CloseWrite())
	eventually(t, "offline", func() bool { return h.sink.count() == 1 && h.sessions.Len() == 0 })
	require.Equal(t, 1, h.g.Connections())
	require.NoError(t, h.g.Close())
	require.Zero(t, h.g.Connections())
	p.ended()
}

func TestLimits(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.Limits.Connections = 2; o.Limits.PerAddress = 1 })
	h.login(t, vin1)
	h.dial(t, vin2).ended()
	require.Equal(t, 1, h.g.Connections())
}

func TestFrameRate(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.Limits.FrameRate = 1 })
	p := h.login(t, vin1)
	for i := range 15 {
		p.send(p.realtime(i))
	}
	success := 0
	for range 15 {
		if p.answer(codec.CommandRealtime).Flag() == codec.FlagSuccess {
			success++
		}
	}
	require.GreaterOrEqual(t, success, 10, "a burst of ten seconds")
	require.Less(t, success, 15)
	require.Equal(t, 1+success, h.sink.count(), "what is refused is not stored")
}

func TestAcceptRate(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.Limits.AcceptRate = 20 })
	for range 30 { // two at once, then one every 50 ms: all are served in the end
		p := h.login(t, vin1)
		_ = p.nc.Close()
	}
	families, err := h.g.opt.Metrics.Registry().Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == "tboxgate_accept_pauses_total" {
			require.Positive(t, f.GetMetric()[0].GetCounter().GetValue())
			return
		}
	}
	t.Fatal("no pause is counted")
}

// TestTakeoverRace: many logins of one VIN at once leave one live session, and online and offline take turns.
func TestTakeoverRace(t *testing.T) {
	h := newHouse(t, nil)
	const n = 300
	var wg, tried sync.WaitGroup
	tried.Add(n)
	for range n {
		wg.Go(func() {
			nc, err := net.Dial("tcp", h.g.Addrs()[0].String())
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = nc.Close() }()
			p := &peer{t: t, nc: nc, in: codec.NewReader(nc, 0), vin: vin1}
			_, _ = nc.Write(p.loginFrame())
			_ = nc.SetReadDeadline(time.Now().Add(wait))
			_, _ = p.in.ReadFrame() // an answer, or the end when a later login was faster
			tried.Done()
			_, _ = io.Copy(io.Discard, nc)
		})
	}
	tried.Wait()
	eventually(t, "one connection is left", func() bool { return h.g.Connections() == 1 && h.sessions.Len() == 1 })
	h.sessions.Get(codec.MakeVIN([]byte(vin1))).Link.Close(session.ReasonKicked)
	wg.Wait()
	eventually(t, "none", func() bool { return h.sessions.Len() == 0 && h.g.Connections() == 0 })
	ev := h.presence()
	require.Len(t, ev, 2*n)
	for i, e := range ev {
		require.Equal(t, i%2 == 0, e.Online, "event %d", i)
	}
	require.Equal(t, session.ReasonKicked, ev[len(ev)-1].Reason)
}

func TestRecordHoldsTheEnvelope(t *testing.T) {
	for _, payload := range []sink.Payload{sink.PayloadJSON, sink.PayloadBoth, sink.PayloadRaw} {
		t.Run(string(payload), func(t *testing.T) {
			h := newHouse(t, func(o *Options) { o.Payload = payload; o.Node = `no"de` })
			p := h.login(t, vin1)
			frame := p.realtime(1)
			p.send(frame)
			p.answer(codec.CommandRealtime)
			k := h.sink.records()[1]
			s := h.sessions.Get(codec.MakeVIN([]byte(vin1)))
			require.Equal(t, s.ID, k.rec.Session)
			if payload == sink.PayloadRaw {
				require.True(t, k.rec.Raw)
				require.Equal(t, string(frame), k.body)
				return
			}
			var got map[string]any
			require.NoError(t, json.Unmarshal([]byte(k.body), &got), k.body)
			require.Equal(t, "realtime", got["command"])
			require.Equal(t, `no"de`, got["node"])
			require.Equal(t, s.IDString(), got["session"])
			require.Equal(t, p.nc.LocalAddr().String(), got["remote"])
			at, err := time.Parse("2006-01-02T15:04:05.000Z", got["receivedAt"].(string))
			require.NoError(t, err)
			require.WithinDuration(t, time.Now(), at, wait)
			if payload == sink.PayloadBoth {
				require.True(t, strings.HasPrefix(got["raw"].(string), "232302fe"))
			} else {
				require.NotContains(t, got, "raw")
			}
		})
	}
}

// TestRecordsOfOneReadHaveTheirOwnEnvelope: what arrives together shares the envelope only where it is the same.
func TestRecordsOfOneReadHaveTheirOwnEnvelope(t *testing.T) {
	h := newHouse(t, nil)
	p := h.dial(t, platformCode)
	v, w := *p, *p
	v.vin, w.vin = vin1, vin2
	p.send(append(slices.Concat(p.platformLogin("test-password"), v.loginFrame(), w.loginFrame(), v.realtime(1), w.realtime(1), v.realtime(2)), p.frame(codec.CommandHeartbeat, codec.FlagCommand, nil)...))
	for range 6 {
		_, err := p.in.ReadFrame()
		require.NoError(t, err)
	}
	direct := h.login(t, vin1)
	direct.send(direct.realtime(1))
	direct.answer(codec.CommandRealtime)

	all := h.sink.records()
	require.Len(t, all, 8)
	for i, k := range all {
		var got struct{ VIN, Session, Platform, Remote string }
		require.NoError(t, json.Unmarshal([]byte(k.body), &got), k.body)
		require.Equal(t, k.rec.VIN.String(), got.VIN)
		require.Equal(t, k.rec.Remote.String(), got.Remote, "record %d", i)
		require.Equal(t, k.rec.Platform, got.Platform, "record %d", i)
		require.Equal(t, string(session.AppendID(nil, k.rec.Session)), got.Session, "record %d", i)
	}
	require.Equal(t, direct.nc.LocalAddr(), net.TCPAddrFromAddrPort(all[7].rec.Remote))
	require.NotEqual(t, all[3].rec.Session, all[4].rec.Session)
	require.Equal(t, platformCode, all[5].rec.Platform)
	require.Empty(t, all[7].rec.Platform)
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
