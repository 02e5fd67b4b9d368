package gateway

import (
	"bytes"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/session"
)

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
	eventually(t, "the window is full, and what came behind it is left unread", func() bool {
		return h.meter(t, "tboxgate_input_pauses_total", "limit", "window") > 0
	})
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
	eventually(t, "nothing under way", func() bool { return h.g.inFlight.Load() == 0 })
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
	eventually(t, "closed", func() bool { return h.g.connections.Load() == 0 })
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
	eventually(t, "closed", func() bool { return h.g.connections.Load() == 0 })
	ev := h.presence()
	require.Equal(t, session.ReasonSlowReader, ev[len(ev)-1].Reason)
}

func TestLimits(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.Limits.Connections = 2; o.Limits.PerAddress = 1 })
	h.login(t, vin1)
	h.dial(t, vin2).ended()
	require.EqualValues(t, 1, h.g.connections.Load())
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

// TestAnswersOfAConnectionThatIsGone: what is stored after the end of its connection is answered to nobody, and not counted as an answer.
func TestAnswersOfAConnectionThatIsGone(t *testing.T) {
	h := newHouse(t, nil)
	h.sink.hold.Store(true)
	p := h.dial(t, vin1)
	p.send(p.loginFrame(), p.realtime(1))
	eventually(t, "two records", func() bool { return h.sink.count() == 2 })
	require.NoError(t, p.nc.(*net.TCPConn).SetLinger(0)) // a reset
	require.NoError(t, p.nc.Close())
	eventually(t, "closed", func() bool { return h.g.connections.Load() == 0 })
	h.sink.confirm(2, false)
	eventually(t, "stored", func() bool { return h.meter(t, "tboxgate_store_records_total") == 2 })
	require.Zero(t, h.meter(t, "tboxgate_answers_total", "flag", "success"))
	require.Zero(t, h.g.inFlight.Load())
}
