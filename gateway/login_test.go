package gateway

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/session"
)

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
	eventually(t, "one connection is left", func() bool { return h.g.connections.Load() == 1 && h.sessions.Len() == 1 })
	h.sessions.Get(codec.MakeVIN([]byte(vin1))).Link.Close(session.ReasonKicked)
	wg.Wait()
	eventually(t, "none", func() bool { return h.sessions.Len() == 0 && h.g.connections.Load() == 0 })
	ev := h.presence()
	require.Len(t, ev, 2*n)
	for i, e := range ev {
		require.Equal(t, i%2 == 0, e.Online, "event %d", i)
	}
	require.Equal(t, session.ReasonKicked, ev[len(ev)-1].Reason)
}
